//! What this machine's Docker says of itself: client, buildx, daemon, builder. Looked at once; what is wrong with each is
//! for whoever needs it to ask.

use anyhow::Result;
use indexmap::IndexSet;
use serde::Deserialize;

use super::buildkitd_config::RegistryConfig;
use crate::error::{Class, Failure};
use crate::process::{Cmd, Output, find_program};
use crate::ui::Ui;

/// The first buildx that takes every flag used here (`ls --format`, `--annotation`, `--metadata-file`).
const OLDEST: (u64, u64) = (0, 13);

/// A Docker, as far as it answers.
#[derive(Debug, Default)]
pub struct Docker {
    /// The client is on PATH.
    pub installed: bool,
    /// The client's version, where it says one.
    pub client: Option<String>,
    /// The daemon's version; none where no daemon answers.
    pub server: Option<String>,
    /// Why no daemon answers, in Docker's own words; empty where one does.
    errors: String,
    /// The version of the plugin.
    pub buildx: Option<String>,
    /// Images are stored by containerd.
    pub containerd: bool,
    pub registries: RegistryConfig,
    /// What buildx says of the builder, or why it says nothing; none where it was not asked.
    builder: Option<Result<Inspected, String>>,
}

/// A builder, as `docker buildx inspect` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inspected {
    pub name: String,
    pub driver: String,
    /// How many machines it builds on.
    pub nodes: usize,
    /// What they say they build for, each once.
    pub platforms: IndexSet<String>,
    /// All that was said.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    #[serde(default)]
    server_errors: Vec<String>,
    #[serde(default)]
    server_version: Option<String>,
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
    version: Option<String>,
    plugins: Option<Vec<Plugin>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Plugin {
    name: String,
    version: String,
}

impl Docker {
    /// Asks the client, and through it the daemon; then buildx of a builder, the current one where there is no name.
    pub fn look(builder: Option<&str>, ui: &Ui) -> Result<Docker> {
        if find_program("docker").is_none() {
            return Ok(Docker::default());
        }
        let said = docker(["info", "--format", "{{json .}}"], ui)?;
        let info: Option<Info> = serde_json::from_str(said.stdout.lines().next().unwrap_or_default()).ok();
        let errors = match &info {
            Some(info) if !info.server_errors.is_empty() => info.server_errors.join("; "),
            Some(_) if said.status.success() => String::new(),
            _ => said.stderr.trim().to_owned(),
        };
        let answers = info.is_some() && errors.is_empty();
        let mut docker = Docker { installed: true, errors, ..Docker::default() };
        if let Some(info) = info {
            let plugins = info.client_info.plugins.unwrap_or_default();
            // A plugin that does not run has no version.
            let mut versions =
                plugins.into_iter().filter(|plugin| plugin.name == "buildx").map(|plugin| plugin.version);
            docker.buildx = versions.find(|version| !version.is_empty());
            docker.client = info.client_info.version;
            docker.server = answers.then(|| info.server_version.unwrap_or_default());
            let status = info.driver_status.unwrap_or_default();
            docker.containerd = status.iter().any(|(_, value)| value == "io.containerd.snapshotter.v1");
            docker.registries = info.registry_config.unwrap_or_default();
        }
        if docker.check_buildx().is_ok() && docker.check_daemon().is_ok() {
            docker.builder = Some(inspect(builder, ui)?);
        }
        Ok(docker)
    }

    pub fn check_client(&self) -> Result<(), Failure> {
        match self.installed {
            true => Ok(()),
            false => Err(Failure::new(Class::Engine, "docker is not installed")
                .hint("install Docker Engine with buildx: https://docs.docker.com/engine/install/")),
        }
    }

    pub fn check_buildx(&self) -> Result<(), Failure> {
        check_version(self.buildx.as_deref())
    }

    pub fn check_daemon(&self) -> Result<(), Failure> {
        match self.server {
            Some(_) => Ok(()),
            None => Err(no_daemon(&self.errors)),
        }
    }

