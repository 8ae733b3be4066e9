//! Chooses the registry for a new configuration, if necessary from the service that hosts the source repository.

use camino::{Utf8Path, Utf8PathBuf};

use crate::plan::{Workspace, git};

/// The registry in a new configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Registry {
    Requested(String),
    /// The registry of the service that hosts the repository.
    Guessed(String),
    Unknown,
}

impl Registry {
    /// Returns the requested registry, or else guesses it from the repository in Cargo.toml or the git remote `origin`.
    pub(crate) fn choose(requested: Option<&str>, workspace: &Workspace) -> Registry {
        if let Some(requested) = requested {
            return Registry::Requested(requested.to_owned());
        }
        let in_manifest = workspace.packages.iter().find_map(|package| package.repository.clone());
        let url = in_manifest.or_else(|| git::origin(&workspace.root));
        url.as_deref().and_then(registry_of).map_or(Registry::Unknown, Registry::Guessed)
    }
}

/// Returns the closest ancestor directory that contains `.git`, or `dir` if there is none.
pub(crate) fn repository_root(dir: &Utf8Path) -> Utf8PathBuf {
    dir.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(dir).to_owned()
}

/// Returns the registry for a repository URL, such as `ghcr.io/you` for `git@github.com:You/app.git`.
fn registry_of(url: &str) -> Option<String> {
    let without_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let without_user = without_scheme.rsplit_once('@').map_or(without_scheme, |(_, rest)| rest);
    let (host, path) = without_user.split_once(['/', ':'])?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).to_lowercase();
    let owner = path.split('/').next().filter(|owner| !owner.is_empty())?;
    // In the URLs of GitLab pages, `/-/` follows the project path, as in `…/-/tree/main/crates/a`.
    let project = path.split("/-/").next().unwrap_or(&path);
    match host {
        "github.com" => Some(format!("ghcr.io/{owner}")),
        "gitlab.com" => Some(format!("registry.gitlab.com/{project}")),
        "codeberg.org" => Some(format!("codeberg.org/{owner}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_the_registry_of_the_hosting_service() {
        for (url, expected) in [
            ("https://github.com/You/app", Some("ghcr.io/you")),
            ("git@github.com:You/app.git", Some("ghcr.io/you")),
            ("ssh://git@github.com/you/app/", Some("ghcr.io/you")),
            ("https://token@github.com/you/app/tree/main/crates/a", Some("ghcr.io/you")),
            ("https://gitlab.com/group/sub/app.git", Some("registry.gitlab.com/group/sub/app")),
            ("https://gitlab.com/group/app/-/tree/main", Some("registry.gitlab.com/group/app")),
            ("https://codeberg.org/you/app", Some("codeberg.org/you")),
            ("https://git.example/you/app", None),
            ("https://github.com/", None),
            ("../app", None),
        ] {
            assert_eq!(registry_of(url).as_deref(), expected, "{url}");
        }
    }
}
