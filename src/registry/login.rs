//! Checks credentials with a registry, before they are stored.

use super::error::RegistryError;
use super::retry::Patience;
use super::{Access, Registry};
use crate::error::{Class, Failure};
use crate::oci::reference::parse_reference;

/// The result of checking credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginCheck {
    Accepted,
    /// The registry accepts requests without credentials, so it did not check them.
    NotRequired,
}

impl Registry {
    /// Checks this client's credentials with the registry at `host`.
    pub(crate) fn check_login(&self, host: &str, user: &str) -> anyhow::Result<LoginCheck> {
        // The repository does not matter, because no access to it is requested.
        let reference = format!("{host}/login");
        let target = parse_reference(&reference)?;
        let root = self.root(&target)?;
        self.retry(&reference, Access::Login, Patience::Brief, || async {
            match self.send(&target, Access::Login, |http| http.get(root.clone())).await {
                Ok(_) if self.auth.is_required(&target) => Ok(LoginCheck::Accepted),
                Ok(_) => Ok(LoginCheck::NotRequired),
                Err(RegistryError::Response(response)) if matches!(response.status, 401 | 403) => {
                    Err(rejected(host, user, response.message.as_deref()).into())
                }
                Err(RegistryError::Response(response)) if matches!(response.status, 400 | 404..=407 | 410..=428) => {
                    Err(not_a_registry(host, response.status, root.as_str()).into())
                }
                Err(error) => Err(error),
            }
        })
    }
}

fn not_a_registry(host: &str, status: u16, root: &str) -> Failure {
    Failure::new(Class::Registry, format!("{host} does not respond like a container registry (HTTP {status})"))
        .hint(format!("check the host name: `curl -i {root}`"))
}

fn rejected(host: &str, user: &str, message: Option<&str>) -> Failure {
    let reason = message.map(|message| format!(": {message}")).unwrap_or_default();
    Failure::new(Class::Registry, format!("{host} rejected the password of user '{user}'{reason}"))
        .hint("many registries require an access token instead of your account password")
}
