//! Renders CI workflows, which build the images for pull requests and publish them for tags. The binaries are compiled
//! in the same job, or in one job per platform.

use anyhow::Result;
use camino::Utf8Path;
use indexmap::IndexSet;
use serde::Serialize;

use super::ci_requirements::CiRequirements;
use super::render::{render, scalar};
use crate::compile::zig_package::{REQUIREMENT_ON_LINUX, ZIG_VERSION};
use crate::oci::reference::is_loopback;
use crate::plan::{CiJob, CiService, Image, Plan};

/// The parts of a workflow that depend on the CI service.
struct ServiceSettings {
    /// The path of the workflow file, relative to the repository root.
    path: &'static str,
    template: &'static str,
    /// The host of the service's built-in registry, which accepts job tokens.
    host: &'static str,
    /// The value of `--registry` for the built-in registry.
    registry: &'static str,
    /// The same registry, as shown in messages.
    registry_name: &'static str,
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
    registry_name: "ghcr.io/OWNER",
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
    registry_name: "$CI_REGISTRY_IMAGE",
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
    registry_name: "the registry of the Forgejo instance",
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
    /// The version of this program, which the jobs install.
    version: &'static str,
    /// The branches whose commits are built, quoted for YAML if necessary.
    branches: Vec<String>,
    native: bool,
    jobs: Vec<CiJob>,
    runner: &'static str,
    container: Option<String>,
    zig: bool,
    zig_version: String,
    zig_requirement: [&'static str; 3],
    qemu: bool,
    docker: bool,
    /// The Debian packages that contain the docker command and buildx, separated by spaces.
    docker_packages: &'static str,
    /// The workspace directory, relative to the repository root.
    folder: &'a str,
    /// The workspace directory with a trailing slash, or an empty string if it is the repository root.
    prefix: String,
    logins: Vec<Login>,
    /// Whether a job logs in to the service's built-in registry with its own token.
    uses_job_token: bool,
    /// The `--registry` flag, or an empty string if the registries of the configuration are used.
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
    pub requirements: &'a CiRequirements,
    /// The repository's default branch, if it is known.
    pub default_branch: Option<String>,
    /// The workspace directory, relative to the repository root.
    pub workspace_dir: &'a Utf8Path,
}

/// A rendered workflow file.
pub(crate) struct Workflow {
    pub text: String,
    /// Notes on what the workflow does differently from the configuration.
    pub notes: Vec<String>,
}

/// Renders the workflow file.
pub(crate) fn workflow(plan: &Plan, options: WorkflowOptions<'_>) -> Result<Workflow> {
    let WorkflowOptions { service, is_native, requirements, default_branch, workspace_dir } = options;
    let settings = settings(service);
    let in_container = settings.in_container.then(|| "rust:1".to_owned());
    let container = requirements.sysroot_container.clone().or(in_container);
    let logins = logins(settings, &plan.images);
    // Clones of a repository know its default branch, but new repositories do not.
    let branches = default_branch.map_or_else(|| vec!["main".to_owned(), "master".to_owned()], |branch| vec![branch]);
    let variables = WorkflowVariables {
        images: plan.images.iter().map(|image| image.name.as_str()).collect::<Vec<_>>().join(", "),
        version: env!("CARGO_PKG_VERSION"),
        branches: branches.iter().map(|branch| scalar(branch)).collect(),
        native: is_native,
        jobs: service.jobs(&plan.images),
        runner: service.runners()[0],
        zig: requirements.zig,
        zig_version: ZIG_VERSION.to_string(),
        zig_requirement: REQUIREMENT_ON_LINUX,
        qemu: requirements.qemu,
        docker: requirements.needs_docker(),
        docker_packages: docker_packages(container.as_deref()),
        container,
        folder: workspace_dir.as_str(),
        prefix: if workspace_dir.as_str().is_empty() { String::new() } else { format!("{workspace_dir}/") },
        uses_job_token: logins.iter().any(|login| login.secrets.is_none()),
        logins,
        registry: registry_flag(settings, &plan.images),
    };
    let mut notes = Vec::from_iter(loopback_note(settings, &plan.images));
    if settings.in_container && requirements.needs_docker() {
        notes.push(format!(
            "the workflow does not install Docker, which is required to build {}: use a runner whose jobs can run \
             `docker buildx`",
            requirements.buildx_images.join(", ")
        ));
    }
    Ok(Workflow { text: render(settings.template, &variables)?, notes })
}

/// Returns the Debian packages that contain the docker command and buildx. Debian 12 and older have no package for
/// buildx, so docker/setup-buildx-action downloads it.
fn docker_packages(container: Option<&str>) -> &'static str {
    match container {
        Some(container) if container.ends_with("bookworm") || container.ends_with("bullseye") => "docker.io",
        _ => "docker-cli docker-buildx",
    }
}

/// Returns the `--registry` flag of `publish`. It replaces loopback registries, which CI jobs cannot reach. Returns an
/// empty string if the configuration has other registries only.
fn registry_flag(settings: &ServiceSettings, images: &[Image]) -> String {
    let has_registry = images.iter().any(|image| !image.repositories.is_empty());
    if has_registry && loopback_registries(images).is_empty() {
        return String::new();
    }
    let registries = reachable_registries(images);
    if registries.is_empty() {
        return format!(" --registry {}", settings.registry);
    }
    format!(" --registry {}", Vec::from_iter(registries).join(","))
}

/// Returns a note if the workflow leaves out loopback registries.
fn loopback_note(settings: &ServiceSettings, images: &[Image]) -> Option<String> {
    let loopback = loopback_registries(images);
    if loopback.is_empty() {
        return None;
    }
    let reachable = reachable_registries(images);
    let destination =
        if reachable.is_empty() { settings.registry_name.to_owned() } else { Vec::from_iter(reachable).join(" and ") };
    let loopback = Vec::from_iter(loopback).join(" and ");
    Some(format!("CI jobs cannot reach {loopback}, so the workflow publishes to {destination}"))
}

fn loopback_registries(images: &[Image]) -> IndexSet<&str> {
    registries(images).filter(|registry| is_loopback(registry)).collect()
}

fn reachable_registries(images: &[Image]) -> IndexSet<&str> {
    registries(images).filter(|registry| !is_loopback(registry)).collect()
}

/// Returns the registries of all images, as they are configured.
fn registries(images: &[Image]) -> impl Iterator<Item = &str> {
    images.iter().flat_map(|image| {
        let repositories = image.repositories.iter();
        repositories.map(|repository| repository.strip_suffix(&format!("/{}", image.name)).unwrap_or(repository))
    })
}

/// Returns one login for each registry that the images are pushed to, or a login for the service's built-in registry if
/// CI jobs can reach none of them.
fn logins(settings: &ServiceSettings, images: &[Image]) -> Vec<Login> {
    let repositories = images.iter().flat_map(|image| &image.repositories);
    let reachable = repositories.filter(|repository| !is_loopback(repository));
    let mut hosts: IndexSet<&str> = reachable.map(|repository| login_host(repository)).collect();
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

#[cfg(test)]
mod tests {
    use super::*;

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
