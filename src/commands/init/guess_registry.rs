//! Guesses the registry from where the source repository is hosted.

use camino::{Utf8Path, Utf8PathBuf};

use crate::plan::{Workspace, git};

/// The repository that the sources are hosted in.
pub(crate) struct SourceRepository {
    /// From Cargo.toml, or from git.
    url: Option<String>,
}

impl SourceRepository {
    pub(crate) fn find(workspace: &Workspace) -> SourceRepository {
        let in_manifest = workspace.packages.iter().find_map(|package| package.repository.clone());
        SourceRepository { url: in_manifest.or_else(|| git::origin(&workspace.root)) }
    }

    /// Returns the registry of the hosting service, if it has one.
    pub(crate) fn guess_registry(&self) -> Option<String> {
        registry_of(self.url.as_deref()?)
    }
}

/// Returns the closest ancestor with `.git`, or the directory itself if there is none.
pub(crate) fn repository_root(dir: &Utf8Path) -> Utf8PathBuf {
    dir.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(dir).to_owned()
}

/// `https://github.com/You/app`, `git@github.com:You/app.git` → `ghcr.io/you`.
fn registry_of(url: &str) -> Option<String> {
    let without_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let without_user = without_scheme.rsplit_once('@').map_or(without_scheme, |(_, rest)| rest);
    let (host, path) = without_user.split_once(['/', ':'])?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).to_lowercase();
    let owner = path.split('/').next().filter(|owner| !owner.is_empty())?;
    // The URL of a page of the project, as in `…/-/tree/main/crates/a`.
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
    fn registries_of_forges() {
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
