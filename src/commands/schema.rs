//! `cargo multiarch schema`: prints the JSON Schema of the configuration.

use anyhow::Result;

use crate::ui::Ui;

/// Of the types in `plan`, which a test holds it against.
pub const SCHEMA: &str = include_str!("../../docs/config.schema.json");

/// `schema`: that of multiarch.toml.
pub fn schema(ui: &Ui) -> Result<()> {
    Ok(ui.data(SCHEMA.trim_end())?)
}
