//! What Docker can do here: client, daemon, buildx, and a builder for several platforms. The one that is
//! made where there is none.

use anyhow::Result;
use camino::Utf8PathBuf;
use serde::Deserialize;

use super::plain_http::{PlainHosts, RegistryConfig, builder_name, buildkitd_toml, is_configured};
use crate::error::{Class, Failure};
use crate::files;
use crate::plan::Plan;
use crate::process::{Cmd, Output, find_program};
use crate::ui::Ui;

/// The first buildx that takes every flag used here (`ls --format`, `--annotation`, `--metadata-file`).
const OLDEST: (u64, u64) = (0, 13);
/// The first buildx whose `inspect` shows a builder's `buildkitd.toml`.
const SHOWS_CONFIG: (u64, u64) = (0, 17);

/// A builder that can build the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// None is the current one.
    pub name: Option<String>,
    pub driver: String,
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

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerInfo {
    #[serde(default)]
    server_errors: Vec<String>,
    #[serde(default)]
    driver_status: Option<Vec<(String, String)>>,
    #[serde(default)]
    client_info: ClientInfo,
    #[serde(default)]
    registry_config: Option<RegistryConfig>,
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

/// Finds a builder for the plan or, where none will do, says which is to be made. It must speak plain HTTP to some hosts.
pub fn find(plan: &Plan, plain: &PlainHosts, ui: &Ui) -> Result<Builder> {
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
    let version = buildx.map(|plugin| plugin.version.clone());
    check_version(version.as_deref())?;
    let Some(parsed) = parsed.filter(|_| errors.is_empty()) else {
        return Err(no_daemon(&errors).into());
    };
    let status = parsed.driver_status.unwrap_or_default();
    let containerd = status.iter().any(|(_, value)| value == "io.containerd.snapshotter.v1");

    let (driver, inspected) = inspect(plan.builder.as_deref(), ui)?;
    let registries = parsed.registry_config.unwrap_or_default();
    let shows_config = version.as_deref().and_then(numbers).is_some_and(|version| version >= SHOWS_CONFIG);
    let refuses_http = |host: &&String| match driver.as_str() {
        "docker" => !registries.allows(host),
        // What an older buildx does not show may be there: whoever names a builder knows it.
        "docker-container" if shows_config || plan.builder.is_none() => !is_configured(&inspected, host),
        _ => false,
    };
    let https = plain.iter().find(|(host, _)| refuses_http(host));
    let classic = driver == "docker" && !containerd;
    match (&plan.builder, https) {
        (Some(name), _) if classic => Err(Failure::new(Class::Engine, format!("builder '{name}' cannot build several platforms: Docker's classic image store is in use"))
            .hint("turn the containerd image store on (https://docs.docker.com/engine/storage/containerd/), or leave `builder` out")
            .into()),
        (Some(name), Some((host, image))) => Err(https_only(name, &driver, host, image).into()),
        (None, _) if classic => own_builder("Docker's classic image store builds one platform only".to_owned(), plain, ui),
        (None, Some((host, image))) => {
            own_builder(format!("the current builder speaks no plain HTTP to {host}, where {image} is"), plain, ui)
        }
        (_, None) => Ok(Builder { name: plan.builder.clone(), driver, missing: None }),
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
    Ok(Builder { name: Some(name), driver: "docker-container".to_owned(), missing })
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
    plan.work_dir().join("+buildkitd.toml")
}

/// Makes a builder that is not there yet.
pub fn make(plan: &Plan, builder: &Builder, ui: &Ui) -> Result<()> {
    let (Some(cmd), Some(missing), Some(name)) = (create_command(plan, builder), &builder.missing, &builder.name)
    else {
        return Ok(());
    };
    ui.status("Creating", format!("builder '{name}': {}", missing.why));
    if !missing.config.is_empty() {
        fs_err::create_dir_all(plan.work_dir())?;
        files::replace(&config_file(plan), missing.config.as_bytes())?;
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

fn check_version(version: Option<&str>) -> Result<(), Failure> {
    let install =
        "install it: `apt-get install docker-buildx-plugin` (Docker's packages) or `docker-buildx` (Debian's)";
    let Some(version) = version else {
        return Err(Failure::new(Class::Engine, "docker has no buildx").hint(install));
    };
    match numbers(version) {
        Some(numbers) if numbers < OLDEST => Err(Failure::new(
            Class::Engine,
            format!("buildx {version} is too old, wanted {}.{} or newer", OLDEST.0, OLDEST.1),
        )
        .hint(install)),
        _ => Ok(()),
    }
}

/// Major and minor; none of what was built from no release.
fn numbers(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']).map(str::parse::<u64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Docker's own words, and what to do about them.
fn no_daemon(errors: &str) -> Failure {
    let words = errors.trim_start_matches("ERROR: ").trim_start_matches("Error: ");
    let failure = Failure::new(Class::Engine, format!("docker says \"{}\"", words.trim()));
    if errors.contains("permission denied") {
        failure.hint("add yourself to the group: `sudo usermod -aG docker $USER`, then log in again")
    } else {
        failure
            .hint("start it: `sudo systemctl start docker`")
            .hint("or point DOCKER_HOST or `docker context use` at one that runs")
    }
}

/// The driver of a builder, the current one where there is no name, and all that buildx says of it.
fn inspect(name: Option<&str>, ui: &Ui) -> Result<(String, String)> {
    let output = docker(["buildx", "inspect"].into_iter().chain(name), ui)?;
    match field(&output.stdout, "Driver") {
        Some(driver) if output.status.success() => Ok((driver, output.stdout)),
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
