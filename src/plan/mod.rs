//! Resolves flags, environment variables and configuration files into a [`Plan`]. Later stages read only the plan.

pub(crate) mod annotations;
pub(crate) mod cargo_error;
pub(crate) mod cargo_profiles;
pub(crate) mod check_container;
pub(crate) mod check_features;
pub(crate) mod check_names;
pub(crate) mod check_programs;
pub(crate) mod ci_matrix;
pub(crate) mod ci_tag;
pub(crate) mod git;
pub(crate) mod git_tags;
pub(crate) mod image_platform;
pub(crate) mod images;
pub(crate) mod outputs;
pub(crate) mod precedence;
pub(crate) mod resolve;
pub(crate) mod tag_references;
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
use serde::{Serialize, Serializer};

use self::git_tags::{ComparedTag, Release};
use crate::config::FileEntry;
use crate::config::ca_certificates::CaSource;
use crate::config::choices::{Auditable, EngineChoice, LinkerChoice};
use crate::config::healthcheck::HealthcheckSetting;
use crate::config::policy::Policy;
use crate::elf::linking::SymbolKind;
use crate::oci::capabilities::FileCapabilities;
use crate::oci::compression::Compression;
use crate::platform::Platform;
use crate::process;

/// The resolved settings of a run: what to build, how to build it, and where to publish it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Plan {
    #[serde(flatten)]
    pub paths: Paths,
    pub commit: Option<Commit>,
    /// Timestamp for files in images, in seconds since the Unix epoch.
    pub source_date_epoch: u64,
    #[serde(flatten)]
    pub cargo: CargoOptions,
    #[serde(flatten)]
    pub engine: EngineOptions,
    /// Additional outputs to write the images to.
    pub outputs: Vec<Output>,
    /// Directories with bundles of prebuilt binaries. If empty, cargo compiles the binaries.
    pub artifacts: Vec<Utf8PathBuf>,
    /// Whether to load the images into the local Docker or Podman installation.
    pub load: bool,
    /// Moves of tags that this run may make.
    #[serde(skip)]
    pub tag_permissions: TagPermissions,
    /// Images to build, in the order of the configuration.
    pub images: Vec<Image>,
    /// Notes to print, for example about skipped platforms.
    pub notes: Vec<String>,
}

/// Paths that a run uses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Paths {
    /// Directory that contains the workspace manifest. Relative paths in the configuration are resolved against it.
    pub root: Utf8PathBuf,
    pub manifest_path: Utf8PathBuf,
    /// Cargo's target directory.
    pub target_dir: Utf8PathBuf,
    /// Per-user cache directory for pulled base layers.
    #[serde(skip)]
    pub cache_dir: Utf8PathBuf,
}

impl Paths {
    /// Returns the directory for generated build contexts, image layouts and binaries.
    pub(crate) fn work_dir(&self) -> Utf8PathBuf {
        self.target_dir.join("multiarch")
    }
}

/// Options passed to every cargo command of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct CargoOptions {
    /// Whether to pass `--locked`.
    pub locked: bool,
    /// Whether to pass `--offline`.
    pub offline: bool,
    /// Value of `--jobs`.
    pub jobs: Option<u32>,
    pub auditable: Auditable,
}

/// Settings for all engines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct EngineOptions {
    /// Name of the buildx builder. `None` selects the current builder.
    pub builder: Option<String>,
    /// Registries (`HOST[:PORT]`) to access over plain HTTP, in addition to loopback addresses.
    pub insecure_registries: Vec<String>,
}

/// Moves of tags that are usually mistakes, and that a run may make only if they are requested.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TagPermissions {
    /// Whether an immutable tag may move to another image.
    pub overwrite: bool,
    /// Whether a tag may move to a lower version.
    pub downgrade: bool,
}

/// A set of binaries to compile with the same settings for one target triple.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Build {
    pub settings: BuildSettings,
    /// Platforms of all images that use the binaries.
    pub platforms: BTreeSet<Platform>,
    /// Whether an image with the binaries contains libraries from `sysroot-packages`.
    pub copies_libraries: bool,
    pub binaries: BTreeSet<Binary>,
}

