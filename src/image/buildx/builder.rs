//! Finds a builder for several platforms, or creates one if no existing builder can be used.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::buildkitd_config::{PlainHttpHosts, builder_name, buildkitd_toml, has_plain_http};
use super::docker::{BuilderError, BuilderInfo, DockerStatus, docker, field};
use crate::error::{Class, Failure};
use crate::fs;
use crate::plan::Paths;
use crate::process::Cmd;
use crate::ui::Ui;

/// The first buildx whose `inspect` shows a builder's `buildkitd.toml`.
const SHOWS_CONFIG: (u64, u64) = (0, 17);

/// A builder that can build all images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Builder {
    /// `None` is the current builder.
    pub name: Option<String>,
    pub driver: String,
    /// It builds on several machines, each for platforms of its own.
    pub is_multi_node: bool,
    /// `None` if the builder exists.
    pub to_create: Option<BuilderToCreate>,
}

/// A builder that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuilderToCreate {
    /// What the current builder cannot do.
    pub why: String,
    /// Its `buildkitd.toml`; empty for none.
    config: String,
}

#[cfg(test)]
impl BuilderToCreate {
    pub(crate) fn new(why: &str) -> BuilderToCreate {
        BuilderToCreate { why: why.to_owned(), config: String::new() }
    }
}

/// Finds a builder: the one of a name, or else the current one if it can build all images, or else one to create. It
/// must use plain HTTP for some hosts.
pub(crate) fn find(name: Option<&str>, plain_http: &PlainHttpHosts, ui: &Ui) -> Result<Builder, BuilderError> {
    choose(name, plain_http, &DockerStatus::probe(name, ui)?, ui)
}

/// Chooses a builder like [`find`], of a Docker that was probed.
pub(crate) fn choose(
    name: Option<&str>,
    plain_http: &PlainHttpHosts,
    docker: &DockerStatus,
    ui: &Ui,
) -> Result<Builder, BuilderError> {
    let info = docker.builder()?;
    let has_classic_store = info.driver == "docker" && !docker.uses_containerd;
    let tls_only = plain_http.iter().find(|(host, _)| requires_tls(name, info, docker, host));
    let Some(name) = name else {
        if has_classic_store {
            let why = "Docker's classic image store builds one platform only".to_owned();
            return Ok(own_builder(why, plain_http, ui)?);
        }
        if let Some((host, image)) = tls_only {
            let why = format!("the current builder speaks no plain HTTP to {host}, where {image} is");
            return Ok(own_builder(why, plain_http, ui)?);
        }
        return Ok(existing(None, info));
    };
    if has_classic_store {
        return Err(classic_store(name).into());
    }
    if let Some((host, image)) = tls_only {
        return Err(https_only(name, &info.driver, host, image).into());
    }
    Ok(existing(Some(name), info))
}

fn existing(name: Option<&str>, info: &BuilderInfo) -> Builder {
    Builder {
        name: name.map(str::to_owned),
        driver: info.driver.clone(),
        is_multi_node: info.nodes > 1,
        to_create: None,
    }
}

/// Whether a builder uses TLS only for a host.
fn requires_tls(name: Option<&str>, info: &BuilderInfo, docker: &DockerStatus, host: &str) -> bool {
    match info.driver.as_str() {
        "docker" => !docker.registries.allow_plain_http(host),
        // An older buildx does not show the configuration: a builder that is named is trusted to have it.
        "docker-container" if docker.has_buildx(SHOWS_CONFIG) || name.is_none() => !has_plain_http(&info.text, host),
        _ => false,
    }
}

fn classic_store(name: &str) -> Failure {
    let message = format!("builder '{name}' cannot build several platforms: Docker's classic image store is in use");
    Failure::new(Class::Engine, message).hint(
        "turn the containerd image store on (https://docs.docker.com/engine/storage/containerd/), or leave `builder` out",
    )
}

