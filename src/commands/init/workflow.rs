//! Renders CI workflows with a single job, or with one compile job per platform and a publish job.

use anyhow::Result;
use camino::Utf8Path;
use indexmap::IndexSet;
use serde::Serialize;

use super::render::render;
use crate::plan::{CiJob, CiService, Image, Plan};
use crate::platform::{Libc, Platform};

/// The parts of a workflow that depend on the CI service.
struct ServiceSettings {
    /// The path of the workflow file, relative to the repository root.
    path: &'static str,
    template: &'static str,
    /// The host of the service's built-in registry, which accepts job tokens.
    host: &'static str,
    /// The value of `--registry` for the built-in registry.
    registry: &'static str,
    username: &'static str,
    password: &'static str,
    /// The text before and after the secret's name in an expression that reads a secret.
    secret: [&'static str; 2],
    /// Whether all jobs run in containers.
    in_container: bool,
}

const GITHUB: ServiceSettings = ServiceSettings {
    path: ".github/workflows/multiarch.yml",
    template: include_str!("../../../templates/ci/github.yml"),
    host: "ghcr.io",
    registry: "\"ghcr.io/${GITHUB_REPOSITORY_OWNER,,}\"",
    username: "${{ github.actor }}",
    password: "${{ secrets.GITHUB_TOKEN }}",
    secret: ["${{ secrets.", " }}"],
    in_container: false,
};

const GITLAB: ServiceSettings = ServiceSettings {
    path: ".gitlab-ci.yml",
    template: include_str!("../../../templates/ci/gitlab.yml"),
    host: "$CI_REGISTRY",
    registry: "\"$CI_REGISTRY_IMAGE\"",
    username: "$CI_REGISTRY_USER",
    password: "$CI_REGISTRY_PASSWORD",
    secret: ["$", ""],
    in_container: true,
};

const FORGEJO: ServiceSettings = ServiceSettings {
    path: ".forgejo/workflows/multiarch.yml",
    template: include_str!("../../../templates/ci/forgejo.yml"),
    host: "${GITHUB_SERVER_URL#*://}",
    registry: "\"${GITHUB_SERVER_URL#*://}/${GITHUB_REPOSITORY_OWNER,,}\"",
    username: "${{ github.actor }}",
    password: "${{ secrets.REGISTRY_PASSWORD || secrets.GITHUB_TOKEN }}",
    secret: ["${{ secrets.", " }}"],
    in_container: true,
};

fn settings(service: CiService) -> &'static ServiceSettings {
    match service {
        CiService::GitHub => &GITHUB,
        CiService::GitLab => &GITLAB,
        CiService::Forgejo => &FORGEJO,
    }
}

/// Returns the path of the workflow file, relative to the repository root.
pub(crate) fn path(service: CiService) -> &'static str {
    settings(service).path
}

/// The variables for the templates in `templates/ci`.
#[derive(Serialize)]
struct WorkflowVariables<'a> {
    images: String,
    native: bool,
    jobs: Vec<CiJob>,
    runner: &'static str,
    container: Option<String>,
    zig: bool,
    /// The workspace directory, relative to the repository root.
    folder: &'a str,
    /// The workspace directory with a trailing slash, or an empty string if it is the repository root.
    prefix: String,
    logins: Vec<Login>,
    /// The `--registry` flag, or an empty string if the configuration sets a registry.
    registry: String,
}

/// A registry login that a job performs.
#[derive(Debug, PartialEq, Serialize)]
struct Login {
    host: String,
    username: String,
    password: String,
    /// The prefix of the secret names. `None` for the built-in registry, which accepts the job token.
    secrets: Option<String>,
    /// The login's number, or an empty string if the job has only one login.
    number: String,
}

/// Options for generating a workflow.
pub(crate) struct WorkflowOptions<'a> {
    pub service: CiService,
    /// Whether each platform is compiled on its own runner.
    pub is_native: bool,
    /// Whether any image has a build script that compiles C code.
    pub compiles_c: bool,
    /// The workspace directory, relative to the repository root.
    pub workspace_dir: &'a Utf8Path,
}

