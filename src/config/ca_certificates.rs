//! The value of `ca-certificates`: where the CA certificates in an image come from.

use serde::{Deserialize, Serialize};

/// The sources of an image's CA certificates. Empty if the image gets none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "SourceNames", into = "SourceNames")]
pub(crate) struct CaCertificates(pub Vec<CaSource>);

/// A source of CA certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub(crate) enum CaSource {
    /// Mozilla's root certificates, which are built into this program.
    Bundled,
    /// The certificates that the build machine trusts.
    Host,
    /// A PEM file, relative to the workspace root.
    File(String),
}

/// `false` or a list of sources.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged, expecting = "expected false or a list, such as [\"bundled\"]")]
enum SourceNames {
    Off(#[cfg_attr(test, schemars(extend("const" = false)))] bool),
    List(#[cfg_attr(test, schemars(inner(length(min = 1))))] Vec<String>),
}

impl TryFrom<SourceNames> for CaCertificates {
    type Error = &'static str;

    fn try_from(names: SourceNames) -> Result<Self, Self::Error> {
        let source = |name: String| match name.as_str() {
            "bundled" => CaSource::Bundled,
            "host" => CaSource::Host,
            _ => CaSource::File(name),
        };
        match names {
            SourceNames::Off(false) => Ok(CaCertificates(Vec::new())),
            SourceNames::List(names) if !names.iter().any(String::is_empty) => {
                Ok(CaCertificates(names.into_iter().map(source).collect()))
            }
            SourceNames::Off(true) | SourceNames::List(_) => Err("expected false or a list, such as [\"bundled\"]"),
        }
    }
}

impl From<CaCertificates> for SourceNames {
    fn from(certificates: CaCertificates) -> Self {
        SourceNames::List(certificates.0.into_iter().map(String::from).collect())
    }
}

impl From<CaSource> for String {
    fn from(source: CaSource) -> Self {
        match source {
            CaSource::Bundled => "bundled".to_owned(),
            CaSource::Host => "host".to_owned(),
            CaSource::File(path) => path,
        }
    }
}
