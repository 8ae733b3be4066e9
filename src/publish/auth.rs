//! Credentials as Docker keeps them: `config.json` (of `DOCKER_CONFIG` or `~/.docker`) and credential helpers.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use docker_credential::{CredentialRetrievalError, DockerCredential};

use crate::error::{Class, Failure};

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
        crate::process::check_interrupt()?;
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
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(Credentials::Anonymous),
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

fn failed(host: &str, what: &str) -> Failure {
    Failure::new(Class::Registry, format!("no credentials for {host}: {what}"))
        .hint(format!("log in again: `docker login {host}`"))
        .hint("or take the helper out of Docker's config.json (`credsStore`, `credHelpers`)")
}
