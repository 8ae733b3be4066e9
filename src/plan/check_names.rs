//! Validates image names, registries and registry hosts.

use crate::error::{Class, Failure};
use crate::oci::reference::is_loopback;

/// Checks that an image name can be used in a repository name (distribution-spec, "Pulling manifests").
pub(crate) fn check_image_name(name: &str) -> Result<(), Failure> {
    let is_valid = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    if name.split('/').all(is_valid) {
        return Ok(());
    }
    let failure = Failure::new(Class::Config, format!("'{name}' is not a valid image name"));
    let lower = name.to_lowercase().replace(' ', "-");
    if lower.split('/').all(is_valid) {
        return Err(failure.hint(format!("use lowercase: images.{lower} = {{ bins = [\"…\"] }}")));
    }
    Err(failure.hint("use lowercase letters and digits, with '.', '_', '-' or '/' only between them"))
}

/// Returns the repository `registry/name`. Fails if `registry` is neither a host with an optional path nor a Docker Hub
/// account.
pub(crate) fn compose_repository(registry: &str, name: &str) -> Result<String, Failure> {
    check_no_credentials("registry", registry)?;
    let invalid = |problem: &str| {
        Failure::new(Class::Config, format!("registry '{registry}' {problem}"))
            .hint("use a host with an optional path, such as registry = \"ghcr.io/you\" (the image name is appended)")
    };
    let registry = registry.trim_end_matches('/');
    if registry.is_empty() {
        return Err(invalid("is empty"));
    }
    if let Some((scheme, bare)) = registry.split_once("://") {
        let failure = Failure::new(Class::Config, format!("registry '{registry}' contains a URL scheme"))
            .hint(format!("remove the scheme: registry = \"{bare}\" or `--registry {bare}`"));
        let host = bare.split('/').next().unwrap_or(bare);
        if scheme == "http" && !is_loopback(host) {
            return Err(failure.hint(format!("to use plain HTTP, add `--insecure-registry {host}`")));
        }
        return Err(failure);
    }
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    if is_registry_host(host) {
        let problem = match path {
            _ if path.contains(['@', ':']) => "contains a tag or digest (set tags with `--tag NAME`)",
            _ if path.contains(|c: char| c.is_ascii_uppercase()) => "has uppercase letters in its path",
            _ => "has an invalid path",
        };
        if !path.is_empty() {
            check_image_name(path).map_err(|_| invalid(problem))?;
        }
    } else {
        check_image_name(registry).map_err(|_| invalid("is neither a host nor a Docker Hub account"))?;
    }
    if host.contains('@') {
        return Err(invalid("contains '@' in its host name"));
    }
    if is_registry_host(host) && !is_host_and_port(host) {
        return Err(invalid("has an invalid host or port"));
    }
    let repository = format!("{registry}/{name}");
    match repository.parse::<oci_spec::distribution::Reference>() {
        Ok(_) => Ok(repository),
        Err(error) => Err(invalid(&format!("cannot be used in an image reference: {error}"))),
    }
}

/// Rejects references that contain credentials, because these would appear in messages, scripts and logs. The error
/// message masks the credentials.
pub(crate) fn check_no_credentials(key: &str, reference: &str) -> Result<(), Failure> {
    let Some((user, host)) = reference.rsplit_once('@').filter(|(_, rest)| !rest.starts_with("sha")) else {
        return Ok(());
    };
    let user = user.split_once("://").map_or(user, |(_, rest)| rest);
    let user = match user.split_once(':') {
        Some((user, _)) => format!("{user}:…"),
        None if key == "base" || user.contains('/') => return Ok(()),
        // Mask the user name too, because it may be a token.
        None => "…".to_owned(),
    };
    let registry = host.split('/').next().unwrap_or(host);
    Err(Failure::new(Class::Config, format!("{key} '{user}@{host}' contains credentials"))
        .hint(format!("remove the credentials, and log in with `cargo multiarch login {registry}`")))
}

