//! Errors from registry requests, classified as transient or permanent. The `explain` module turns them into messages.

use std::error::Error;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::error::Failure;
use crate::threads::Cancelled;

/// The reason why a request to a registry failed.
#[derive(Debug)]
pub(super) enum RegistryError {
    /// A response with an unexpected status.
    Response(ErrorResponse),
    /// The HTTP client could not be created.
    HttpClient(reqwest::Error),
    /// The connection could not be opened or was lost.
    Connection(reqwest::Error),
    /// No data was sent or received for too long.
    Stalled,
    /// The registry, or another server that it needs, did not answer within the limit of the run.
    NoAnswer { server: String, limit: Duration },
    /// The content does not have the expected digest. Contains the actual digest.
    DigestMismatch(String),
    /// The registry violated the protocol. The text completes a sentence that starts with the name of the registry.
    Protocol(String),
    /// The token server's response contains no token.
    InvalidToken { server: String, problem: String },
    /// The manifest is not JSON.
    InvalidManifest(serde_json::Error),
    /// The manifest has the obsolete format that Docker used before version 1.10.
    Schema1Manifest,
    /// The config blob is not an image config.
    InvalidConfig(serde_json::Error),
    /// The request was cancelled.
    Cancelled(Cancelled),
    /// A local problem, such as a full disk, a failed credential helper, or Ctrl-C.
    Local(anyhow::Error),
}

/// An HTTP response with an error status.
#[derive(Debug, Default)]
pub(super) struct ErrorResponse {
    pub status: u16,
    /// The host of the token server, if the response came from a token server.
    pub token_server: Option<String>,
    pub retry_after: Option<Duration>,
    /// The error code from the response body, such as `DENIED`.
    pub code: Option<String>,
    /// The error message from the response body, or the code if there is no message.
    pub message: Option<String>,
    /// The details of the error in the response body, if they are text.
    pub detail: Option<String>,
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

impl ErrorResponse {
    /// Reports whether a registry rejected a push because one of its own rules protects the tag. The specification
    /// defines no error code for this, so registries use different statuses and codes.
    pub(super) fn is_immutable_tag(&self) -> bool {
        const PHRASES: [&str; 4] =
            ["immutab", "cannot be overwritten", "cannot overwrite", "does not allow updating assets"];
        let texts = [&self.code, &self.message, &self.detail];
        let mentions =
            |phrase: &str| texts.into_iter().flatten().any(|text| text.to_ascii_lowercase().contains(phrase));
        matches!(self.status, 400 | 403 | 409 | 412) && PHRASES.iter().any(|phrase| mentions(phrase))
    }
}

impl RegistryError {
    /// Creates an error from an error response.
    pub(super) fn response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> RegistryError {
        RegistryError::Response(ErrorResponse {
            status: status.as_u16(),
            token_server: None,
            retry_after: retry_after(headers, Utc::now()),
            code: error_field(body, "code"),
            message: error_message(body),
            detail: error_field(body, "detail"),
        })
    }

    /// Creates an error for a success status that the request does not expect.
    pub(super) fn unexpected_status(status: StatusCode) -> RegistryError {
        RegistryError::Response(ErrorResponse { status: status.as_u16(), ..ErrorResponse::default() })
    }

    /// Marks an error response as coming from a token server.
    #[must_use]
    pub(super) fn with_token_server(self, server: &str) -> RegistryError {
        match self {
            RegistryError::Response(response) => {
                RegistryError::Response(ErrorResponse { token_server: Some(server.to_owned()), ..response })
            }
            other => other,
        }
    }

