//! Reads files with credentials: Docker's `config.json`, and `auth.json` of Podman and other tools
//! (containers-auth.json(5)).

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use indexmap::IndexMap;
use serde::Deserialize;

use super::host::{Target, docker_key, normalize_key};
use super::{Credentials, cannot_get, login_command};
use crate::error::Failure;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A file with credentials.
#[derive(Debug, Default)]
pub(super) struct AuthFile {
    pub path: PathBuf,
    content: Content,
}

#[derive(Debug, Default, Deserialize)]
struct Content {
    auths: Option<IndexMap<String, AuthEntry>>,
    #[serde(rename = "credHelpers")]
    helpers: Option<IndexMap<String, String>>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct AuthEntry {
    /// User name and password, separated by a colon and encoded as base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
}

/// What a file contains for a registry.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum StoredEntry {
    Credentials(Credentials),
    Helper(HelperEntry),
}

/// A credential helper that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HelperEntry {
    /// The name after `docker-credential-`.
    pub name: String,
    /// The name of the registry for the helper.
    pub server: String,
    /// The key that names the helper: `credsStore` or `credHelpers`.
    pub setting: &'static str,
}

impl AuthFile {
    /// Reads a file. Returns `None` if it does not exist. `host` is the registry that credentials are needed for.
    pub(super) fn read(path: &Path, host: &str) -> Result<Option<AuthFile>, Failure> {
        let invalid = |problem: String| {
            cannot_get(host, &problem)
                .hint(format!("fix the file, or remove it and log in again: {}", login_command(host)))
        };
        let text = match fs_err::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(invalid(error.to_string())),
        };
        let shown = path.display();
        let json: serde_json::Value =
            serde_json::from_str(&text).map_err(|error| invalid(format!("{shown} is not valid JSON: {error}")))?;
        // Omit serde's error, because it may quote a value.
        let content =
            Content::deserialize(json).map_err(|_| invalid(format!("{shown} is not a valid Docker configuration")))?;
        Ok(Some(AuthFile { path: path.to_owned(), content }))
    }

    /// Returns what the file contains for a repository. Like Docker, prefers a helper for the registry to one for all
    /// registries, and both to credentials in the file. An empty helper stands for credentials in the file.
    pub(super) fn find(&self, target: &Target) -> Result<Option<StoredEntry>, Failure> {
        let server = docker_key(&target.host);
        let helper = match most_specific(self.content.helpers.as_ref(), target) {
            Some((_, name)) => Some((name.as_str(), "credHelpers")),
            None => self.store().map(|name| (name, "credsStore")),
        };
        match helper {
            Some((name, setting)) if !name.is_empty() => {
                Ok(Some(StoredEntry::Helper(HelperEntry { name: name.to_owned(), server: server.to_owned(), setting })))
            }
            _ => match most_specific(self.content.auths.as_ref(), target) {
                Some((key, entry)) => Ok(entry
                    .credentials()
                    .map_err(|problem| self.invalid_entry(key, problem))?
                    .map(StoredEntry::Credentials)),
                None => Ok(None),
            },
        }
    }

    /// Returns the helper for all registries.
    fn store(&self) -> Option<&str> {
        self.content.store.as_deref().filter(|name| !name.is_empty())
    }

    /// Reports whether the file has a separate entry for a registry, which may be empty if a helper stores the
    /// credentials.
    pub(super) fn names(&self, target: &Target) -> bool {
        most_specific(self.content.helpers.as_ref(), target).is_some()
            || most_specific(self.content.auths.as_ref(), target).is_some()
    }

    /// Returns all registries that the file has entries for.
    pub(super) fn hosts(&self) -> impl Iterator<Item = String> {
        let keys = |key: &String| normalize_key(key).split('/').next().map(str::to_owned);
        let helpers = self.content.helpers.iter().flat_map(IndexMap::keys);
        self.content.auths.iter().flat_map(IndexMap::keys).chain(helpers).filter_map(keys)
    }

    fn invalid_entry(&self, key: &str, problem: &str) -> Failure {
        cannot_get(key, &format!("the entry '{key}' in {} {problem}", self.path.display()))
            .hint(format!("log in again: {}", login_command(&normalize_key(key))))
    }
}

/// Returns the entry with the most specific key that matches, and its key as written in the file. A key that is equal
/// to Docker's name of the registry comes before other spellings.
fn most_specific<'a, T>(entries: Option<&'a IndexMap<String, T>>, target: &Target) -> Option<(&'a str, &'a T)> {
    let entries = entries?;
    target.keys().iter().find_map(|wanted| {
        let exact = entries.get_key_value(docker_key(wanted));
        let other = || entries.iter().find(|(key, _)| normalize_key(key) == *wanted);
        exact.or_else(other).map(|(key, entry)| (key.as_str(), entry))
    })
}

