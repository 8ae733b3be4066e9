//! The JSON schema of the configuration, docs/config.schema.json: generated from the types, with the keys of each scope.
//! It is draft 7, which editors support for TOML.

use std::path::Path;

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use super::Config;
use super::schema_fragments::without_null;
use super::scope::Scope;

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

/// Returns the schema of a table with the keys that a scope allows. Each refers to the key at the top.
fn table(keys: &Map<String, Value>, scope: Scope, description: &str) -> Value {
    let keys = keys.keys().filter(|key| scope.allows(key));
    let keys: Map<_, _> = keys.map(|key| (key.clone(), json!({ "$ref": format!("#/properties/{key}") }))).collect();
    json!({ "description": description, "type": "object", "properties": keys, "additionalProperties": false })
}

pub fn schema() -> Value {
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
    let image = table(keys, Scope::Image, "An image.");
    let platform = table(keys, Scope::Platform, "What differs for one platform.");
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
