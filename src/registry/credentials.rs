//! Credentials as Docker keeps them: `config.json` (of `DOCKER_CONFIG` or `~/.docker`) and credential helpers.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::error::{Class, Failure};
use crate::process;

/// Docker Hub's key in config.json.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";
/// Long enough for somebody to unlock a key ring.
const HELPER_TIMEOUT: Duration = Duration::from_secs(30);

/// What Docker would show to a registry.
#[derive(Clone)]
pub enum Credentials {
    Anonymous,
    /// A user and a password.
    Basic(String, String),
    /// A token that stands for the user, to be exchanged.
    Identity(String),
}

/// The credentials for a registry's host; anonymous where there are none.
pub fn credentials(host: &str) -> Result<Credentials, Failure> {
    let server = if matches!(host, "docker.io" | "index.docker.io") { DOCKER_HUB } else { host }.to_owned();
    let (sender, answer) = mpsc::channel();
    // A helper is a program, and may hang: the thread that waits for it is left behind then.
    std::thread::spawn(move || sender.send(docker_credential::get_credential(&server)));
    let deadline = Instant::now() + HELPER_TIMEOUT;
    let answer = loop {
        process::check_interrupt()?;
        match answer.recv_timeout(Duration::from_millis(100)) {
            Ok(answer) => break answer,
            Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => {}
            Err(_) => {
                let what = format!("the credential helper has not answered in {} s", HELPER_TIMEOUT.as_secs());
                return Err(failed(host, &what));
            }
        }
    };
    match answer {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(Credentials::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(Credentials::Identity(token)),
        Err(CredentialRetrievalError::NoCredentialConfigured | CredentialRetrievalError::ConfigNotFound) => {
            Ok(Credentials::Anonymous)
        }
        Err(CredentialRetrievalError::ConfigReadError) => match unreadable_config() {
            None => Ok(Credentials::Anonymous),
            Some(what) => Err(Failure::new(Class::Registry, format!("no credentials for {host}: {what}"))
                .hint(format!("mend it, or move it away and log in again: `docker login {host}`"))),
        },
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            // The helpers' protocol has no other way to say that there is nothing.
            if [&stdout, &stderr].iter().any(|text| text.contains("credentials not found")) {
                return Ok(Credentials::Anonymous);
            }
            Err(failed(host, &format!("helper '{helper}' failed: {}", stderr.trim())))
        }
        Err(error) => Err(failed(host, &error.to_string().to_lowercase())),
    }
}

/// What is wrong with Docker's configuration; none where there is no such file.
fn unreadable_config() -> Option<String> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker"));
    let path = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home)?.join("config.json");
    match fs_err::read_to_string(&path) {
        Ok(text) => Some(match serde_json::from_str::<serde_json::Value>(&text) {
            Ok(_) => format!("{} is not what Docker writes", path.display()),
            Err(error) => format!("{} is not JSON: {error}", path.display()),
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(error.to_string()),
    }
}

fn failed(host: &str, what: &str) -> Failure {
    Failure::new(Class::Registry, format!("no credentials for {host}: {what}"))
        .hint(format!("log in again: `docker login {host}`"))
        .hint("or take the helper out of Docker's config.json (`credsStore`, `credHelpers`)")
}
