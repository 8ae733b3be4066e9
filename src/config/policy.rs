//! Verification policy: requirements that an image must meet, beyond being able to start.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::finding::CheckCode;

/// Requirements that an image must meet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Policy {
    /// Findings to ignore.
    pub allow: Vec<CheckCode>,
    /// Shared libraries that programs must not load, directly or indirectly.
    pub deny_needed: Vec<Glob>,
    pub static_only: bool,
    pub non_root_only: bool,
    /// Maximum size of a platform's config and compressed layers.
    pub max_size: Option<ByteSize>,
    pub require_labels: Vec<RequiredMetadata>,
    pub require_annotations: Vec<RequiredMetadata>,
}

/// A glob pattern with `*`, `?` and `[…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String"))]
pub(crate) struct Glob(glob::Pattern);

impl Glob {
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.matches(text)
    }
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Glob, String> {
        let text = text.trim();
        glob::Pattern::new(text).map(Glob).map_err(|error| format!("'{text}' is not a valid pattern: {}", error.msg))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A required label or annotation: `NAME`, or `NAME=PATTERN` with a glob pattern for its value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Required", with = "String", extend("pattern" = "^\\s*[^=\\s]")))]
pub(crate) struct RequiredMetadata {
    pub name: String,
    pub value: Option<Glob>,
}

impl FromStr for RequiredMetadata {
    type Err = String;

    fn from_str(text: &str) -> Result<RequiredMetadata, String> {
        let (name, value) = match text.trim().split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.parse()?)),
            None => (text.trim(), None),
        };
        if name.is_empty() {
            return Err(format!("expected NAME or NAME=PATTERN, found '{text}'"));
        }
        Ok(RequiredMetadata { name: name.to_owned(), value })
    }
}

impl fmt::Display for RequiredMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Implements serde traits for types that are serialized as strings.
macro_rules! serialize_as_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

serialize_as_text!(Glob, RequiredMetadata, CheckCode);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_patterns_and_required_metadata() {
        assert!("libssl*".parse::<Glob>().unwrap().matches("libssl.so.3"));
        assert!(!"libssl*".parse::<Glob>().unwrap().matches("libc.so.6"));
        let required: RequiredMetadata = "org.example=v*".parse().unwrap();
        assert_eq!((required.name.as_str(), required.to_string().as_str()), ("org.example", "org.example=v*"));
        assert_eq!(
            " a , b".split(',').map(|name| name.parse::<RequiredMetadata>().unwrap().name).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert!(" libssl*".parse::<Glob>().unwrap().matches("libssl.so.3"));
        assert_eq!(" MA010 ".parse::<CheckCode>().unwrap().0.code, "MA010");
        assert!("=x".parse::<RequiredMetadata>().is_err());
        assert!("lib[".parse::<Glob>().unwrap_err().starts_with("'lib[' is not a valid pattern: "));
    }
}
