//! Messages and hints for failed requests. The only place that turns a [`RegistryError`] into a [`Failure`].

use std::error::Error;

use oci_spec::distribution::Reference;
use reqwest::StatusCode;

use super::error::{ErrorResponse, RegistryError, causes};
use super::scope::Access;
use crate::error::{Class, Failure};

/// A request that failed.
pub(super) struct FailedRequest<'a> {
    /// The reference as the user knows it.
    pub reference: &'a str,
    pub access: Access<'a>,
    /// `https://host/v2/` of the registry.
    pub root: &'a str,
    /// Whether credentials were sent to the registry.
    pub logged_in: bool,
}

impl FailedRequest<'_> {
    /// Explains what an error means and what to do about it.
    pub(super) fn explain(&self, error: RegistryError) -> anyhow::Error {
        let host = self.host();
        let reference = self.reference;
        let root = self.root;
        match error {
            RegistryError::Local(error) => return error,
            RegistryError::Cancelled(cancelled) => return cancelled.into(),
            RegistryError::Response(response) => self.explain_response(&response),
            RegistryError::HttpClient(error) => {
                registry_failure(format!("no registry can be asked from here: {}", root_cause(&error)))
                    .hint("install the CA certificates: `apt-get install ca-certificates`")
            }
            RegistryError::Connection(error) if error.is_connect() && !error.is_timeout() => {
                self.explain_unreachable(&error)
            }
            RegistryError::Connection(error) if !error.is_timeout() => {
                registry_failure(format!("registry {host} broke the connection off: {}", root_cause(&error)))
                    .hint("check the network, or try again")
            }
            RegistryError::Connection(_) | RegistryError::Stalled => {
                registry_failure(format!("registry {host} does not answer"))
                    .hint(format!("check the network, or try again later: `curl -i {root}`"))
            }
            RegistryError::DigestMismatch(digest) => Failure::new(
                Class::Verify,
                format!("registry {host} serves other bytes than those of {reference}: {digest}"),
            )
            .hint("what is stored there is damaged, or a proxy changes it: publish again, and tell whoever runs it"),
            RegistryError::Protocol(problem) => {
                registry_failure(format!("registry {host} {problem}")).hint(self.not_a_registry_hint())
            }
            RegistryError::InvalidManifest(error) => {
                registry_failure(format!("what is served as {reference} is not a manifest: {error}"))
                    .hint(self.not_a_registry_hint())
            }
            RegistryError::Schema1Manifest => {
                registry_failure(format!("{reference} is a manifest of Docker's schema 1, which has no platforms"))
                    .hint("it is from before 2017: take a newer image")
            }
            RegistryError::InvalidConfig(error) => {
                not_an_image(&format!("{reference} is not the config of a container image"), &error)
            }
        }
        .into()
    }

    /// The host as it is written in the reference.
    fn host(&self) -> String {
        match self.reference.parse::<Reference>() {
            Ok(reference) => reference.registry().to_owned(),
            Err(_) => self.reference.to_owned(),
        }
    }

    fn not_a_registry_hint(&self) -> String {
        format!("is {} a container registry? `curl -i {}`", self.host(), self.root)
    }

    fn explain_unreachable(&self, error: &reqwest::Error) -> Failure {
        let host = self.host();
        let cause = root_cause(error);
        // Another host than the registry's, if that sent us there, for example for a token.
        let contacted = error.url().and_then(|url| url.authority().rsplit('@').next()).filter(|other| *other != host);
        let at = contacted.map(|contacted| format!(" at {contacted}")).unwrap_or_default();
        let failure = registry_failure(format!("registry {host} cannot be reached{at}: {cause}"));
        if cause.contains("certificate") && (cause.contains("expired") || cause.contains("valid yet")) {
            failure.hint("is this machine's clock right? `date -u`; else whoever runs the registry must renew it")
        } else if cause.contains("certificate") {
            failure.hint("a CA of your own: `SSL_CERT_FILE=/path/to/ca.pem`")
        } else if cause.contains("invalidcontenttype") {
            failure.hint(format!("does it speak plain HTTP? `--insecure-registry {host}`"))
        } else if cause.contains("lookup address") {
            let authority = contacted.unwrap_or(&host);
            let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
            failure.hint(format!("the name does not resolve: check it, and the network (`getent hosts {name}`)"))
        } else {
            let contacted = error.url().map(|url| url.origin().ascii_serialization());
            let url = contacted.filter(|origin| !self.root.starts_with(origin.as_str()));
            let url = url.unwrap_or_else(|| self.root.to_owned());
            failure.hint(format!("is the name right, and does it run? `curl -i {url}`"))
        }
    }

    fn explain_response(&self, response: &ErrorResponse) -> Failure {
        let host = self.host();
        let status = format_status(response);
        match &response.token_server {
            _ if response.status == 429 => {
                let wait = match response.retry_after {
                    Some(wait) => format!("{} s", wait.as_secs()),
                    None => "a while".to_owned(),
                };
                registry_failure(format!("registry {host} wants fewer requests ({status})"))
                    .hint(format!("wait {wait}; logged-in accounts may ask more often"))
            }
            Some(server) if response.status >= 500 => {
                registry_failure(format!("the token server of registry {host}, {server}, failed (HTTP {status})"))
                    .hint("try again later")
            }
            Some(_) => self.explain_unauthorized(&status),
            None if response.status == 401 => self.explain_unauthorized(&status),
            None => self.explain_registry_response(response, &status),
        }
    }

    fn explain_unauthorized(&self, status: &str) -> Failure {
        let (host, reference) = (self.host(), self.reference);
        let rejected = if self.logged_in { ", and yours are not" } else { "" };
        let failure =
            registry_failure(format!("registry {host} wants valid credentials for {reference}{rejected} ({status})"))
                .hint(format!("log in: `docker login {host}`"));
        if self.is_pull() {
            failure.hint("or is the name wrong? some registries say no other of what does not exist")
        } else {
            failure
        }
    }

    /// Explains a response of the registry itself.
    fn explain_registry_response(&self, response: &ErrorResponse, status: &str) -> Failure {
        let (host, reference) = (self.host(), self.reference);
        let code = response.status;
        let not_a_registry = || {
            registry_failure(format!("{host} does not answer {reference} as a registry does (HTTP {code})"))
                .hint(self.not_a_registry_hint())
        };
        match code {
            403 => {
                let action = if self.is_pull() { "read" } else { "push" };
                registry_failure(format!("registry {host} refuses {reference} ({status})")).hint(format!(
                    "the account you are logged in with may not {action} there: check the name and its permissions"
                ))
            }
            404 => registry_failure(format!("{reference} does not exist ({status})")).hint(if self.is_pull() {
                "check the name and the tag"
            } else {
                "check the name; some registries want the repository to be created first"
            }),
            501 => not_a_registry(),
            500.. => registry_failure(format!("registry {host} failed at {reference} (HTTP {status})"))
                .hint("try again later"),
            413 => registry_failure(format!("registry {host} does not take as much as {reference} has ({status})"))
                .hint("a proxy in front of it may limit the size of a request"),
            400.. if response.message.is_some() => {
                registry_failure(format!("registry {host} does not take {reference} ({status})")).hint(
                    "a tag there may not be moved, or a limit is reached: take another tag (`--tag NAME`), or ask whoever runs it",
                )
            }
            _ => not_a_registry(),
        }
    }

    fn is_pull(&self) -> bool {
        matches!(self.access, Access::Pull)
    }
}

