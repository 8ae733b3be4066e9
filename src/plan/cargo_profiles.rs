//! Finds the cargo profiles that a workspace defines.

use std::collections::BTreeSet;

use camino::Utf8Path;
use indexmap::IndexMap;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// The profile tables of a manifest or a cargo configuration file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProfileTables {
    profile: IndexMap<String, IgnoredAny>,
}

/// Returns the profiles defined in the workspace manifest, in cargo's configuration files and by environment variables.
pub(crate) fn defined_profiles(manifest: &Utf8Path, current_dir: &Utf8Path) -> BTreeSet<String> {
    let files = cargo_config2::Walk::new(current_dir.as_std_path()).chain([manifest.as_std_path().to_owned()]);
    // Skip files that cannot be read or parsed: cargo reports them later.
    let texts = files.filter_map(|path| fs_err::read_to_string(path).ok());
    let parsed = texts.filter_map(|text| toml::from_str::<ProfileTables>(&text).ok());
    let in_variables = std::env::vars_os().filter_map(|(name, _)| {
        let name = name.to_str()?.strip_prefix("CARGO_PROFILE_")?.strip_suffix("_INHERITS")?;
        Some(name.to_lowercase())
    });
    parsed.flat_map(|file| file.profile.into_keys()).chain(in_variables).collect()
}
