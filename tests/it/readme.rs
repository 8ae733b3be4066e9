//! README.md and CONTRIBUTING.md agree with what the program prints, with the schema and with the files they name.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::corpus::history;
use crate::support::{Fakes, Project};

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).unwrap()
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fenced blocks of a language.
pub fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn readme_names_existing_scripts() {
    for block in blocks("sh") {
        for script in block.lines().filter(|line| line.starts_with("scripts/")) {
            assert!(root().join(script.split(' ').next().unwrap()).is_file(), "{script}");
        }
    }
}

#[test]
fn readme_lists_every_example() {
    let folders = std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut folders: Vec<String> = folders.map(|name| name.into_string().unwrap()).collect();
    folders.sort_unstable();
    let readme = readme();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| [examples/")?.split(']').next());
    assert_eq!(rows.collect::<Vec<_>>(), folders);
}

#[test]
fn contributing_names_existing_files() {
    let tour = std::fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let words = tour.split([' ', '`', '\n', ',', ';', ':', ')']);
    let folders = ["src/", "tests/", "scripts/", "templates/", "examples/", "docs/"];
    let paths: Vec<&str> = words.filter(|word| folders.iter().any(|folder| word.starts_with(folder))).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(root().join(path).exists(), "{path}");
    }
}

/// What README shows of a run of `cargo multiarch ARGS`.
pub fn shown(args: &str) -> String {
    let start = format!("cargo multiarch {args}\n");
    let blocks = format!("\n{}", blocks("console").join("\n"));
    let shown = blocks.split("\n$ ").find_map(|run| run.strip_prefix(&start));
    shown.unwrap_or_else(|| panic!("README does not show {args}")).trim_end().to_owned()
}

/// The terminal after a run of `verify`: the table stands behind the line that announces it. Digests are of programs
/// that another zig makes otherwise.
fn terminal(output: &Output) -> String {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (announced, found) = stderr.split_once('\n').unwrap();
    format!("{announced}\n{stdout}{found}").trim_end().to_owned()
}

fn without_digests(text: &str) -> String {
    let mut parts = text.split("sha256:");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + "sha256:" + &part[64..])
}

#[test]
fn readme_shows_the_output_of_verify() {
    let project = Project::empty();
    for (folder, layout) in history::layouts() {
        layout.write(&project.path().join(folder));
        let args = format!("verify oci:{folder}");
        let (mut command, _folders) = project.run(&args.split(' ').collect::<Vec<_>>()).into_command();
        let output = command.output().unwrap();
        let said = terminal(&output);
        assert_eq!(output.status.code(), Some(if said.contains("error") { 8 } else { 0 }), "{said}");
        assert_eq!(without_digests(&said), without_digests(&shown(&args)), "this is what it says:\n{said}");
    }
}

#[test]
fn readme_shows_the_output_of_plan_matrix() {
    let args = "plan --matrix github";
    let printed = Project::app().run(&args.split(' ').collect::<Vec<_>>()).finish().stdout;
    assert_eq!(printed.trim_end(), shown(args));
}

#[test]
fn readme_lists_inputs_and_outputs_of_the_action() {
    let action: Value = serde_saphyr::from_str(&std::fs::read_to_string(root().join("action.yml")).unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let (readme, steps) = (readme(), blocks("yaml").remove(1));
    let table = readme.split("| input | meaning | default |\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let rows = table.lines().skip(1).map(|row| row.split('`').nth(1).unwrap().to_owned());
    let (inputs, outputs) = (keys(&action["inputs"]), keys(&action["outputs"]));
    assert_eq!(rows.collect::<BTreeSet<_>>(), inputs);
    let parsed: Vec<Value> = serde_saphyr::from_str(&steps).unwrap();
    let with = &parsed.iter().find(|step| step["id"] == "multiarch").unwrap()["with"];
    assert!(keys(with).is_subset(&inputs), "{with}");
    let used = steps.split("steps.multiarch.outputs.").nth(1).unwrap().split(' ').next().unwrap();
    assert!(outputs.contains(used), "{used}");
    for output in outputs {
        assert!(readme.contains(&format!("`{output}`")), "{output}");
    }
}

/// Set to have the picture drawn anew.
const UPDATE: &str = "UPDATE_GRAPH";

#[test]
fn readme_graph_is_current() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/workspace");
    let project = Project::empty();
    let copied = Command::new("cp").arg("-r").arg(example.join(".")).arg(project.path()).status().unwrap();
    assert!(copied.success());
    let project = project.committed();
    let tools = Fakes::new().real("cargo").real("rustc").real("git");
    let args = "plan --graph -p example-core -p ctl --registry ghcr.io/you".split(' ').collect::<Vec<_>>();
    let drawn = project.run(&args).path_only(&tools).finish().stdout;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/graph.svg");
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &drawn).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == drawn, "docs/graph.svg is not what is drawn: {UPDATE}=1 cargo test --test it readme");
}

#[test]
fn readme_verify_output_names_the_mistakes() {
    for (args, essential) in [
        ("verify oci:core-aarch64", &["linux/arm64", "/usr/local/bin/core is for x86_64", "wanted aarch64"][..]),
        (
            "verify oci:core",
            &[
                "linux/arm64: /usr/local/bin/core wants GLIBC_2.34 of libc.so.6",
                "/usr/lib/aarch64-linux-gnu/libc.so.6 has GLIBC_2.31 at most",
                "glibc = \"2.31\"",
            ],
        ),
    ] {
        let shown = shown(args);
        for text in essential {
            assert!(shown.contains(text), "'{text}' is missing in\n{shown}");
        }
    }
}

/// What a key takes, in TOML's words.
fn kind(schema: &Value, all: &Value) -> String {
    let inner = schema["allOf"][0]["$ref"].as_str().or(schema["$ref"].as_str());
    if let Some(path) = inner {
        return kind(all.pointer(path.trim_start_matches('#')).unwrap(), all);
    }
    let choices = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if let Some(choices) = choices {
        let kinds: Vec<String> = choices.iter().map(|choice| kind(choice, all)).collect();
        return kinds.join(" or ");
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`\"{value}\"`");
    }
    // Of platforms and codes there are too many.
    if let Some(values) = schema["enum"].as_array().filter(|values| values.len() < 8) {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
    }
    match schema["type"].as_str() {
        Some("array") => "list".to_owned(),
        Some("object") => "table".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("string") => "text".to_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn readme_key_table_matches_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/config.schema.json")).unwrap();
    let row = |(key, value): (&String, &Value)| {
        let description = value["description"].as_str().unwrap().replace('\n', " ");
        let (meaning, without) = description.split_once(" Without it ").unwrap_or((&description, ""));
        let [meaning, without] = [meaning, without].map(|text| text.trim_end_matches('.'));
        format!("| `{key}` | {} | {meaning} | {without} |\n", kind(value, &schema))
    };
    let head = "| key | what it is | meaning | without it |\n";
    let rows: String = schema["properties"].as_object().unwrap().iter().map(row).collect();
    let table = format!("{head}| --- | --- | --- | --- |\n{rows}");
    let readme = readme();
    let (before, rest) = readme.split_once(head).unwrap();
    let after = &rest[rest.find("\n\n").unwrap() + 1..];
    let expected = format!("{before}{table}{after}");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(root().join("README.md"), &expected).unwrap();
    }
    assert!(readme == expected, "README's keys are not the schema's: UPDATE_README=1 cargo test --test it readme");
}
