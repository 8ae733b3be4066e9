//! Reads the configuration from multiarch.toml and Cargo.toml metadata.

use anyhow::{Context, Result};
use camino::Utf8Path;
use serde::Deserialize;

use super::location::ConfigFile;
use super::parse_errors::explain_parse_error;
use super::scope::{Scope, misplaced_key};
use super::{Config, ConfigTable, metadata_typo};
use crate::error::{Class, Failure};

/// The parts of Cargo.toml that can contain a configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct CargoManifest {
    workspace: ManifestSection,
    package: ManifestSection,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ManifestSection {
    metadata: MetadataTables,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MetadataTables {
    multiarch: Option<Config>,
}

/// Reads the configuration from a table in a file, and adds the file to `files`. Returns `None` if the file or the table
/// does not exist. Adds a note if the file contains a table whose name appears to be misspelled.
pub(crate) fn read(
    path: &Utf8Path,
    table: ConfigTable,
    files: &mut Vec<ConfigFile>,
    notes: &mut Vec<String>,
) -> Result<Option<Config>> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot read the configuration"),
    };
    notes.extend(metadata_typo::misspelled_table_note(&text, path, table));
    let config = parse(&text, path, table)?;
    if config.is_some() {
        files.push(ConfigFile { path: path.to_owned(), table, text });
    }
    Ok(config)
}

/// Parses the configuration from a table in `text`. Returns `None` if the table does not exist.
pub(crate) fn parse(text: &str, path: &Utf8Path, table: ConfigTable) -> Result<Option<Config>, Failure> {
    let parsed = match table {
        ConfigTable::Root => toml::from_str(text).map(Some),
        ConfigTable::Workspace => {
            toml::from_str::<CargoManifest>(text).map(|manifest| manifest.workspace.metadata.multiarch)
        }
        ConfigTable::Package => {
            toml::from_str::<CargoManifest>(text).map(|manifest| manifest.package.metadata.multiarch)
        }
    };
    let config = parsed.map_err(|error| explain_parse_error(&error, text, path))?;
    let scope = if table == ConfigTable::Package { Scope::Package } else { Scope::Workspace };
    if let Some(misplaced) = config.as_ref().and_then(|config| misplaced_key(config, scope)) {
        let (level, hint) = match misplaced.scope {
            Scope::Workspace | Scope::Package => {
                ("package", "move it to [workspace.metadata.multiarch] or multiarch.toml")
            }
            Scope::Image => ("image", "move it out of the image's table"),
            Scope::Platform => ("platform", "move it out of the platform's table"),
        };
        let message = format!("{path}: key '{}' cannot be set per {level}", misplaced.path);
        return Err(Failure::new(Class::Config, message).hint(hint));
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Port;

    fn root(text: &str) -> Result<Config, Failure> {
        parse(text, "multiarch.toml".into(), ConfigTable::Root).map(Option::unwrap_or_default)
    }

    #[test]
    fn parses_the_example_workspace() {
        let config = root(include_str!("../../examples/workspace/multiarch.toml")).unwrap();
        assert_eq!(config.images.keys().collect::<Vec<_>>(), ["core", "worker", "ctl"]);
        let image = &config.images["core"];
        assert_eq!(image.bins.as_deref(), Some(&["core".to_owned(), "ctl".to_owned()][..]));
        assert_eq!(image.platform.keys().map(|p| p.name()).collect::<Vec<_>>(), ["linux/arm64"]);
    }

    #[test]
    fn unknown_keys_are_reported_with_file_line_and_suggestion() {
        let failure = root("registry = 'x'\n\n[images.a]\nbsae = 'scratch'\n").unwrap_err();
        assert_eq!(failure.to_string(), "multiarch.toml:4: unknown key 'bsae'");
        assert_eq!(failure.hints(), ["did you mean 'base'?"]);

        let manifest = "[package]\nname = 'a'\n[package.metadata.multiarch]\nplatform = {}\nenv = {}\ntag = ['a']\n";
        let failure = parse(manifest, "Cargo.toml".into(), ConfigTable::Package).unwrap_err();
        assert_eq!(failure.to_string(), "Cargo.toml:6: unknown key 'tag'");
        assert_eq!(failure.hints(), ["did you mean 'tags'?"]);
    }

    #[test]
    fn keys_in_hints_parse() {
        let config = root(
            "platform.\"linux/arm/v7\" = { libc = \"gnu\", base = \"debian:trixie-slim\" }\n\
             platform.\"linux/arm64\" = { build-env = { A = \"1\" } }\nimages.web = { bins = [\"app\"] }",
        )
        .unwrap();
        assert_eq!((config.platform.len(), config.images.len()), (2, 1));
    }

    #[test]
    fn update_replaces_values_and_merges_maps() {
        let mut config = root("base = 'a'\nexpose = [1]\nenv = { A = '1', B = '1' }\n[images.x]\nuser = 'u'").unwrap();
        config.update(root("base = 'b'\nenv = { B = '2' }\n[images.x]\nworkdir = '/w'").unwrap());
        assert_eq!(config.base.as_deref(), Some("b"));
        assert_eq!(config.expose, Some(vec![Port::Number(1)]));
        assert_eq!(config.env.iter().map(|(k, v)| format!("{k}{v}")).collect::<Vec<_>>(), ["A1", "B2"]);
        assert_eq!(
            (config.images["x"].user.as_deref(), config.images["x"].workdir.as_deref()),
            (Some("u"), Some("/w"))
        );
    }

    #[test]
    fn configurations_in_the_readme_parse() {
        let readme = include_str!("../../README.md");
        let blocks: Vec<&str> =
            readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        for block in blocks {
            toml::from_str::<Config>(block).unwrap_or_else(|error| panic!("{error}\n{block}"));
        }
    }
}
