//! Parsers of flag values.

use bytesize::ByteSize;

use crate::platform::Platform;

/// The words of a command line, split as a shell splits them.
#[derive(Debug, Clone)]
pub(crate) struct Words(pub Vec<String>);

/// Returns the values of a repeatable flag. `None` if it was not given.
pub(crate) fn non_empty<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

pub(crate) fn parse_platform(text: &str) -> Result<Platform, String> {
    Platform::try_from(text.trim().to_owned())
}

pub(crate) fn parse_size(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| format!("'{text}' is no size: a number and a unit, such as 50MB or 1.5GiB"))
}

pub(crate) fn parse_words(text: &str) -> Result<Words, String> {
    shell_words::split(text).map(Words).map_err(|error| error.to_string())
}

/// Parses `NAME=VALUE`, or `NAME` alone, which stands for the environment variable of that name, as in docker.
pub(crate) fn parse_build_arg(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => std::env::var(text)
            .map(|value| (text.to_owned(), value))
            .map_err(|_| format!("'{text}' is not NAME=VALUE, and no variable")),
    }
}
