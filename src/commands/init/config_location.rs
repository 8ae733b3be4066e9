//! Where the configuration stands, or will stand.

use anyhow::Result;
use camino::Utf8PathBuf;

use super::table_name;
use crate::config::Config;
use crate::config::ConfigTable;
use crate::error::{Class, Failure};
use crate::plan::{ConfigSources, Workspace};

/// A table of a file.
pub struct Place {
    pub path: Utf8PathBuf,
    pub table: ConfigTable,
    /// The file as it is; empty where there is none.
    pub text: String,
    /// The package whose table it is.
    package: Option<String>,
    /// This table is there.
    is_there: bool,
    /// It is, or one of a member.
    is_configured: bool,
}

impl Place {
    /// Where the configuration is; else multiarch.toml if `file` is wanted, else the root manifest.
    pub fn find(workspace: &Workspace, sources: &ConfigSources, file: bool) -> Result<Place> {
        let path = workspace.root.join("multiarch.toml");
        let manifest = read(&workspace.manifest_path)?;
        let in_manifest = [ConfigTable::Workspace, ConfigTable::Package].into_iter().find(|table| {
            crate::config::read::parse(&manifest, &workspace.manifest_path, *table).is_ok_and(|config| config.is_some())
        });
        let is_file = path.is_file();
        if let Some(name) = in_manifest.and_then(table_name).filter(|_| file && !is_file) {
            return Err(Failure::new(
                Class::Config,
                format!("the configuration is [{name}] in {}, and --file would make a second", workspace.manifest_path),
            )
            .hint(format!("take [{name}] out of it first, or go on with it: `cargo multiarch init`"))
            .into());
        }
        let is_member = !sources.packages.is_empty();
        if is_file || file {
            let text = if is_file { read(&path)? } else { String::new() };
            return Ok(Place {
                path,
                table: ConfigTable::Root,
                text,
                package: None,
                is_there: is_file,
                is_configured: is_file || is_member,
            });
        }
        let root = || workspace.packages.iter().find(|package| package.manifest_path == workspace.manifest_path);
        let is_workspace = manifest.parse::<toml::Table>().is_ok_and(|manifest| manifest.contains_key("workspace"));
        let table = in_manifest.unwrap_or(if is_workspace { ConfigTable::Workspace } else { ConfigTable::Package });
        Ok(Place {
            path: workspace.manifest_path.clone(),
            table,
            text: manifest,
            package: root().filter(|_| table == ConfigTable::Package).map(|package| package.name.clone()),
            is_there: in_manifest.is_some(),
            is_configured: in_manifest.is_some() || is_member,
        })
    }

    pub fn is_there(&self) -> bool {
        self.is_there
    }

    pub fn is_configured(&self) -> bool {
        self.is_configured
    }

    /// `[workspace.metadata.multiarch]`, and the whole file by its name.
    pub fn name(&self) -> String {
        table_name(self.table).map_or_else(|| "the configuration".to_owned(), |name| format!("[{name}]"))
    }

    /// Puts a configuration in the place of what was read here.
    pub fn put(&self, sources: &mut ConfigSources, config: Config) {
        match &self.package {
            Some(package) => drop(sources.packages.insert(package.clone(), config)),
            None => sources.workspace = config,
        }
    }

    /// What was read here.
    pub fn table_in(&self, sources: &ConfigSources) -> Config {
        match &self.package {
            Some(package) => sources.packages.get(package).cloned().unwrap_or_default(),
            None => sources.workspace.clone(),
        }
    }
}

fn read(path: &Utf8PathBuf) -> Result<String> {
    Ok(fs_err::read_to_string(path)?)
}