impl Build {
    /// Returns the comma-separated platform names, which distinguish builds for the same triple.
    pub(crate) fn name(&self) -> String {
        self.platforms.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(", ")
    }

    /// Returns the names of the packages that contain the binaries.
    pub(crate) fn packages(&self) -> BTreeSet<&str> {
        self.binaries.iter().map(|binary| binary.package.as_str()).collect()
    }
}

impl Plan {
    /// Returns the builds that the images need, without duplicates, in the order of the images and their platforms.
    pub(crate) fn unique_builds(&self) -> Vec<Build> {
        let mut builds: IndexMap<&BuildSettings, Build> = IndexMap::new();
        for platform in self.platforms() {
            let build = builds.entry(&platform.build).or_insert_with(|| Build {
                settings: platform.build.clone(),
                platforms: BTreeSet::new(),
                copies_libraries: false,
                binaries: BTreeSet::new(),
            });
            build.platforms.insert(platform.platform);
            build.copies_libraries |= platform.copy_libraries;
            build.binaries.extend(platform.binaries.iter().cloned());
        }
        builds.into_values().collect()
    }

    /// Returns the platforms of all images.
    pub(crate) fn platforms(&self) -> impl Iterator<Item = &ImagePlatform> {
        self.images.iter().flat_map(|image| &image.platforms)
    }
}

/// A multi-platform image to publish under one or more references.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Image {
    pub name: String,
    /// Package that provides the version, labels and annotations.
    pub package: String,
    pub version: semver::Version,
    /// Repositories to push to, as `registry/name`. Empty if no registry is configured.
    pub repositories: Vec<String>,
    pub tags: Vec<String>,
    /// The git tag that was compared with the version. `None` if no git tag names a version.
    #[serde(skip)]
    pub git_tag: Option<ComparedTag>,
    /// The `tags` that must not move to another image.
    pub immutable_tags: Vec<String>,
    /// Whether the image has an index. Without an index, tags point to the manifest of the only platform.
    #[serde(rename = "index")]
    pub has_index: bool,
    /// Annotations of the index. Empty if the image has none.
    pub annotations: IndexMap<String, String>,
    /// Annotations of every platform's manifest.
    pub manifest_annotations: IndexMap<String, String>,
    /// Platforms of the image, in the order of [`Platform::all`].
    pub platforms: Vec<ImagePlatform>,
    pub compression: Compression,
    /// Compression level: 1 to 9 for gzip, 1 to 22 for zstd. `None` selects the format's default.
    pub compression_level: Option<u32>,
    /// Additional rules that the image must satisfy.
    pub policy: Policy,
    /// Arguments for the smoke run, which runs the image once per platform before any tag is moved. `None` disables the
    /// smoke run.
    pub smoke: Option<Vec<String>>,
    /// The requested engine.
    pub engine: EngineChoice,
    /// Whether a flag or an environment variable requests the engine.
    #[serde(skip)]
    pub has_engine_flag: bool,
    pub buildx: BuildxOptions,
}

impl Image {
    pub(crate) fn release(&self) -> Release<'_> {
        Release { package: &self.package, image: &self.name, version: &self.version }
    }

    /// Returns the annotations of what the tags point to: the index, or the only manifest if there is no index.
    pub(crate) fn tagged_annotations(&self) -> &IndexMap<String, String> {
        if self.has_index { &self.annotations } else { &self.manifest_annotations }
    }

    /// Returns the annotations of one platform's manifest.
    pub(crate) fn annotations_of_manifest(&self, platform: Platform) -> IndexMap<String, String> {
        let mut annotations = self.manifest_annotations.clone();
        let planned = self.platforms.iter().filter(|planned| planned.platform == platform);
        annotations.extend(planned.flat_map(|planned| planned.annotations.clone()));
        annotations
    }

    /// Returns `repository:tag` for every combination of repository and tag.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        self.repositories.iter().flat_map(|repository| self.tags.iter().map(move |tag| format!("{repository}:{tag}")))
    }
}

