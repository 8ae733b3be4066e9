//! Resolves flags, environment and configuration files into a [`Plan`], which is plain data. Later stages read nothing but
//! the plan.

pub(crate) mod cargo_profiles;
pub(crate) mod check_container;
pub(crate) mod check_features;
pub(crate) mod check_names;
pub(crate) mod ci_matrix;
pub(crate) mod git;
pub(crate) mod image_platform;
pub(crate) mod images;
pub(crate) mod outputs;
pub(crate) mod precedence;
pub(crate) mod resolve;
pub(crate) mod tags;
pub(crate) mod workspace;

pub(crate) use ci_matrix::{CiJob, CiService};
pub(crate) use git::{Checkout, Commit};
pub(crate) use image_platform::{BuiltInTemplate, built_in_template, built_in_templates};
pub(crate) use images::select_packages;
pub(crate) use outputs::Output;
pub(crate) use precedence::ConfigSources;
pub(crate) use resolve::{DEFAULT_TAGS, PlanRequest, resolve};
pub(crate) use workspace::{Package, Selection, Workspace, current_dir};

use std::collections::{BTreeMap, BTreeSet};

use camino::Utf8PathBuf;
use indexmap::IndexMap;
use serde::Serialize;

use crate::config::choices::{Auditable, EngineChoice, LinkerChoice};
use crate::config::policy::Policy;
use crate::config::{FileEntry, Healthcheck};
use crate::oci::compression::Compression;
use crate::platform::Platform;
use crate::process;

/// Everything that a run does.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Plan {
    #[serde(flatten)]
    pub paths: Paths,
    pub commit: Option<Commit>,
    /// Seconds since the epoch: the time that files in images carry.
    pub source_date_epoch: u64,
    #[serde(flatten)]
    pub cargo: CargoOptions,
    #[serde(flatten)]
    pub engine: EngineOptions,
    /// Additional outputs for the images.
    pub outputs: Vec<Output>,
    /// Directories with bundles of compiled binaries. If empty, cargo compiles them.
    pub artifacts: Vec<Utf8PathBuf>,
    /// Load the images into the local Docker or Podman.
    pub load: bool,
    /// In the order of the configuration.
    pub images: Vec<Image>,
    /// Remarks for the user, such as what was left out and why.
    pub notes: Vec<String>,
}

/// The directories of a workspace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Paths {
    /// The directory of the workspace's manifest. Relative paths in the configuration start here.
    pub root: Utf8PathBuf,
    pub manifest_path: Utf8PathBuf,
    /// cargo's target directory.
    pub target_dir: Utf8PathBuf,
    /// The user's cache directory, which keeps pulled base layers.
    #[serde(skip)]
    pub cache_dir: Utf8PathBuf,
}

impl Paths {
    /// The directory for this tool's own files: build contexts, layouts and binaries.
    pub(crate) fn work_dir(&self) -> Utf8PathBuf {
        self.target_dir.join("multiarch")
    }
}

/// Options that every cargo command of a run shares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CargoOptions {
    /// `--locked`
    pub locked: bool,
    /// `--offline`
    pub offline: bool,
    /// `--jobs`
    pub jobs: Option<u32>,
    pub auditable: Auditable,
}

/// The requested engine and its settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct EngineOptions {
    #[serde(rename = "engine")]
    pub choice: EngineChoice,
    /// The buildx builder to use. `None` uses the current one.
    pub builder: Option<String>,
    /// Registries (`HOST[:PORT]`) to reach over plain HTTP, in addition to those on loopback.
    pub insecure_registries: Vec<String>,
}

/// Binaries to compile with the same settings, for one target triple.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Build {
    pub settings: BuildSettings,
    /// The platforms of all images that use these binaries.
    pub platforms: BTreeSet<Platform>,
    pub binaries: BTreeSet<Binary>,
}

impl Build {
    /// Returns the names of its platforms, which distinguish builds for the same triple.
    pub(crate) fn name(&self) -> String {
        self.platforms.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(", ")
    }

    /// Returns the packages of its binaries, each once.
    pub(crate) fn packages(&self) -> BTreeSet<&str> {
        self.binaries.iter().map(|binary| binary.package.as_str()).collect()
    }
}

impl Plan {
    /// Returns the builds that all images need, each once, in the order of the images and their platforms.
    pub(crate) fn unique_builds(&self) -> Vec<Build> {
        let mut builds: IndexMap<&BuildSettings, Build> = IndexMap::new();
        for platform in self.platforms() {
            let build = builds.entry(&platform.build).or_insert_with(|| Build {
                settings: platform.build.clone(),
                platforms: BTreeSet::new(),
                binaries: BTreeSet::new(),
            });
            build.platforms.insert(platform.platform);
            build.binaries.extend(platform.binaries.iter().cloned());
        }
        builds.into_values().collect()
    }

