//! Workflows: one job, or one runner per platform and a job that publishes what they compiled. Pure.

use anyhow::Result;
use camino::Utf8Path;
use serde::Serialize;

use super::rendered::render;
use crate::plan::{Forge, Job, Plan};
use crate::platform::{Libc, Platform};

/// What differs from forge to forge.
struct Kind {
    path: &'static str,
    template: &'static str,
    /// The registry that the forge's own token is for: its host, and what `--registry` is told.
    host: &'static str,
    registry: &'static str,
    username: &'static str,
    password: &'static str,
    /// The same for any other registry.
    other: [&'static str; 2],
    /// Jobs run in a container in any case.
    in_container: bool,
}

const GITHUB: Kind = Kind {
    path: ".github/workflows/multiarch.yml",
    template: include_str!("../../templates/ci/github.yml"),
    host: "ghcr.io",
    registry: "\"ghcr.io/${GITHUB_REPOSITORY_OWNER,,}\"",
    username: "${{ github.actor }}",
    password: "${{ secrets.GITHUB_TOKEN }}",
    other: ["${{ secrets.REGISTRY_USERNAME }}", "${{ secrets.REGISTRY_PASSWORD }}"],
    in_container: false,
};

const GITLAB: Kind = Kind {
    path: ".gitlab-ci.yml",
    template: include_str!("../../templates/ci/gitlab.yml"),
    host: "$CI_REGISTRY",
    registry: "\"$CI_REGISTRY_IMAGE\"",
    username: "$CI_REGISTRY_USER",
    password: "$CI_REGISTRY_PASSWORD",
    other: ["$REGISTRY_USERNAME", "$REGISTRY_PASSWORD"],
    in_container: true,
};

const FORGEJO: Kind = Kind {
    path: ".forgejo/workflows/multiarch.yml",
    template: include_str!("../../templates/ci/forgejo.yml"),
    host: "${GITHUB_SERVER_URL#*://}",
    registry: "\"${GITHUB_SERVER_URL#*://}/${GITHUB_REPOSITORY_OWNER,,}\"",
    username: "${{ github.actor }}",
    password: "${{ secrets.REGISTRY_PASSWORD || secrets.GITHUB_TOKEN }}",
    other: ["${{ secrets.REGISTRY_USERNAME }}", "${{ secrets.REGISTRY_PASSWORD }}"],
    in_container: true,
};

fn kind(forge: Forge) -> &'static Kind {
    match forge {
        Forge::GitHub => &GITHUB,
        Forge::GitLab => &GITLAB,
        Forge::Forgejo => &FORGEJO,
    }
}

/// Where the forge looks for it, below the repository's root.
pub fn path(forge: Forge) -> &'static str {
    kind(forge).path
}

#[derive(Serialize)]
struct Variables<'a> {
    images: String,
    native: bool,
    jobs: Vec<Job>,
    runner: &'static str,
    container: Option<String>,
    zig: bool,
    /// The workspace's folder in the repository.
    folder: &'a str,
    /// The same before a path.
    prefix: String,
    host: &'a str,
    /// It is the forge's own.
    is_own: bool,
    username: &'static str,
    password: &'static str,
    /// The flag, where the configuration has no registry.
    registry: String,
}

/// The text of a workflow; `folder` is the workspace's in the repository.
pub fn text(forge: Forge, is_native: bool, plan: &Plan, folder: &Utf8Path, compiles_c: bool) -> Result<String> {
    let kind = kind(forge);
    let repository = plan.images.iter().find_map(|image| image.repositories.first());
    let configured = repository.map(|repository| login_host(repository));
    let is_own = configured.is_none_or(|host| host == kind.host);
    let [username, password] = if is_own { [kind.username, kind.password] } else { kind.other };
    let variables = Variables {
        images: plan.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", "),
        native: is_native,
        jobs: forge.jobs(plan),
        runner: forge.runners()[0],
        container: container(plan).or(kind.in_container.then(|| "rust:1".to_owned())),
        zig: plan
            .platforms()
            .any(|platform| wants_zig(platform.platform, &platform.build.triple, is_native, compiles_c)),
        folder: folder.as_str(),
        prefix: if folder.as_str().is_empty() { String::new() } else { format!("{folder}/") },
        host: configured.unwrap_or(kind.host),
        is_own,
        username,
        password,
        registry: match configured {
            Some(_) => String::new(),
            None => format!(" --registry {}", kind.registry),
        },
    };
    render(kind.template, &variables)
}

/// What a repository's registry is called in Docker's config.json.
fn login_host(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) && host != "docker.io" => host,
        _ => "https://index.docker.io/v1/",
    }
}

const AMD64: &str = "x86_64-unknown-linux-gnu";
const ARM64: &str = "aarch64-unknown-linux-gnu";

/// Is zig, which compiles C and links for any platform, what will serve here?
fn wants_zig(platform: Platform, triple: &str, is_native: bool, compiles_c: bool) -> bool {
    match triple == platform.triple(Libc::Gnu) {
        true => !(triple == AMD64 || (is_native && triple == ARM64)),
        false => compiles_c,
    }
}

/// Debian's packages are fetched from the release that the base is of: the jobs run in it.
fn container(plan: &Plan) -> Option<String> {
    let platform = plan.platforms().find(|platform| !platform.build.sysroot_packages.is_empty())?;
    let tag = platform.base.split('@').next().unwrap_or_default().rsplit_once(':').map(|(_, tag)| tag);
    let release = tag.and_then(|tag| tag.strip_suffix("-slim")).filter(|_| platform.base.contains("debian"));
    Some(release.map_or_else(|| "rust:1".to_owned(), |release| format!("rust:1-{release}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_job_compiles_with() {
        for (platform, libc, is_native, compiles_c, expected) in [
            ("linux/amd64", Libc::Musl, false, false, false),
            ("linux/amd64", Libc::Musl, true, true, true),
            ("linux/arm64", Libc::Musl, false, true, true),
            ("linux/amd64", Libc::Gnu, false, true, false),
            ("linux/arm64", Libc::Gnu, false, false, true),
            ("linux/arm64", Libc::Gnu, true, true, false),
            ("linux/riscv64", Libc::Gnu, true, false, true),
        ] {
            let platform: Platform = platform.parse().unwrap();
            let triple = platform.triple(libc);
            assert_eq!(
                wants_zig(platform, triple, is_native, compiles_c),
                expected,
                "{triple} {is_native} {compiles_c}"
            );
        }
    }

    #[test]
    fn hosts_as_docker_keeps_them() {
        for (repository, expected) in [
            ("ghcr.io/you/app", "ghcr.io"),
            ("localhost:5000/app", "localhost:5000"),
            ("you/app", "https://index.docker.io/v1/"),
            ("docker.io/you/app", "https://index.docker.io/v1/"),
        ] {
            assert_eq!(login_host(repository), expected);
        }
    }
}
