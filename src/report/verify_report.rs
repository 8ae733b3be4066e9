//! The versioned JSON report of `verify`.

use anyhow::Result;
use serde::Serialize;

use super::schema::SCHEMA_VERSION;
use crate::verify::InspectedImage;

/// What was found in images of anybody. `verify --message-format json` prints it.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Verification"))]
pub(super) struct VerifyReport<'a> {
    /// Of this schema.
    #[cfg_attr(test, schemars(extend("const" = SCHEMA_VERSION)))]
    version: u32,
    images: &'a [InspectedImage],
    failed: &'a [FailedVerification],
}

/// An image that cannot be had.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Unverified"))]
pub(crate) struct FailedVerification {
    /// As it was typed.
    pub reference: String,
    pub error: String,
}

/// Renders the report.
pub(crate) fn to_json(images: &[InspectedImage], failed: &[FailedVerification]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&VerifyReport { version: SCHEMA_VERSION, images, failed })?)
}
