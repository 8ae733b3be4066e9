//! Merges configuration sources. In order of precedence: flags, environment variables, package metadata, workspace
//! metadata or multiarch.toml, and defaults.

use anyhow::Result;
use indexmap::IndexMap;

use super::Workspace;
use crate::config::location::ConfigFile;
use crate::config::{Config, ConfigTable, read};
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// All configuration sources, read and parsed.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigSources {
    /// Settings from `multiarch.toml` or `[workspace.metadata.multiarch]`.
    pub workspace: Config,
    /// Settings from `[package.metadata.multiarch]`, by package name.
    pub packages: IndexMap<String, Config>,
    /// Settings from flags, or from environment variables for flags that are not set.
    pub command_line: Config,
    /// The files that contain settings, with those of packages first.
    pub files: Vec<ConfigFile>,
    /// Notes about ignored tables whose names look misspelled.
    pub notes: Vec<String>,
}

impl ConfigSources {
    /// Reads a workspace's configuration files.
    pub(crate) fn load(workspace: &Workspace, command_line: Config) -> Result<ConfigSources> {
        let file = workspace.root.join("multiarch.toml");
        let (mut files, mut notes) = (Vec::new(), Vec::new());
        let in_file = read::read(&file, ConfigTable::Root, &mut files, &mut notes)?;
        let in_manifest = read::read(&workspace.manifest_path, ConfigTable::Workspace, &mut files, &mut notes)?;
        if in_file.is_some() && in_manifest.is_some() {
            let message = format!(
                "found two configurations: {file} and [workspace.metadata.multiarch] in {}",
                workspace.manifest_path
            );
            return Err(Failure::new(Class::Config, message).hint("remove one of them").into());
        }
        let mut packages = IndexMap::new();
        for package in &workspace.packages {
            let package_dir = package.manifest_path.parent().unwrap_or(&workspace.root);
            let member_file = package_dir.join("multiarch.toml");
            if package_dir != workspace.root && member_file.is_file() {
                return Err(Failure::new(
                    Class::Config,
                    format!("{member_file} is not in the workspace root and would be ignored"),
                )
                .hint(format!(
                    "move its keys to [package.metadata.multiarch] in {}, or move the file to {}",
                    package.manifest_path, workspace.root
                ))
                .into());
            }
            if let Some(config) = read::read(&package.manifest_path, ConfigTable::Package, &mut files, &mut notes)? {
                packages.insert(package.name.clone(), config);
            }
        }
        files.reverse();
        let workspace = in_file.or(in_manifest).unwrap_or_default();
        Ok(ConfigSources { workspace, packages, command_line, files, notes })
    }

    /// Returns the location of an image's setting, as in `multiarch.toml:7: `, or an empty string if it is unknown. `keys`
    /// leads to the setting. If `item` is set, finds that item of a list.
    pub(crate) fn locate(&self, image: &str, keys: &[&str], item: Option<&str>) -> String {
        let in_image = [&["images", image][..], keys].concat();
        let find = |keys: &[&str]| self.files.iter().find_map(|file| file.find(keys, item));
        find(&in_image).or_else(|| find(keys)).map_or_else(String::new, |location| format!("{location}: "))
    }

    /// Returns the names of the configured images, each with the package whose metadata configures it, if any.
    pub(crate) fn configured_images(&self) -> IndexMap<&str, Option<&str>> {
        let mut images: IndexMap<&str, Option<&str>> =
            self.workspace.images.keys().map(|name| (name.as_str(), None)).collect();
        for (package, config) in &self.packages {
            images.extend(config.images.keys().map(|name| (name.as_str(), Some(package.as_str()))));
        }
        images
    }

    /// Returns an image's settings from configuration files, without flags and environment variables. Keeps
    /// per-platform settings separate.
    pub(crate) fn image_config(&self, image: &str, package: Option<&str>) -> Config {
        let package_config = package.and_then(|package| self.packages.get(package));
        let mut result = Config::default();
        for mut layer in [Some(&self.workspace), package_config].into_iter().flatten().cloned() {
            let image_keys = std::mem::take(&mut layer.images).swap_remove(image);
            result.update(layer);
            result.update(image_keys.unwrap_or_default());
        }
        result
    }

    /// Returns an image's settings for all platforms, including flags and environment variables.
    pub(crate) fn all_platforms_config(&self, image: &Config) -> Config {
        let mut result = image.clone();
        result.platform.clear();
        result.update(self.command_line.clone());
        result
    }

    /// Returns an image's settings for one platform, including flags and environment variables.
    pub(crate) fn platform_config(&self, image: &Config, platform: Platform) -> Config {
        let mut result = image.clone();
        let platform_keys = std::mem::take(&mut result.platform).swap_remove(&platform);
        result.update(platform_keys.unwrap_or_default());
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
    fn later_sources_win() {
        let sources = ConfigSources {
            workspace: config(
                "base = 'w'\nuser = 'w'\nworkdir = '/w'\nprofile = 'w'\ntags = ['w']\n\
                 [images.i]\nuser = 'wi'\nprofile = 'wi'\n[images.i.platform.'linux/arm64']\nprofile = 'wip'",
            ),
            packages: IndexMap::from([("p".to_owned(), config("workdir = '/p'\n[images.i]\ntags = ['pi']"))]),
            command_line: config("libc = 'gnu'"),
            ..ConfigSources::default()
        };
        let image = sources.image_config("i", Some("p"));
        let all = sources.all_platforms_config(&image);
        assert_eq!((all.base.as_deref(), all.user.as_deref()), (Some("w"), Some("wi")));
        assert_eq!((all.workdir.as_deref(), all.tags), (Some("/p"), Some(vec!["pi".to_owned()])));
        assert_eq!(all.profile.as_deref(), Some("wi"));

        let arm64 = sources.platform_config(&image, "linux/arm64".parse().unwrap());
        assert_eq!((arm64.profile.as_deref(), arm64.libc), (Some("wip"), Some(crate::platform::Libc::Gnu)));
        assert_eq!(sources.image_config("other", None).user.as_deref(), Some("w"));
    }

    #[test]
    fn annotations_without_a_prefix_override_those_with_a_prefix_in_lower_layers() {
        let sources = ConfigSources {
            workspace: config("annotations = { 'index:a' = 'w', 'manifest:a' = 'w', 'index:b' = 'w', c = 'w' }"),
            packages: IndexMap::from([(
                "p".to_owned(),
                config("annotations = { a = 'p', 'manifest:a' = 'pm', 'index:c' = 'p' }"),
            )]),
            ..ConfigSources::default()
        };
        let annotations = sources.image_config("i", Some("p")).annotations;
        let mut sorted: Vec<(&str, &str)> = annotations.iter().map(|(key, value)| (&**key, &**value)).collect();
        sorted.sort_unstable();
        let expected = [("a", "p"), ("c", "w"), ("index:b", "w"), ("index:c", "p"), ("manifest:a", "pm")];
        assert_eq!(sorted, expected);
    }

    #[test]
    fn flags_override_platform_settings() {
        let sources = ConfigSources {
            workspace: config("[platform.'linux/arm64']\nbase = 'p'"),
            command_line: config("base = 'flag'"),
            ..ConfigSources::default()
        };
        let image = sources.image_config("i", None);
        assert_eq!(sources.platform_config(&image, "linux/arm64".parse().unwrap()).base.as_deref(), Some("flag"));
    }
}
