//! What a registry's answers mean, and what to do about them.

use std::error::Error;
use std::io;
use std::time::Duration;

use chrono::{DateTime, Utc};
use oci_spec::distribution::Reference;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::idle_timeout;
use super::scope::Access;
use crate::error::{Class, Failure};

/// What became of a request that did not succeed.
#[derive(Debug)]
pub enum RegistryError {
    ErrorResponse(ErrorResponse),
    /// No answer, or one that broke off.
    Connection(reqwest::Error),
    /// Nothing moved for too long.
    Silence,
    /// Other bytes than those of the digest.
    OtherBytes(String),
    /// What no registry should do, as the rest of "registry r.example …".
    Unexpected(String),
    /// Nothing of the registry's: a disk, a credential helper.
    Here(anyhow::Error),
}

#[derive(Debug, Default)]
pub struct ErrorResponse {
    pub status: u16,
    /// The host of the token server, if it is that one's answer.
    pub token_server: Option<String>,
    pub retry_after: Option<Duration>,
    /// The registry's own words.
    pub message: Option<String>,
}

impl From<Failure> for RegistryError {
    fn from(failure: Failure) -> RegistryError {
        RegistryError::Here(failure.into())
    }
}

/// An error body is not worth more.
const LONGEST_BODY: usize = 64 * 1024;

