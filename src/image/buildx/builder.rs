//! A builder for several platforms: one that Docker has, or the one that is made where none will do.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::buildkitd_config::{PlainHosts, builder_name, buildkitd_toml, is_configured};
use super::docker::{Docker, docker, field};
use crate::error::{Class, Failure};
use crate::fs;
use crate::plan::Plan;
use crate::process::Cmd;
use crate::ui::Ui;

/// The first buildx whose `inspect` shows a builder's `buildkitd.toml`.
const SHOWS_CONFIG: (u64, u64) = (0, 17);

/// A builder that can build the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// None is the current one.
    pub name: Option<String>,
    pub driver: String,
    /// It builds on several machines, each for platforms of its own.
    pub is_spread: bool,
    /// None where it is there.
    pub missing: Option<Missing>,
}

/// A builder that is not there yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What the current builder cannot do.
    pub why: String,
    /// Its `buildkitd.toml`; empty for none.
    config: String,
}

/// Finds a builder for the plan or, where none will do, says which is to be made. It must speak plain HTTP to some hosts.
pub fn find(plan: &Plan, plain: &PlainHosts, ui: &Ui) -> Result<Builder> {
    choose(plan, plain, &Docker::look(plan.engine.builder.as_deref(), ui)?, ui)
}

/// The same, of a Docker that was looked at.
pub fn choose(plan: &Plan, plain: &PlainHosts, docker: &Docker, ui: &Ui) -> Result<Builder> {
    let inspected = docker.builder()?;
    let driver = inspected.driver.clone();
    let shows_config = docker.has_buildx(SHOWS_CONFIG);
    let refuses_http = |host: &&String| match driver.as_str() {
        "docker" => !docker.registries.allows(host),
        // What an older buildx does not show may be there: whoever names a builder knows it.
        "docker-container" if shows_config || plan.engine.builder.is_none() => !is_configured(&inspected.text, host),
        _ => false,
    };
    let https = plain.iter().find(|(host, _)| refuses_http(host));
    let classic = driver == "docker" && !docker.containerd;
    match (&plan.engine.builder, https) {
        (Some(name), _) if classic => Err(Failure::new(Class::Engine, format!("builder '{name}' cannot build several platforms: Docker's classic image store is in use"))
            .hint("turn the containerd image store on (https://docs.docker.com/engine/storage/containerd/), or leave `builder` out")
            .into()),
        (Some(name), Some((host, image))) => Err(https_only(name, &driver, host, image).into()),
        (None, _) if classic => own_builder("Docker's classic image store builds one platform only".to_owned(), plain, ui),
        (None, Some((host, image))) => {
            own_builder(format!("the current builder speaks no plain HTTP to {host}, where {image} is"), plain, ui)
        }
        (_, None) => {
            Ok(Builder { name: plan.engine.builder.clone(), driver, is_spread: inspected.nodes > 1, missing: None })
        }
    }
}

fn https_only(name: &str, driver: &str, host: &str, image: &str) -> Failure {
    let what = format!("builder '{name}' speaks no plain HTTP to {host}, where {image} is");
    let failure = Failure::new(Class::Engine, what).hint(
        "leave `builder` out: then one that does is made, or the embedded engine does without (`--engine embedded`)",
    );
    match driver {
        "docker" => {
            failure.hint(format!("or let the daemon do it: \"insecure-registries\": [\"{host}\"] in its daemon.json"))
        }
        _ => failure.hint(format!(
            "or make it anew with `--buildkitd-config FILE`, which has [registry.\"{host}\"] http = true"
        )),
    }
}

/// The `docker-container` builder of this program's own, there or to be made.
fn own_builder(why: String, plain: &PlainHosts, ui: &Ui) -> Result<Builder> {
    let name = builder_name(plain);
    let listed = docker(["buildx", "inspect", &name], ui)?;
    let there = listed.status.success() && field(&listed.stdout, "Driver").as_deref() == Some("docker-container");
    let missing = (!there).then(|| Missing { why, config: buildkitd_toml(plain) });
    Ok(Builder { name: Some(name), driver: "docker-container".to_owned(), is_spread: false, missing })
}

/// The call that makes a builder which is not there yet.
pub fn create_command(plan: &Plan, builder: &Builder) -> Option<Cmd> {
    let (missing, name) = (builder.missing.as_ref()?, builder.name.as_deref()?);
    let create = ["buildx", "create", "--name", name, "--driver", "docker-container", "--bootstrap"];
    // With a network of its own it would not reach a registry on the host's loopback.
    let cmd = Cmd::new("docker").args(create).args(["--driver-opt", "network=host"]);
    let config = (!missing.config.is_empty()).then(|| config_file(plan));
    Some(config.into_iter().fold(cmd, |cmd, file| cmd.args(["--buildkitd-config", file.as_str()])))
}

fn config_file(plan: &Plan) -> Utf8PathBuf {
    plan.paths.work_dir().join("+buildkitd.toml")
}

/// Makes a builder that is not there yet.
pub fn make(plan: &Plan, builder: &Builder, ui: &Ui) -> Result<()> {
    let (Some(cmd), Some(missing), Some(name)) = (create_command(plan, builder), &builder.missing, &builder.name)
    else {
        return Ok(());
    };
    ui.status("Creating", format!("builder '{name}': {}", missing.why));
    if !missing.config.is_empty() {
        fs_err::create_dir_all(plan.paths.work_dir())?;
        fs::write_atomically(&config_file(plan), missing.config.as_bytes())?;
    }
    ui.command(&cmd);
    let created = cmd.output()?;
    if created.status.success() {
        return Ok(());
    }
    if created.stderr.contains("existing instance") {
        // Another run was faster: its builder will do, once it is up.
        let found = docker(["buildx", "inspect", "--bootstrap", name], ui)?;
        if found.status.success() {
            return Ok(());
        }
    }
    // Half a builder would be found by the next run; that it may not exist at all is fine.
    let _ = docker(["buildx", "rm", name], ui);
    let words = created.stderr.lines().rev().find_map(|line| line.strip_prefix("ERROR: "));
    let words = words.unwrap_or(created.stderr.trim());
    let failure = |what: &str| Failure::new(Class::Engine, format!("cannot create builder '{name}': {what}: {words}"));
    let other_way = match missing.config.is_empty() {
        true => {
            "or turn Docker's containerd image store on, which needs no builder: https://docs.docker.com/engine/storage/containerd/"
        }
        false => "or take the other engine, which needs no builder: `--engine embedded`",
    };
    Err(if words.contains("permission denied") {
        failure("no permission").hint("add yourself to the group: `sudo usermod -aG docker $USER`, then log in again")
    } else if words.contains("unknown command") || words.contains("unknown flag") {
        failure("buildx is too old")
            .hint("install a newer docker-buildx: https://docs.docker.com/build/concepts/overview/#install-buildx")
    } else {
        failure("no network")
            .hint(
                "its image moby/buildkit:buildx-stable-1 must be pulled: check the network, or a proxy for the daemon",
            )
            .hint(other_way)
    }
    .into())
}
