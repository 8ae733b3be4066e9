//! The version of the JSON that this tool prints. docs/ has the schemas, which are generated from the types.

/// Bumped when a field is removed or changes its meaning. New fields may be added at any time.
pub(crate) const SCHEMA_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;

    use crate::config::schema::check_file;
    use crate::report::build_report::Report;
    use crate::report::verify_report::VerifyReport;

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
}
