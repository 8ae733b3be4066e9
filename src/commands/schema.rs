//! `cargo multiarch schema`: prints the JSON Schema of the configuration.

use anyhow::Result;

use crate::ui::Ui;

/// Generated from the types in `config`; a test compares them.
const SCHEMA: &str = include_str!("../../docs/config.schema.json");

/// `cargo multiarch schema`
pub(crate) fn schema(ui: &Ui) -> Result<()> {
    Ok(ui.data(SCHEMA.trim_end())?)
}
