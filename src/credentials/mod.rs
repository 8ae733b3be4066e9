//! Credentials for registries: where they are stored, how they are found and stored, and how child processes get them.

mod auth_file;
mod environment;
mod helper;
mod host;
mod private_config;
mod sources;
mod stored;

pub(crate) use environment::{VARIABLES, is_host_variable, register_secrets, variable_names};
pub(crate) use helper::DEFAULT_TIMEOUT as DEFAULT_HELPER_TIMEOUT;
pub(crate) use private_config::PrivateDockerConfig;
pub(crate) use sources::{CredentialSources, FoundCredentials};
pub(crate) use stored::{StoredIn, erase, store};

use crate::error::{Class, Failure};
use crate::secrets;

/// A user's credentials for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// A long-lived token that has to be exchanged for an access token.
    IdentityToken(String),
}

impl Credentials {
    /// Creates credentials, and registers the password as a secret.
    pub(crate) fn password(user: &str, password: &str) -> Credentials {
        secrets::register_login(user, password);
        Credentials::Password { user: user.to_owned(), password: password.to_owned() }
    }

    /// Creates credentials, and registers the token as a secret.
    fn identity_token(token: &str) -> Credentials {
        secrets::register(token);
        Credentials::IdentityToken(token.to_owned())
    }
}

/// Creates an error for credentials that are stored, but cannot be read.
fn cannot_get(host: &str, problem: &str) -> Failure {
    Failure::new(Class::Registry, format!("cannot get credentials for {host}: {problem}"))
}

/// Returns the command that logs in to a registry.
fn login_command(host: &str) -> String {
    format!("`cargo multiarch login {host}`")
}
