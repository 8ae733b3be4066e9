//! The house holds: imports go one way, and files stay readable.

use std::collections::BTreeMap;
use std::path::Path;

/// Which top-level modules a module may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("threads", &[]),
    ("size", &[]),
    ("wrap", &[]),
    ("timings", &["threads"]),
    ("files", &["error", "process"]),
    ("platform", &["error"]),
    ("elf", &["platform"]),
    ("finding", &["error"]),
    ("process", &["error", "threads"]),
    ("ui", &["error", "finding", "process", "size", "threads", "timings"]),
    ("plan", &["error", "finding", "platform", "process"]),
    ("compile", &["elf", "error", "files", "plan", "platform", "process", "size", "timings", "ui"]),
    ("image", &["compile", "elf", "error", "files", "plan", "platform", "process", "threads", "timings", "ui"]),
    (
        "publish",
        &[
            "compile", "elf", "error", "files", "image", "plan", "platform", "process", "size", "threads", "timings",
            "ui",
        ],
    ),
    (
        "verify",
        &[
            "compile", "elf", "error", "finding", "image", "plan", "platform", "process", "publish", "size", "threads",
            "timings", "ui",
        ],
    ),
    ("report", &["compile", "error", "finding", "image", "plan", "platform", "size", "timings", "verify", "wrap"]),
    ("cli", &["error", "finding", "plan", "platform", "ui", "verify"]),
    ("environment", &["cli", "error"]),
    (
        "pipeline",
        &[
            "cli",
            "compile",
            "environment",
            "error",
            "files",
            "finding",
            "image",
            "plan",
            "platform",
            "publish",
            "report",
            "timings",
            "ui",
            "verify",
            "wrap",
        ],
    ),
    ("init", &["cli", "compile", "error", "files", "image", "plan", "platform", "ui"]),
    (
        "doctor",
        &[
            "cli",
            "compile",
            "environment",
            "error",
            "files",
            "image",
            "pipeline",
            "plan",
            "platform",
            "process",
            "publish",
            "size",
            "ui",
            "verify",
            "wrap",
        ],
    ),
    ("generated", &["cli", "error", "finding", "platform", "ui"]),
    ("lib", &["cli", "doctor", "environment", "error", "generated", "init", "pipeline", "process", "timings", "ui"]),
    ("main", &[]),
];

fn sources() -> BTreeMap<String, String> {
    fn walk(dir: &Path, root: &Path, into: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, root, into);
            } else {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                into.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    walk(&root, &root, &mut files);
    files
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    for (file, text) in sources() {
        let module = file.split(['/', '.']).next().unwrap().to_owned();
        let allowed =
            ALLOWED.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("{file} is not in the table")).1;
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for (number, line) in code.lines().enumerate() {
            for used in line.match_indices("crate::").map(|(at, _)| &line[at + 7..]) {
                let used: String = used.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
                if used != module && !allowed.contains(&used.as_str()) {
                    wrong.push(format!("src/{file}:{}: {module} may not use {used}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_readable() {
    for (file, text) in sources() {
        assert!(
            text.lines().count() <= 400,
            "src/{file} has {} lines: is there a second thing in it?",
            text.lines().count()
        );
        assert!(text.starts_with("//! "), "src/{file} does not say what it is for");
    }
}

#[test]
fn bytes_are_told_in_one_place() {
    for (file, text) in sources().into_iter().filter(|(file, _)| file != "size.rs") {
        for other in ["HumanBytes", "BinaryBytes", "DecimalBytes", "ByteSize("] {
            assert!(!text.contains(other), "src/{file} has {other}: crate::size::of tells sizes");
        }
    }
}
