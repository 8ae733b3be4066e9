//! Probes the local Docker installation: client, buildx, daemon, and builder.

use anyhow::Result;
use indexmap::IndexSet;
use serde::Deserialize;

use super::buildkitd_config::DaemonRegistries;
use crate::error::{Class, Failure};
use crate::host::{self, Os, packages};
use crate::process::{Cmd, ProgramOutput, find_program};
use crate::ui::Ui;

/// The oldest buildx version that supports all the flags that this tool uses (`ls --format`, `--annotation`,
/// `--metadata-file`).
const OLDEST_BUILDX: (u64, u64) = (0, 13);

/// The state of the local Docker installation.
#[derive(Debug, Default)]
pub(crate) struct DockerStatus {
    /// Whether the `docker` client is on PATH.
    pub installed: bool,
    /// The version of the client, or `None` if it does not report one.
    pub client_version: Option<String>,
    /// The version of the daemon, or `None` if it cannot be reached.
    pub server_version: Option<String>,
    /// Docker's error messages if the daemon cannot be reached, or an empty string otherwise.
    daemon_errors: String,
    /// The version of the buildx plugin, or `None` if the plugin is missing or broken.
    pub buildx_version: Option<String>,
    /// Whether the daemon uses the containerd image store.
    pub uses_containerd: bool,
    pub registries: DaemonRegistries,
    builder: BuilderStatus,
}

/// The outcome of `docker buildx inspect`.
#[derive(Debug, Default)]
enum BuilderStatus {
    #[default]
    NotInspected,
    Found(BuilderInfo),
    /// The error that buildx printed.
    Failed(String),
}

/// The details of a builder, as printed by `docker buildx inspect`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BuilderInfo {
    pub name: String,
    pub driver: String,
    /// The number of nodes.
    pub nodes: usize,
    /// The platforms reported by all nodes, without duplicates.
    pub platforms: IndexSet<String>,
    /// The complete output of `docker buildx inspect`.
    pub text: String,
}

/// The reason why no builder can be used.
#[derive(Debug)]
pub(crate) enum BuilderError {
    /// The client cannot connect to a Docker daemon.
    NoDaemon(Failure),
    /// Any other problem with Docker, buildx, or the builder.
    Unusable(Failure),
    /// The `docker` command could not be run.
    Run(anyhow::Error),
}

impl From<Failure> for BuilderError {
    fn from(failure: Failure) -> BuilderError {
        BuilderError::Unusable(failure)
    }
}

impl From<anyhow::Error> for BuilderError {
    fn from(error: anyhow::Error) -> BuilderError {
        BuilderError::Run(error)
    }
}

impl From<BuilderError> for anyhow::Error {
    fn from(error: BuilderError) -> anyhow::Error {
        match error {
            BuilderError::NoDaemon(failure) | BuilderError::Unusable(failure) => failure.into(),
            BuilderError::Run(error) => error,
        }
    }
}

