//! Which source wins: flags > environment > package metadata > workspace metadata or multiarch.toml > defaults.

use anyhow::Result;
use indexmap::IndexMap;

use super::Workspace;
use crate::config::{Config, ConfigTable, read};
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// Every source of settings, read and parsed.
#[derive(Debug, Clone, Default)]
pub struct ConfigSources {
    /// `multiarch.toml` or `[workspace.metadata.multiarch]`.
    pub workspace: Config,
    /// `[package.metadata.multiarch]` by package name.
    pub packages: IndexMap<String, Config>,
    /// Flags, laid over the environment.
    pub command_line: Config,
    /// What is not read, and may be meant to be.
    pub notes: Vec<String>,
}

impl ConfigSources {
    /// Reads the configuration of a workspace.
    pub fn load(workspace: &Workspace, command_line: Config) -> Result<ConfigSources> {
        let file = workspace.root.join("multiarch.toml");
        let mut notes = Vec::new();
        let in_file = read::read(&file, ConfigTable::Root, &mut notes)?;
        let in_manifest = read::read(&workspace.manifest_path, ConfigTable::Workspace, &mut notes)?;
        let workspace_config = match (in_file, in_manifest) {
            (Some(_), Some(_)) => {
                return Err(Failure::new(
                    Class::Config,
                    format!("both {file} and [workspace.metadata.multiarch] in {} are there", workspace.manifest_path),
                )
                .hint("keep one of them")
                .into());
            }
            (one, other) => one.or(other).unwrap_or_default(),
        };
        let mut packages = IndexMap::new();
        for package in &workspace.packages {
            let folder = package.manifest_path.parent().unwrap_or(&workspace.root);
            let ignored = folder.join("multiarch.toml");
            if folder != workspace.root && ignored.is_file() {
                return Err(Failure::new(
                    Class::Config,
                    format!("{ignored} is in a member's folder, where it is not read"),
                )
                .hint(format!(
                    "move its keys to [package.metadata.multiarch] in {}, or the file to {}",
                    package.manifest_path, workspace.root
                ))
                .into());
            }
            if let Some(config) = read::read(&package.manifest_path, ConfigTable::Package, &mut notes)? {
                packages.insert(package.name.clone(), config);
            }
        }
        Ok(ConfigSources { workspace: workspace_config, packages, command_line, notes })
    }

    /// The images that are configured, and for each the package whose metadata names it, if any does.
    pub fn configured_images(&self) -> IndexMap<&str, Option<&str>> {
        let mut images: IndexMap<&str, Option<&str>> =
            self.workspace.images.keys().map(|name| (name.as_str(), None)).collect();
        for (package, config) in &self.packages {
            images.extend(config.images.keys().map(|name| (name.as_str(), Some(package.as_str()))));
        }
        images
    }

    /// The keys for an image of a package, before platforms are looked at and without flags and environment.
    pub fn image(&self, image: &str, package: Option<&str>) -> Config {
        let mut result = Config::default();
        for layer in
            [Some(&self.workspace), package.and_then(|package| self.packages.get(package))].into_iter().flatten()
        {
            let mut layer = layer.clone();
            let own = std::mem::take(&mut layer.images).swap_remove(image);
            result.update(layer);
            result.update(own.unwrap_or_default());
        }
        result
    }

    /// The keys for all platforms of an image.
    pub fn all_platforms(&self, image: &Config) -> Config {
        let mut result = image.clone();
        result.platform.clear();
        result.update(self.command_line.clone());
        result
    }

    /// The keys for one platform of an image.
    pub fn platform(&self, image: &Config, platform: Platform) -> Config {
        let mut result = image.clone();
        let own = std::mem::take(&mut result.platform).swap_remove(&platform);
        result.update(own.unwrap_or_default());
        result.update(self.command_line.clone());
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn layers() {
        let sources = ConfigSources {
            workspace: config(
                "base = 'w'\nuser = 'w'\nworkdir = '/w'\nprofile = 'w'\ntags = ['w']\n\
                 [images.i]\nuser = 'wi'\nprofile = 'wi'\n[images.i.platform.'linux/arm64']\nprofile = 'wip'",
            ),
            packages: IndexMap::from([("p".to_owned(), config("workdir = '/p'\n[images.i]\ntags = ['pi']"))]),
            command_line: config("libc = 'gnu'"),
            ..ConfigSources::default()
        };
        let image = sources.image("i", Some("p"));
        let all = sources.all_platforms(&image);
        assert_eq!((all.base.as_deref(), all.user.as_deref()), (Some("w"), Some("wi")));
        assert_eq!((all.workdir.as_deref(), all.tags), (Some("/p"), Some(vec!["pi".to_owned()])));
        assert_eq!(all.profile.as_deref(), Some("wi"));

        let arm64 = sources.platform(&image, "linux/arm64".parse().unwrap());
        assert_eq!((arm64.profile.as_deref(), arm64.libc), (Some("wip"), Some(crate::platform::Libc::Gnu)));
        assert_eq!(sources.image("other", None).user.as_deref(), Some("w"));
    }

    #[test]
    fn flags_win_over_a_platforms_own_keys() {
        let sources = ConfigSources {
            workspace: config("[platform.'linux/arm64']\nbase = 'p'"),
            command_line: config("base = 'flag'"),
            ..ConfigSources::default()
        };
        let image = sources.image("i", None);
        assert_eq!(sources.platform(&image, "linux/arm64".parse().unwrap()).base.as_deref(), Some("flag"));
    }
}
