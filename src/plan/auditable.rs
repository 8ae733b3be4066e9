//! The key `auditable`: true, false or "auto".

use serde::{Deserialize, Serialize};

/// Whether binaries carry the list of their dependencies, which cargo-auditable puts into them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Switch", into = "Switch")]
pub enum Auditable {
    /// Where cargo-auditable is installed.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged, expecting = "wanted true, false or \"auto\"")]
enum Switch {
    On(bool),
    Word(String),
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
