//! Credentials as Docker keeps them: `config.json` (of `DOCKER_CONFIG` or `~/.docker`) and credential helpers.

use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::secrets::RegistryAuth;

use crate::error::{Class, Failure};

/// Docker Hub's key in config.json.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// The credentials for a registry's host; anonymous where there are none.
pub fn credentials(host: &str) -> Result<RegistryAuth, Failure> {
    let server = if matches!(host, "docker.io" | "index.docker.io") { DOCKER_HUB } else { host };
    match docker_credential::get_credential(server) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(token)) => Ok(RegistryAuth::Bearer(token)),
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(CredentialRetrievalError::HelperFailure { helper, stdout, stderr }) => {
            // The helpers' protocol has no other way to say that there is nothing.
            if [&stdout, &stderr].iter().any(|text| text.contains("credentials not found")) {
                return Ok(RegistryAuth::Anonymous);
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
