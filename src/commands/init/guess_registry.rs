//! Where the images of a repository probably go, by where the repository is.

use camino::{Utf8Path, Utf8PathBuf};

use crate::plan::{Workspace, git};

/// Where the sources live.
pub struct Origin {
    /// As Cargo.toml or git has it.
    url: Option<String>,
}

impl Origin {
    pub fn find(workspace: &Workspace) -> Origin {
        let in_manifest = workspace.packages.iter().find_map(|package| package.repository.clone());
        Origin { url: in_manifest.or_else(|| git::origin(&workspace.root)) }
    }

    /// A registry to push to, if the forge is one that has its own.
    pub fn registry(&self) -> Option<String> {
        registry(self.url.as_deref()?)
    }
}

/// The folder with `.git` that holds a folder; that folder itself where there is none.
pub fn repository_root(dir: &Utf8Path) -> Utf8PathBuf {
    dir.ancestors().find(|dir| dir.join(".git").exists()).unwrap_or(dir).to_owned()
}

/// `https://github.com/You/app`, `git@github.com:You/app.git` → `ghcr.io/you`.
fn registry(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    let (host, path) = rest.split_once(['/', ':'])?;
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path).to_lowercase();
    let owner = path.split('/').next().filter(|owner| !owner.is_empty())?;
    // A page of the project, as in `…/-/tree/main/crates/a`.
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
            assert_eq!(registry(url).as_deref(), expected, "{url}");
        }
    }
}
