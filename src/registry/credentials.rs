//! Loads registry credentials from Docker's `config.json` (in `DOCKER_CONFIG` or `~/.docker`) and credential helpers.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::error::{Class, Failure};
use crate::process;

/// Docker Hub's key in `config.json`.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// How long to wait for a credential helper, which may prompt the user to unlock a keyring.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// The credentials that `docker login` stored for a registry.
#[derive(Clone)]
pub(super) enum Credentials {
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
    /// A long-lived token that has to be exchanged for an access token.
    IdentityToken(String),
}

/// Returns the credentials for a registry host, or `Anonymous` if none are stored.
pub(super) fn load(host: &str) -> Result<Credentials, Failure> {
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    // Use a separate thread, which is abandoned if the credential helper hangs.
    std::thread::spawn(move || sender.send(query_docker(&name)));
    let deadline = Instant::now() + HELPER_TIMEOUT;
    loop {
        process::check_interrupt()?;
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(credentials) => return credentials,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(_) => {
                let problem = format!("the credential helper did not respond within {} s", HELPER_TIMEOUT.as_secs());
                return Err(helper_failed(host, &problem));
            }
        }
    }
}

/// Reads Docker's configuration and runs the credential helper configured there.
fn query_docker(host: &str) -> Result<Credentials, Failure> {
    let server = if matches!(host, "docker.io" | "index.docker.io") { DOCKER_HUB } else { host };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credentials::Basic { user, password }),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Credentials::IdentityToken(token)),
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(Credentials::Anonymous)
        }
        Err(CredentialRetrievalError::ConfigReadError) => match config_problem() {
            None => Ok(Credentials::Anonymous),
            Some(problem) => Err(credentials_failure(host, &problem)
                .hint(format!("fix the file, or remove it and log in again: `docker login {host}`"))),
        },
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            // Helpers report missing credentials only through this message.
            if stdout.contains("credentials not found") || stderr.contains("credentials not found") {
                return Ok(Credentials::Anonymous);
            }
            Err(helper_failed(host, &format!("helper '{helper}' failed: {}", stderr.trim())))
        }
        Err(error) => Err(helper_failed(host, &error.to_string().to_lowercase())),
    }
}

/// Returns the reason why Docker's configuration cannot be read, or `None` if the file does not exist.
fn config_problem() -> Option<String> {
    let path = config_path()?;
    match fs_err::read_to_string(&path) {
        Ok(text) => Some(match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => format!("{} is not a valid Docker configuration", path.display()),
            Err(error) => format!("{} is not valid JSON: {error}", path.display()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

fn config_path() -> Option<PathBuf> {
    let dir = match std::env::var_os("DOCKER_CONFIG") {
        Some(dir) => PathBuf::from(dir),
        None => PathBuf::from(std::env::var_os("HOME")?).join(".docker"),
    };
    Some(dir.join("config.json"))
}

fn credentials_failure(host: &str, problem: &str) -> Failure {
    Failure::new(Class::Registry, format!("cannot get credentials for {host}: {problem}"))
}

fn helper_failed(host: &str, problem: &str) -> Failure {
    credentials_failure(host, problem)
        .hint(format!("log in again: `docker login {host}`"))
        .hint("or remove the helper from Docker's config.json (`credsStore`, `credHelpers`)")
}