impl AuthEntry {
    /// Returns the credentials, or `None` if the entry is empty. The error completes a sentence about the entry.
    fn credentials(&self) -> Result<Option<Credentials>, &'static str> {
        let non_empty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(token) = non_empty(&self.identity_token) {
            return Ok(Some(Credentials::identity_token(&token)));
        }
        if let Some(auth) = non_empty(&self.auth) {
            let decoded = BASE64.decode(auth.trim()).map_err(|_| "is not valid base64")?;
            let decoded = String::from_utf8(decoded).map_err(|_| "is not valid UTF-8")?;
            let (user, password) = decoded.split_once(':').ok_or("has no colon between user name and password")?;
            // Docker ignores this padding too.
            return Ok(Some(Credentials::password(user, password.trim_matches('\0'))));
        }
        Ok(match (non_empty(&self.username), non_empty(&self.password)) {
            (Some(user), Some(password)) => Some(Credentials::password(&user, &password)),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(json: &str) -> AuthFile {
        AuthFile { path: "file.json".into(), content: serde_json::from_str(json).unwrap() }
    }

    /// Describes what a file contains for a reference.
    fn found(json: &str, reference: &str) -> String {
        match file(json).find(&Target::new(&reference.parse().unwrap())) {
            Ok(Some(StoredEntry::Credentials(Credentials::Password { user, password }))) => {
                format!("{user}:{password}")
            }
            Ok(Some(StoredEntry::Credentials(Credentials::IdentityToken(token)))) => format!("token {token}"),
            Ok(Some(StoredEntry::Helper(HelperEntry { name, server, setting }))) => {
                format!("{setting} {name} {server}")
            }
            Ok(None) => "nothing".to_owned(),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn most_specific_key_wins() {
        // base64 of host:file-pw-1, team:file-pw-2 and app:file-pw-3
        let json = r#"{"auths": {
            "quay.io": {"auth": "aG9zdDpmaWxlLXB3LTE="},
            "quay.io/team": {"auth": "dGVhbTpmaWxlLXB3LTI="},
            "quay.io/team/app": {"auth": "YXBwOmZpbGUtcHctMw=="}}}"#;
        for (reference, expected) in [
            ("quay.io/team/app:1", "app:file-pw-3"),
            ("quay.io/team/application", "team:file-pw-2"),
            ("quay.io/teams/app", "host:file-pw-1"),
            ("ghcr.io/team/app", "nothing"),
        ] {
            assert_eq!(found(json, reference), expected, "{reference}");
        }
    }

    #[test]
    fn every_form_of_entry_is_read() {
        for (entry, expected) in [
            (r#""ghcr.io": {"auth": "bWU6ZmlsZTpwdw"}"#, "me:file:pw"),
            (r#""https://ghcr.io": {"auth": "bWU6ZmlsZTpwdw=="}"#, "me:file:pw"),
            (r#""https://ghcr.io/v2/": {"username": "me", "password": "file:pw"}"#, "me:file:pw"),
            (r#""ghcr.io": {"auth": "", "identitytoken": "file-token"}"#, "token file-token"),
            (r#""ghcr.io": {}"#, "nothing"),
            (
                r#""ghcr.io": {"auth": "%"}"#,
                "cannot get credentials for ghcr.io: the entry 'ghcr.io' in file.json is not valid base64",
            ),
        ] {
            assert_eq!(found(&format!(r#"{{"auths": {{{entry}}}}}"#), "ghcr.io/you/app"), expected, "{entry}");
        }
        assert_eq!(
            found(r#"{"auths": {"https://index.docker.io/v1/": {"auth": "bWU6ZmlsZTpwdw=="}}}"#, "debian"),
            "me:file:pw"
        );
    }

    #[test]
    fn helpers_come_before_entries() {
        let json = r#"{"auths": {"ghcr.io": {"auth": "bWU6ZmlsZTpwdw=="}, "r.example": {"auth": "bWU6ZmlsZTpwdw=="}},
            "credHelpers": {"123.dkr.ecr.eu-west-1.amazonaws.com": "ecr-login", "r.example": ""}, "credsStore": "pass"}"#;
        for (reference, expected) in [
            ("ghcr.io/you/app", "credsStore pass ghcr.io"),
            ("debian", "credsStore pass https://index.docker.io/v1/"),
            ("123.dkr.ecr.eu-west-1.amazonaws.com/app", "credHelpers ecr-login 123.dkr.ecr.eu-west-1.amazonaws.com"),
            ("r.example/app", "me:file:pw"),
        ] {
            assert_eq!(found(json, reference), expected, "{reference}");
        }
        assert_eq!(found(r#"{"auths": null, "credHelpers": null, "credsStore": ""}"#, "debian"), "nothing");
    }
}
