//! Parses image references into registry hosts, repositories, tags, and digests.

use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;

use crate::error::{Class, Failure};

/// Parses an image reference, such as `HOST/NAME:TAG` or `HOST/NAME@DIGEST`.
pub(crate) fn parse_reference(reference: &str) -> Result<Reference, Failure> {
    reference.parse().map_err(|error| {
        Failure::new(Class::Config, format!("'{reference}' is not a valid image reference: {error}"))
            .hint("use the form HOST/NAME:TAG with a lowercase name: `ghcr.io/you/app:1.0`")
    })
}

/// Returns a reference without its tag and digest, in the form `host/name`.
pub(crate) fn repository_name(reference: &str) -> Result<String, Failure> {
    let reference = parse_reference(reference)?;
    Ok(format!("{}/{}", reference.registry(), reference.repository()))
}

/// Returns the host that handles requests for a reference. For Docker Hub, it differs from the host in the reference.
pub(crate) fn registry_host(reference: &str) -> Result<String, Failure> {
    Ok(parse_reference(reference)?.resolve_registry().to_owned())
}

/// Returns a label for a blob's progress bar: the repository and the start of the digest.
pub(crate) fn blob_label(repository: &Reference, blob: &Descriptor) -> String {
    let digest: String = blob.digest().digest().chars().take(12).collect();
    format!("{}/{} {digest}", repository.registry(), repository.repository())
}

/// Reports whether a reference's registry is a loopback host: `localhost`, an address in `127.0.0.0/8`, or `[::1]`.
/// Like Docker, this tool uses plain HTTP for loopback hosts.
pub(crate) fn is_loopback(reference: &str) -> bool {
    let host = reference.split('/').next().unwrap_or(reference);
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|c| c.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_references_into_repository_and_host() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (reference, repository, host) in [
            ("ghcr.io/you/app", "ghcr.io/you/app", "ghcr.io"),
            ("ghcr.io/you/app:1.0", "ghcr.io/you/app", "ghcr.io"),
            (&format!("ghcr.io/you/app@{digest}"), "ghcr.io/you/app", "ghcr.io"),
            (&format!("ghcr.io/you/app:1.0@{digest}"), "ghcr.io/you/app", "ghcr.io"),
            ("localhost:5000/app", "localhost:5000/app", "localhost:5000"),
            ("localhost:5000/app:1.0", "localhost:5000/app", "localhost:5000"),
            ("debian:12", "docker.io/library/debian", "index.docker.io"),
            ("you/app", "docker.io/you/app", "index.docker.io"),
            ("index.docker.io/you/app", "docker.io/you/app", "index.docker.io"),
        ] {
            assert_eq!(repository_name(reference).unwrap(), repository, "{reference}");
            assert_eq!(registry_host(reference).unwrap(), host, "{reference}");
        }
    }

    #[test]
    fn rejects_invalid_references() {
        for reference in ["", "ghcr.io/You/app", "ghcr.io/you/app:", "ghcr.io/you/app@sha256:0"] {
            let failure = parse_reference(reference).unwrap_err();
            assert!(
                failure.to_string().starts_with(&format!("'{reference}' is not a valid image reference: ")),
                "{failure}"
            );
        }
    }

    #[test]
    fn recognizes_loopback_hosts() {
        for (reference, expected) in [
            ("localhost", true),
            ("localhost:5000/app", true),
            ("127.0.0.1:5000/app", true),
            ("127.1.2.3/app:1", true),
            ("[::1]:5000/app", true),
            ("[::1]", true),
            ("localhost.example/app", false),
            ("ghcr.io/localhost", false),
            ("10.0.0.1:5000", false),
            ("you/app", false),
        ] {
            assert_eq!(is_loopback(reference), expected, "{reference}");
        }
    }
}
