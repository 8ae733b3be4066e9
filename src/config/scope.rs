//! Which keys of the configuration make sense where: some are the workspace's alone, and some cannot differ per platform.
//! Pure.

use serde_json::{Map, Value};

use super::Config;

/// Where a configuration stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Top,
    Package,
    Image,
    Platform,
}

const OF_THE_WORKSPACE: [&str; 5] = ["auditable", "engine", "insecure-registries", "builder", "locked"];

const OF_AN_IMAGE: [&str; 23] = [
    "registry",
    "platforms",
    "tags",
    "bins",
    "platform",
    "annotations",
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
    /// Does a key make sense here?
    pub fn has(self, key: &str) -> bool {
        let below_the_top = key != "images" && !OF_THE_WORKSPACE.contains(&key);
        match self {
            Scope::Top => true,
            Scope::Package => !OF_THE_WORKSPACE.contains(&key),
            Scope::Image => below_the_top,
            Scope::Platform => below_the_top && !OF_AN_IMAGE.contains(&key),
        }
    }
}

/// The first key that makes no sense at its level, as a path.
pub fn misplaced_key(config: &Config, level: Scope) -> Option<String> {
    first(serde_json::to_value(config).ok()?.as_object()?, level)
}

fn first(keys: &Map<String, Value>, level: Scope) -> Option<String> {
    // What is not set is there as null, or as a table with nothing in it.
    let is_set = |value: &Value| !value.is_null() && value.as_object().is_none_or(|table| !table.is_empty());
    let own = keys.iter().find(|(key, value)| is_set(value) && !level.has(key)).map(|(key, _)| key.clone());
    let tables = |name: &str| keys.get(name).and_then(Value::as_object).into_iter().flatten();
    let mut images = tables("images")
        .filter_map(|(name, image)| first(image.as_object()?, Scope::Image).map(|key| format!("images.{name}.{key}")));
    let mut platforms = tables("platform").filter_map(|(platform, keys)| {
        first(keys.as_object()?, Scope::Platform).map(|key| format!("platform.\"{platform}\".{key}"))
    });
    own.or_else(|| images.next()).or_else(|| platforms.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_at_the_wrong_level() {
        for (text, level, key) in [
            ("[platform.'linux/arm64']\ntags = ['a']", Scope::Top, Some("platform.\"linux/arm64\".tags")),
            ("[images.a]\nbuilder = 'b'", Scope::Top, Some("images.a.builder")),
            ("[images.a.images.b]\nuser = '1'", Scope::Top, Some("images.a.images")),
            (
                "[images.a.platform.'linux/arm64']\nbins = []",
                Scope::Top,
                Some("images.a.platform.\"linux/arm64\".bins"),
            ),
            ("[images.a.platform.'linux/arm64']\nbase = 'b'\n[images.b]\ntags = ['b']", Scope::Package, None),
            ("locked = false", Scope::Package, Some("locked")),
            ("locked = false\nengine = 'auto'\n[images.a]\nsmoke = []", Scope::Top, None),
        ] {
            let config = toml::from_str(text).unwrap();
            assert_eq!(misplaced_key(&config, level).as_deref(), key, "{text}");
        }
    }

    #[test]
    fn the_keys_that_have_a_level_are_keys() {
        let known = serde_json::to_value(Config::default()).unwrap();
        for key in OF_THE_WORKSPACE.iter().chain(&OF_AN_IMAGE) {
            assert!(known.get(key).is_some(), "{key}");
        }
    }
}
