//! Reads the cargo profiles that a workspace defines, and determines what they strip from binaries.

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8Path;
use serde::Deserialize;

use crate::elf::linking::SymbolKind;

/// The profile tables of a manifest or a cargo configuration file.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ProfileTables {
    profile: BTreeMap<String, ProfileTable>,
}

/// The keys of a profile that determine its symbols.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct ProfileTable {
    inherits: Option<String>,
    debug: Option<ProfileValue>,
    strip: Option<ProfileValue>,
}

/// A value that is written as a string in some places and as a boolean or a number in others.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum ProfileValue {
    Bool(bool),
    Number(i64),
    Text(String),
    /// A value of another type, which cargo rejects.
    Invalid(toml::Value),
}

/// The profiles defined by a workspace, cargo's configuration and environment variables.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CargoProfiles {
    in_files: BTreeMap<String, ProfileTable>,
    /// The profiles in environment variables, which override files. The names are in lower case, with underscores.
    in_variables: BTreeMap<String, ProfileTable>,
}

impl CargoProfiles {
    /// Reads the workspace manifest, cargo's configuration files and the environment.
    pub(crate) fn load(manifest: &Utf8Path, current_dir: &Utf8Path) -> CargoProfiles {
        let files = cargo_config2::Walk::new(current_dir.as_std_path()).chain([manifest.as_std_path().to_owned()]);
        // Skip files that cannot be read or parsed: cargo reports them later.
        let texts = files.filter_map(|path| fs_err::read_to_string(path).ok());
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix("CARGO_PROFILE_")?.to_owned();
            Some((name, value.to_str()?.to_owned()))
        });
        CargoProfiles::parse(texts, variables)
    }

    /// Parses the texts of files, of which earlier ones override later ones, and environment variables without their
    /// prefix `CARGO_PROFILE_`.
    fn parse(texts: impl Iterator<Item = String>, variables: impl Iterator<Item = (String, String)>) -> CargoProfiles {
        let mut profiles = CargoProfiles::default();
        for file in texts.filter_map(|text| toml::from_str::<ProfileTables>(&text).ok()) {
            for (profile, table) in file.profile {
                profiles.in_files.entry(profile).or_default().fill_from(table);
            }
        }
        for (name, value) in variables {
            if let Some((profile, key)) = name.rsplit_once('_') {
                let table = ProfileTable::from_variable(key, value);
                profiles.in_variables.entry(profile.to_lowercase()).or_default().fill_from(table);
            }
        }
        profiles
    }

    /// Returns the names of the profiles. Those that only environment variables define are in lower case, with
    /// underscores.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let in_variables = self.in_variables.iter().filter(|(_, table)| table.inherits.is_some());
        self.in_files.keys().chain(in_variables.map(|(name, _)| name)).cloned().collect()
    }

    /// Determines which symbols a binary compiled with a profile contains. Unless `strip` is set, cargo removes the
    /// standard library's debug information if the profile has none (<https://doc.rust-lang.org/cargo/reference/profiles.html#strip>).
    pub(crate) fn symbols(&self, profile: &str) -> SymbolKind {
        let debug = self.find(profile, |table| table.debug.as_ref());
        let has_debug_info = debug.map_or_else(|| self.is_based_on_dev(profile), |debug| !debug.is_off());
        match self.find(profile, |table| table.strip.as_ref()) {
            Some(ProfileValue::Text(strip)) if strip == "debuginfo" => SymbolKind::Symbols,
            Some(strip) if strip.is_off() => SymbolKind::DebugInfo,
            Some(_) => SymbolKind::Stripped,
            None if has_debug_info => SymbolKind::DebugInfo,
            None => SymbolKind::Symbols,
        }
    }

    /// Returns the profile and those it inherits from, closest first.
    fn ancestors<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = &'a str> {
        let parent = |profile: &&'a str| {
            self.key(profile, |table| table.inherits.as_deref()).or(match *profile {
                "test" => Some("dev"),
                "bench" => Some("release"),
                _ => None,
            })
        };
        // cargo rejects cycles, so stop at an arbitrary depth.
        std::iter::successors(Some(profile), parent).take(16)
    }

    /// Returns a key of a profile, without those that it inherits from.
    fn key<'a, T>(&'a self, profile: &str, value: impl Fn(&'a ProfileTable) -> Option<T>) -> Option<T> {
        let in_variables = self.in_variables.get(&profile.to_lowercase().replace('-', "_"));
        in_variables.and_then(&value).or_else(|| value(self.in_files.get(profile)?))
    }

    fn find<'a>(
        &'a self,
        profile: &'a str,
        value: impl Fn(&'a ProfileTable) -> Option<&'a ProfileValue>,
    ) -> Option<&'a ProfileValue> {
        self.ancestors(profile).find_map(|profile| self.key(profile, &value))
    }

    fn is_based_on_dev(&self, profile: &str) -> bool {
        self.ancestors(profile).last() == Some("dev")
    }
}

