//! Messages and hints for failed registry requests. Only this module converts a [`RegistryError`] into a [`Failure`].

use std::error::Error;

use oci_spec::distribution::Reference;
use reqwest::StatusCode;

use super::Access;
use super::error::{ErrorResponse, RegistryError, causes};
use super::http::proxy_of;
use crate::credentials::variable_names;
use crate::error::{Class, Failure};
use crate::host::packages;

/// The context of a failed request.
pub(super) struct FailedRequest<'a> {
    /// The reference to show to the user.
    pub reference: &'a str,
    pub access: Access<'a>,
    /// The base URL of the registry's API: `https://host/v2/`.
    pub root: &'a str,
    /// The source of the credentials that were sent to the registry, or `None` if none were sent.
    pub credentials_source: Option<String>,
}

impl FailedRequest<'_> {
    /// Turns an error into a message with hints for the user.
    pub(super) fn explain(&self, error: RegistryError) -> anyhow::Error {
        let host = self.host();
        let reference = self.reference;
        let root = self.root;
        match error {
            RegistryError::Local(error) => return error,
            RegistryError::Cancelled(cancelled) => return cancelled.into(),
            RegistryError::Response(response) => self.explain_response(&response),
            RegistryError::HttpClient(error) => {
                registry_failure(format!("cannot create the HTTP client: {}", root_cause(&error)))
                    .hint(packages::CA_CERTIFICATES.install_hint())
            }
            RegistryError::Connection(error) if error.is_connect() && !error.is_timeout() => {
                self.explain_unreachable(&error)
            }
            RegistryError::Connection(error) if !error.is_timeout() => {
                registry_failure(format!("connection to registry {host} failed: {}", root_cause(&error)))
                    .hint("check your network connection and try again")
            }
            RegistryError::Connection(_) | RegistryError::Stalled => {
                registry_failure(format!("registry {host} did not respond in time"))
                    .hint(format!("check your network connection with `curl -i {root}`, or try again later"))
            }
            RegistryError::NoAnswer { server, limit } => {
                let seconds = limit.as_secs();
                let who = if server == host { "registry".to_owned() } else { format!("registry {host}: server") };
                registry_failure(format!("{who} {server} did not answer within {seconds} s"))
                    .hint(format!("check your network connection with `curl -i {root}`"))
                    .hint(format!("or wait longer: `--registry-timeout {}`", seconds.saturating_mul(5)))
            }
            RegistryError::DigestMismatch(digest) => Failure::new(
                Class::Verify,
                format!("digest mismatch for {reference}: registry {host} returned content with digest {digest}"),
            )
            .hint("publish the image again, and check for a proxy that modifies responses"),
            RegistryError::Protocol(problem) => {
                registry_failure(format!("registry {host} {problem}")).hint(self.not_a_registry_hint())
            }
            RegistryError::InvalidToken { server, problem } => {
                registry_failure(format!("invalid response from token server {server} for registry {host}: {problem}"))
                    .hint(self.not_a_registry_hint())
            }
            RegistryError::InvalidManifest(error) => {
                registry_failure(format!("{reference} is not a valid manifest: {error}"))
                    .hint(self.not_a_registry_hint())
            }
            RegistryError::Schema1Manifest => {
                registry_failure(format!("{reference} has a Docker schema 1 manifest, which is not supported"))
                    .hint("use a newer image, or push this one again with a current version of Docker")
            }
            RegistryError::InvalidConfig(error) => not_an_image(&format!("{reference} is not an image config"), &error),
        }
        .into()
    }

    /// Returns the registry host as written in the reference.
    fn host(&self) -> String {
        match self.reference.parse::<Reference>() {
            Ok(reference) => reference.registry().to_owned(),
            Err(_) => self.reference.to_owned(),
        }
    }

    fn not_a_registry_hint(&self) -> String {
        format!("check that {} is a container registry: `curl -i {}`", self.host(), self.root)
    }

    fn explain_unreachable(&self, error: &reqwest::Error) -> Failure {
        let host = self.host();
        let cause = root_cause(error);
        if let Some(url) = error.url()
            && let Some(proxy) = proxy_of(url)
        {
            let contacted = url.host_str().unwrap_or_default();
            return registry_failure(format!("cannot reach registry {host} through the proxy {proxy}: {cause}"))
                .hint(format!("check that the proxy is running: `curl -i http://{proxy}`"))
                .hint(format!("to reach the registry without a proxy, set `NO_PROXY={contacted}`"));
        }
        // The host that could not be reached, if it is not the registry itself but, for example, its token server.
        let contacted = error.url().and_then(|url| url.authority().rsplit('@').next()).filter(|other| *other != host);
        let at = contacted.map(|contacted| format!(" at {contacted}")).unwrap_or_default();
        let failure = registry_failure(format!("cannot reach registry {host}{at}: {cause}"));
        if cause.contains("certificate") && (cause.contains("expired") || cause.contains("valid yet")) {
            failure.hint(
                "check this machine's clock with `date -u`; if it is correct, the registry's certificate must be renewed",
            )
        } else if cause.contains("certificate") {
            failure.hint("if the registry uses a private CA, set `SSL_CERT_FILE=/path/to/ca.pem`")
        } else if cause.contains("invalidcontenttype") {
            failure.hint(format!("if the registry uses plain HTTP, pass `--insecure-registry {host}`"))
        } else if cause.contains("lookup address") {
            let authority = contacted.unwrap_or(&host);
            let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
            failure.hint(format!("check the host name and your network connection: `getent hosts {name}`"))
        } else {
            let contacted = error.url().map(|url| url.origin().ascii_serialization());
            let url = contacted.filter(|origin| !self.root.starts_with(origin.as_str()));
            let url = url.unwrap_or_else(|| self.root.to_owned());
            failure.hint(format!("check that the host name is correct and the registry is running: `curl -i {url}`"))
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
                registry_failure(format!("rate limited by {host} ({status})"))
                    .hint(format!("try again in {wait}; the limit may be higher if you log in"))
            }
            Some(server) if response.status >= 500 => {
                registry_failure(format!("token server {server} for registry {host} returned HTTP {status}"))
                    .hint("try again later")
            }
            Some(_) => self.explain_unauthorized(&status),
            None if response.status == 401 => self.explain_unauthorized(&status),
            None => self.explain_registry_response(response, &status),
        }
    }

    fn explain_unauthorized(&self, status: &str) -> Failure {
        let (host, reference) = (self.host(), self.reference);
        let problem = match &self.credentials_source {
            Some(source) => format!("rejected the credentials from {source}"),
            None => "requires credentials".to_owned(),
        };
        let [username, password] = variable_names(&host);
        let failure = registry_failure(format!("registry {host} {problem} for {reference} ({status})"))
            .hint(format!("log in: `cargo multiarch login {host}`"))
            .hint(format!("or, in CI, set {username} and {password}"));
        if self.is_pull() {
            failure.hint("or check the name: some registries return this error if the image does not exist")
        } else {
            failure
        }
    }

    /// Explains an error response from the registry itself, not from a token server.
    fn explain_registry_response(&self, response: &ErrorResponse, status: &str) -> Failure {
        let (host, reference) = (self.host(), self.reference);
        let code = response.status;
        let not_a_registry = || {
            registry_failure(format!("unexpected response from {host} for {reference} (HTTP {code})"))
                .hint(self.not_a_registry_hint())
        };
        if !self.is_pull() && response.is_immutable_tag() {
            return registry_failure(format!(
                "cannot overwrite {reference}: the tag is immutable in the registry ({status})"
            ))
            .hint("publish a new version, or use another tag: `--tag NAME`")
            .hint("if this tag should move, exclude it from the immutability rule in the registry's settings");
        }
        match code {
            403 => {
                let action = if self.is_pull() { "read" } else { "push" };
                registry_failure(format!("registry {host} denied access to {reference} ({status})"))
                    .hint(format!("check the name, and check that your account has {action} permission"))
            }
            404 => registry_failure(format!("{reference} does not exist ({status})")).hint(if self.is_pull() {
                "check the name and the tag"
            } else {
                "check the name; some registries require the repository to be created first"
            }),
            501 => not_a_registry(),
            500.. => registry_failure(format!("server error from {host} for {reference} (HTTP {status})"))
                .hint("try again later"),
            413 => registry_failure(format!("{reference} is too large for registry {host} ({status})"))
                .hint("check whether a proxy in front of the registry limits the request size"),
            400.. if response.message.is_some() => {
                registry_failure(format!("registry {host} rejected {reference} ({status})"))
                    .hint("check your quota and the settings of the repository")
            }
            _ => not_a_registry(),
        }
    }

    fn is_pull(&self) -> bool {
        matches!(self.access, Access::Pull)
    }
}

