//! The configuration as it is written: one serde struct for every source and every level.
//! What the keys come to for an image and a platform is `settings`' business.

use anyhow::{Context, Result};
use bytesize::ByteSize;
use camino::Utf8Path;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::choices::{Auditable, Compression, EngineChoice, LinkerChoice};
use super::explain::explain;
use super::misspelt;
use super::policy::{Glob, Policy, Required};
use crate::error::{Class, Failure};
use crate::finding::Code;
use crate::platform::{Libc, Platform};

/// The keys, all of them optional, in `multiarch.toml`, `[workspace.metadata.multiarch]`,
/// `[package.metadata.multiarch]`, `images.NAME` and `platform."os/architecture"`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    pub registry: Option<OneOrMany>,
    pub platforms: Option<Vec<Platform>>,
    pub tags: Option<Vec<String>>,
    pub images: IndexMap<String, Config>,
    pub platform: IndexMap<Platform, Config>,

    pub bins: Option<Vec<String>>,
    pub base: Option<String>,
    pub template: Option<String>,
    pub files: Option<Vec<FileEntry>>,
    pub env: IndexMap<String, String>,
    pub labels: IndexMap<String, String>,
    pub annotations: IndexMap<String, String>,
    pub entrypoint: Option<Vec<String>>,
    pub cmd: Option<Vec<String>>,
    pub expose: Option<Vec<Port>>,
    pub volumes: Option<Vec<String>>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub stop_signal: Option<String>,
    pub healthcheck: Option<Healthcheck>,

    pub target: Option<String>,
    pub libc: Option<Libc>,
    pub profile: Option<String>,
    pub features: Option<Vec<String>>,
    pub all_features: Option<bool>,
    pub no_default_features: Option<bool>,
    pub rustflags: Option<Vec<String>>,
    pub build_env: IndexMap<String, String>,
    pub sysroot_packages: Option<Vec<String>>,
    pub linker: Option<LinkerChoice>,
    pub glibc: Option<String>,
    pub build_std: Option<bool>,
    pub auditable: Option<Auditable>,
    pub locked: Option<bool>,

    pub engine: Option<EngineChoice>,
    pub insecure_registries: Option<Vec<String>>,
    pub compression: Option<Compression>,
    pub compression_level: Option<u32>,
    pub builder: Option<String>,
    pub build_args: IndexMap<String, String>,
    pub cache_from: Option<Vec<String>>,
    pub cache_to: Option<Vec<String>>,
    pub provenance: Option<String>,
    pub sbom: Option<String>,
    pub secrets: Option<Vec<String>>,
    pub buildx_args: Option<Vec<String>>,

    pub allow: Option<Vec<Code>>,
    pub deny_needed: Option<Vec<Glob>>,
    pub static_only: Option<bool>,
    pub non_root_only: Option<bool>,
    pub max_size: Option<ByteSize>,
    pub require_labels: Option<Vec<Required>>,
    pub require_annotations: Option<Vec<Required>>,
    pub smoke: Option<Vec<String>>,
}

/// `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "wanted a string or a list of strings")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn into_vec(self) -> Vec<String> {
        match self {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// A file or folder of the workspace that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileEntry {
    /// Relative to the folder of the manifest or configuration file's workspace.
    pub from: String,
    /// An absolute path in the image.
    pub to: String,
    /// Octal, for a single file; otherwise 0755 when the source is executable and 0644 when not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
}

/// `8080` or `"53/udp"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "wanted a port: 8080 or \"53/udp\"")]
pub enum Port {
    Number(u16),
    WithProtocol(String),
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Port::Number(number) => write!(f, "{number}"),
            Port::WithProtocol(text) => f.write_str(text),
        }
    }
}

/// Docker's HEALTHCHECK: an exec-form command, and durations as in `30s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Healthcheck {
    pub cmd: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

/// Where a configuration stands, which decides the keys that make sense there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Package,
    Image,
    Platform,
}

