//! Finds the existing configuration, or decides where to write a new one.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::config::{Config, ConfigTable, read};
use crate::error::{Class, Failure};
use crate::plan::{ConfigSources, Workspace};

/// The file and table that the configuration is read from and written to.
pub(crate) struct ConfigLocation {
    pub path: Utf8PathBuf,
    pub table: ConfigTable,
    /// The contents of the file. Empty if the file does not exist.
    pub text: String,
    /// The name of the package, if the configuration is in `[package.metadata.multiarch]`.
    package: Option<String>,
    /// Whether the table already exists.
    pub exists: bool,
    /// Whether the table exists or any workspace member has a configuration.
    pub is_configured: bool,
}

impl ConfigLocation {
    /// Finds the existing configuration. If none exists, chooses multiarch.toml if `use_file` is set, and the root
    /// manifest otherwise.
    pub(crate) fn find(workspace: &Workspace, sources: &ConfigSources, use_file: bool) -> Result<ConfigLocation> {
        let file = workspace.root.join("multiarch.toml");
        let manifest_path = &workspace.manifest_path;
        let manifest = fs_err::read_to_string(manifest_path)?;
        let existing_table = configured_table(&manifest, manifest_path);
        let file_exists = file.is_file();
        if let Some(name) = existing_table.and_then(table_name)
            && use_file
            && !file_exists
        {
            let message = format!("cannot create multiarch.toml: {manifest_path} already contains [{name}]");
            return Err(Failure::new(Class::Config, message)
                .hint(format!("remove [{name}] first, or run `cargo multiarch init` without `--file`"))
                .into());
        }
        let is_member_configured = !sources.packages.is_empty();
        if file_exists || use_file {
            return Ok(ConfigLocation {
                text: if file_exists { fs_err::read_to_string(&file)? } else { String::new() },
                path: file,
                table: ConfigTable::Root,
                package: None,
                exists: file_exists,
                is_configured: file_exists || is_member_configured,
            });
        }
        let table = existing_table.unwrap_or_else(|| default_table(&manifest));
        let root_package = workspace.packages.iter().find(|package| package.manifest_path == *manifest_path);
        let package = match table {
            ConfigTable::Package => root_package.map(|package| package.name.clone()),
            ConfigTable::Workspace | ConfigTable::Root => None,
        };
        Ok(ConfigLocation {
            path: manifest_path.clone(),
            table,
            text: manifest,
            package,
            exists: existing_table.is_some(),
            is_configured: existing_table.is_some() || is_member_configured,
        })
    }

    /// Returns a description of the table for messages: its name, such as `[workspace.metadata.multiarch]`, or
    /// `configuration` for a whole file.
    pub(crate) fn description(&self) -> String {
        table_name(self.table).map_or_else(|| "configuration".to_owned(), |name| format!("[{name}]"))
    }

    /// Replaces the configuration that `sources` read from this location.
    pub(crate) fn set_config(&self, sources: &mut ConfigSources, config: Config) {
        match &self.package {
            Some(package) => drop(sources.packages.insert(package.clone(), config)),
            None => sources.workspace = config,
        }
    }

    /// Returns the configuration that `sources` read from this location.
    pub(crate) fn config(&self, sources: &ConfigSources) -> Config {
        match &self.package {
            Some(package) => sources.packages.get(package).cloned().unwrap_or_default(),
            None => sources.workspace.clone(),
        }
    }
}

/// Returns the table of a manifest that contains the configuration, if any.
fn configured_table(manifest: &str, path: &Utf8Path) -> Option<ConfigTable> {
    let has_config = |table| read::parse(manifest, path, table).is_ok_and(|config| config.is_some());
    [ConfigTable::Workspace, ConfigTable::Package].into_iter().find(|table| has_config(*table))
}

fn default_table(manifest: &str) -> ConfigTable {
    let is_workspace = manifest.parse::<toml::Table>().is_ok_and(|manifest| manifest.contains_key("workspace"));
    if is_workspace { ConfigTable::Workspace } else { ConfigTable::Package }
}

/// Returns the full name of a table in Cargo.toml, or `None` for multiarch.toml.
pub(crate) fn table_name(table: ConfigTable) -> Option<&'static str> {
    match table {
        ConfigTable::Root => None,
        ConfigTable::Workspace => Some("workspace.metadata.multiarch"),
        ConfigTable::Package => Some("package.metadata.multiarch"),
    }
}
