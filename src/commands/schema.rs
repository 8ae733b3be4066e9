//! `cargo multiarch schema`: prints the JSON Schema of the configuration.

use anyhow::Result;

use crate::ui::Ui;

/// The JSON Schema generated from the types in `config`. A test checks that the file is up to date.
const SCHEMA: &str = include_str!("../../docs/config.schema.json");

/// Runs `cargo multiarch schema`.
pub(crate) fn schema(ui: &Ui) -> Result<()> {
    Ok(ui.data(SCHEMA.trim_end())?)
}
