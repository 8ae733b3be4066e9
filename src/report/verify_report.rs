//! The versioned JSON report of `verify`.

use anyhow::Result;
use serde::Serialize;

use super::schema::SCHEMA_VERSION;
use crate::verify::InspectedImage;

/// The report on a `verify` run, printed by `--message-format json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Verification"))]
pub(super) struct VerifyReport<'a> {
    /// Version of the report format.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    version: u32,
    images: &'a [InspectedImage],
    /// Images that could not be inspected.
    failed: &'a [FailedVerification],
}

/// An image that could not be inspected.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Unverified"))]
pub(crate) struct FailedVerification {
    /// Image reference as given on the command line.
    pub reference: String,
    pub error: String,
}

/// Renders the report as JSON.
pub(crate) fn to_json(images: &[InspectedImage], failed: &[FailedVerification]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&VerifyReport { version: SCHEMA_VERSION, images, failed })?)
}
