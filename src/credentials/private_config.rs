//! A private copy of Docker's configuration, for child processes that would not find the credentials otherwise: Docker
//! reads neither this program's variables nor Podman's files.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fs_err::os::unix::fs::OpenOptionsExt;
use oci_spec::distribution::Reference;
use serde_json::{Map, Value, json};

use super::auth_file::{AuthFile, StoredEntry};
use super::environment::FromEnvironment;
use super::host::{Target, docker_key};
use super::sources::file_paths;
use super::stored::{docker_config_dir, read, to_text};
use super::{CredentialSources, Credentials};
use crate::process;

/// Start of the directory's name.
const PREFIX: &str = "cargo-multiarch-docker-";
/// A file that is locked while the run uses the directory.
const LOCK: &str = ".cargo-multiarch-lock";

/// A directory that `DOCKER_CONFIG` of child processes points to. It is removed when this value is dropped.
#[must_use = "the directory is removed when this is dropped"]
pub(crate) struct PrivateDockerConfig {
    dir: PathBuf,
    _lock: File,
}

impl PrivateDockerConfig {
    /// Creates the directory if Docker itself would not find all credentials that this program uses: those for
    /// `references`, for the registries that it publishes to, and for every registry in the files that it reads.
    pub(crate) fn create(sources: &CredentialSources, references: &[Reference]) -> Result<Option<PrivateDockerConfig>> {
        let Some(docker_dir) = docker_config_dir() else { return Ok(None) };
        let docker_config = docker_dir.join("config.json");
        let missing = missing_entries(sources, references, &docker_config)?;
        // Docker itself reports a configuration that cannot be read.
        let Ok(config) = read(&docker_config, "Docker") else { return Ok(None) };
        if missing.is_empty() {
            return Ok(None);
        }
        let config = with_entries(config, &missing);
        let parent = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        remove_abandoned(&parent);
        let mut builder = tempfile::Builder::new();
        let dir = builder.prefix(PREFIX).permissions(Permissions::from_mode(0o700)).tempdir_in(&parent);
        let dir = dir.with_context(|| format!("cannot create a directory in {}", parent.display()))?;
        process::remove_on_exit(dir.path());
        let lock = fs_err::File::create(dir.path().join(LOCK))?.into_file();
        lock.lock()?;
        // From here on, `PrivateDockerConfig` removes the directory, even if the rest fails.
        let private = PrivateDockerConfig { dir: dir.keep(), _lock: lock };
        private.fill(&docker_dir, &config)?;
        process::set_registry_client_env(private.env(&docker_dir));
        Ok(Some(private))
    }

    /// Writes `config.json`, and links everything else, such as contexts and plugins, to the user's directory.
    fn fill(&self, docker_dir: &Path, config: &Map<String, Value>) -> Result<()> {
        let docker_dir = std::path::absolute(docker_dir)?;
        for entry in docker_dir.read_dir().into_iter().flatten() {
            let name = entry?.file_name();
            if name != "config.json" {
                symlink(docker_dir.join(&name), self.dir.join(&name))
                    .with_context(|| format!("cannot create a link in {}", self.dir.display()))?;
            }
        }
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(self.dir.join("config.json"))?;
        Ok(std::io::Write::write_all(&mut file, &to_text(config)?)?)
    }

    /// Returns the variables for child processes. buildx keeps its builders in the user's directory, even if it creates
    /// the first one now.
    fn env(&self, docker_dir: &Path) -> Vec<(OsString, OsString)> {
        let mut env = vec![("DOCKER_CONFIG".into(), self.dir.clone().into())];
        if std::env::var_os("BUILDX_CONFIG").is_none()
            && let Ok(dir) = std::path::absolute(docker_dir)
        {
            env.push(("BUILDX_CONFIG".into(), dir.join("buildx").into()));
        }
        env
    }
}

impl Drop for PrivateDockerConfig {
    fn drop(&mut self) {
        process::set_registry_client_env(Vec::new());
        // Errors cannot be reported here. The next run removes a directory that is left.
        let _ = fs_err::remove_dir_all(&self.dir);
    }
}

/// Removes the directories of runs that were killed.
fn remove_abandoned(parent: &Path) {
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let is_private = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        if is_private && fs_err::File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.file().try_lock().is_ok()) {
            // Ignore errors, because the directory may belong to another user.
            let _ = fs_err::remove_dir_all(entry.path());
        }
    }
}