    /// The builder; what is wrong before it, if that is why there is none.
    pub fn builder(&self) -> Result<&Inspected, Failure> {
        self.check_client()?;
        self.check_buildx()?;
        self.check_daemon()?;
        match &self.builder {
            Some(Ok(inspected)) => Ok(inspected),
            Some(Err(words)) => {
                Err(Failure::new(Class::Engine, words).hint("list the builders with `docker buildx ls`"))
            }
            None => Err(no_daemon(&self.errors)),
        }
    }

    /// Is buildx at least as new?
    pub fn has_buildx(&self, version: (u64, u64)) -> bool {
        self.buildx.as_deref().and_then(numbers).is_some_and(|numbers| numbers >= version)
    }
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
        let failure = match std::env::var_os("DOCKER_HOST") {
            Some(_) => {
                failure.hint("DOCKER_HOST says where it is asked for: `unset DOCKER_HOST`, if that is another's")
            }
            None => failure,
        };
        failure
            .hint("start it: `sudo systemctl start docker`")
            .hint("or point DOCKER_HOST or `docker context use` at one that runs")
    }
}

/// A builder, the current one where there is no name; else buildx's own words.
fn inspect(name: Option<&str>, ui: &Ui) -> Result<Result<Inspected, String>> {
    let output = docker(["buildx", "inspect"].into_iter().chain(name), ui)?;
    Ok(match parse(output.stdout).filter(|_| output.status.success()) {
        Some(inspected) => Ok(inspected),
        None => Err(output.stderr.trim().trim_start_matches("ERROR: ").to_owned()),
    })
}

/// A builder's own fields come first, and then those of each of its nodes.
fn parse(text: String) -> Option<Inspected> {
    let driver = field(&text, "Driver")?;
    let name = field(&text, "Name").unwrap_or_default();
    let nodes = text.lines().filter(|line| line.starts_with("Name:")).count().saturating_sub(1);
    let listed = text.lines().filter_map(|line| line.strip_prefix("Platforms:")).flat_map(|names| names.split(','));
    // A star marks one that whoever made the node has named.
    let names = listed.map(|name| name.trim().trim_end_matches('*')).filter(|name| !name.is_empty());
    let platforms = names.map(str::to_owned).collect();
    Some(Inspected { name, driver, nodes, platforms, text })
}

/// A field of `docker buildx inspect`, which has no JSON form.
pub fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

pub fn docker<'a>(args: impl IntoIterator<Item = &'a str>, ui: &Ui) -> Result<Output> {
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

    #[test]
    fn nodes_of_inspect() {
        let two = "Name:          both\nDriver:        remote\nLast Activity: 2026-01-02 03:04:05 +0000 UTC\n\nNodes:\n\
            Name:      one\nEndpoint:  tcp://10.0.0.1:1234\nStatus:    running\nPlatforms: linux/amd64*, linux/386\n\n\
            Name:      two\nEndpoint:  tcp://10.0.0.2:1234\nStatus:    inactive\n\n\
            Name:      three\nPlatforms: linux/arm64*, linux/386, linux/arm/v7\n";
        let one = "Name: default\nDriver: docker\n\nNodes:\nName: default\nPlatforms: linux/amd64\n";
        for (text, nodes, platforms) in [
            (two, 3, &["linux/amd64", "linux/386", "linux/arm64", "linux/arm/v7"][..]),
            (one, 1, &["linux/amd64"]),
            ("Name: x\nDriver: docker-container\n\nNodes:\nName: x0\nStatus: inactive\n", 1, &[]),
        ] {
            let inspected = parse(text.to_owned()).unwrap();
            assert_eq!(inspected.nodes, nodes, "{text}");
            assert_eq!(Vec::from_iter(&inspected.platforms), platforms, "{text}");
        }
        assert_eq!(parse("ERROR: no builder\n".to_owned()), None);
    }
}
