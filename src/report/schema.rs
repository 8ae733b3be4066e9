//! The JSON schemas that docs/ has of what is printed: they are those of the types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use super::{Report, VerifyReport};
use crate::config::schema::check_file;

fn check<T: JsonSchema>(file: &str) {
    let schema = SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>();
    check_file(file, &schema);
}

#[test]
fn of_the_report() {
    check::<Report>("report.schema.json");
}

#[test]
fn of_verify() {
    check::<VerifyReport>("verify.schema.json");
}
