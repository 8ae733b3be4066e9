//! The version of the JSON output. The schemas in docs/ are generated from the report types.

/// Version of the JSON output. It is incremented when a field is removed or changes its meaning, but not when a field
/// is added.
pub(crate) const SCHEMA_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use schemars::generate::SchemaSettings;

    use crate::config::schema::check_file;
    use crate::report::Report;
    use crate::report::verify_report::VerifyReport;

    fn check<T: JsonSchema>(file: &str) {
        let schema = SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<T>();
        check_file(file, &schema);
    }

    #[test]
    fn report_schema_is_current() {
        check::<Report>("report.schema.json");
    }

    #[test]
    fn verify_schema_is_current() {
        check::<VerifyReport>("verify.schema.json");
    }
}
