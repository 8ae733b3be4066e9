//! Finds a builder for multi-platform images, or creates one if no existing builder is suitable.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::buildkitd_config::{PlainHttpHosts, builder_name, buildkitd_toml, has_plain_http};
use super::docker::{BuilderError, BuilderInfo, DockerStatus, docker, field};
use crate::error::{Class, Failure};
use crate::fs;
use crate::host;
use crate::plan::Paths;
use crate::process::Cmd;
use crate::ui::Ui;

/// The first buildx version whose `inspect` command shows a builder's `buildkitd.toml`.
const SHOWS_CONFIG: (u64, u64) = (0, 17);

/// A builder that can build all images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Builder {
    /// The name of the builder, or `None` for the current builder.
    pub name: Option<String>,
    pub driver: String,
    /// Whether the builder has several nodes that build different platforms.
    pub is_multi_node: bool,
    /// The details of a builder that this tool creates, or `None` for a builder of the user.
    pub managed: Option<ManagedBuilder>,
}

/// A builder that this tool creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ManagedBuilder {
    /// The reason why the current builder cannot be used.
    pub why: String,
    /// Whether an earlier run has created the builder.
    exists: bool,
    /// The content of the builder's `buildkitd.toml`, or an empty string if it needs none.
    config: String,
}

impl Builder {
    /// Returns the details of a builder that has to be created first, or `None` if it exists.
    pub(crate) fn to_create(&self) -> Option<&ManagedBuilder> {
        self.managed.as_ref().filter(|managed| !managed.exists)
    }
}

#[cfg(test)]
impl ManagedBuilder {
    pub(crate) fn new(why: &str) -> ManagedBuilder {
        ManagedBuilder { why: why.to_owned(), exists: false, config: String::new() }
    }
}

/// Selects a builder that uses plain HTTP for the given hosts: the builder called `name`, or the current builder if
/// `name` is `None`. If the current builder cannot be used, returns a new builder to create.
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
            let why = "Docker's classic image store does not support multi-platform images".to_owned();
            return Ok(managed_builder(why, plain_http, ui)?);
        }
        if let Some((host, image)) = tls_only {
            let why = format!("the current builder does not allow plain HTTP to {host}, which {image} requires");
            return Ok(managed_builder(why, plain_http, ui)?);
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
    Builder { name: name.map(str::to_owned), driver: info.driver.clone(), is_multi_node: info.nodes > 1, managed: None }
}

/// Reports whether a builder connects to a host only over TLS.
fn requires_tls(name: Option<&str>, info: &BuilderInfo, docker: &DockerStatus, host: &str) -> bool {
    match info.driver.as_str() {
        "docker" => !docker.registries.allow_plain_http(host),
        // Older versions of buildx do not show the configuration, so assume that a builder selected by name allows
        // plain HTTP.
        "docker-container" if docker.has_buildx(SHOWS_CONFIG) || name.is_none() => !has_plain_http(&info.text, host),
        _ => false,
    }
}

fn classic_store(name: &str) -> Failure {
    let message = format!("builder '{name}' cannot build multi-platform images: Docker uses its classic image store");
    Failure::new(Class::Engine, message).hint(
        "enable the containerd image store (https://docs.docker.com/engine/storage/containerd/), or remove `builder`",
    )
}

fn https_only(name: &str, driver: &str, host: &str, image: &str) -> Failure {
    let message = format!("builder '{name}' does not allow plain HTTP to {host}, which {image} requires");
    let failure = Failure::new(Class::Engine, message).hint(
        "remove `builder` to create a suitable one automatically, or use the embedded engine: `--engine embedded`",
    );
    if driver == "docker" {
        failure.hint(format!("or allow plain HTTP in Docker's daemon.json: \"insecure-registries\": [\"{host}\"]"))
    } else {
        failure.hint(format!(
            "or recreate the builder with `--buildkitd-config FILE`, where FILE contains [registry.\"{host}\"] http = true"
        ))
    }
}

/// Returns the `docker-container` builder that this tool manages, whether or not it exists yet.
fn managed_builder(why: String, plain_http: &PlainHttpHosts, ui: &Ui) -> Result<Builder> {
    let name = builder_name(plain_http);
    let inspected = docker(["buildx", "inspect", &name], ui)?;
    let exists =
        inspected.status.success() && field(&inspected.stdout, "Driver").as_deref() == Some("docker-container");
    let managed = Some(ManagedBuilder { why, exists, config: buildkitd_toml(plain_http) });
    Ok(Builder { name: Some(name), driver: "docker-container".to_owned(), is_multi_node: false, managed })
}

/// Returns the command that creates a builder, or `None` if the builder already exists.
pub(crate) fn create_command(builder: &Builder, paths: &Paths) -> Option<Cmd> {
    let (to_create, name) = (builder.to_create()?, builder.name.as_deref()?);
    let create = ["buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap"];
    // On the default network, the builder could not reach a registry on the host's loopback interface.
    let cmd = Cmd::new("docker").args(create).args(["--driver-opt", "network=host"]);
    Some(if to_create.config.is_empty() { cmd } else { cmd.args(["--buildkitd-config", config_file(paths).as_str()]) })
}

fn config_file(paths: &Paths) -> Utf8PathBuf {
    paths.work_dir().join("+buildkitd.toml")
}

/// Creates a builder unless it already exists.
pub(crate) fn create(builder: &Builder, paths: &Paths, ui: &Ui) -> Result<()> {
    let (Some(cmd), Some(to_create), Some(name)) = (create_command(builder, paths), builder.to_create(), &builder.name)
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
        // Another run created the builder in the meantime, so just wait until the builder has started.
        let bootstrapped = docker(["buildx", "inspect", "--bootstrap", name], ui)?;
        if bootstrapped.status.success() {
            return Ok(());
        }
    }
    // Remove an incomplete builder, which the next run would otherwise try to use. Ignore errors, because the builder
    // may not exist.
    let _ = docker(["buildx", "rm", name], ui);
    Err(creation_failed(name, to_create, &created.stderr).into())
}

fn creation_failed(name: &str, to_create: &ManagedBuilder, stderr: &str) -> Failure {
    let message = stderr.lines().rev().find_map(|line| line.strip_prefix("ERROR: ")).unwrap_or(stderr.trim());
    let failure =
        |reason: &str| Failure::new(Class::Engine, format!("cannot create builder '{name}': {reason}: {message}"));
    if message.contains("permission denied") {
        return failure("cannot access the Docker daemon")
            .hint(format!("add yourself to the docker group: `{}`, then log in again", host::docker::group_command()));
    }
    if message.contains("unknown command") || message.contains("unknown flag") {
        return failure("buildx is too old")
            .hint("install a newer docker-buildx: https://docs.docker.com/build/concepts/overview/#install-buildx");
    }
    let alternative = if to_create.config.is_empty() {
        "or enable Docker's containerd image store, which does not need a builder: \
         https://docs.docker.com/engine/storage/containerd/"
    } else {
        "or use the embedded engine, which does not need a builder: `--engine embedded`"
    };
    failure("BuildKit did not start")
        .hint("check the daemon's network and proxy settings: `docker pull moby/buildkit:buildx-stable-1` must succeed")
        .hint(alternative)
}
