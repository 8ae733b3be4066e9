//! Finds credentials in their sources, in the order that docs/registries.md describes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use oci_spec::distribution::Reference;

use super::auth_file::{AuthFile, StoredEntry};
use super::environment::{self, FromEnvironment};
use super::helper::{self, Helper};
use super::host::{Target, canonical};
use super::{Credentials, stored};
use crate::error::Failure;
use crate::threads::lock;

/// Credentials, and where they were found.
#[derive(Clone)]
pub(crate) struct FoundCredentials {
    pub credentials: Credentials,
    /// The source, as the end of a sentence: `MULTIARCH_PASSWORD` or `/home/you/.docker/config.json`.
    pub source: String,
}

/// The sources of credentials for a run.
pub(crate) struct CredentialSources {
    /// The hosts that the run publishes to.
    push_hosts: BTreeSet<String>,
    /// Credentials to use for a host instead of stored ones.
    given: Option<(String, Credentials)>,
    /// What helpers returned. Each helper is run only once per registry, because it may prompt the user.
    helped: Mutex<BTreeMap<(String, String), Option<Credentials>>>,
    /// How long to wait for a helper.
    helper_limit: Duration,
}

impl Default for CredentialSources {
    fn default() -> CredentialSources {
        CredentialSources {
            push_hosts: BTreeSet::new(),
            given: None,
            helped: Mutex::default(),
            helper_limit: helper::DEFAULT_TIMEOUT,
        }
    }
}

impl CredentialSources {
    /// Creates sources for a run that publishes to `repositories`.
    pub(crate) fn for_push<'a>(repositories: impl IntoIterator<Item = &'a Reference>) -> CredentialSources {
        let hosts = repositories.into_iter().map(|repository| canonical(repository.registry()).to_owned());
        CredentialSources { push_hosts: hosts.collect(), ..CredentialSources::default() }
    }

    /// Creates sources that contain only the given credentials, for a single host.
    pub(crate) fn given(host: &str, credentials: Credentials) -> CredentialSources {
        CredentialSources { given: Some((canonical(host).to_owned(), credentials)), ..CredentialSources::default() }
    }

    /// Sets how long to wait for a credential helper.
    #[must_use]
    pub(crate) fn with_helper_limit(self, limit: Duration) -> CredentialSources {
        CredentialSources { helper_limit: limit, ..self }
    }

    /// Returns the credentials for a repository, or `None` if no source has any.
    pub(crate) fn find(&self, reference: &Reference) -> Result<Option<FoundCredentials>, Failure> {
        self.find_target(&Target::new(reference))
    }

    /// Returns a source of credentials for a host that comes before Docker's configuration, if there is one.
    pub(crate) fn source_before_login(&self, host: &str) -> Result<Option<String>, Failure> {
        let target = Target::host(host);
        match self.environment(&target)? {
            Some(FromEnvironment { variable, .. }) => Ok(Some(variable)),
            None => file_with(&target, explicit_path()),
        }
    }

    /// Returns a source of credentials for a host besides Docker's configuration, if there is one.
    pub(crate) fn source_besides_login(&self, host: &str) -> Result<Option<String>, Failure> {
        match self.source_before_login(host)? {
            Some(source) => Ok(Some(source)),
            None => file_with(&Target::host(host), podman_paths()),
        }
    }

    fn find_target(&self, target: &Target) -> Result<Option<FoundCredentials>, Failure> {
        if let Some((host, credentials)) = &self.given {
            let found = || FoundCredentials { credentials: credentials.clone(), source: "the login".to_owned() };
            return Ok((*host == target.host).then(found));
        }
        if let Some(FromEnvironment { credentials, variable }) = self.environment(target)? {
            return Ok(Some(FoundCredentials { credentials, source: variable }));
        }
        for path in file_paths() {
            let Some(file) = AuthFile::read(&path, &target.host)? else { continue };
            let source = path.display().to_string();
            match file.find(target)? {
                Some(StoredEntry::Credentials(credentials)) => {
                    return Ok(Some(FoundCredentials { credentials, source }));
                }
                Some(StoredEntry::Helper(entry)) => {
                    let helper = Helper { entry: &entry, host: &target.host, path: source, limit: self.helper_limit };
                    if let Some(credentials) = self.ask_helper(&helper)? {
                        let source = format!("the credential helper {}", helper.program());
                        return Ok(Some(FoundCredentials { credentials, source }));
                    }
                }
                None => {}
            }
        }
        Ok(None)
    }

    /// Returns the credentials for a host from environment variables.
    pub(super) fn environment(&self, target: &Target) -> Result<Option<FromEnvironment>, Failure> {
        environment::find(&target.host, &self.push_hosts, |name| std::env::var(name).ok())
    }

    /// Returns the hosts that the run publishes to, and those that have their own environment variables.
    pub(super) fn named_hosts(&self) -> BTreeSet<String> {
        let names: Vec<String> = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
        let hosts = environment::hosts(names.iter().map(String::as_str));
        self.push_hosts.iter().cloned().chain(hosts).collect()
    }

    fn ask_helper(&self, helper: &Helper<'_>) -> Result<Option<Credentials>, Failure> {
        let key = (helper.entry.name.clone(), helper.entry.server.clone());
        // The lock is held while the helper runs, so that it is not run twice.
        let mut helped = lock(&self.helped);
        if let Some(known) = helped.get(&key) {
            return Ok(known.clone());
        }
        let credentials = helper.get()?;
        helped.insert(key, credentials.clone());
        Ok(credentials)
    }
}

/// Returns the first of some files that has credentials for a target.
fn file_with(target: &Target, paths: impl IntoIterator<Item = PathBuf>) -> Result<Option<String>, Failure> {
    for path in paths {
        let Some(file) = AuthFile::read(&path, &target.host)? else { continue };
        if file.find(target)?.is_some() {
            return Ok(Some(path.display().to_string()));
        }
    }
    Ok(None)
}

/// Returns the paths of all files that may contain credentials, in the order in which they are read.
pub(super) fn file_paths() -> Vec<PathBuf> {
    explicit_path().into_iter().chain(stored::docker_config_path()).chain(podman_paths()).collect()
}

/// Returns the paths of the files that Podman reads.
fn podman_paths() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config_home = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")));
    let dirs = [variable("XDG_RUNTIME_DIR"), config_home].into_iter().flatten();
    dirs.map(|dir| dir.join("containers/auth.json")).collect()
}

/// Returns the file that `REGISTRY_AUTH_FILE` names.
fn explicit_path() -> Option<PathBuf> {
    std::env::var_os("REGISTRY_AUTH_FILE").filter(|path| !path.is_empty()).map(PathBuf::from)
}
