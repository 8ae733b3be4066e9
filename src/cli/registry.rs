//! Arguments of `login` and `logout`, and the registry options that several commands share.

use std::time::Duration;

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Registry to log in to, such as ghcr.io or docker.io
    #[arg(value_name = "HOST[:PORT]", value_parser = parse_host)]
    pub host: String,
    /// User name
    ///
    /// By default, you are prompted for it.
    #[arg(short, long, value_name = "NAME")]
    pub username: Option<String>,
    /// Read the password or token from stdin instead of prompting for it
    #[arg(long, requires = "username")]
    pub password_stdin: bool,
    /// Access these registries over plain HTTP
    ///
    /// Loopback registries always use plain HTTP.
    #[arg(
        long = "insecure-registry",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "MULTIARCH_INSECURE_REGISTRIES",
        hide_env_values = true
    )]
    pub insecure_registries: Vec<String>,
    #[command(flatten)]
    pub access: AccessArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LogoutArgs {
    /// Registry to log out of
    #[arg(value_name = "HOST[:PORT]", value_parser = parse_host)]
    pub host: String,
}

/// Options for access to registries.
#[derive(Debug, Default, Args)]
pub(crate) struct AccessArgs {
    /// Give up on a registry that does not answer for this many seconds [default: 120]
    ///
    /// The limit also applies to credential helpers, which have 30 seconds by default.
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=86_400),
        env = "MULTIARCH_REGISTRY_TIMEOUT",
        hide_env_values = true,
        hide_short_help = true
    )]
    registry_timeout: Option<u64>,
}

impl AccessArgs {
    /// Returns the time limit, or `None` for the defaults.
    pub(crate) fn limit(&self) -> Option<Duration> {
        self.registry_timeout.map(Duration::from_secs)
    }
}

/// Parses the host of a registry. Rejects URLs and repositories, whose credentials could not be found again.
fn parse_host(text: &str) -> Result<String, String> {
    let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = without_scheme.split('/').next().unwrap_or_default();
    if host != text {
        return Err(format!("expected only a host, such as {host}"));
    }
    match format!("{host}/app").parse::<oci_spec::distribution::Reference>() {
        Ok(reference) if reference.registry() == host || host == "index.docker.io" => Ok(host.to_owned()),
        _ => Err("expected a host, such as ghcr.io or localhost:5000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_checked() {
        for host in ["ghcr.io", "docker.io", "index.docker.io", "localhost:5000", "registry.example:443"] {
            assert_eq!(parse_host(host), Ok(host.to_owned()));
        }
        for (text, problem) in [
            ("https://ghcr.io", "expected only a host, such as ghcr.io"),
            ("ghcr.io/you", "expected only a host, such as ghcr.io"),
            ("you", "expected a host, such as ghcr.io or localhost:5000"),
        ] {
            assert_eq!(parse_host(text), Err(problem.to_owned()));
        }
    }
}
