//! Checks the tables of configuration keys in docs/configuration.md, and the defaults in the schema.

use serde_json::{Map, Value, json};

use super::{root, updates};
use crate::support::Project;

/// Table headings, each with the first key of its table. The keys are in the order of the schema.
const SECTIONS: [(&str, &str); 6] = [
    ("Images", "registry"),
    ("Contents", "bins"),
    ("Container", "env"),
    ("Compilation", "target"),
    ("Engine and registries", "engine"),
    ("Verification", "allow"),
];

/// Headings of the tables for nested values, each with the name of its definition in the schema.
const NESTED: [(&str, &str); 3] = [
    ("Entries of `files`", "FileEntry"),
    ("Entries of `directories`", "DirectoryEntry"),
    ("Keys of `healthcheck`", "Healthcheck"),
];

const START: &str = "<!-- keys -->";
const END: &str = "<!-- /keys -->";

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../docs/config.schema.json")).unwrap()
}

/// Joins alternatives, as in `a, b or c`.
fn alternatives(texts: &[String]) -> String {
    match texts {
        [] => String::new(),
        [text] => text.clone(),
        [texts @ .., last] => format!("{} or {last}", texts.join(", ")),
    }
}

/// Describes the type of a value, in the plural for the items of a list.
fn type_name(schema: &Value, all: &Value, plural: bool) -> String {
    if let Some(path) = schema["allOf"][0]["$ref"].as_str().or(schema["$ref"].as_str()) {
        return type_name(all.pointer(path.trim_start_matches('#')).unwrap(), all, plural);
    }
    if let Some(types) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
        let types: Vec<String> = types.iter().map(|schema| type_name(schema, all, plural)).collect();
        return alternatives(&types);
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`\"{value}\"`");
    }
    // Platforms and checks have too many values for a table.
    if let Some(values) = schema["enum"].as_array().filter(|values| values.len() < 8) {
        return alternatives(&values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>());
    }
    let name = match schema["type"].as_str() {
        Some("array") => return format!("list of {}", type_name(&schema["items"], all, true)),
        Some("boolean") => "boolean",
        Some("object") => "table",
        Some("integer") => "number",
        Some("string") => "string",
        other => panic!("{other:?}"),
    };
    if plural { format!("{name}s") } else { name.to_owned() }
}

/// Describes a key's default value.
fn default_value(schema: &Value) -> String {
    match (&schema["default"], &schema["x-default"]) {
        (Value::Null, Value::Null) => String::new(),
        (Value::Null, phrase) => phrase.as_str().unwrap().to_owned(),
        (Value::Array(items), _) => {
            let items: Vec<String> = items.iter().map(Value::to_string).collect();
            format!("`[{}]`", items.join(", "))
        }
        (value, _) => format!("`{value}`"),
    }
}

fn table(keys: &[(&String, &Value)], all: &Value) -> String {
    let row = |(key, schema): &(&String, &Value)| {
        let description = schema["description"].as_str().unwrap().replace('\n', " ");
        let (type_name, default) = (type_name(schema, all, false), default_value(schema));
        format!("| `{key}` | {type_name} | {description} | {default} |\n")
    };
    let rows: String = keys.iter().map(row).collect();
    format!("| key | type | meaning | default |\n| --- | --- | --- | --- |\n{rows}")
}

/// Returns the tables of all keys, as Markdown.
fn key_tables() -> String {
    let schema = schema();
    let keys: Vec<(&String, &Value)> = schema["properties"].as_object().unwrap().iter().collect();
    let start = |first: &str| keys.iter().position(|(key, _)| *key == first).unwrap();
    let mut text = String::new();
    for (index, (heading, first)) in SECTIONS.iter().enumerate() {
        let end = SECTIONS.get(index + 1).map_or(keys.len(), |(_, next)| start(next));
        text += &format!("\n### {heading}\n\n{}", table(&keys[start(first)..end], &schema));
    }
    for (heading, definition) in NESTED {
        let keys: Vec<_> = schema["definitions"][definition]["properties"].as_object().unwrap().iter().collect();
        text += &format!("\n### {heading}\n\n{}", table(&keys, &schema));
    }
    text
}

#[test]
fn key_tables_match_the_schema() {
    let path = root().join("docs/configuration.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(START).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let expected = format!("{before}{START}\n{}\n{END}{after}", key_tables());
    if updates() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(page == expected, "outdated keys in docs/configuration.md: run `UPDATE_DOCS=1 cargo test --test it docs`");
}

/// Returns the plan for a package with the given configuration.
fn plan(config: &str) -> Value {
    let project = Project::with_config(config).committed();
    let printed = project.run(&["plan", "--message-format", "json"]).finish().stdout;
    let root = project.path().canonicalize().unwrap();
    let printed = printed.replace(root.to_str().unwrap(), "").replace(project.path().to_str().unwrap(), "");
    let mut plan: Value = serde_json::from_str(&printed).unwrap();
    // Ignore the commit, which depends on the configuration file.
    plan["commit"] = Value::Null;
    plan
}

/// Removes the parts of a plan that depend on the commit.
fn without_commit(plan: &mut Value) {
    match plan {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "org.opencontainers.image.revision");
            fields.values_mut().for_each(without_commit);
        }
        Value::Array(items) => items.iter_mut().for_each(without_commit),
        _ => {}
    }
}

#[test]
fn setting_every_key_to_its_default_changes_nothing() {
    let schema = schema();
    let keys = schema["properties"].as_object().unwrap().iter();
    let defaults: Map<String, Value> =
        keys.filter_map(|(key, schema)| Some((key.clone(), schema.get("default")?.clone()))).collect();
    assert!(defaults.len() > 10, "{defaults:?}");
    let [mut expected, mut actual] = ["", &toml::to_string(&json!(defaults)).unwrap()].map(plan);
    [&mut expected, &mut actual].into_iter().for_each(without_commit);
    assert_eq!(actual, expected);
}