/// Content that parses as something other than a part of an image.
pub(super) fn not_an_image(problem: &str, error: &serde_json::Error) -> Failure {
    registry_failure(format!("{problem}: {error}"))
        .hint("registries hold other things than images as well: check the name, or publish it again")
}

fn registry_failure(message: String) -> Failure {
    Failure::new(Class::Registry, message)
}

/// `404 Not Found: the registry's own message`
fn format_status(response: &ErrorResponse) -> String {
    let code = response.status;
    let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()).unwrap_or("HTTP");
    match &response.message {
        Some(message) => format!("{code} {reason}: {message}"),
        None => format!("{code} {reason}"),
    }
}

/// The message of the innermost cause, which is usually the operating system's.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(|cause| cause.to_string().to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(error: RegistryError, reference: &str, access: Access<'_>) -> Failure {
        let request = FailedRequest { reference, access, root: "https://r.example/v2/", logged_in: false };
        request.explain(error).downcast::<Failure>().unwrap()
    }

    #[test]
    fn error_responses_are_explained() {
        for (status, token_server, message, hint) in [
            (401, None, "wants valid credentials", "log in: `docker login r.example`"),
            (403, None, "refuses", "permissions"),
            (404, None, "does not exist", "check the name"),
            (503, None, "HTTP 503", "try again later"),
            (501, None, "HTTP 501", "curl -i https://r.example/v2/"),
            (429, None, "fewer requests", "wait a while"),
            (418, None, "(HTTP 418)", "curl -i https://r.example/v2/"),
            (401, Some("t.example"), "wants valid credentials", "docker login"),
            (503, Some("t.example"), "t.example, failed (HTTP 503 Service Unavailable)", "try again later"),
            (429, Some("t.example"), "fewer requests", "wait a while"),
        ] {
            let token_server = token_server.map(str::to_owned);
            let error = RegistryError::Response(ErrorResponse { status, token_server, ..ErrorResponse::default() });
            let failure = explain(error, "r.example/a/b", Access::Push);
            assert!(failure.to_string().contains(message), "{status}: {failure}");
            assert!(failure.hints().join("\n").contains(hint), "{status}: {:?}", failure.hints());
        }
    }

    #[test]
    fn hints_for_a_pull_do_not_speak_of_pushing() {
        for (status, hint) in
            [(404, "check the name and the tag"), (403, "may not read there"), (401, "is the name wrong?")]
        {
            let error = RegistryError::Response(ErrorResponse { status, ..ErrorResponse::default() });
            let hints = explain(error, "r.example/a:1", Access::Pull).hints().join("\n");
            assert!(hints.contains(hint) && !hints.contains("push") && !hints.contains("created"), "{status}: {hints}");
        }
        let failure = explain(RegistryError::Stalled, "r.example/a:1", Access::Pull);
        assert!(failure.hints()[0].contains("`curl -i https://r.example/v2/`"));
    }
}
