//! The JSON schemas that docs/ has of what is printed: they are those of the types.

use std::path::Path;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::{Report, Verification};

/// Set to have the files written anew.
const UPDATE: &str = "UPDATE_SCHEMAS";

fn check<T: JsonSchema>(file: &str) {
    let schema = SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>();
    let expected = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os(UPDATE).is_some() {
        fs_err::write(&path, &expected).unwrap();
    }
    let found = fs_err::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/{file} is not the schema of its type: {UPDATE}=1 cargo test --lib schema");
}

#[test]
fn of_the_report() {
    check::<Report>("report.schema.json");
}

#[test]
fn of_verify() {
    check::<Verification>("verify.schema.json");
}
