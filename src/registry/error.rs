//! The error of a request to a registry, and whether to try again. `explain` turns it into a message.

use std::error::Error;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::error::Failure;
use crate::threads::Cancelled;

#[derive(Debug)]
pub(super) enum RegistryError {
    /// A response with a status other than the expected ones.
    Response(ErrorResponse),
    /// The HTTP client cannot be created.
    HttpClient(reqwest::Error),
    /// No connection, or one that was closed early.
    Connection(reqwest::Error),
    /// Nothing was sent or received for too long.
    Stalled,
    /// The content has this digest instead of the requested one.
    DigestMismatch(String),
    /// A violation of the protocol. Completes the sentence "registry r.example …".
    Protocol(String),
    /// The manifest is not JSON.
    InvalidManifest(serde_json::Error),
    /// The manifest has the format that Docker used before version 1.10.
    Schema1Manifest,
    /// The config blob is not an image config.
    InvalidConfig(serde_json::Error),
    /// The request was cancelled.
    Cancelled(Cancelled),
    /// A problem on this machine: a full disk, a credential helper, Ctrl-C.
    Local(anyhow::Error),
}

#[derive(Debug, Default)]
pub(super) struct ErrorResponse {
    pub status: u16,
    /// The host of the token server if that sent the response.
    pub token_server: Option<String>,
    pub retry_after: Option<Duration>,
    /// The message in the body.
    pub message: Option<String>,
}

impl From<Failure> for RegistryError {
    fn from(failure: Failure) -> RegistryError {
        RegistryError::Local(failure.into())
    }
}

impl From<Cancelled> for RegistryError {
    fn from(cancelled: Cancelled) -> RegistryError {
        RegistryError::Cancelled(cancelled)
    }
}

impl RegistryError {
    /// An error response.
    pub(super) fn response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> RegistryError {
        RegistryError::Response(ErrorResponse {
            status: status.as_u16(),
            token_server: None,
            retry_after: retry_after(headers, Utc::now()),
            message: error_message(body),
        })
    }

    /// A successful response with a status that the request cannot have.
    pub(super) fn unexpected_status(status: StatusCode) -> RegistryError {
        RegistryError::Response(ErrorResponse { status: status.as_u16(), ..ErrorResponse::default() })
    }

    /// Marks an error response as one of a token server.
    #[must_use]
    pub(super) fn with_token_server(self, server: &str) -> RegistryError {
        match self {
            RegistryError::Response(response) => {
                RegistryError::Response(ErrorResponse { token_server: Some(server.to_owned()), ..response })
            }
            other => other,
        }
    }

    /// The status of an error response by the registry itself.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            RegistryError::Response(response) if response.token_server.is_none() => Some(response.status),
            _ => None,
        }
    }

    /// Returns whether the registry refused the request and would refuse it again.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, RegistryError::Response(response) if (400..500).contains(&response.status))
            && !self.is_transient()
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            RegistryError::Response(response) => response.retry_after,
            _ => None,
        }
    }

    /// Returns whether another try may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            RegistryError::Response(response) => matches!(response.status, 408 | 429 | 500 | 502..=504),
            RegistryError::Connection(error) if error.is_connect() => error.is_timeout() || is_dropped(error),
            RegistryError::Connection(error) => !error.is_builder() && !error.is_redirect(),
            RegistryError::Stalled => true,
            RegistryError::HttpClient(_)
            | RegistryError::DigestMismatch(_)
            | RegistryError::Protocol(_)
            | RegistryError::InvalidManifest(_)
            | RegistryError::Schema1Manifest
            | RegistryError::InvalidConfig(_)
            | RegistryError::Cancelled(_)
            | RegistryError::Local(_) => false,
        }
    }
}

/// Returns whether the other side closed the connection, for example during the TLS handshake.
fn is_dropped(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

/// Returns an error and all its causes, outermost first.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3). `None` if the date has passed.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    (date.to_utc() - now).to_std().ok()
}

/// Reads the first message of an error body (distribution-spec, "Error Codes"), as one line.
fn error_message(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let error = json.pointer("/errors/0")?;
    let text = error["message"].as_str().filter(|text| !text.is_empty()).or_else(|| error["code"].as_str())?;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Some(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_responses_are_worth_another_try() {
        for (status, is_transient, is_refusal) in [
            (401, false, true),
            (403, false, true),
            (404, false, true),
            (408, true, false),
            (418, false, true),
            (429, true, false),
            (500, true, false),
            (501, false, false),
            (503, true, false),
        ] {
            for token_server in [None, Some("t.example".to_owned())] {
                let response = ErrorResponse { status, token_server, ..ErrorResponse::default() };
                let error = RegistryError::Response(response);
                assert_eq!(error.is_transient(), is_transient, "{error:?}");
                assert_eq!(error.is_refusal(), is_refusal, "{error:?}");
            }
        }
    }

    #[test]
    fn the_message_of_an_error_body_is_one_line() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"DENIED","message":"no\n write"}]}"#, Some("no  write")),
            (r#"{"errors":[{"code":"DENIED"}]}"#, Some("DENIED")),
            ("<html>", None),
            ("{}", None),
        ] {
            assert_eq!(error_message(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }

    #[test]
    fn retry_after_is_in_seconds_or_a_date() {
        let now = DateTime::parse_from_rfc2822("Fri, 31 Dec 1999 23:59:50 GMT").unwrap().to_utc();
        for (value, seconds) in [
            ("7", Some(7)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(9)),
            ("Fri, 31 Dec 1999 23:59:00 GMT", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
    }
}