/// The output of `docker info --format '{{json .}}'`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerInfo {
    #[serde(default)]
    server_errors: Vec<String>,
    #[serde(default)]
    server_version: Option<String>,
    #[serde(default)]
    driver_status: Option<Vec<(String, String)>>,
    #[serde(default)]
    client_info: ClientInfo,
    #[serde(default)]
    registry_config: Option<DaemonRegistries>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ClientInfo {
    version: Option<String>,
    plugins: Option<Vec<ClientPlugin>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ClientPlugin {
    name: String,
    version: String,
}

impl DockerStatus {
    /// Probes the client, the daemon, and the builder called `builder`, or the current builder if `builder` is `None`.
    pub(crate) fn probe(builder: Option<&str>, ui: &Ui) -> Result<DockerStatus> {
        if find_program("docker").is_none() {
            return Ok(DockerStatus::default());
        }
        let output = docker(["info", "--format", "{{json .}}"], ui)?;
        let mut status = DockerStatus::from_info(&output);
        if status.check_buildx().is_ok() && status.check_daemon().is_ok() {
            status.builder = inspect(builder, ui)?;
        }
        Ok(status)
    }

    /// Parses the output of `docker info`.
    fn from_info(output: &ProgramOutput) -> DockerStatus {
        let info: Option<DockerInfo> = serde_json::from_str(output.stdout.lines().next().unwrap_or_default()).ok();
        let Some(info) = info else {
            let daemon_errors = output.stderr.trim().to_owned();
            return DockerStatus { installed: true, daemon_errors, ..DockerStatus::default() };
        };
        let daemon_errors = if !info.server_errors.is_empty() {
            info.server_errors.join("; ")
        } else if output.status.success() {
            String::new()
        } else {
            output.stderr.trim().to_owned()
        };
        let plugins = info.client_info.plugins.unwrap_or_default().into_iter();
        // Docker reports an empty version for a broken plugin.
        let mut buildx = plugins.filter(|plugin| plugin.name == "buildx" && !plugin.version.is_empty());
        let driver_status = info.driver_status.unwrap_or_default();
        DockerStatus {
            installed: true,
            client_version: info.client_info.version,
            server_version: daemon_errors.is_empty().then(|| info.server_version.unwrap_or_default()),
            daemon_errors,
            buildx_version: buildx.next().map(|plugin| plugin.version),
            uses_containerd: driver_status.iter().any(|(_, value)| value == "io.containerd.snapshotter.v1"),
            registries: info.registry_config.unwrap_or_default(),
            builder: BuilderStatus::NotInspected,
        }
    }

    pub(crate) fn check_client(&self) -> Result<(), Failure> {
        if self.installed {
            return Ok(());
        }
        Err(Failure::new(Class::Engine, "docker is not installed").hint(match host::os() {
            Os::Mac => "install Docker Desktop or OrbStack: `brew install --cask docker-desktop`",
            _ => "install Docker Engine with buildx: https://docs.docker.com/engine/install/",
        }))
    }

    pub(crate) fn check_buildx(&self) -> Result<(), Failure> {
        check_version(self.buildx_version.as_deref())
    }

    pub(crate) fn check_daemon(&self) -> Result<(), Failure> {
        if self.server_version.is_some() { Ok(()) } else { Err(no_daemon(&self.daemon_errors)) }
    }

    /// Returns the builder, or the first problem found with the client, buildx, the daemon, or the builder.
    pub(crate) fn builder(&self) -> Result<&BuilderInfo, BuilderError> {
        self.check_client()?;
        self.check_buildx()?;
        let cannot_connect = |message: &str| message.contains("Cannot connect to the Docker daemon");
        self.check_daemon().map_err(|failure| {
            if cannot_connect(&self.daemon_errors) {
                BuilderError::NoDaemon(failure)
            } else {
                BuilderError::Unusable(failure)
            }
        })?;
        match &self.builder {
            BuilderStatus::Found(builder) => Ok(builder),
            BuilderStatus::Failed(message) => {
                let failure = Failure::new(Class::Engine, message).hint("list the builders: `docker buildx ls`");
                Err(if cannot_connect(message) {
                    BuilderError::NoDaemon(failure)
                } else {
                    BuilderError::Unusable(failure)
                })
            }
            BuilderStatus::NotInspected => Err(no_daemon(&self.daemon_errors).into()),
        }
    }

    /// Reports whether buildx has the given version or a newer one.
    pub(crate) fn has_buildx(&self, version: (u64, u64)) -> bool {
        self.buildx_version.as_deref().and_then(major_minor).is_some_and(|actual| actual >= version)
    }
}

fn check_version(version: Option<&str>) -> Result<(), Failure> {
    let install = install_hint();
    let Some(version) = version else {
        return Err(Failure::new(Class::Engine, "docker buildx is not installed").hint(install));
    };
    match major_minor(version) {
        Some(actual) if actual < OLDEST_BUILDX => Err(Failure::new(
            Class::Engine,
            format!("buildx {version} is too old: {}.{} or later is required", OLDEST_BUILDX.0, OLDEST_BUILDX.1),
        )
        .hint(install)),
        _ => Ok(()),
    }
}

/// Returns a hint for installing buildx. On Debian, the package's name depends on where Docker comes from.
fn install_hint() -> String {
    let hint = packages::BUILDX.install_hint();
    if host::os() == Os::Debian { format!("{hint} (from Docker) or `docker-buildx` (from Debian)") } else { hint }
}

/// Parses the major and minor version numbers. Returns `None` for development builds.
fn major_minor(version: &str) -> Option<(u64, u64)> {
    let mut numbers = version.trim_start_matches('v').split(['.', '+', '-']).map(str::parse::<u64>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Returns an error with Docker's own message and hints for fixing the problem.
fn no_daemon(errors: &str) -> Failure {
    let message = errors.trim_start_matches("ERROR: ").trim_start_matches("Error: ");
    let failure = Failure::new(Class::Engine, format!("docker reported an error: {}", message.trim()));
    if errors.contains("permission denied") {
        failure
            .hint(format!("add yourself to the docker group: `{}`, then log in again", host::docker::group_command()))
    } else {
        let failure = if std::env::var_os("DOCKER_HOST").is_some() {
            failure.hint("to use the default daemon instead of the one in DOCKER_HOST, run `unset DOCKER_HOST`")
        } else {
            failure
        };
        failure
            .hint(format!("start Docker: `{}`", host::docker::start_command(errors)))
            .hint("or select a running daemon with DOCKER_HOST or `docker context use`")
    }
}

/// Inspects the builder called `name`, or the current builder if `name` is `None`.
fn inspect(name: Option<&str>, ui: &Ui) -> Result<BuilderStatus> {
    let output = docker(["buildx", "inspect"].into_iter().chain(name), ui)?;
    Ok(match parse_builder(output.stdout) {
        Some(builder) if output.status.success() => BuilderStatus::Found(builder),
        _ => BuilderStatus::Failed(output.stderr.trim().trim_start_matches("ERROR: ").to_owned()),
    })
}

/// Parses the output of `docker buildx inspect`, which lists the fields of the builder and then those of each node.
fn parse_builder(text: String) -> Option<BuilderInfo> {
    let driver = field(&text, "Driver")?;
    let name = field(&text, "Name").unwrap_or_default();
    let nodes = text.lines().filter(|line| line.starts_with("Name:")).count().saturating_sub(1);
    let listed = text.lines().filter_map(|line| line.strip_prefix("Platforms:")).flat_map(|names| names.split(','));
    // An asterisk marks platforms that the user configured for the node.
    let names = listed.map(|name| name.trim().trim_end_matches('*')).filter(|name| !name.is_empty());
    let platforms = names.map(str::to_owned).collect();
    Some(BuilderInfo { name, driver, nodes, platforms, text })
}

/// Returns a field's value from the output of `docker buildx inspect`, which cannot print JSON.
pub(crate) fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned()))
}

