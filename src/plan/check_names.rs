//! Names and values that a registry, a Dockerfile or an image would not take. Pure.

use camino::Utf8PathBuf;

use crate::config::{Config, FileEntry};
use crate::error::{Class, Failure};
use crate::oci::reference::is_loopback;

/// The grammar of a repository's last component (distribution-spec, "Pulling manifests").
pub fn check_name(name: &str) -> Result<(), Failure> {
    let good = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    if name.split('/').all(good) {
        return Ok(());
    }
    let failure = Failure::new(Class::Config, format!("'{name}' is not a name for an image"));
    let lower = name.to_lowercase().replace(' ', "-");
    Err(match lower.split('/').all(good) {
        true => failure.hint(format!("names are in lower case: images.{lower} = {{ bins = [\"…\"] }}")),
        false => failure.hint("a name has lower-case letters, digits, '.', '_' and '-', and '/' between its parts"),
    })
}

/// `registry/name`, when the registry is a host and perhaps a path.
pub fn repository(registry: &str, name: &str) -> Result<String, Failure> {
    check_no_password("registry", registry)?;
    let wrong = |what: &str| {
        Failure::new(Class::Config, format!("registry '{registry}' {what}"))
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
        return Err(match scheme == "http" && !is_loopback(host) {
            true => failure.hint(format!("and for plain HTTP: `--insecure-registry {host}`")),
            false => failure,
        });
    }
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    if is_host(host) {
        let what = match path {
            _ if path.contains(['@', ':']) => "has a tag or digest (a tag: `--tag NAME`)",
            _ if path.contains(|c: char| c.is_ascii_uppercase()) => "has capitals in its path, which no registry takes",
            _ => "has a path that no registry takes",
        };
        if !path.is_empty() {
            check_name(path).map_err(|_| wrong(what))?;
        }
    } else {
        check_name(registry).map_err(|_| wrong("is no host and no Docker Hub account"))?;
    }
    if host.contains('@') {
        return Err(wrong("has more than a host and a path"));
    }
    if is_host(host) && !is_host_and_port(host) {
        return Err(wrong("is on a host that is none, or has a port that is none"));
    }
    let repository = format!("{registry}/{name}");
    match repository.parse::<oci_spec::distribution::Reference>() {
        Ok(_) => Ok(repository),
        Err(error) => Err(wrong(&format!("makes no reference: {error}"))),
    }
}

/// No place for a password: it would be in every message, in scripts, and in the registry's logs. Nor is it shown here.
fn check_no_password(key: &str, reference: &str) -> Result<(), Failure> {
    let Some((user, host)) = reference.rsplit_once('@').filter(|(_, rest)| !rest.starts_with("sha")) else {
        return Ok(());
    };
    let user = user.split_once("://").map_or(user, |(_, rest)| rest);
    let user = match user.split_once(':') {
        Some((user, _)) => format!("{user}:…"),
        None if key == "base" || user.contains('/') => return Ok(()),
        // It may be a token.
        None => "…".to_owned(),
    };
    let place = host.split('/').next().unwrap_or(host);
    Err(Failure::new(Class::Config, format!("{key} '{user}@{host}' has credentials in it"))
        .hint(format!("credentials come from `docker login {place}`; write the host alone")))
}

/// Does Docker take the first part of a reference for a host? Without a dot, a colon or the name localhost it is a
/// namespace of Docker Hub.
pub fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost"
}

/// A host and perhaps a port, as they stand at the start of a reference.
pub fn check_host(key: &str, host: &str) -> Result<(), Failure> {
    if is_host_and_port(host) {
        return Ok(());
    }
    check_no_password(key, host)?;
    let what = match host {
        _ if host.contains("://") => "has a scheme",
        _ if host.contains('/') => "has a path",
        _ => "is no host",
    };
    let bare = host.split_once("://").map_or(host, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let example = if is_host_and_port(bare) { bare } else { "registry.example:5000" };
    Err(Failure::new(Class::Config, format!("{key} '{host}' {what}"))
        .hint(format!("write a host and perhaps a port: {key} = [\"{example}\"], `--insecure-registry {example}`")))
}

fn is_host_and_port(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let good_name = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || ".-".contains(c)),
    };
    good_name && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A file needs a full path in the image, and an octal mode if any.
pub fn check_file(file: &FileEntry, image: &str) -> Result<(), Failure> {
    let to = Utf8PathBuf::from(&file.to);
    if !to.is_absolute() || to.components().any(|part| part.as_str() == "..") || file.to.ends_with('/') {
        return Err(Failure::new(
            Class::Config,
            format!("image '{image}': files.to '{}' is not a full path in the image", file.to),
        )
        .hint("write it as in to = \"/etc/app/config.toml\""));
    }
    if let Some(mode) = &file.mode
        && (u32::from_str_radix(mode, 8).is_err() || mode.len() > 4)
    {
        return Err(Failure::new(Class::Config, format!("image '{image}': mode '{mode}' of {} is not octal", file.to))
            .hint("write it as in mode = \"0755\""));
    }
    Ok(())
}

