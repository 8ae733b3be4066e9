//! The JSON schema of the configuration, docs/config.schema.json: it is that of the types, with the keys of each level.
//! Draft 7 is what editors know for TOML.

use std::path::Path;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::Config;
use super::scope::Level;
use crate::plan::check_container::SIGNALS;

/// Set to have the files written anew.
const UPDATE: &str = "UPDATE_SCHEMAS";

/// Compares a schema with its file in docs/.
pub fn check_file(file: &str, schema: &Schema) {
    let expected = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os(UPDATE).is_some() {
        fs_err::write(&path, &expected).unwrap();
    }
    let found = fs_err::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/{file} is not the schema of its type: {UPDATE}=1 cargo test --lib schema");
}

/// Durations that `values::nanoseconds` reads.
pub const DURATION: &str = r"^(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// A host and perhaps a path.
pub const REGISTRY: &str = r"^(\[[0-9a-fA-F:]+\]|[^@\s/:\[]+)(:[0-9]+)?(/[^@\s/:]+)*/*$";

/// Signals that `values::is_signal` knows.
pub fn signals() -> String {
    let either = |letter: char| format!("[{letter}{}]", letter.to_ascii_lowercase());
    let in_any_case = |name: &str| {
        name.chars().map(|c| if c.is_ascii_uppercase() { either(c) } else { c.to_string() }).collect::<String>()
    };
    let names = SIGNALS.iter().map(|name| in_any_case(name)).collect::<Vec<_>>().join("|");
    let real_time = format!(r"{}\+(1[0-5]|[1-9])|{}-(1[0-4]|[1-9])", in_any_case("RTMIN"), in_any_case("RTMAX"));
    format!("^([1-9][0-9]*|({})?({names}|{real_time}))$", in_any_case("SIG"))
}

/// Bytes, as a number or with a unit. How a `ByteSize` is written.
#[derive(JsonSchema)]
#[serde(untagged)]
pub enum Size {
    Bytes(u64),
    Text(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpPeE][iI]?)?[bB]?$"))] String),
}

/// TOML has no null, and what is meant without a key its description says.
fn without_null(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    schema.remove("default");
    if let Some(Value::Array(types)) = schema.get("type") {
        let only = types.iter().find(|name| *name != "null").cloned();
        schema.insert("type".to_owned(), only.unwrap());
    }
    let null = json!({ "type": "null" });
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    choices.retain(|choice| *choice != null);
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        schema.extend(only);
    }
}

/// A table with those of the keys that make sense at a level, as they are at the top.
fn table(keys: &Map<String, Value>, level: Level, description: &str) -> Value {
    let keys = keys.keys().filter(|key| level.has(key));
    let keys: Map<_, _> = keys.map(|key| (key.clone(), json!({ "$ref": format!("#/properties/{key}") }))).collect();
    json!({ "description": description, "type": "object", "properties": keys, "additionalProperties": false })
}

fn schema() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.transforms.insert(0, Box::new(RecursiveTransform(without_null)));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    schema["title"] = "multiarch.toml".into();
    schema["description"] = "The configuration of `cargo multiarch`.".into();
    let keys = schema["properties"].as_object_mut().unwrap();
    keys["images"]["additionalProperties"]["$ref"] = "#/definitions/Image".into();
    // The grammar of a repository's last components, as `names` has it.
    let part = "[a-z0-9]([a-z0-9._-]*[a-z0-9])?";
    keys["images"]["propertyNames"] = json!({ "pattern": format!("^{part}(/{part})*$") });
    for (_, platform) in keys["platform"]["properties"].as_object_mut().unwrap() {
        platform["$ref"] = "#/definitions/ForPlatform".into();
    }
    let image = table(keys, Level::Image, "An image.");
    let platform = table(keys, Level::Platform, "What differs for one platform.");
    let definitions = schema["definitions"].as_object_mut().unwrap();
    definitions.insert("Image".to_owned(), image);
    definitions.insert("ForPlatform".to_owned(), platform);
    schema
}

#[test]
fn of_the_configuration() {
    check_file("config.schema.json", &schema().try_into().unwrap());
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    let mut tables = vec![&schema];
    tables.extend(schema["definitions"].as_object().unwrap().values());
    for (key, value) in tables.into_iter().filter_map(|table| table["properties"].as_object()).flatten() {
        assert!(value["description"].is_string() || value["$ref"].is_string(), "{key} says nothing");
    }
}
