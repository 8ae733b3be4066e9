//! Credentials as Docker keeps them: `config.json` (of `DOCKER_CONFIG` or `~/.docker`) and credential helpers.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::error::{Class, Failure};
use crate::process;

/// Docker Hub's key in config.json.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// Long enough for a user to unlock a key ring.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// What `docker login` stored for a registry.
#[derive(Clone)]
pub(super) enum Credentials {
    Anonymous,
    Basic {
        user: String,
        password: String,
    },
    /// A long-lived token, to be exchanged for one that the registry accepts.
    IdentityToken(String),
}

/// Returns the credentials for a registry's host; `Anonymous` if there are none.
pub(super) fn load(host: &str) -> Result<Credentials, Failure> {
    let (sender, receiver) = mpsc::channel();
    let name = host.to_owned();
    // A credential helper is a program that may hang. Its thread is then left behind.
    std::thread::spawn(move || sender.send(query_docker(&name)));
    let deadline = Instant::now() + HELPER_TIMEOUT;
    loop {
        process::check_interrupt()?;
        match receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(credentials) => return credentials,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(_) => {
                let problem = format!("the credential helper has not answered in {} s", HELPER_TIMEOUT.as_secs());
                return Err(helper_failed(host, &problem));
            }
        }
    }
}

/// Reads Docker's configuration and runs the credential helper that it names.
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
            Some(problem) => Err(no_credentials(host, &problem)
                .hint(format!("mend it, or move it away and log in again: `docker login {host}`"))),
        },
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            // The helpers' protocol has no other way to report that there are none.
            if stdout.contains("credentials not found") || stderr.contains("credentials not found") {
                return Ok(Credentials::Anonymous);
            }
            Err(helper_failed(host, &format!("helper '{helper}' failed: {}", stderr.trim())))
        }
        Err(error) => Err(helper_failed(host, &error.to_string().to_lowercase())),
    }
}

/// Explains why Docker's configuration cannot be read; `None` if there is no such file.
fn config_problem() -> Option<String> {
    let path = config_path()?;
    match fs_err::read_to_string(&path) {
        Ok(text) => Some(match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => format!("{} is not what Docker writes", path.display()),
            Err(error) => format!("{} is not JSON: {error}", path.display()),
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

fn no_credentials(host: &str, problem: &str) -> Failure {
    Failure::new(Class::Registry, format!("no credentials for {host}: {problem}"))
}

fn helper_failed(host: &str, problem: &str) -> Failure {
    no_credentials(host, problem)
        .hint(format!("log in again: `docker login {host}`"))
        .hint("or take the helper out of Docker's config.json (`credsStore`, `credHelpers`)")
}
