//! Rules that an image must follow, beyond being able to start.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use serde::{Deserialize, Serialize};

use crate::finding::CheckCode;

/// The rules of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Policy {
    /// Findings that do not count.
    pub allow: Vec<CheckCode>,
    /// Libraries that no program may lead to.
    pub deny_needed: Vec<Glob>,
    pub static_only: bool,
    pub non_root_only: bool,
    /// Of a platform's config and layers, as they are stored.
    pub max_size: Option<ByteSize>,
    pub require_labels: Vec<RequiredMetadata>,
    pub require_annotations: Vec<RequiredMetadata>,
}

/// A name with `*`, `?` and `[…]`.
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
        glob::Pattern::new(text).map(Glob).map_err(|error| format!("'{text}' is no pattern: {}", error.msg))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// A label or annotation that must be there: `NAME`, or `NAME=GLOB` for its value.
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
            return Err(format!("'{text}' is not NAME or NAME=PATTERN"));
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

/// Serializes types as their text form, in configurations and in a plan's JSON.
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
    fn what_is_written_is_what_is_meant() {
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
        assert!("lib[".parse::<Glob>().unwrap_err().starts_with("'lib[' is no pattern: "));
    }
}