/// Creates an error for a manifest or config that cannot be parsed.
pub(super) fn not_an_image(problem: &str, error: &serde_json::Error) -> Failure {
    registry_failure(format!("{problem}: {error}")).hint(
        "check the name: it may refer to an artifact that is not a container image; if the name is correct, publish \
         the image again",
    )
}

fn registry_failure(message: String) -> Failure {
    Failure::new(Class::Registry, message)
}

/// Formats a response's status and message, as in `404 Not Found: manifest unknown`.
fn format_status(response: &ErrorResponse) -> String {
    let code = response.status;
    let reason = StatusCode::from_u16(code).ok().and_then(|status| status.canonical_reason()).unwrap_or("HTTP");
    match &response.message {
        Some(message) => format!("{code} {reason}: {message}"),
        None => format!("{code} {reason}"),
    }
}

/// Returns the message of the innermost cause, which usually comes from the operating system.
pub(super) fn root_cause(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(|cause| cause.to_string().to_lowercase()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(error: RegistryError, reference: &str, access: Access<'_>) -> Failure {
        let request = FailedRequest { reference, access, root: "https://r.example/v2/", credentials_source: None };
        request.explain(error).downcast::<Failure>().unwrap()
    }

    #[test]
    fn explains_error_responses() {
        for (status, token_server, message, hint) in [
            (401, None, "requires credentials", "log in: `cargo multiarch login r.example`"),
            (403, None, "denied access", "push permission"),
            (404, None, "does not exist", "check the name"),
            (503, None, "HTTP 503", "try again later"),
            (501, None, "HTTP 501", "curl -i https://r.example/v2/"),
            (429, None, "rate limited", "try again in a while"),
            (418, None, "(HTTP 418)", "curl -i https://r.example/v2/"),
            (401, Some("t.example"), "requires credentials", "MULTIARCH_PASSWORD_R_EXAMPLE"),
            (503, Some("t.example"), "registry r.example returned HTTP 503 Service Unavailable", "try again later"),
            (429, Some("t.example"), "rate limited", "try again in a while"),
        ] {
            let token_server = token_server.map(str::to_owned);
            let error = RegistryError::Response(ErrorResponse { status, token_server, ..ErrorResponse::default() });
            let failure = explain(error, "r.example/a/b", Access::Push);
            assert!(failure.to_string().contains(message), "{status}: {failure}");
            assert!(failure.hints().join("\n").contains(hint), "{status}: {:?}", failure.hints());
        }
    }

    #[test]
    fn hints_for_pulls_do_not_mention_pushing() {
        for (status, hint) in
            [(404, "check the name and the tag"), (403, "read permission"), (401, "or check the name")]
        {
            let error = RegistryError::Response(ErrorResponse { status, ..ErrorResponse::default() });
            let hints = explain(error, "r.example/a:1", Access::Pull).hints().join("\n");
            assert!(hints.contains(hint) && !hints.contains("push") && !hints.contains("created"), "{status}: {hints}");
        }
        let failure = explain(RegistryError::Stalled, "r.example/a:1", Access::Pull);
        assert!(failure.hints()[0].contains("`curl -i https://r.example/v2/`"));
    }
}
