//! The Debian archives to fetch packages from without apt, as set by `debian-mirror`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Class, Failure};

/// A suite of an archive, such as `bookworm`. Its `Release` file lists the package indexes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Suite {
    /// The archive's URL, without a trailing slash.
    pub archive: String,
    pub name: String,
}

impl Suite {
    /// Returns the URL of a file in the suite's directory.
    pub(crate) fn url(&self, file: &str) -> String {
        format!("{}/dists/{}/{file}", self.archive, self.name)
    }
}

impl Serialize for Suite {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.archive, self.name)
    }
}

/// What a value of `debian-mirror` looks like.
pub(crate) const EXAMPLE: &str = "https://mirror.example/debian trixie";

/// Parses the values of `debian-mirror`. Each is a URL followed by suites, as in apt's sources.
pub(crate) fn parse(values: &[String]) -> Result<Vec<Suite>, Failure> {
    let mut suites = Vec::new();
    for value in values {
        suites.extend(parse_value(value).map_err(|problem| {
            Failure::new(Class::Config, format!("debian-mirror '{value}' {problem}"))
                .hint(format!("write the archive's URL and the suites: debian-mirror = \"{EXAMPLE}\""))
        })?);
    }
    Ok(suites)
}

fn parse_value(value: &str) -> Result<Vec<Suite>, &'static str> {
    let mut words = value.split_whitespace();
    let archive = words.next().unwrap_or_default();
    let after_scheme = ["https://", "http://"].iter().find_map(|scheme| archive.strip_prefix(scheme));
    match after_scheme.map(|rest| rest.split('/').next().unwrap_or_default()) {
        None => return Err("does not start with an http or https URL"),
        Some("") => return Err("has a URL without a host"),
        Some(host) if host.contains('@') => return Err("contains credentials"),
        Some(_) => {}
    }
    let archive = archive.trim_end_matches('/').to_owned();
    let suites: Vec<Suite> = words.map(|name| Suite { archive: archive.clone(), name: name.to_owned() }).collect();
    if suites.is_empty() {
        return Err("names no suite");
    }
    let is_name = |name: &str| name.starts_with(|c: char| c.is_ascii_alphanumeric()) && !name.contains("..");
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    if !suites.iter().all(|suite| is_name(&suite.name) && is_plain(&suite.name)) {
        return Err("contains an invalid suite");
    }
    Ok(suites)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_urls_with_suites() {
        for (value, expected) in [
            ("https://a.example/debian/ trixie", Ok(&["https://a.example/debian trixie"][..])),
            ("http://127.0.0.1:8/d  x   y-updates", Ok(&["http://127.0.0.1:8/d x", "http://127.0.0.1:8/d y-updates"])),
            ("https://a.example/debian", Err("names no suite")),
            ("https:// trixie", Err("has a URL without a host")),
            ("https://me:secret@a.example/debian trixie", Err("contains credentials")),
            ("a.example/debian trixie", Err("does not start with an http or https URL")),
            ("file:///debian trixie", Err("does not start with an http or https URL")),
            ("https://a.example/debian ../x", Err("contains an invalid suite")),
            ("", Err("does not start with an http or https URL")),
        ] {
            let suites = parse_value(value).map(|suites| suites.iter().map(Suite::to_string).collect::<Vec<_>>());
            assert_eq!(
                suites.as_deref(),
                expected.map(|suites| suites.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()).as_deref(),
                "{value}"
            );
        }
    }
}
