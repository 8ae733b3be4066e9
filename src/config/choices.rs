//! The values of keys that are one of a few words.

use serde::{Deserialize, Serialize};

/// Which linker to use, where the automatic choice is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LinkerChoice {
    Host,
    RustLld,
    Zig,
    Gcc,
    /// The program `cross`.
    Cross,
}

impl std::fmt::Display for LinkerChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}

/// Whether binaries carry the list of their dependencies, which cargo-auditable puts into them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "Switch", into = "Switch")]
pub(crate) enum Auditable {
    /// Where cargo-auditable is installed.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "wanted true, false or \"auto\"")]
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
            Switch::Word(_) => Err("wanted true, false or \"auto\""),
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

/// What makes the images, where the automatic choice is not wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineChoice {
    /// buildx where it can do the job, else embedded.
    #[default]
    Auto,
    Buildx,
    Embedded,
}
