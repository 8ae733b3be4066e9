//! Workflows: one job, or one runner per platform and a job that publishes what they compiled. Pure.

use anyhow::Result;
use camino::Utf8Path;
use indexmap::IndexSet;
use serde::Serialize;

use super::render::render;
use crate::plan::{CiJob, CiService, Plan};
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
    /// How a job names a secret of the repository's, or a variable: what stands before and behind its name.
    secret: [&'static str; 2],
    /// Jobs run in a container in any case.
    in_container: bool,
}

const GITHUB: Kind = Kind {
    path: ".github/workflows/multiarch.yml",
    template: include_str!("../../../templates/ci/github.yml"),
    host: "ghcr.io",
    registry: "\"ghcr.io/${GITHUB_REPOSITORY_OWNER,,}\"",
    username: "${{ github.actor }}",
    password: "${{ secrets.GITHUB_TOKEN }}",
    secret: ["${{ secrets.", " }}"],
    in_container: false,
};

const GITLAB: Kind = Kind {
    path: ".gitlab-ci.yml",
    template: include_str!("../../../templates/ci/gitlab.yml"),
    host: "$CI_REGISTRY",
    registry: "\"$CI_REGISTRY_IMAGE\"",
    username: "$CI_REGISTRY_USER",
    password: "$CI_REGISTRY_PASSWORD",
    secret: ["$", ""],
    in_container: true,
};

const FORGEJO: Kind = Kind {
    path: ".forgejo/workflows/multiarch.yml",
    template: include_str!("../../../templates/ci/forgejo.yml"),
    host: "${GITHUB_SERVER_URL#*://}",
    registry: "\"${GITHUB_SERVER_URL#*://}/${GITHUB_REPOSITORY_OWNER,,}\"",
    username: "${{ github.actor }}",
    password: "${{ secrets.REGISTRY_PASSWORD || secrets.GITHUB_TOKEN }}",
    secret: ["${{ secrets.", " }}"],
    in_container: true,
};

fn kind(forge: CiService) -> &'static Kind {
    match forge {
        CiService::GitHub => &GITHUB,
        CiService::GitLab => &GITLAB,
        CiService::Forgejo => &FORGEJO,
    }
}

/// Where the forge looks for it, below the repository's root.
pub fn path(forge: CiService) -> &'static str {
    kind(forge).path
}

#[derive(Serialize)]
struct Variables<'a> {
    images: String,
    native: bool,
    jobs: Vec<CiJob>,
    runner: &'static str,
    container: Option<String>,
    zig: bool,
    /// The workspace's folder in the repository.
    folder: &'a str,
    /// The same before a path.
    prefix: String,
    logins: Vec<Login>,
    /// The flag, where the configuration has no registry.
    registry: String,
}

/// What a job needs to push to a registry.
#[derive(Debug, PartialEq, Serialize)]
struct Login {
    host: String,
    username: String,
    password: String,
    /// What the secrets' names begin with; the forge's own registry wants none.
    secrets: Option<String>,
    /// Which of several it is.
    number: String,
}

/// One for every registry of the plan's images; for the forge's own where they name none.
fn logins(kind: &Kind, plan: &Plan) -> Vec<Login> {
    let repositories = plan.images.iter().flat_map(|image| &image.repositories);
    let mut hosts: IndexSet<&str> = repositories.map(|repository| login_host(repository)).collect();
    if hosts.is_empty() {
        hosts.insert(kind.host);
    }
    let others = hosts.iter().filter(|host| **host != kind.host).count();
    let login = |(index, host): (usize, &&str)| {
        let number = if hosts.len() == 1 { String::new() } else { (index + 1).to_string() };
        let host = (*host).to_owned();
        if host == kind.host {
            let [username, password] = [kind.username, kind.password].map(str::to_owned);
            return Login { host, username, password, secrets: None, number };
        }
        let secrets = if others == 1 { "REGISTRY".to_owned() } else { format!("REGISTRY_{}", in_a_name(&host)) };
        let [before, behind] = kind.secret;
        let [username, password] = ["USERNAME", "PASSWORD"].map(|what| format!("{before}{secrets}_{what}{behind}"));
        Login { host, username, password, secrets: Some(secrets), number }
    };
    hosts.iter().enumerate().map(login).collect()
}

/// `ghcr.io` → `GHCR_IO`; of Docker Hub's address `DOCKER_HUB`.
fn in_a_name(host: &str) -> String {
    match host {
        DOCKER_HUB => "DOCKER_HUB".to_owned(),
        _ => host.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
    }
}

/// The text of a workflow; `folder` is the workspace's in the repository.
pub fn text(forge: CiService, is_native: bool, plan: &Plan, folder: &Utf8Path, compiles_c: bool) -> Result<String> {
    let kind = kind(forge);
    let is_configured = plan.images.iter().any(|image| !image.repositories.is_empty());
    let variables = Variables {
        images: plan.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", "),
        native: is_native,
        jobs: forge.jobs(&plan.images),
        runner: forge.runners()[0],
        container: container(plan).or(kind.in_container.then(|| "rust:1".to_owned())),
        zig: plan
            .platforms()
            .any(|platform| wants_zig(platform.platform, &platform.build.triple, is_native, compiles_c)),
        folder: folder.as_str(),
        prefix: if folder.as_str().is_empty() { String::new() } else { format!("{folder}/") },
        logins: logins(kind, plan),
        registry: match is_configured {
            true => String::new(),
            false => format!(" --registry {}", kind.registry),
        },
    };
    render(kind.template, &variables)
}

const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What a repository's registry is called in Docker's config.json.
fn login_host(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) && host != "docker.io" => host,
        _ => DOCKER_HUB,
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