impl Config {
    /// What an image must keep to.
    pub fn policy(&self) -> Policy {
        Policy {
            allow: self.allow.clone().unwrap_or_default(),
            deny_needed: self.deny_needed.clone().unwrap_or_default(),
            static_only: self.static_only.unwrap_or_default(),
            non_root_only: self.non_root_only.unwrap_or_default(),
            max_size: self.max_size,
            require_labels: self.require_labels.clone().unwrap_or_default(),
            require_annotations: self.require_annotations.clone().unwrap_or_default(),
        }
    }

    /// Lays `over` on top: its values replace, its maps add and replace key by key.
    pub fn update(&mut self, over: Config) {
        macro_rules! fields {
            (replace: $($replace:ident)*; merge: $($merge:ident)*; nest: $($nest:ident)*) => {
                // Names every field, so that a new one cannot be forgotten here.
                let Config { $($replace,)* $($merge,)* $($nest,)* } = over;
                $(if $replace.is_some() { self.$replace = $replace; })*
                $(self.$merge.extend($merge);)*
                $(for (name, config) in $nest { self.$nest.entry(name).or_default().update(config); })*
            };
        }
        fields! {
            replace: registry platforms tags bins base template files entrypoint cmd expose volumes user workdir stop_signal
                healthcheck target libc profile features all_features no_default_features rustflags sysroot_packages linker glibc build_std auditable locked
                engine insecure_registries compression compression_level builder cache_from cache_to provenance sbom secrets buildx_args
                allow deny_needed static_only non_root_only max_size require_labels require_annotations smoke;
            merge: env labels annotations build_env build_args;
            nest: images platform
        }
    }

    /// The first key that means nothing at its level, as a path.
    fn misplaced(&self, level: Level) -> Option<String> {
        let image_only: [(&str, bool); 23] = [
            ("registry", self.registry.is_some()),
            ("platforms", self.platforms.is_some()),
            ("tags", self.tags.is_some()),
            ("bins", self.bins.is_some()),
            ("platform", !self.platform.is_empty()),
            ("annotations", !self.annotations.is_empty()),
            ("compression", self.compression.is_some()),
            ("compression-level", self.compression_level.is_some()),
            ("allow", self.allow.is_some()),
            ("deny-needed", self.deny_needed.is_some()),
            ("static-only", self.static_only.is_some()),
            ("non-root-only", self.non_root_only.is_some()),
            ("max-size", self.max_size.is_some()),
            ("require-labels", self.require_labels.is_some()),
            ("require-annotations", self.require_annotations.is_some()),
            ("smoke", self.smoke.is_some()),
            ("build-args", !self.build_args.is_empty()),
            ("cache-from", self.cache_from.is_some()),
            ("cache-to", self.cache_to.is_some()),
            ("provenance", self.provenance.is_some()),
            ("sbom", self.sbom.is_some()),
            ("secrets", self.secrets.is_some()),
            ("buildx-args", self.buildx_args.is_some()),
        ];
        let workspace_only: [(&str, bool); 5] = [
            ("auditable", self.auditable.is_some()),
            ("engine", self.engine.is_some()),
            ("insecure-registries", self.insecure_registries.is_some()),
            ("builder", self.builder.is_some()),
            ("locked", self.locked.is_some()),
        ];
        let images = [("images", !self.images.is_empty())];
        let wrong = match level {
            Level::Top => None,
            Level::Package => workspace_only.iter().find(|(_, set)| *set),
            Level::Image => workspace_only.iter().chain(&images).find(|(_, set)| *set),
            Level::Platform => workspace_only.iter().chain(&images).chain(&image_only).find(|(_, set)| *set),
        };
        if let Some((key, _)) = wrong {
            return Some((*key).to_owned());
        }
        let images = self
            .images
            .iter()
            .find_map(|(name, image)| image.misplaced(Level::Image).map(|key| format!("images.{name}.{key}")));
        images.or_else(|| {
            self.platform.iter().find_map(|(platform, config)| {
                config.misplaced(Level::Platform).map(|key| format!("platform.\"{platform}\".{key}"))
            })
        })
    }
}