    /// Returns the status of an error response from the registry itself, not from a token server.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            RegistryError::Response(response) if response.token_server.is_none() => Some(response.status),
            _ => None,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            RegistryError::Response(response) => response.retry_after,
            _ => None,
        }
    }

    /// Reports whether no connection could be opened. Returns false for invalid certificates.
    pub(super) fn is_failure_to_connect(&self) -> bool {
        match self {
            // rustls reports its errors as invalid data.
            RegistryError::Connection(error) if error.is_connect() => {
                io_error_kinds(error).all(|kind| kind != io::ErrorKind::InvalidData)
            }
            _ => false,
        }
    }

    /// Reports whether the run must end: it was cancelled, or there is a problem on this machine.
    pub(super) fn ends_run(&self) -> bool {
        matches!(self, RegistryError::Cancelled(_) | RegistryError::Local(_))
    }

    /// Reports whether a retry may succeed.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            RegistryError::Response(response) => matches!(response.status, 408 | 429 | 500 | 502..=504),
            RegistryError::Connection(error) if error.is_connect() => {
                error.is_timeout() || was_refused_or_closed(error)
            }
            RegistryError::Connection(error) => !error.is_builder() && !error.is_redirect(),
            RegistryError::Stalled => true,
            RegistryError::HttpClient(_)
            | RegistryError::NoAnswer { .. }
            | RegistryError::DigestMismatch(_)
            | RegistryError::Protocol(_)
            | RegistryError::InvalidToken { .. }
            | RegistryError::InvalidManifest(_)
            | RegistryError::Schema1Manifest
            | RegistryError::InvalidConfig(_)
            | RegistryError::Cancelled(_)
            | RegistryError::Local(_) => false,
        }
    }
}

/// Reports whether the server refused the connection, or closed it, for example during the TLS handshake.
fn was_refused_or_closed(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, UnexpectedEof};
    io_error_kinds(error).any(|kind| {
        matches!(kind, BrokenPipe | ConnectionAborted | ConnectionRefused | ConnectionReset | UnexpectedEof)
    })
}

/// Iterates over the kinds of the I/O errors that caused an error.
fn io_error_kinds<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = io::ErrorKind> + 'a {
    causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind)
}

/// Iterates over an error and its causes, outermost first.
pub(super) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Parses the `Retry-After` header, which contains seconds or a date (RFC 9110, section 10.2.3). Returns `None` if the
/// date has passed.
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(value).ok()?;
    (date.to_utc() - now).to_std().ok()
}

/// Returns a text field of the first error in a response body (distribution-spec, "Error Codes").
fn error_field(body: &[u8], name: &str) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    Some(json.pointer("/errors/0")?.get(name)?.as_str()?.to_owned())
}

/// Returns the first error message in a response body (distribution-spec, "Error Codes"), joined into a single line.
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
    fn some_statuses_are_transient() {
        for (status, is_transient) in [
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (418, false),
            (429, true),
            (500, true),
            (501, false),
            (503, true),
        ] {
            for token_server in [None, Some("t.example".to_owned())] {
                let response = ErrorResponse { status, token_server, ..ErrorResponse::default() };
                let error = RegistryError::Response(response);
                assert_eq!(error.is_transient(), is_transient, "{error:?}");
            }
        }
    }

    #[test]
    fn error_message_is_on_one_line() {
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
    fn immutable_tags_are_recognized() {
        for (status, code, message, expected) in [
            // Amazon ECR
            (
                400,
                "TAG_INVALID",
                "The image tag '1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.",
                true,
            ),
            // Harbor
            (412, "PRECONDITION", "Failed to process request due to 'you/app:1' configured as immutable.", true),
            // Alibaba Cloud
            (403, "DENIED", "The requested tag already exists and cannot be overwritten.", true),
            // Mirantis Secure Registry
            (400, "UNKNOWN", "tag=1 cannot be overwritten because you/app is an immutable repository", true),
            (409, "TAG_IMMUTABLE", "", true),
            (403, "DENIED", "requested access to the resource is denied", false),
            (400, "TAG_INVALID", "manifest tag did not match URI", false),
            (500, "UNKNOWN", "immutable", false),
        ] {
            let response = ErrorResponse {
                status,
                code: Some(code.to_owned()),
                message: Some(message.to_owned()),
                ..ErrorResponse::default()
            };
            assert_eq!(response.is_immutable_tag(), expected, "{status} {code} {message}");
        }
        // Sonatype Nexus
        let body = br#"{"errors":[{"code":"BLOB_UPLOAD_INVALID","message":"blob upload invalid","detail":"Repository does not allow updating assets: docker"}]}"#;
        let error = RegistryError::response(StatusCode::BAD_REQUEST, &HeaderMap::new(), body);
        assert!(matches!(error, RegistryError::Response(response) if response.is_immutable_tag()));
    }

    #[test]
    fn retry_after_accepts_seconds_and_dates() {
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