fn https_only(name: &str, driver: &str, host: &str, image: &str) -> Failure {
    let message = format!("builder '{name}' speaks no plain HTTP to {host}, where {image} is");
    let failure = Failure::new(Class::Engine, message).hint(
        "leave `builder` out: then one that does is made, or the embedded engine does without (`--engine embedded`)",
    );
    if driver == "docker" {
        failure.hint(format!("or let the daemon do it: \"insecure-registries\": [\"{host}\"] in its daemon.json"))
    } else {
        failure.hint(format!(
            "or make it anew with `--buildkitd-config FILE`, which has [registry.\"{host}\"] http = true"
        ))
    }
}

/// This tool's own `docker-container` builder, which may have to be created.
fn own_builder(why: String, plain_http: &PlainHttpHosts, ui: &Ui) -> Result<Builder> {
    let name = builder_name(plain_http);
    let inspected = docker(["buildx", "inspect", &name], ui)?;
    let exists =
        inspected.status.success() && field(&inspected.stdout, "Driver").as_deref() == Some("docker-container");
    let to_create = (!exists).then(|| BuilderToCreate { why, config: buildkitd_toml(plain_http) });
    Ok(Builder { name: Some(name), driver: "docker-container".to_owned(), is_multi_node: false, to_create })
}

/// The command that creates a builder which does not exist yet.
pub(crate) fn create_command(builder: &Builder, paths: &Paths) -> Option<Cmd> {
    let (to_create, name) = (builder.to_create.as_ref()?, builder.name.as_deref()?);
    let create = ["buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap"];
    // With a network of its own it would not reach a registry on the host's loopback.
    let cmd = Cmd::new("docker").args(create).args(["--driver-opt", "network=host"]);
    Some(if to_create.config.is_empty() { cmd } else { cmd.args(["--buildkitd-config", config_file(paths).as_str()]) })
}

fn config_file(paths: &Paths) -> Utf8PathBuf {
    paths.work_dir().join("+buildkitd.toml")
}

/// Creates a builder that does not exist yet.
pub(crate) fn create(builder: &Builder, paths: &Paths, ui: &Ui) -> Result<()> {
    let (Some(cmd), Some(to_create), Some(name)) = (create_command(builder, paths), &builder.to_create, &builder.name)
    else {
        return Ok(());
    };
    ui.status("Creating", format!("builder '{name}': {}", to_create.why));
    if !to_create.config.is_empty() {
        fs_err::create_dir_all(paths.work_dir())?;
        fs::write_atomically(&config_file(paths), to_create.config.as_bytes())?;
    }
    ui.command(&cmd);
    let created = cmd.output()?;
    if created.status.success() {
        return Ok(());
    }
    if created.stderr.contains("existing instance") {
        // Another run was faster: its builder can be used once it is up.
        let bootstrapped = docker(["buildx", "inspect", "--bootstrap", name], ui)?;
        if bootstrapped.status.success() {
            return Ok(());
        }
    }
    // Half a builder would be found by the next run; that it may not exist at all is fine.
    let _ = docker(["buildx", "rm", name], ui);
    Err(creation_failed(name, to_create, &created.stderr).into())
}

fn creation_failed(name: &str, to_create: &BuilderToCreate, stderr: &str) -> Failure {
    let message = stderr.lines().rev().find_map(|line| line.strip_prefix("ERROR: ")).unwrap_or(stderr.trim());
    let failure =
        |reason: &str| Failure::new(Class::Engine, format!("cannot create builder '{name}': {reason}: {message}"));
    if message.contains("permission denied") {
        return failure("no permission")
            .hint("add yourself to the group: `sudo usermod -aG docker $USER`, then log in again");
    }
    if message.contains("unknown command") || message.contains("unknown flag") {
        return failure("buildx is too old")
            .hint("install a newer docker-buildx: https://docs.docker.com/build/concepts/overview/#install-buildx");
    }
    let alternative = if to_create.config.is_empty() {
        "or turn Docker's containerd image store on, which needs no builder: https://docs.docker.com/engine/storage/containerd/"
    } else {
        "or take the other engine, which needs no builder: `--engine embedded`"
    };
    failure("no network")
        .hint("its image moby/buildkit:buildx-stable-1 must be pulled: check the network, or a proxy for the daemon")
        .hint(alternative)
}