/// Values that end up in a line of a Dockerfile as they are.
pub fn check_values(settings: &Config, image: &str) -> Result<(), Failure> {
    let wrong = |key: &str, value: &str, hint: &str| {
        Err(Failure::new(Class::Config, format!("image '{image}': {key} '{}' is not valid", value.escape_debug()))
            .hint(hint))
    };
    settings.base.iter().try_for_each(|base| check_no_password("base", base))?;
    if let Some(base) = settings.base.as_ref().filter(|base| base.parse::<oci_spec::distribution::Reference>().is_err())
    {
        return wrong("base", base, "write it as in base = \"debian:trixie-slim\", or base = \"scratch\"");
    }
    for port in settings.expose.iter().flatten() {
        let text = port.to_string();
        let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        if number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
            return wrong("expose", &text, "write it as 8080 or \"53/udp\"");
        }
    }
    let folders = settings.volumes.iter().flatten().map(|folder| ("volumes", folder));
    for (key, folder) in folders.chain(settings.workdir.iter().map(|folder| ("workdir", folder))) {
        if !folder.is_empty() && !folder.starts_with('/') {
            return wrong(key, folder, "write a full path in the image, such as \"/data\"");
        }
    }
    for name in settings.build_env.keys() {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return wrong("build-env", name, "a variable's name has letters, digits and '_'");
        }
        if ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"].contains(&name.as_str()) {
            return wrong("build-env", name, "write rustflags = [\"…\"], which hides no other flags");
        }
    }
    for name in settings.env.keys() {
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
            return wrong("env", name, "a variable's name has no spaces and no '='");
        }
    }
    let lines = [
        ("user", &settings.user),
        ("workdir", &settings.workdir),
        ("stop-signal", &settings.stop_signal),
        ("profile", &settings.profile),
    ];
    for (key, value) in lines {
        if let Some(value) = value.as_ref().filter(|value| value.is_empty() || value.contains(['\n', '\r'])) {
            return wrong(key, value, "it is one line of text");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in ["r.example", "r.example:5000", "registry:5000", "10.0.0.1:5000", "[fd00::1]:5000", "[fd00::1]"] {
            assert!(check_host("key", good).is_ok(), "{good}");
        }
        for (bad, what, example) in [
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
            let failure = check_host("key", bad).unwrap_err();
            assert_eq!(failure.to_string(), format!("key '{bad}' {what}"));
            assert!(failure.hints()[0].contains(example), "{bad}: {:?}", failure.hints());
        }
    }

    #[test]
    fn what_is_wrong_with_a_registry() {
        for (registry, what) in [
            ("ghcr.io/You", "has capitals in its path, which no registry takes"),
            ("ghcr.io/you:1", "has a tag or digest (a tag: `--tag NAME`)"),
            ("ghcr.io/you@sha256:12", "has a tag or digest (a tag: `--tag NAME`)"),
            ("ghcr.io/_", "has a path that no registry takes"),
            ("localhost:99999", "is on a host that is none, or has a port that is none"),
            ("r.example:port/you", "is on a host that is none, or has a port that is none"),
        ] {
            let failure = repository(registry, "app").unwrap_err();
            assert_eq!(failure.to_string(), format!("registry '{registry}' {what}"));
        }
    }

    #[test]
    fn a_registry_with_a_scheme_is_told_without() {
        for (registry, hints) in [
            ("https://ghcr.io/you", &["registry = \"ghcr.io/you\", `--registry ghcr.io/you`"][..]),
            ("http://r.example:5000/a", &["`--registry r.example:5000/a`", "`--insecure-registry r.example:5000`"]),
            ("http://localhost:5000/", &["`--registry localhost:5000`"]),
        ] {
            let failure = repository(registry, "app").unwrap_err();
            assert!(failure.to_string().ends_with(" has a scheme"), "{failure}");
            assert_eq!(failure.hints().len(), hints.len(), "{registry}: {:?}", failure.hints());
            assert!(failure.hints().iter().zip(hints).all(|(said, hint)| said.contains(hint)), "{:?}", failure.hints());
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
            assert_eq!(repository(registry, "app").ok().as_deref(), expected, "{registry}");
        }
    }

    #[test]
    fn names() {
        for good in ["app", "a/b-c", "a.b_c9"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["App", "a b", "-a", "a/", "", "a:1"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
