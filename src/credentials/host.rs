//! The names of registries in files that store credentials.

use oci_spec::distribution::Reference;

/// Docker Hub's name in image references. Credentials are found under this name, whatever name a file uses.
const DOCKER_HUB: &str = "docker.io";
/// Docker Hub's name in Docker's configuration and for credential helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Returns the name under which a host's credentials are found.
pub(super) fn canonical(host: &str) -> &str {
    if matches!(host, "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com") {
        DOCKER_HUB
    } else {
        host
    }
}

/// Returns a host's name in Docker's configuration and for credential helpers.
pub(super) fn docker_key(host: &str) -> &str {
    if canonical(host) == DOCKER_HUB { DOCKER_HUB_KEY } else { host }
}

/// The repository that credentials are needed for. Without a repository, only credentials for the whole host match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub host: String,
    pub repository: String,
}

impl Target {
    pub(super) fn new(reference: &Reference) -> Target {
        Target { host: canonical(reference.registry()).to_owned(), repository: reference.repository().to_owned() }
    }

    pub(super) fn host(host: &str) -> Target {
        Target { host: canonical(host).to_owned(), repository: String::new() }
    }

    /// Returns the keys that match, most specific first, such as `host/namespace/repository`, `host/namespace` and
    /// `host` (containers-auth.json(5)).
    pub(super) fn keys(&self) -> Vec<String> {
        let ends = self.repository.match_indices('/').map(|(at, _)| at).chain([self.repository.len()]);
        let mut keys = vec![self.host.clone()];
        keys.extend(ends.filter(|end| *end > 0).map(|end| format!("{}/{}", self.host, &self.repository[..end])));
        keys.reverse();
        keys
    }
}

/// Returns a file's key in the form of [`Target::keys`]: without a scheme, and without the path of an API that Docker
/// used to add.
pub(super) fn normalize_key(key: &str) -> String {
    let url = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = match url.unwrap_or(key).split_once('/') {
        Some((host, path)) => (host, path.trim_end_matches('/')),
        None => (url.unwrap_or(key), ""),
    };
    let is_namespace = url.is_none() && !matches!(path, "" | "v1" | "v2");
    let host = canonical(host);
    if is_namespace { format!("{host}/{path}") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_files_are_normalized() {
        for (key, expected) in [
            ("ghcr.io", "ghcr.io"),
            ("https://ghcr.io", "ghcr.io"),
            ("http://localhost:5000/v2/", "localhost:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("docker.io", "docker.io"),
            ("quay.io/team", "quay.io/team"),
            ("quay.io/team/app/", "quay.io/team/app"),
            ("r.example/v1/", "r.example"),
        ] {
            assert_eq!(normalize_key(key), expected, "{key}");
        }
    }

    #[test]
    fn more_specific_keys_come_first() {
        let keys = |reference: &str| Target::new(&reference.parse().unwrap()).keys();
        assert_eq!(
            keys("quay.io/team/sub/app:1"),
            ["quay.io/team/sub/app", "quay.io/team/sub", "quay.io/team", "quay.io"]
        );
        assert_eq!(keys("debian"), ["docker.io/library/debian", "docker.io/library", "docker.io"]);
        assert_eq!(Target::host("index.docker.io").keys(), ["docker.io"]);
    }
}
