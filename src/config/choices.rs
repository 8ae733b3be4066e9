//! Enums for configuration keys with a fixed set of values.

use serde::{Deserialize, Serialize};

/// Linker to use instead of the automatic choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LinkerChoice {
    /// The linker that rustc uses by default.
    Host,
    /// The linker that comes with Rust.
    RustLld,
    /// `zig cc`, run through cargo-zigbuild.
    Zig,
    /// A GCC cross compiler.
    Gcc,
    /// `cross`, run in place of cargo.
    Cross,
}

impl std::fmt::Display for LinkerChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// Whether to embed the dependency list in binaries with cargo-auditable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Switch", into = "Switch")]
pub(crate) enum Auditable {
    /// Embed the list only if cargo-auditable is installed.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected true, false or \"auto\"")]
enum Switch {
    On(bool),
    Word(#[cfg_attr(test, schemars(extend("const" = "auto")))] String),
}

impl TryFrom<Switch> for Auditable {
    type Error = &'static str;

    fn try_from(switch: Switch) -> Result<Self, Self::Error> {
        match switch {
            Switch::On(true) => Ok(Auditable::Always),
            Switch::On(false) => Ok(Auditable::Never),
            Switch::Word(word) if word == "auto" => Ok(Auditable::Auto),
            Switch::Word(_) => Err("expected true, false or \"auto\""),
        }
    }
}

impl From<Auditable> for Switch {
    fn from(auditable: Auditable) -> Self {
        match auditable {
            Auditable::Auto => Switch::Word("auto".to_owned()),
            Auditable::Always => Switch::On(true),
            Auditable::Never => Switch::On(false),
        }
    }
}

/// Engine that builds the images.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineChoice {
    /// For each image, buildx if it can build the image on this machine, or else the embedded engine.
    #[default]
    Auto,
    /// `docker buildx`.
    Buildx,
    /// The engine built into this program, which does not need Docker.
    Embedded,
}
