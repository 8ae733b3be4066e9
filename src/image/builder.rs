//! What Docker can do here: client, daemon, buildx, and a builder for several platforms. Made one where there is none.

use anyhow::Result;
use serde::Deserialize;

use crate::error::{Class, Failure};
use crate::plan::Plan;
use crate::process::{Cmd, Output, find_program};
use crate::ui::Ui;

/// The first buildx that takes every flag used here (`ls --format`, `--annotation`, `--metadata-file`).
const OLDEST: (u64, u64) = (0, 13);
/// The builder that is made where the current one cannot do the job.
const OWN_BUILDER: &str = "multiarch";

/// A builder that can build the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// None is the current one.
    pub name: Option<String>,
    pub driver: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerInfo {
    #[serde(default)]
    server_errors: Vec<String>,
    #[serde(default)]
    driver_status: Option<Vec<(String, String)>>,
    #[serde(default)]
    client_info: ClientInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ClientInfo {
    plugins: Option<Vec<Plugin>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Plugin {
    name: String,
    version: String,
}

/// Finds a builder for the plan, or makes one where that is allowed, or says what is missing.
pub fn preflight(plan: &Plan, may_make: bool, ui: &Ui) -> Result<Builder> {
    if find_program("docker").is_none() {
        return Err(Failure::new(Class::Engine, "docker is not installed")
            .hint("install Docker Engine with buildx: https://docs.docker.com/engine/install/")
            .into());
    }
    let info = docker(["info", "--format", "{{json .}}"], ui)?;
    let parsed: Option<DockerInfo> = serde_json::from_str(info.stdout.lines().next().unwrap_or_default()).ok();
    let errors = match &parsed {
        Some(parsed) if !parsed.server_errors.is_empty() => parsed.server_errors.join("; "),
        Some(_) if info.status.success() => String::new(),
        _ => info.stderr.trim().to_owned(),
    };
    let plugins = parsed.as_ref().and_then(|info| info.client_info.plugins.as_ref());
    let buildx = plugins.into_iter().flatten().find(|plugin| plugin.name == "buildx");
    check_version(buildx.map(|plugin| plugin.version.as_str()))?;
    if !errors.is_empty() || parsed.is_none() {
        return Err(no_daemon(&errors).into());
    }
    let status = parsed.and_then(|info| info.driver_status).unwrap_or_default();
    let containerd = status.iter().any(|(_, value)| value == "io.containerd.snapshotter.v1");

    let driver = driver(plan.builder.as_deref(), ui)?;
    if driver != "docker" || containerd {
        return Ok(Builder { name: plan.builder.clone(), driver });
    }
    if let Some(name) = &plan.builder {
        return Err(Failure::new(Class::Engine, format!("builder '{name}' cannot build several platforms: Docker's classic image store is in use"))
            .hint("turn the containerd image store on (https://docs.docker.com/engine/storage/containerd/), or leave `builder` out")
            .into());
    }
    own_builder(may_make, ui)
}

/// Reuses or makes a `docker-container` builder.
fn own_builder(may_make: bool, ui: &Ui) -> Result<Builder> {
    let builder = || Builder { name: Some(OWN_BUILDER.to_owned()), driver: "docker-container".to_owned() };
    let listed = docker(["buildx", "inspect", OWN_BUILDER], ui)?;
    if listed.status.success() && field(&listed.stdout, "Driver").as_deref() == Some("docker-container") {
        return Ok(builder());
    }
    if !may_make {
        return Err(Failure::new(Class::Engine, "Docker's classic image store builds one platform only").into());
    }
    ui.status("Creating", format!("builder '{OWN_BUILDER}': Docker's classic image store builds one platform only"));
    // With a network of its own it would not reach a registry on the host's loopback.
    let network = ["--driver-opt", "network=host"];
    let create = ["buildx", "create", "--name", OWN_BUILDER, "--driver", "docker-container", "--bootstrap"];
    let created = docker(create.into_iter().chain(network), ui)?;
    if created.status.success() {
        return Ok(builder());
    }
    // Half a builder would be found by the next run; that it may not exist at all is fine.
    let _ = docker(["buildx", "rm", OWN_BUILDER], ui);
    let words = created.stderr.trim();
    let failure =
        |what: &str| Failure::new(Class::Engine, format!("cannot create builder '{OWN_BUILDER}': {what}: {words}"));
    let containerd = "or turn Docker's containerd image store on, which needs no builder: https://docs.docker.com/engine/storage/containerd/";
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
            .hint(containerd)
    }
    .into())
}

fn check_version(version: Option<&str>) -> Result<(), Failure> {
    let install =
        "install it: `apt-get install docker-buildx-plugin` (Docker's packages) or `docker-buildx` (Debian's)";
    let Some(version) = version else {
        return Err(Failure::new(Class::Engine, "docker has no buildx").hint(install));
    };
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']).map(str::parse::<u64>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < OLDEST => Err(Failure::new(
            Class::Engine,
            format!("buildx {version} is too old, wanted {}.{} or newer", OLDEST.0, OLDEST.1),
        )
        .hint(install)),
        _ => Ok(()),
    }
}

/// Docker's own words, and what to do about them.
fn no_daemon(errors: &str) -> Failure {
    let failure =
        Failure::new(Class::Engine, errors.trim_start_matches("ERROR: ").trim_start_matches("Error: ").to_owned());
    if errors.contains("permission denied") {
        failure.hint("add yourself to the group: `sudo usermod -aG docker $USER`, then log in again")
    } else {
        failure
            .hint("start it: `sudo systemctl start docker`")
            .hint("or point DOCKER_HOST or `docker context use` at one that runs")
    }
}

/// The driver of a builder; the current one's where there is no name.
fn driver(name: Option<&str>, ui: &Ui) -> Result<String> {
    let output = docker(["buildx", "inspect"].into_iter().chain(name), ui)?;
    match field(&output.stdout, "Driver") {
        Some(driver) if output.status.success() => Ok(driver),
        _ => {
            let words = output.stderr.trim().trim_start_matches("ERROR: ").to_owned();
            Err(Failure::new(Class::Engine, words).hint("list the builders with `docker buildx ls`").into())
        }
    }
}

/// A field of `docker buildx inspect`, which has no JSON form.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

fn docker<'a>(args: impl IntoIterator<Item = &'a str>, ui: &Ui) -> Result<Output> {
    let cmd = Cmd::new("docker").args(args);
    ui.command(&cmd);
    cmd.output()
}

/// Is the daemon on this machine, so that its binfmt_misc is ours?
pub fn is_local(ui: &Ui) -> bool {
    let host = docker(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], ui).map(|output| output.stdout);
    host.map_or(true, |host| host.trim().is_empty() || host.starts_with("unix://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["v0.13.1", "0.29.0", "v0.17.1+azure", "v1.0.0", "0.13.1-ds1", "(devel)"] {
            assert!(check_version(Some(good)).is_ok(), "{good}");
        }
        assert_eq!(
            check_version(Some("v0.12.9")).unwrap_err().to_string(),
            "buildx v0.12.9 is too old, wanted 0.13 or newer"
        );
        assert_eq!(check_version(None).unwrap_err().to_string(), "docker has no buildx");
    }

    #[test]
    fn fields_of_inspect() {
        let text = "Name:          default\nDriver:        docker\nLast Activity: 2026\n\nNodes:\nName: default\n";
        assert_eq!(field(text, "Driver").as_deref(), Some("docker"));
        assert_eq!(field(text, "Endpoint"), None);
    }
}