/// Which table of a manifest holds the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The file's own top level: `multiarch.toml`.
    Root,
    /// `[workspace.metadata.multiarch]`
    Workspace,
    /// `[package.metadata.multiarch]`
    Package,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Manifest {
    workspace: Holder,
    package: Holder,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Holder {
    metadata: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    multiarch: Option<Config>,
}

/// Reads the configuration in a table of a file; none where the table or the file is missing. What may be meant for one
/// is noted.
pub fn read(path: &Utf8Path, table: Table, notes: &mut Vec<String>) -> Result<Option<Config>> {
    let text = match fs_err::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context("cannot read the configuration"),
    };
    notes.extend(misspelt::note(&text, path, table));
    Ok(parse(&text, path, table)?)
}

/// The configuration in a table of a text; none where it has no such table.
pub fn parse(text: &str, path: &Utf8Path, table: Table) -> Result<Option<Config>, Failure> {
    let parsed = match table {
        Table::Root => toml::from_str(text).map(Some),
        Table::Workspace => toml::from_str::<Manifest>(text).map(|manifest| manifest.workspace.metadata.multiarch),
        Table::Package => toml::from_str::<Manifest>(text).map(|manifest| manifest.package.metadata.multiarch),
    };
    let config = parsed.map_err(|error| explain(&error, text, path))?;
    let top = if table == Table::Package { Level::Package } else { Level::Top };
    match config.as_ref().and_then(|config| config.misplaced(top)) {
        None => Ok(config),
        Some(key) => {
            let level = match key.split_once('.') {
                None => "package",
                Some(_) if key.contains("platform.") => "platform",
                Some(_) => "image",
            };
            Err(Failure::new(Class::Config, format!("{path}: key '{key}' cannot differ per {level}")).hint(
                match level {
                    "package" => "move it to [workspace.metadata.multiarch] or multiarch.toml",
                    _ => "move it one level up",
                },
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Result<Config, Failure> {
        parse(text, "multiarch.toml".into(), Table::Root).map(Option::unwrap_or_default)
    }

    #[test]
    fn the_documented_example_parses() {
        let config = root(include_str!("../../templates/multiarch.toml")).unwrap();
        assert_eq!(config.images.keys().collect::<Vec<_>>(), ["komodo-core"]);
        let image = &config.images["komodo-core"];
        assert_eq!(image.bins.as_deref(), Some(&["core".to_owned(), "km".to_owned()][..]));
        assert_eq!(image.platform.keys().map(|p| p.name()).collect::<Vec<_>>(), ["linux/riscv64"]);
    }

    #[test]
    fn an_unknown_key_names_file_line_and_neighbour() {
        let failure = root("registry = 'x'\n\n[images.a]\nbsae = 'scratch'\n").unwrap_err();
        assert_eq!(failure.to_string(), "multiarch.toml:4: unknown key 'bsae'");
        assert_eq!(failure.hints(), ["did you mean 'base'?"]);

        let manifest = "[package]\nname = 'a'\n[package.metadata.multiarch]\nplatform = {}\nenv = {}\ntag = ['a']\n";
        let failure = parse(manifest, "Cargo.toml".into(), Table::Package).unwrap_err();
        assert_eq!(failure.to_string(), "Cargo.toml:6: unknown key 'tag'");
        assert_eq!(failure.hints(), ["did you mean 'tags'?"]);
    }

    #[test]
    fn hints_can_be_pasted() {
        let config = root(
            "platform.\"linux/arm/v7\" = { libc = \"gnu\", base = \"debian:trixie-slim\" }\n\
             platform.\"linux/arm64\" = { build-env = { A = \"1\" } }\nimages.web = { bins = [\"app\"] }",
        )
        .unwrap();
        assert_eq!((config.platform.len(), config.images.len()), (2, 1));
    }

    #[test]
    fn keys_at_the_wrong_level() {
        for (text, key) in [
            ("[platform.'linux/arm64']\ntags = ['a']", "platform.\"linux/arm64\".tags"),
            ("[images.a]\nbuilder = 'b'", "images.a.builder"),
            ("[images.a.platform.'linux/arm64']\nbins = []", "images.a.platform.\"linux/arm64\".bins"),
        ] {
            let message = root(text).unwrap_err().to_string();
            assert!(message.starts_with(&format!("multiarch.toml: key '{key}' cannot differ per ")), "{message}");
        }
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
}
