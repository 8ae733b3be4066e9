//! What a registry's answers mean, and what to do about them. Pure.

use oci_client::Reference;
use oci_client::errors::OciDistributionError;

use crate::error::{Class, Failure};
use crate::plan::is_loopback;

pub fn status_of(error: &OciDistributionError) -> Option<u16> {
    match error {
        OciDistributionError::ServerError { code, .. } => Some(*code),
        OciDistributionError::UnauthorizedError { .. } | OciDistributionError::AuthenticationFailure(_) => Some(401),
        OciDistributionError::ImageManifestNotFoundError(_) => Some(404),
        OciDistributionError::RequestError(error) => error.status().map(|status| status.as_u16()),
        OciDistributionError::RegistryError { envelope, .. } => envelope.errors.iter().find_map(|error| {
            use oci_client::errors::OciErrorCode::{
                Denied, ManifestUnknown, NameUnknown, Toomanyrequests, Unauthorized,
            };
            match error.code {
                Unauthorized => Some(401),
                Denied => Some(403),
                ManifestUnknown | NameUnknown => Some(404),
                Toomanyrequests => Some(429),
                _ => None,
            }
        }),
        _ => None,
    }
}

pub fn is_transient(error: &OciDistributionError) -> bool {
    match (status_of(error), error) {
        (Some(code), _) => code == 429 || code >= 500,
        // A stream that broke off.
        (None, OciDistributionError::IoError(_)) => true,
        (None, OciDistributionError::RequestError(error)) => {
            error.is_body() || (error.is_request() && !error.is_connect() && !error.is_timeout())
        }
        _ => false,
    }
}

pub fn unconnected(error: &dyn std::error::Error) -> Failure {
    Failure::new(Class::Registry, format!("no registry can be asked from here: {}", innermost(error)))
        .hint("install the CA certificates: `apt-get install ca-certificates`")
}

/// What a registry's answer means, and what to do.
pub fn explain(error: &OciDistributionError, reference: &str) -> Failure {
    let host = reference.parse::<Reference>().map_or_else(|_| reference.to_owned(), |r| r.registry().to_owned());
    let failure = |what: String| Failure::new(Class::Registry, what);
    if let OciDistributionError::RequestError(error) = error {
        if error.is_timeout() {
            return failure(format!("registry {host} does not answer")).hint("check the network, or try again");
        }
        if error.is_connect() {
            // A registry may send its clients elsewhere, such as for their token.
            let asked = error.url().map(|url| url.authority()).filter(|asked| *asked != host);
            let at = asked.map(|asked| format!(" at {asked}")).unwrap_or_default();
            let words = innermost(error);
            let failure = failure(format!("registry {host} cannot be reached{at}: {words}"));
            return if words.contains("certificate") {
                failure.hint("a CA of your own: `SSL_CERT_FILE=/path/to/ca.pem`")
            } else if words.contains("invalidcontenttype") {
                failure.hint(format!("does it speak plain HTTP? `--insecure-registry {host}`"))
            } else {
                failure.hint(format!("is the name right, and does it run? `{}`", curl(&host)))
            };
        }
    }
    if let OciDistributionError::DigestError(error) = error {
        let words = error.to_string().to_lowercase();
        return Failure::new(
            Class::Verify,
            format!("registry {host} serves other bytes than those of {reference}: {words}"),
        )
        .hint("what is stored there is damaged, or a proxy changes it: publish again, and tell whoever runs it");
    }
    match status_of(error) {
        Some(401) => failure(format!("registry {host} wants valid credentials for {reference} (401 Unauthorized)"))
            .hint(format!("log in: `docker login {host}`")),
        Some(403) => failure(format!("registry {host} refuses {reference} (403 Forbidden)"))
            .hint("the account you are logged in with may not push there: check the name and its permissions"),
        Some(404) => failure(format!("{reference} does not exist (404 Not Found)"))
            .hint("check the name and the tag; some registries want a repository to be created first"),
        Some(429) => failure(format!("registry {host} wants fewer requests (429 Too Many Requests)"))
            .hint("wait a while; logged-in accounts may ask more often"),
        Some(code) if code < 500 => {
            failure(format!("{host} does not answer {reference} as a registry does (HTTP {code})"))
                .hint(is_it_one(&host))
        }
        Some(code) => failure(format!("registry {host} failed at {reference} (HTTP {code})")).hint("try again later"),
        None => failure(format!("registry {host}: {error}")).hint(is_it_one(&host)),
    }
}

pub fn is_it_one(host: &str) -> String {
    format!("is {host} a container registry? `{}`", curl(host))
}

fn curl(host: &str) -> String {
    format!("curl -i {}://{host}/v2/", if is_loopback(host) { "http" } else { "https" })
}

/// The last cause: the operating system's own words.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_explained() {
        let server = |code| OciDistributionError::ServerError { code, url: "u".into(), message: "m".into() };
        for (code, words, transient) in [
            (401, "wants valid credentials", false),
            (403, "refuses", false),
            (404, "does not exist", false),
            (503, "HTTP 503", true),
            (429, "fewer requests", true),
        ] {
            let error = server(code);
            assert!(explain(&error, "r.example/a/b").to_string().contains(words), "{code}");
            assert_eq!(is_transient(&error), transient, "{code}");
        }
        assert_eq!(explain(&server(401), "r.example/a/b").hints(), ["log in: `docker login r.example`"]);
    }
}