/// One platform of an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ImagePlatform {
    pub platform: Platform,
    /// Annotations of this platform's manifest, in addition to those of all manifests.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub annotations: IndexMap<String, String>,
    pub build: BuildSettings,
    /// The symbols that the binaries will contain, according to the cargo profile.
    pub symbols: SymbolKind,
    pub binaries: Vec<Binary>,
    /// Base image as configured: `scratch` or an image reference.
    pub base: String,
    pub template: Template,
    pub files: Vec<FileEntry>,
    pub directories: Vec<PlannedDirectory>,
    /// The capabilities that programs get when they start, by binary.
    #[serde(serialize_with = "serialize_capabilities")]
    pub capabilities: IndexMap<String, FileCapabilities>,
    /// Sources of the CA certificates to install. Empty if none are added.
    pub ca_certificates: Vec<CaSource>,
    /// Whether `ca_certificates` is the default rather than configured.
    #[serde(skip)]
    pub has_default_ca_certificates: bool,
    /// Whether to install the time zone database.
    pub timezones: bool,
    /// Whether to copy the libraries of `sysroot-packages` that the base lacks.
    pub copy_libraries: bool,
    pub container: ContainerConfig,
}

/// Serializes capabilities as lists of names.
fn serialize_capabilities<S: Serializer>(
    capabilities: &IndexMap<String, FileCapabilities>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(capabilities.iter().map(|(binary, capabilities)| (binary, capabilities.names())))
}

/// An empty directory to create in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PlannedDirectory {
    pub path: String,
    /// Octal permissions.
    pub mode: String,
    /// Owner as `user[:group]`.
    pub owner: String,
}

/// A binary target and the package that contains it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct Binary {
    pub name: String,
    pub package: String,
}

impl Binary {
    /// Returns the binary's path in the image.
    pub(crate) fn path(&self) -> String {
        format!("/usr/local/bin/{}", self.name)
    }
}

/// Settings for compiling the binaries of one platform. Platforms with equal settings share a cargo process.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(crate) struct BuildSettings {
    pub triple: String,
    pub profile: String,
    pub features: Vec<String>,
    pub all_features: bool,
    pub no_default_features: bool,
    /// `rustc` flags from the configuration, and flags for the platform's variant. They are added to any flags that
    /// cargo already uses.
    pub rustflags: Vec<String>,
    /// Environment variables to set for cargo and its subprocesses.
    #[serde(serialize_with = "mask_secret_values")]
    pub env: BTreeMap<String, String>,
    /// Debian packages to install in the sysroot, sorted.
    pub sysroot_packages: Vec<String>,
    pub linker: Option<LinkerChoice>,
    /// Maximum glibc version that the binaries may require, such as `2.28`. Requires zig as the linker.
    pub glibc: Option<String>,
    /// Whether to compile the standard library from source, for targets without a prebuilt one.
    pub build_std: bool,
}

/// Settings in the image configuration (image-spec, config.md).
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
    pub healthcheck: Option<HealthcheckSetting>,
    /// Keys that are set explicitly in the configuration, such as `user` and `env.PATH`.
    #[serde(skip)]
    pub explicit_keys: Vec<String>,
}

/// Options passed unchanged to `docker buildx build`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BuildxOptions {
    #[serde(serialize_with = "mask_secret_values")]
    pub build_args: IndexMap<String, String>,
    #[serde(serialize_with = "mask_secret_args")]
    pub cache_from: Vec<String>,
    #[serde(serialize_with = "mask_secret_args")]
    pub cache_to: Vec<String>,
    pub provenance: Option<String>,
    pub sbom: Option<String>,
    pub secrets: Vec<String>,
    #[serde(serialize_with = "mask_secret_args")]
    pub args: Vec<String>,
}

/// Reports whether a value of `provenance` or `sbom` adds an attestation.
pub(crate) fn is_attestation_on(value: Option<&str>) -> bool {
    value.is_some_and(|value| value != "false")
}

/// A template for a platform's Dockerfile stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Template {
    /// A built-in template, identified by its name.
    BuiltIn(&'static str),
    /// A user-provided template, identified by its absolute path.
    File(Utf8PathBuf),
}

/// Serializes a map of variables, masking the values of variables whose names suggest a secret.
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

/// Serializes command-line arguments, masking secrets.
fn mask_secret_args<S: serde::Serializer>(list: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(list.iter().map(|arg| process::without_secrets(arg)))
}
