//! Checks the names of images, registries and hosts.

use crate::error::{Class, Failure};
use crate::oci::reference::is_loopback;

/// Checks that an image's name is valid at the end of a repository's name (distribution-spec, "Pulling manifests").
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
    let failure = Failure::new(Class::Config, format!("'{name}' is not a name for an image"));
    let lower = name.to_lowercase().replace(' ', "-");
    if lower.split('/').all(is_valid) {
        return Err(failure.hint(format!("names are in lower case: images.{lower} = {{ bins = [\"…\"] }}")));
    }
    Err(failure.hint("a name has lower-case letters, digits, '.', '_' and '-', and '/' between its parts"))
}

/// Returns `registry/name`. Fails if the registry is not a host with an optional path.
pub(crate) fn compose_repository(registry: &str, name: &str) -> Result<String, Failure> {
    check_no_credentials("registry", registry)?;
    let wrong = |problem: &str| {
        Failure::new(Class::Config, format!("registry '{registry}' {problem}"))
            .hint("write it as in registry = \"ghcr.io/you\": a host and perhaps a path; the image's name is added")
    };
    let registry = registry.trim_end_matches('/');
    if registry.is_empty() {
        return Err(wrong("is empty"));
    }
    if let Some((scheme, bare)) = registry.split_once("://") {
        let failure = Failure::new(Class::Config, format!("registry '{registry}' has a scheme"))
            .hint(format!("leave it out: registry = \"{bare}\", `--registry {bare}`"));
        let host = bare.split('/').next().unwrap_or(bare);
        if scheme == "http" && !is_loopback(host) {
            return Err(failure.hint(format!("and for plain HTTP: `--insecure-registry {host}`")));
        }
        return Err(failure);
    }
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    if is_registry_host(host) {
        let problem = match path {
            _ if path.contains(['@', ':']) => "has a tag or digest (a tag: `--tag NAME`)",
            _ if path.contains(|c: char| c.is_ascii_uppercase()) => "has capitals in its path, which no registry takes",
            _ => "has a path that no registry takes",
        };
        if !path.is_empty() {
            check_image_name(path).map_err(|_| wrong(problem))?;
        }
    } else {
        check_image_name(registry).map_err(|_| wrong("is no host and no Docker Hub account"))?;
    }
    if host.contains('@') {
        return Err(wrong("has more than a host and a path"));
    }
    if is_registry_host(host) && !is_host_and_port(host) {
        return Err(wrong("is on a host that is none, or has a port that is none"));
    }
    let repository = format!("{registry}/{name}");
    match repository.parse::<oci_spec::distribution::Reference>() {
        Ok(_) => Ok(repository),
        Err(error) => Err(wrong(&format!("makes no reference: {error}"))),
    }
}

/// Rejects credentials in a reference, where they would end up in messages, scripts and logs. The error hides them.
pub(crate) fn check_no_credentials(key: &str, reference: &str) -> Result<(), Failure> {
    let Some((user, host)) = reference.rsplit_once('@').filter(|(_, rest)| !rest.starts_with("sha")) else {
        return Ok(());
    };
    let user = user.split_once("://").map_or(user, |(_, rest)| rest);
    let user = match user.split_once(':') {
        Some((user, _)) => format!("{user}:…"),
        None if key == "base" || user.contains('/') => return Ok(()),
        // The user may be a token.
        None => "…".to_owned(),
    };
    let registry = host.split('/').next().unwrap_or(host);
    Err(Failure::new(Class::Config, format!("{key} '{user}@{host}' has credentials in it"))
        .hint(format!("credentials come from `docker login {registry}`; write the host alone")))
}

/// Whether Docker takes the first component of a reference for a host. Otherwise it is a namespace on Docker Hub.
pub(crate) fn is_registry_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// Checks that a text is a host with an optional port.
pub(crate) fn check_registry_host(key: &str, host: &str) -> Result<(), Failure> {
    if is_host_and_port(host) {
        return Ok(());
    }
    check_no_credentials(key, host)?;
    let problem = match host {
        _ if host.contains("://") => "has a scheme",
        _ if host.contains('/') => "has a path",
        _ => "is no host",
    };
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let example = if is_host_and_port(bare) { bare } else { "registry.example:5000" };
    Err(Failure::new(Class::Config, format!("{key} '{host}' {problem}"))
        .hint(format!("write a host and perhaps a port: {key} = [\"{example}\"], `--insecure-registry {example}`")))
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
    fn hosts() {
        for good in ["r.example", "r.example:5000", "registry:5000", "10.0.0.1:5000", "[fd00::1]:5000", "[fd00::1]"] {
            assert!(check_registry_host("key", good).is_ok(), "{good}");
        }
        for (bad, problem, example) in [
            ("http://r.example:5000", "has a scheme", "[\"r.example:5000\"]"),
            ("https://r.example/v2", "has a scheme", "[\"r.example\"]"),
            ("r.example:5000/team", "has a path", "[\"r.example:5000\"]"),
            ("r.example:", "is no host", "[\"registry.example:5000\"]"),
            ("r.example:port", "is no host", "[\"registry.example:5000\"]"),
            ("fd00::1", "is no host", "[\"registry.example:5000\"]"),
            ("10.0.0.0/8", "has a path", "[\"10.0.0.0\"]"),
            ("a b", "is no host", "[\"registry.example:5000\"]"),
            ("://", "has a scheme", "[\"registry.example:5000\"]"),
        ] {
            let failure = check_registry_host("key", bad).unwrap_err();
            assert_eq!(failure.to_string(), format!("key '{bad}' {problem}"));
            assert!(failure.hints()[0].contains(example), "{bad}: {:?}", failure.hints());
        }
    }

    #[test]
    fn what_is_wrong_with_a_registry() {
        for (registry, problem) in [
            ("ghcr.io/You", "has capitals in its path, which no registry takes"),
            ("ghcr.io/you:1", "has a tag or digest (a tag: `--tag NAME`)"),
            ("ghcr.io/you@sha256:12", "has a tag or digest (a tag: `--tag NAME`)"),
            ("ghcr.io/_", "has a path that no registry takes"),
            ("localhost:99999", "is on a host that is none, or has a port that is none"),
            ("r.example:port/you", "is on a host that is none, or has a port that is none"),
        ] {
            let failure = compose_repository(registry, "app").unwrap_err();
            assert_eq!(failure.to_string(), format!("registry '{registry}' {problem}"));
        }
    }

    #[test]
    fn a_registry_with_a_scheme_is_told_without() {
        for (registry, hints) in [
            ("https://ghcr.io/you", &["registry = \"ghcr.io/you\", `--registry ghcr.io/you`"][..]),
            ("http://r.example:5000/a", &["`--registry r.example:5000/a`", "`--insecure-registry r.example:5000`"]),
            ("http://localhost:5000/", &["`--registry localhost:5000`"]),
        ] {
            let failure = compose_repository(registry, "app").unwrap_err();
            assert!(failure.to_string().ends_with(" has a scheme"), "{failure}");
            assert_eq!(failure.hints().len(), hints.len(), "{registry}: {:?}", failure.hints());
            assert!(
                failure.hints().iter().zip(hints).all(|(actual, hint)| actual.contains(hint)),
                "{:?}",
                failure.hints()
            );
        }
    }

    #[test]
    fn repositories() {
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
    fn names() {
        for good in ["app", "a/b-c", "a.b_c9"] {
            assert!(check_image_name(good).is_ok(), "{good}");
        }
        for bad in ["App", "a b", "-a", "a/", "", "a:1"] {
            assert!(check_image_name(bad).is_err(), "{bad}");
        }
    }
}
