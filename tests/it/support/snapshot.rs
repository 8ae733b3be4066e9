//! Snapshots of the output that users see. Each snapshot is a file in tests/it/snapshots, named after its test. See
//! CONTRIBUTING.md for the command that updates them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use crate::support::{find, path};

/// Compares values with the snapshot of the calling test. A test can have only one snapshot.
macro_rules! snapshot {
    ($($shown:expr),+ $(,)?) => {
        $crate::support::snapshot::compare(std::any::type_name_of_val(&|| ()), &[$(&$shown as &dyn $crate::support::snapshot::Show),+])
    };
}
pub(crate) use snapshot;

/// A value that can be part of a snapshot.
pub trait Show {
    fn show(&self) -> String;
}

impl Show for str {
    fn show(&self) -> String {
        self.to_owned()
    }
}

impl Show for String {
    fn show(&self) -> String {
        self.clone()
    }
}

impl Show for serde_json::Value {
    fn show(&self) -> String {
        format!("{self:#}\n")
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self) -> String {
        (**self).show()
    }
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> String {
        self.iter().map(Show::show).collect::<Vec<_>>().join("\n")
    }
}

impl<T: Show, const N: usize> Show for [T; N] {
    fn show(&self) -> String {
        self.iter().map(Show::show).collect::<Vec<_>>().join("\n")
    }
}

/// Compares values with the snapshot of a test. `test` is the type name of a closure in the test, such as
/// `it::plan::plan_prints_a_table::{{closure}}`.
pub fn compare(test: &str, shown: &[&dyn Show]) {
    let name = test.trim_start_matches("it::").replace("::{{closure}}", "").replace("::", "__");
    let shown: Vec<String> = shown.iter().map(Show::show).collect();
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, redact(&shown.join("\n"))));
}

/// Replaces text that differs between machines, runs or tool versions.
pub fn redact(text: &str) -> String {
    let text = LOCAL_DIRS.iter().fold(text.to_owned(), |text, (dir, name)| text.replace(dir, name));
    PATTERNS.iter().fold(text, |text, (pattern, name)| pattern.replace_all(&text, *name).into_owned())
}

/// This machine's directories and their placeholders. Nested directories come before their parents.
static LOCAL_DIRS: LazyLock<Vec<(String, &str)>> = LazyLock::new(|| {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let home = variable("HOME");
    let cargo_home = variable("CARGO_HOME").or_else(|| Some(home.as_ref()?.join(".cargo")));
    let bin = std::env::split_paths(&path()).next();
    let dirs = [
        (Some(PathBuf::from(env!("CARGO_MANIFEST_DIR"))), "[repository]"),
        (bin, "[toolchain]/bin"),
        (find("rustc").and_then(|rustc| Some(rustc.parent()?.to_owned())), "[toolchain]/bin"),
        (cargo_home, "[cargo-home]"),
        (home, "[home]"),
    ];
    let is_not_root = |dir: &PathBuf| dir.components().count() > 1;
    let dirs = dirs.into_iter().filter_map(|(dir, name)| Some((dir.filter(is_not_root)?, name)));
    dirs.flat_map(|(dir, name)| spellings(&dir).map(|dir| (dir, name))).collect()
});

/// Returns two spellings of a path: with its symbolic links resolved, and as given.
pub fn spellings(path: &Path) -> [String; 2] {
    let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    [real, path.to_owned()].map(|path| path.display().to_string())
}

/// Patterns and their replacements, in the order in which they are applied.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let [real, tmp] = spellings(&std::env::temp_dir()).map(|dir| regex::escape(dir.trim_end_matches('/')));
    let tmp = format!(r"(?:{real}|{tmp})/\.tmp\w{{6}}");
    [
        (tmp.as_str(), "[directory]"),
        (r"\b(?:127\.0\.0\.1|0\.0\.0\.0):\d{4,5}\b", "[registry]"),
        // The same address in the name of an environment variable.
        (r"_127_0_0_1___\d{4,5}\b", "_[REGISTRY]"),
        (r"\b[0-9a-f]{64}\b", "[digest]"),
        (r"sha256:[0-9a-f]{12}\b", "sha256:[digest]"),
        (r"\b[0-9a-f]{40}\b", "[commit]"),
        (r"commit `[0-9a-f]{12}`", "commit `[commit]`"),
        (r"\| \d+\.\d [kMG]B \|", "| [size] |"),
        (r"\b(cargo|rustc) \d+\.\d+\.\d+(?:-\w+)?(?: \([^)]*\))?", "$1 [version]"),
        (concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")), "cargo-multiarch [version]"),
        (r"(rustc \[version\] for) [\w-]+", "$1 [host]"),
        (r"\b\d+(?:\.\d+)? [kMGT]B free", "[size] free"),
        (r"\bthis one is \d+\.\d+\.\d+\S*", "this one is [version]"),
        (r"\b\d+ bytes\b", "[size] bytes"),
        // A hash of registry addresses, which differs between runs because the ports are random.
        (r"\bmultiarch-[0-9a-f]{8}\b", "multiarch-[hash]"),
        (r#""size": \d+"#, r#""size": [size]"#),
        (r"\b\d+ s (behind|ahead)", "[duration] $1"),
        (r"(failed to lookup address information): [^\n]*", "$1: [reason]"),
        (r#""rust_version": "[^"]*""#, r#""rust_version": "[version]""#),
        (r" \(os error \d+\)", ""),
        // Cargo's error messages differ between versions.
        (r"(Cargo\.lock (?:is missing|is out of date)): [^\n]*", "$1: [cargo error]"),
    ]
    .into_iter()
    .map(|(pattern, name)| (Regex::new(pattern).unwrap(), name))
    .collect()
});