/// Reports whether Docker treats the first component of a reference as a registry host. Otherwise, the component is a
/// Docker Hub account.
pub(crate) fn is_registry_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Checks that `host` is a host with an optional port. `key` is the configuration key to mention in errors.
pub(crate) fn check_registry_host(key: &str, host: &str) -> Result<(), Failure> {
    if is_host_and_port(host) {
        return Ok(());
    }
    check_no_credentials(key, host)?;
    let problem = match host {
        _ if host.contains("://") => "contains a URL scheme",
        _ if host.contains('/') => "contains a path",
        _ => "is not a valid host",
    };
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let example = if is_host_and_port(bare) { bare } else { "registry.example:5000" };
    Err(Failure::new(Class::Config, format!("{key} '{host}' {problem}"))
        .hint(format!("use a host with an optional port: {key} = [\"{example}\"] or `--insecure-registry {example}`")))
}

fn is_host_and_port(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_valid_name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)),
    };
    is_valid_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validates_registry_hosts() {
        for valid in ["r.example", "r.example:5000", "registry:5000", "10.0.0.1:5000", "[fd00::1]:5000", "[fd00::1]"] {
            assert!(check_registry_host("key", valid).is_ok(), "{valid}");
        }
        for (invalid, problem, example) in [
            ("http://r.example:5000", "contains a URL scheme", "[\"r.example:5000\"]"),
            ("https://r.example/v2", "contains a URL scheme", "[\"r.example\"]"),
            ("r.example:5000/team", "contains a path", "[\"r.example:5000\"]"),
            ("r.example:", "is not a valid host", "[\"registry.example:5000\"]"),
            ("r.example:port", "is not a valid host", "[\"registry.example:5000\"]"),
            ("fd00::1", "is not a valid host", "[\"registry.example:5000\"]"),
            ("10.0.0.0/8", "contains a path", "[\"10.0.0.0\"]"),
            ("a b", "is not a valid host", "[\"registry.example:5000\"]"),
            ("://", "contains a URL scheme", "[\"registry.example:5000\"]"),
        ] {
            let failure = check_registry_host("key", invalid).unwrap_err();
            assert_eq!(failure.to_string(), format!("key '{invalid}' {problem}"));
            assert!(failure.hints()[0].contains(example), "{invalid}: {:?}", failure.hints());
        }
    }

    #[test]
    fn explains_invalid_registries() {
        for (registry, problem) in [
            ("ghcr.io/You", "has uppercase letters in its path"),
            ("ghcr.io/you:1", "contains a tag or digest (set tags with `--tag NAME`)"),
            ("ghcr.io/you@sha256:12", "contains a tag or digest (set tags with `--tag NAME`)"),
            ("ghcr.io/_", "has an invalid path"),
            ("localhost:99999", "has an invalid host or port"),
            ("r.example:port/you", "has an invalid host or port"),
        ] {
            let failure = compose_repository(registry, "app").unwrap_err();
            assert_eq!(failure.to_string(), format!("registry '{registry}' {problem}"));
        }
    }

    #[test]
    fn suggests_registries_without_a_scheme() {
        for (registry, hints) in [
            ("https://ghcr.io/you", &["registry = \"ghcr.io/you\" or `--registry ghcr.io/you`"][..]),
            ("http://r.example:5000/a", &["`--registry r.example:5000/a`", "`--insecure-registry r.example:5000`"]),
            ("http://localhost:5000/", &["`--registry localhost:5000`"]),
        ] {
            let failure = compose_repository(registry, "app").unwrap_err();
            assert!(failure.to_string().ends_with(" contains a URL scheme"), "{failure}");
            assert_eq!(failure.hints().len(), hints.len(), "{registry}: {:?}", failure.hints());
            assert!(
                failure.hints().iter().zip(hints).all(|(actual, hint)| actual.contains(hint)),
                "{:?}",
                failure.hints()
            );
        }
    }

    #[test]
    fn composes_repositories() {
        for (registry, expected) in [
            ("ghcr.io/you", Some("ghcr.io/you/app")),
            ("localhost:5000/", Some("localhost:5000/app")),
            ("you", Some("you/app")),
            ("https://ghcr.io", None),
            ("ghcr.io/You", None),
            ("user:secret@ghcr.io", None),
            ("ghcr.io/you:1", None),
            ("", None),
        ] {
            assert_eq!(compose_repository(registry, "app").ok().as_deref(), expected, "{registry}");
        }
    }

    #[test]
    fn validates_image_names() {
        for valid in ["app", "a/b-c", "a.b_c9"] {
            assert!(check_image_name(valid).is_ok(), "{valid}");
        }
        for invalid in ["App", "a b", "-a", "a/", "", "a:1"] {
            assert!(check_image_name(invalid).is_err(), "{invalid}");
        }
    }
}