impl ProfileTable {
    fn from_variable(key: &str, value: String) -> ProfileTable {
        match key {
            "INHERITS" => ProfileTable { inherits: Some(value), ..ProfileTable::default() },
            "DEBUG" => ProfileTable { debug: Some(ProfileValue::Text(value)), ..ProfileTable::default() },
            "STRIP" => ProfileTable { strip: Some(ProfileValue::Text(value)), ..ProfileTable::default() },
            _ => ProfileTable::default(),
        }
    }

    /// Sets the keys that are unset.
    fn fill_from(&mut self, other: ProfileTable) {
        let ProfileTable { inherits, debug, strip } = other;
        self.inherits = self.inherits.take().or(inherits);
        self.debug = self.debug.take().or(debug);
        self.strip = self.strip.take().or(strip);
    }
}

impl ProfileValue {
    fn is_off(&self) -> bool {
        match self {
            ProfileValue::Bool(is_on) => !is_on,
            ProfileValue::Number(number) => *number == 0,
            ProfileValue::Invalid(_) => false,
            ProfileValue::Text(text) => ["none", "false", "0"].contains(&text.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profiles(manifest: &str, variables: &[(&str, &str)]) -> CargoProfiles {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        CargoProfiles::parse(std::iter::once(manifest.to_owned()), variables)
    }

    #[test]
    fn profiles_determine_the_symbols() {
        use SymbolKind::{DebugInfo, Stripped, Symbols};
        for (profile, manifest, variables, expected) in [
            ("release", "", &[][..], Symbols),
            ("bench", "", &[], Symbols),
            ("dev", "", &[], DebugInfo),
            ("test", "", &[], DebugInfo),
            ("dev", "[profile.dev]\ndebug = 0", &[], Symbols),
            ("release", "[profile.release]\nstrip = true", &[], Stripped),
            ("release", "[profile.release]\nstrip = 'symbols'\ndebug = true", &[], Stripped),
            ("release", "[profile.release]\nstrip = 'debuginfo'\ndebug = true", &[], Symbols),
            ("release", "[profile.release]\nstrip = 'none'", &[], DebugInfo),
            ("release", "[profile.release]\nstrip = false", &[], DebugInfo),
            ("release", "[profile.release]\ndebug = 'line-tables-only'", &[], DebugInfo),
            ("release", "[profile.release]\nstrip = true", &[("RELEASE_STRIP", "none")], DebugInfo),
            ("release", "", &[("RELEASE_DEBUG", "1"), ("RELEASE_LTO", "fat")], DebugInfo),
            ("my-dist", "[profile.release]\nstrip = true\n[profile.my-dist]\ninherits = 'release'", &[], Stripped),
            ("my-dist", "[profile.my-dist]\ninherits = 'dev'", &[("MY_DIST_STRIP", "symbols")], Stripped),
            ("release", "[profile.release]\nstrip = 'debuginfo'\ndebug = 1", &[], Symbols),
            ("my-dist", "[profile.dev]\ndebug = []\n[profile.my-dist]\ninherits = 'release'", &[], Symbols),
            ("slim", "", &[("SLIM_INHERITS", "dev")], DebugInfo),
        ] {
            assert_eq!(profiles(manifest, variables).symbols(profile), expected, "{profile} {manifest} {variables:?}");
        }
    }

    #[test]
    fn names_come_from_files_and_variables() {
        let found = profiles("[profile.my-dist]\ninherits = 'release'", &[("SLIM_INHERITS", "dev"), ("X_LTO", "fat")]);
        assert_eq!(found.names(), ["my-dist", "slim"].map(str::to_owned).into());
        let found = profiles("[profile.dev]\ndebug = []\n[profile.my-dist]\ninherits = 'release'", &[]);
        assert_eq!(found.names(), ["dev", "my-dist"].map(str::to_owned).into());
    }
}