/// Returns the entries that are missing from Docker's configuration, keyed by host.
fn missing_entries(
    sources: &CredentialSources,
    references: &[Reference],
    docker_config: &Path,
) -> Result<BTreeMap<String, StoredEntry>> {
    let mut files = Vec::new();
    for path in file_paths() {
        // A file that cannot be read is reported once credentials are needed.
        files.extend(AuthFile::read(&path, "Docker").ok().flatten());
    }
    let hosts = files.iter().filter(|file| file.path != docker_config).flat_map(AuthFile::hosts);
    let hosts = hosts.chain(sources.named_hosts()).map(|host| Target::host(&host));
    let mut missing = BTreeMap::new();
    // Docker has one entry per host, so the credentials for a base image come before those for the whole host.
    for target in references.iter().map(Target::new).chain(hosts) {
        if let Some(entry) = missing_entry(sources, &files, &target, docker_config)? {
            missing.entry(target.host).or_insert(entry);
        }
    }
    Ok(missing)
}

/// Returns the first entry for a target, unless it comes from Docker's own configuration.
fn missing_entry(
    sources: &CredentialSources,
    files: &[AuthFile],
    target: &Target,
    docker_config: &Path,
) -> Result<Option<StoredEntry>> {
    if let Some(FromEnvironment { credentials, .. }) = sources.environment(target)? {
        return Ok(Some(StoredEntry::Credentials(credentials)));
    }
    for file in files {
        let is_docker = file.path == docker_config;
        // A helper for all registries counts only if Docker's configuration lists the registry, as it does after a login.
        let entry = match file.find(target).ok().flatten() {
            Some(StoredEntry::Helper(helper)) if is_docker && helper.setting == "credsStore" && !file.names(target) => {
                None
            }
            entry => entry,
        };
        match entry {
            Some(_) if is_docker => return Ok(None),
            Some(entry) => return Ok(Some(entry)),
            None => {}
        }
    }
    Ok(None)
}

/// Adds entries to Docker's configuration.
fn with_entries(mut config: Map<String, Value>, entries: &BTreeMap<String, StoredEntry>) -> Map<String, Value> {
    for (host, entry) in entries {
        let key = docker_key(host);
        let (helper, auth) = match entry {
            StoredEntry::Helper(helper) => (helper.name.as_str(), None),
            // An empty helper makes Docker read the entry instead of asking the helper for all registries.
            StoredEntry::Credentials(Credentials::Password { user, password }) => {
                ("", Some(json!({ "auth": STANDARD.encode(format!("{user}:{password}")) })))
            }
            StoredEntry::Credentials(Credentials::IdentityToken(token)) => {
                ("", Some(json!({ "auth": "", "identitytoken": token })))
            }
        };
        if !helper.is_empty() || config.contains_key("credsStore") || config.contains_key("credHelpers") {
            object(&mut config, "credHelpers").insert(key.to_owned(), helper.into());
        }
        if let Some(auth) = auth {
            object(&mut config, "auths").insert(key.to_owned(), auth);
        }
    }
    config
}

/// Returns an object in Docker's configuration, creating it if needed.
fn object<'a>(config: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = config.entry(name).or_insert_with(|| json!({}));
    if !value.is_object() {
        *value = json!({});
    }
    let Value::Object(object) = value else { unreachable!("the value was just replaced") };
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::auth_file::HelperEntry;

    #[test]
    fn entries_are_added_to_the_configuration() {
        let helper = HelperEntry { name: "gcloud".to_owned(), server: "gcr.io".to_owned(), setting: "credHelpers" };
        let password = StoredEntry::Credentials(Credentials::password("me", "private-pw"));
        let token = StoredEntry::Credentials(Credentials::identity_token("private-token"));
        let entries = BTreeMap::from([
            ("docker.io".to_owned(), password),
            ("gcr.io".to_owned(), StoredEntry::Helper(helper)),
            ("r.example".to_owned(), token),
        ]);
        let config = json!({ "credsStore": "pass", "proxies": { "default": {} }, "auths": { "ghcr.io": {} } });
        let Value::Object(config) = config else { unreachable!() };
        assert_eq!(
            Value::Object(with_entries(config, &entries)),
            json!({
                "credsStore": "pass",
                "proxies": { "default": {} },
                "auths": {
                    "ghcr.io": {},
                    "https://index.docker.io/v1/": { "auth": "bWU6cHJpdmF0ZS1wdw==" },
                    "r.example": { "auth": "", "identitytoken": "private-token" },
                },
                "credHelpers": { "https://index.docker.io/v1/": "", "gcr.io": "gcloud", "r.example": "" },
            })
        );
    }
}