    /// The platforms of all images.
    pub(crate) fn platforms(&self) -> impl Iterator<Item = &ImagePlatform> {
        self.images.iter().flat_map(|image| &image.platforms)
    }
}

/// One image: an index of platforms under one or more names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Image {
    pub name: String,
    /// The package that version, labels and annotations come from.
    pub package: String,
    pub version: semver::Version,
    /// `registry/name` for every registry. Empty if nothing is pushed.
    pub repositories: Vec<String>,
    pub tags: Vec<String>,
    /// Annotations of the index.
    pub annotations: IndexMap<String, String>,
    /// In the order of the platform table.
    pub platforms: Vec<ImagePlatform>,
    pub compression: Compression,
    /// 1 to 9 for gzip, 1 to 22 for zstd. `None` uses the default of the format.
    pub compression_level: Option<u32>,
    /// Rules that it must follow, beyond being able to start.
    pub policy: Policy,
    /// The arguments to run every platform with, once, before a tag moves. `None` runs nothing.
    pub smoke: Option<Vec<String>>,
    pub buildx: BuildxOptions,
}

impl Image {
    /// Returns `repository:tag` for every repository and tag.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        self.repositories.iter().flat_map(|repository| self.tags.iter().map(move |tag| format!("{repository}:{tag}")))
    }
}

/// One platform of an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ImagePlatform {
    pub platform: Platform,
    pub build: BuildSettings,
    pub binaries: Vec<Binary>,
    /// As written in the configuration: `scratch`, or a reference.
    pub base: String,
    pub template: Template,
    pub files: Vec<FileEntry>,
    pub container: ContainerConfig,
}

/// A binary target and its package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Binary {
    pub name: String,
    pub package: String,
}

impl Binary {
    /// Returns the path of the binary in the image.
    pub(crate) fn path(&self) -> String {
        format!("/usr/local/bin/{}", self.name)
    }
}

/// How the binaries of one platform are compiled. Platforms with equal settings share a cargo process.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct BuildSettings {
    pub triple: String,
    pub profile: String,
    pub features: Vec<String>,
    pub all_features: bool,
    pub no_default_features: bool,
    /// Flags from the configuration and for the platform's variant. They are added to the user's own.
    pub rustflags: Vec<String>,
    /// Environment variables for cargo and the programs that it runs.
    #[serde(serialize_with = "mask_secret_values")]
    pub env: BTreeMap<String, String>,
    /// Debian packages to compile against, sorted.
    pub sysroot_packages: Vec<String>,
    pub linker: Option<LinkerChoice>,
    /// The highest glibc version that the binaries may need, `2.28`. Only zig supports it.
    pub glibc: Option<String>,
    /// Compile the standard library as well, for targets that have none.
    pub build_std: bool,
}

/// The settings of the image's config (image-spec, config.md).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct ContainerConfig {
    pub env: IndexMap<String, String>,
    pub labels: IndexMap<String, String>,
    pub entrypoint: Vec<String>,
    pub cmd: Option<Vec<String>>,
    pub expose: Vec<String>,
    pub volumes: Vec<String>,
    pub user: Option<String>,
    pub workdir: Option<String>,
    pub stop_signal: Option<String>,
    pub healthcheck: Option<Healthcheck>,
    /// The keys that the configuration sets explicitly, as paths: `user`, `env.PATH`.
    #[serde(skip)]
    pub explicit_keys: Vec<String>,
}

/// Options that are passed to `docker buildx build` unchanged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BuildxOptions {
    #[serde(serialize_with = "mask_secret_values")]
    pub build_args: IndexMap<String, String>,
    #[serde(serialize_with = "mask_secret_words")]
    pub cache_from: Vec<String>,
    #[serde(serialize_with = "mask_secret_words")]
    pub cache_to: Vec<String>,
    pub provenance: Option<String>,
    pub sbom: Option<String>,
    pub secrets: Vec<String>,
    #[serde(serialize_with = "mask_secret_words")]
    pub args: Vec<String>,
}

/// The source of a platform's Dockerfile stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Template {
    /// A built-in template, by name.
    BuiltIn(&'static str),
    /// A file of the user's, by absolute path.
    File(Utf8PathBuf),
}

/// Serializes variables, with the values masked of those whose names sound secret.
fn mask_secret_values<S, T>(map: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    S: serde::Serializer,
    for<'a> &'a T: IntoIterator<Item = (&'a String, &'a String)>,
{
    let masked = |(name, value): (&String, &String)| {
        (name.clone(), if process::is_secret(name) { "…".to_owned() } else { value.clone() })
    };
    serializer.collect_map(map.into_iter().map(masked))
}

/// Serializes command-line words, with secrets masked.
fn mask_secret_words<S: serde::Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|word| process::without_secrets(word)))
}