impl RegistryError {
    pub async fn unless_success(mut answer: Response) -> Result<Response, RegistryError> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry_after = retry_after(answer.headers(), Utc::now());
        let body = idle_timeout::body(&mut answer, LONGEST_BODY).await.unwrap_or_default();
        Err(RegistryError::ErrorResponse(ErrorResponse {
            status: status.as_u16(),
            token_server: None,
            retry_after,
            message: message(&body),
        }))
    }

    /// A success that is not the one that was asked for.
    pub fn other_status(status: StatusCode) -> RegistryError {
        RegistryError::ErrorResponse(ErrorResponse { status: status.as_u16(), ..ErrorResponse::default() })
    }

    pub fn of_token_server(self, server: &str) -> RegistryError {
        match self {
            RegistryError::ErrorResponse(answer) => {
                RegistryError::ErrorResponse(ErrorResponse { token_server: Some(server.to_owned()), ..answer })
            }
            other => other,
        }
    }

    /// The status of the registry itself.
    pub fn status(&self) -> Option<u16> {
        match self {
            RegistryError::ErrorResponse(answer) if answer.token_server.is_none() => Some(answer.status),
            _ => None,
        }
    }

    /// Does it say no, and will it say so again?
    pub fn is_refusal(&self) -> bool {
        matches!(self, RegistryError::ErrorResponse(answer) if (400..500).contains(&answer.status))
            && !self.is_transient()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            RegistryError::ErrorResponse(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// May it go well the next time?
    pub fn is_transient(&self) -> bool {
        match self {
            RegistryError::ErrorResponse(answer) => matches!(answer.status, 408 | 429 | 500 | 502..=504),
            RegistryError::Connection(error) if error.is_connect() => error.is_timeout() || broken_off(error),
            RegistryError::Connection(error) => !error.is_builder() && !error.is_redirect(),
            RegistryError::Silence => true,
            RegistryError::OtherBytes(_) | RegistryError::Unexpected(_) | RegistryError::Here(_) => false,
        }
    }
}

/// Was there a connection, or nearly?
fn broken_off(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let mut kinds = causes(error).filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    kinds.any(|kind| matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// How long a busy registry wants to be left alone: seconds, or a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = value.parse().map(Duration::from_secs);
    seconds.ok().or_else(|| (DateTime::parse_from_rfc2822(value).ok()?.to_utc() - now).to_std().ok())
}

/// The message of an error body (distribution-spec, "Error Codes"), in one line.
fn message(body: &[u8]) -> Option<String> {
    let json: Value = serde_json::from_slice(body).ok()?;
    let error = json.pointer("/errors/0")?;
    let text = error["message"].as_str().filter(|text| !text.is_empty()).or_else(|| error["code"].as_str())?;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Some(line.trim().to_owned())
}

pub fn connection_error(error: &(dyn Error + 'static)) -> Failure {
    Failure::new(Class::Registry, format!("no registry can be asked from here: {}", innermost(error)))
        .hint("install the CA certificates: `apt-get install ca-certificates`")
}

/// What a trouble with a reference means, and what to do. `root` is where its registry was asked, which was `shown`
/// credentials or not.
pub fn explain(trouble: RegistryError, reference: &str, access: Access<'_>, root: &str, shown: bool) -> anyhow::Error {
    let host = reference.parse::<Reference>().map_or_else(|_| reference.to_owned(), |r| r.registry().to_owned());
    let failure = |what: String| Failure::new(Class::Registry, what);
    match trouble {
        RegistryError::Here(error) => return error,
        RegistryError::ErrorResponse(answer) => explain_answer(&answer, &host, reference, access, (root, shown)),
        RegistryError::Connection(error) if error.is_connect() && !error.is_timeout() => {
            unreachable(&error, &host, root)
        }
        RegistryError::Connection(error) if !error.is_timeout() => {
            failure(format!("registry {host} broke the connection off: {}", innermost(&error)))
                .hint("check the network, or try again")
        }
        RegistryError::Connection(_) | RegistryError::Silence => failure(format!("registry {host} does not answer"))
            .hint(format!("check the network, or try again later: `curl -i {root}`")),
        RegistryError::OtherBytes(found) => Failure::new(
            Class::Verify,
            format!("registry {host} serves other bytes than those of {reference}: {found}"),
        )
        .hint("what is stored there is damaged, or a proxy changes it: publish again, and tell whoever runs it"),
        RegistryError::Unexpected(what) => failure(format!("registry {host} {what}")).hint(is_it_one(&host, root)),
    }
    .into()
}

fn unreachable(error: &reqwest::Error, host: &str, root: &str) -> Failure {
    // A registry may send its clients elsewhere, such as for their token.
    let asked = error.url().and_then(|url| url.authority().rsplit('@').next()).filter(|asked| *asked != host);
    let at = asked.map(|asked| format!(" at {asked}")).unwrap_or_default();
    let words = innermost(error);
    let failure = Failure::new(Class::Registry, format!("registry {host} cannot be reached{at}: {words}"));
    if words.contains("certificate") && ["expired", "valid yet"].iter().any(|word| words.contains(word)) {
        failure.hint("is this machine's clock right? `date -u`; else whoever runs the registry must renew it")
    } else if words.contains("certificate") {
        failure.hint("a CA of your own: `SSL_CERT_FILE=/path/to/ca.pem`")
    } else if words.contains("invalidcontenttype") {
        failure.hint(format!("does it speak plain HTTP? `--insecure-registry {host}`"))
    } else if words.contains("lookup address") {
        let name = asked.unwrap_or(host);
        let name = name.rsplit_once(':').map_or(name, |(name, _)| name);
        failure.hint(format!("the name does not resolve: check it, and the network (`getent hosts {name}`)"))
    } else {
        // Whoever could not be reached is whom to ask.
        let url = error.url().filter(|url| !root.starts_with(&url.origin().ascii_serialization()));
        let url = url.map_or_else(|| root.to_owned(), |url| url.origin().ascii_serialization());
        failure.hint(format!("is the name right, and does it run? `curl -i {url}`"))
    }
}

fn explain_answer(
    answer: &ErrorResponse,
    host: &str,
    reference: &str,
    access: Access<'_>,
    (root, shown): (&str, bool),
) -> Failure {
    let is_pull = matches!(access, Access::Pull);
    let code = answer.status;
    let words = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()).unwrap_or("HTTP");
    let said = answer.message.iter().fold(format!("{code} {words}"), |status, said| format!("{status}: {said}"));
    let failure = |what: String| Failure::new(Class::Registry, what);
    match (&answer.token_server, code) {
        (_, 429) => {
            let wait = answer.retry_after.map_or("a while".to_owned(), |wait| format!("{} s", wait.as_secs()));
            failure(format!("registry {host} wants fewer requests ({said})"))
                .hint(format!("wait {wait}; logged-in accounts may ask more often"))
        }
        (Some(server), 500..) => {
            failure(format!("the token server of registry {host}, {server}, failed (HTTP {said})"))
                .hint("try again later")
        }
        (_, 401) | (Some(_), _) => {
            let yours = if shown { ", and yours are not" } else { "" };
            let failure = failure(format!("registry {host} wants valid credentials for {reference}{yours} ({said})"))
                .hint(format!("log in: `docker login {host}`"));
            match is_pull {
                true => failure.hint("or is the name wrong? some registries say no other of what does not exist"),
                false => failure,
            }
        }
        (None, 403) if is_pull => failure(format!("registry {host} refuses {reference} ({said})"))
            .hint("the account you are logged in with may not read there: check the name and its permissions"),
        (None, 404) if is_pull => {
            failure(format!("{reference} does not exist ({said})")).hint("check the name and the tag")
        }
        (None, 403) => failure(format!("registry {host} refuses {reference} ({said})"))
            .hint("the account you are logged in with may not push there: check the name and its permissions"),
        (None, 404) => failure(format!("{reference} does not exist ({said})"))
            .hint("check the name; some registries want the repository to be created first"),
        (None, 501) => failure(format!("{host} does not answer {reference} as a registry does (HTTP {code})"))
            .hint(is_it_one(host, root)),
        (None, 500..) => failure(format!("registry {host} failed at {reference} (HTTP {said})")).hint("try again later"),
        (None, 413) => failure(format!("registry {host} does not take as much as {reference} has ({said})"))
            .hint("a proxy in front of it may limit the size of a request"),
        (None, 400..) if answer.message.is_some() => failure(format!("registry {host} does not take {reference} ({said})"))
            .hint("a tag there may not be moved, or a limit is reached: take another tag (`--tag NAME`), or ask whoever runs it"),
        (None, _) => failure(format!("{host} does not answer {reference} as a registry does (HTTP {code})"))
            .hint(is_it_one(host, root)),
    }
}

pub fn is_it_one(host: &str, root: &str) -> String {
    format!("is {host} a container registry? `curl -i {root}`")
}

/// The last cause: the operating system's own words.
fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(|cause| cause.to_string().to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_explained() {
        let of = |status, token_server: Option<&str>| {
            let token_server = token_server.map(str::to_owned);
            RegistryError::ErrorResponse(ErrorResponse { status, token_server, ..ErrorResponse::default() })
        };
        for (status, token_server, words, hint, transient) in [
            (401, None, "wants valid credentials", "log in: `docker login r.example`", false),
            (403, None, "refuses", "permissions", false),
            (404, None, "does not exist", "check the name", false),
            (503, None, "HTTP 503", "try again later", true),
            (501, None, "HTTP 501", "curl -i https://r.example/v2/", false),
            (429, None, "fewer requests", "wait a while", true),
            (418, None, "(HTTP 418)", "curl -i https://r.example/v2/", false),
            (401, Some("t.example"), "wants valid credentials", "docker login", false),
            (503, Some("t.example"), "t.example, failed (HTTP 503 Service Unavailable)", "try again later", true),
            (429, Some("t.example"), "fewer requests", "wait a while", true),
        ] {
            assert_eq!(of(status, token_server).is_transient(), transient, "{status}");
            let error =
                explain(of(status, token_server), "r.example/a/b", Access::Push, "https://r.example/v2/", false);
            let failure = error.downcast_ref::<Failure>().unwrap();
            assert!(failure.to_string().contains(words), "{status}: {failure}");
            assert!(failure.hints().join("\n").contains(hint), "{status}: {:?}", failure.hints());
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_to_be_created() {
        for (status, hint) in
            [(404, "check the name and the tag"), (403, "may not read there"), (401, "is the name wrong?")]
        {
            let trouble = RegistryError::ErrorResponse(ErrorResponse { status, ..ErrorResponse::default() });
            let error = explain(trouble, "r.example/a:1", Access::Pull, "http://r.example/v2/", false);
            let hints = error.downcast_ref::<Failure>().unwrap().hints().join("\n");
            assert!(hints.contains(hint) && !hints.contains("push") && !hints.contains("created"), "{status}: {hints}");
        }
        let error = explain(RegistryError::Silence, "r.example/a:1", Access::Pull, "http://r.example/v2/", false);
        assert!(error.downcast_ref::<Failure>().unwrap().hints()[0].contains("`curl -i http://r.example/v2/`"));
    }

    #[test]
    fn registries_words_are_told() {
        for (body, said) in [
            (r#"{"errors":[{"code":"DENIED","message":"no\n write"}]}"#, Some("no  write")),
            (r#"{"errors":[{"code":"DENIED"}]}"#, Some("DENIED")),
            ("<html>", None),
            ("{}", None),
        ] {
            assert_eq!(message(body.as_bytes()).as_deref(), said, "{body}");
        }
    }

    #[test]
    fn waits_are_seconds_or_dates() {
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
