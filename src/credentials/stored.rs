//! Stores and removes credentials in Docker's configuration, or with the credential helper that it names.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::auth_file::{AuthFile, HelperEntry, StoredEntry};
use super::helper::Helper;
use super::host::{Target, docker_key, normalize_key};
use crate::error::{Class, Failure};

/// Where credentials are stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StoredIn {
    /// In plain text in Docker's configuration.
    File(PathBuf),
    /// With a credential helper.
    Helper(String),
}

/// Returns the path of Docker's configuration: `config.json` in `DOCKER_CONFIG` or `~/.docker`.
pub(super) fn docker_config_path() -> Option<PathBuf> {
    docker_config_dir().map(|dir| dir.join("config.json"))
}

pub(super) fn docker_config_dir() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("DOCKER_CONFIG").or_else(|| Some(variable("HOME")?.join(".docker")))
}

/// Stores a user name and password for a host, and returns where they are stored.
pub(crate) fn store(host: &str, user: &str, password: &str, helper_limit: Duration) -> Result<StoredIn> {
    let path = required_path()?;
    let key = docker_key(host);
    let mut config = read(&path, host)?;
    let helper = helper_for(&path, host)?;
    let (entry, stored) = match helper {
        Some(entry) => {
            let helper = Helper { entry: &entry, host, path: path.display().to_string(), limit: helper_limit };
            helper.store(user, password)?;
            // Like Docker, add an empty entry for the registry. The helper stores the credentials.
            (json!({}), StoredIn::Helper(helper.program()))
        }
        None => (json!({ "auth": STANDARD.encode(format!("{user}:{password}")) }), StoredIn::File(path.clone())),
    };
    let auths = config.entry("auths").or_insert_with(|| json!({}));
    if !auths.is_object() {
        *auths = json!({});
    }
    auths[key] = entry;
    write(&path, &config)?;
    Ok(stored)
}

/// Removes the credentials for a host. Returns where they were stored, or `None` if there were none.
pub(crate) fn erase(host: &str, helper_limit: Duration) -> Result<Option<StoredIn>> {
    let path = required_path()?;
    let mut config = read(&path, host)?;
    let mut erased = None;
    if let Some(entry) = helper_for(&path, host)? {
        let helper = Helper { entry: &entry, host, path: path.display().to_string(), limit: helper_limit };
        erased = helper.erase()?.then(|| StoredIn::Helper(helper.program()));
    }
    let wanted = normalize_key(docker_key(host));
    let Some(auths) = config.get_mut("auths").and_then(Value::as_object_mut) else { return Ok(erased) };
    let count = auths.len();
    let mut had_secret = false;
    auths.retain(|key, entry| {
        let is_host = normalize_key(key) == wanted;
        had_secret |= is_host && entry.as_object().is_some_and(|entry| !entry.is_empty());
        !is_host
    });
    if auths.len() < count {
        write(&path, &config)?;
    }
    Ok(erased.or_else(|| had_secret.then_some(StoredIn::File(path))))
}

fn required_path() -> Result<PathBuf, Failure> {
    docker_config_path().ok_or_else(|| {
        Failure::new(Class::Config, "cannot locate Docker's configuration: neither HOME nor DOCKER_CONFIG is set")
            .hint("set the directory: `export DOCKER_CONFIG=/path/to/directory`")
    })
}

/// Returns the helper that Docker's configuration names for a host.
fn helper_for(path: &Path, host: &str) -> Result<Option<HelperEntry>, Failure> {
    let Some(file) = AuthFile::read(path, host)? else { return Ok(None) };
    // An invalid entry does not matter, because it is replaced or removed.
    Ok(match file.find(&Target::host(host)) {
        Ok(Some(StoredEntry::Helper(helper))) => Some(helper),
        _ => None,
    })
}

/// Reads Docker's configuration with all its keys. Returns an empty one if the file does not exist.
pub(super) fn read(path: &Path, host: &str) -> Result<Map<String, Value>> {
    if AuthFile::read(path, host)?.is_none() {
        return Ok(Map::new());
    }
    Ok(serde_json::from_slice(&fs_err::read(path)?)?)
}

/// Writes Docker's configuration atomically, readable only by its owner. Follows a symbolic link, which may lead to a
/// directory with configuration under version control.
fn write(path: &Path, config: &Map<String, Value>) -> Result<()> {
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let dir = path.parent().context("the path of Docker's configuration has no parent directory")?;
    if !dir.exists() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(dir)
        .with_context(|| format!("cannot create a file in {}", dir.display()))?;
    file.write_all(&to_text(config)?)?;
    file.as_file().sync_all()?;
    file.persist(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// Formats Docker's configuration like Docker, with tabs.
pub(super) fn to_text(config: &Map<String, Value>) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    config.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))?;
    Ok(text)
}