/// Runs `docker` and returns its output, even if the command fails.
pub(crate) fn docker<'a>(args: impl IntoIterator<Item = &'a str>, ui: &Ui) -> Result<ProgramOutput> {
    let cmd = Cmd::new("docker").args(args);
    ui.command(&cmd);
    cmd.output()
}

/// Reports whether the daemon shares this machine's kernel and therefore uses its binfmt_misc handlers.
pub(crate) fn is_local(ui: &Ui) -> bool {
    let output = docker(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], ui);
    host::docker::shares_kernel(output.map(|output| output.stdout).unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildx_must_be_installed_and_recent() {
        for good in ["v0.13.1", "0.29.0", "v0.17.1+azure", "v1.0.0", "0.13.1-ds1", "(devel)"] {
            assert!(check_version(Some(good)).is_ok(), "{good}");
        }
        assert_eq!(
            check_version(Some("v0.12.9")).unwrap_err().to_string(),
            "buildx v0.12.9 is too old: 0.13 or later is required"
        );
        assert_eq!(check_version(None).unwrap_err().to_string(), "docker buildx is not installed");
    }

    #[test]
    fn reads_fields_of_inspect() {
        let text = "Name:          default\nDriver:        docker\nLast Activity: 2026\n\nNodes:\nName: default\n";
        assert_eq!(field(text, "Driver").as_deref(), Some("docker"));
        assert_eq!(field(text, "Endpoint"), None);
    }

    #[test]
    fn reads_nodes_and_platforms_of_inspect() {
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
            let builder = parse_builder(text.to_owned()).unwrap();
            assert_eq!(builder.nodes, nodes, "{text}");
            assert_eq!(Vec::from_iter(&builder.platforms), platforms, "{text}");
        }
        assert_eq!(parse_builder("ERROR: no builder\n".to_owned()), None);
    }
}
