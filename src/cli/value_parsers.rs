//! Parsers for the values of command-line options.

use bytesize::ByteSize;

use crate::platform::Platform;

/// Arguments given in a single option value, split as a shell would split them.
#[derive(Debug, Clone)]
pub(crate) struct Words(pub Vec<String>);

/// Returns the values of a repeatable option, or `None` if it was not given.
pub(crate) fn non_empty<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

pub(crate) fn parse_platform(text: &str) -> Result<Platform, String> {
    Platform::try_from(text.trim().to_owned())
}

pub(crate) fn parse_size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "expected a size such as 50MB or 1.5GiB".to_owned())
}

pub(crate) fn parse_words(text: &str) -> Result<Words, String> {
    shell_words::split(text).map(Words).map_err(|error| error.to_string())
}

/// Parses `NAME=VALUE`, such as a label.
pub(crate) fn parse_name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Parses a build argument as Docker does: `NAME=VALUE`, or `NAME` to use the value of that environment variable.
pub(crate) fn parse_build_arg(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => std::env::var(text)
            .map(|value| (text.to_owned(), value))
            .map_err(|_| "expected NAME=VALUE or the name of an environment variable that is set".to_owned()),
    }
}
