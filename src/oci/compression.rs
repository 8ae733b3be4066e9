//! Layer compression formats.

use serde::{Deserialize, Serialize};

/// A compression format for layers (image-spec, layer.md, "+gzip" and "+zstd Media Types").
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Compression {
    #[default]
    Gzip,
    Zstd,
}