/// Renders the workflow file.
pub(crate) fn workflow_text(plan: &Plan, options: &WorkflowOptions<'_>) -> Result<String> {
    let WorkflowOptions { service, is_native, compiles_c, workspace_dir } = *options;
    let settings = settings(service);
    let has_registry = plan.images.iter().any(|image| !image.repositories.is_empty());
    let in_container = settings.in_container.then(|| "rust:1".to_owned());
    let variables = WorkflowVariables {
        images: plan.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", "),
        native: is_native,
        jobs: service.jobs(&plan.images),
        runner: service.runners()[0],
        container: sysroot_container(&plan.images).or(in_container),
        zig: plan.platforms().any(|image_platform| {
            needs_zig(image_platform.platform, &image_platform.build.triple, is_native, compiles_c)
        }),
        folder: workspace_dir.as_str(),
        prefix: if workspace_dir.as_str().is_empty() { String::new() } else { format!("{workspace_dir}/") },
        logins: logins(settings, &plan.images),
        registry: if has_registry { String::new() } else { format!(" --registry {}", settings.registry) },
    };
    render(settings.template, &variables)
}

/// Returns one login for each registry that the images are pushed to, or a login for the service's built-in registry if
/// no registry is configured.
fn logins(settings: &ServiceSettings, images: &[Image]) -> Vec<Login> {
    let repositories = images.iter().flat_map(|image| &image.repositories);
    let mut hosts: IndexSet<&str> = repositories.map(|repository| login_host(repository)).collect();
    if hosts.is_empty() {
        hosts.insert(settings.host);
    }
    let is_only_foreign_host = hosts.iter().filter(|host| **host != settings.host).count() == 1;
    let mut logins = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let number = if hosts.len() == 1 { String::new() } else { (index + 1).to_string() };
        let host = (*host).to_owned();
        logins.push(if host == settings.host {
            let [username, password] = [settings.username, settings.password].map(str::to_owned);
            Login { host, username, password, secrets: None, number }
        } else {
            let secrets = if is_only_foreign_host {
                "REGISTRY".to_owned()
            } else {
                format!("REGISTRY_{}", secret_name_part(&host))
            };
            let [before, after] = settings.secret;
            let [username, password] =
                ["USERNAME", "PASSWORD"].map(|suffix| format!("{before}{secrets}_{suffix}{after}"));
            Login { host, username, password, secrets: Some(secrets), number }
        });
    }
    logins
}

/// Returns a registry host in the form used in secret names, such as `GHCR_IO` or `DOCKER_HUB`.
fn secret_name_part(host: &str) -> String {
    match host {
        DOCKER_HUB => "DOCKER_HUB".to_owned(),
        _ => host.to_ascii_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_"),
    }
}

/// Docker Hub's key in Docker's config.json.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// Returns the key for a repository's registry in Docker's config.json.
fn login_host(repository: &str) -> &str {
    match repository.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) && host != "docker.io" => host,
        _ => DOCKER_HUB,
    }
}

const AMD64: &str = "x86_64-unknown-linux-gnu";
const ARM64: &str = "aarch64-unknown-linux-gnu";

/// Reports whether a job needs zig, either to compile C code or to link.
fn needs_zig(platform: Platform, triple: &str, is_native: bool, compiles_c: bool) -> bool {
    if triple == platform.triple(Libc::Gnu) {
        let links_with_host_gcc = triple == AMD64 || (is_native && triple == ARM64);
        !links_with_host_gcc
    } else {
        compiles_c
    }
}

/// Returns the container image for jobs that install Debian packages. If the base is a Debian image, the container uses
/// the same Debian release.
fn sysroot_container(images: &[Image]) -> Option<String> {
    let mut platforms = images.iter().flat_map(|image| &image.platforms);
    let base = &platforms.find(|platform| !platform.build.sysroot_packages.is_empty())?.base;
    let tag = base.split('@').next().unwrap_or_default().rsplit_once(':').map(|(_, tag)| tag);
    match tag.and_then(|tag| tag.strip_suffix("-slim")) {
        Some(release) if base.contains("debian") => Some(format!("rust:1-{release}")),
        _ => Some("rust:1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zig_is_needed_for_c_code_and_cross_linking() {
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
                needs_zig(platform, triple, is_native, compiles_c),
                expected,
                "{triple} {is_native} {compiles_c}"
            );
        }
    }

    #[test]
    fn login_host_returns_keys_of_docker_config() {
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
