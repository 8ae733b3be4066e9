//! Determines which keys each configuration table allows: some can be set only for the whole workspace, and some cannot
//! be set per platform.

use serde_json::{Map, Value};

use super::Config;

/// The part of a workspace that a configuration table applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The whole workspace: multiarch.toml or `[workspace.metadata.multiarch]`.
    Workspace,
    Package,
    Image,
    Platform,
}

/// Keys that can only be set for the whole workspace.
const WORKSPACE_KEYS: [&str; 7] =
    ["allow-tag-mismatch", "auditable", "insecure-registries", "builder", "debian-keyring", "debian-mirror", "locked"];

/// Keys that cannot be set per platform.
const IMAGE_KEYS: [&str; 28] = [
    "registry",
    "platforms",
    "tags",
    "index",
    "immutable-tags",
    "bins",
    "platform",
    "annotations",
    "ca-certificates",
    "timezones",
    "engine",
    "compression",
    "compression-level",
    "allow",
    "deny-needed",
    "static-only",
    "non-root-only",
    "max-size",
    "require-labels",
    "require-annotations",
    "smoke",
    "build-args",
    "cache-from",
    "cache-to",
    "provenance",
    "sbom",
    "secrets",
    "buildx-args",
];

impl Scope {
    /// Reports whether `key` is allowed in this scope.
    pub(crate) fn allows(self, key: &str) -> bool {
        let allowed_in_images = key != "images" && !WORKSPACE_KEYS.contains(&key);
        match self {
            Scope::Workspace => true,
            Scope::Package => !WORKSPACE_KEYS.contains(&key),
            Scope::Image => allowed_in_images,
            Scope::Platform => allowed_in_images && !IMAGE_KEYS.contains(&key),
        }
    }
}

/// A key that is set in a table where it is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MisplacedKey {
    /// The full path of the key, such as `images.app.builder`.
    pub path: String,
    pub scope: Scope,
}

/// Returns the first key that is not allowed where it is set, including keys in nested tables.
pub(crate) fn misplaced_key(config: &Config, scope: Scope) -> Option<MisplacedKey> {
    misplaced_in_table(serde_json::to_value(config).ok()?.as_object()?, scope, "")
}

fn misplaced_in_table(table: &Map<String, Value>, scope: Scope, prefix: &str) -> Option<MisplacedKey> {
    for (key, value) in table {
        // Unset keys serialize to null or an empty table.
        let is_set = !value.is_null() && value.as_object().is_none_or(|table| !table.is_empty());
        if is_set && !scope.allows(key) {
            return Some(MisplacedKey { path: format!("{prefix}{key}"), scope });
        }
    }
    let tables_in = |key: &str| table.get(key).and_then(Value::as_object).into_iter().flatten();
    let mut in_images = tables_in("images").filter_map(|(name, image)| {
        misplaced_in_table(image.as_object()?, Scope::Image, &format!("{prefix}images.{name}."))
    });
    let mut in_platforms = tables_in("platform").filter_map(|(platform, keys)| {
        misplaced_in_table(keys.as_object()?, Scope::Platform, &format!("{prefix}platform.\"{platform}\"."))
    });
    in_images.next().or_else(|| in_platforms.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_misplaced_keys() {
        for (text, scope, key) in [
            ("[platform.'linux/arm64']\ntags = ['a']", Scope::Workspace, Some("platform.\"linux/arm64\".tags")),
            ("[images.a]\nbuilder = 'b'", Scope::Workspace, Some("images.a.builder")),
            ("[images.a.images.b]\nuser = '1'", Scope::Workspace, Some("images.a.images")),
            (
                "[images.a.platform.'linux/arm64']\nbins = []",
                Scope::Workspace,
                Some("images.a.platform.\"linux/arm64\".bins"),
            ),
            ("[images.a.platform.'linux/arm64']\nbase = 'b'\n[images.b]\ntags = ['b']", Scope::Package, None),
            ("locked = false", Scope::Package, Some("locked")),
            ("engine = 'auto'\n[images.a]\nengine = 'buildx'", Scope::Package, None),
            ("[platform.'linux/arm64']\nengine = 'auto'", Scope::Workspace, Some("platform.\"linux/arm64\".engine")),
            ("locked = false\nengine = 'auto'\n[images.a]\nsmoke = []", Scope::Workspace, None),
        ] {
            let config = toml::from_str(text).unwrap();
            assert_eq!(misplaced_key(&config, scope).map(|key| key.path).as_deref(), key, "{text}");
        }
    }

    #[test]
    fn restricted_keys_exist() {
        let known = serde_json::to_value(Config::default()).unwrap();
        for key in WORKSPACE_KEYS.iter().chain(&IMAGE_KEYS) {
            assert!(known.get(key).is_some(), "{key}");
        }
    }
}
