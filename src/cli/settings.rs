//! Flags that set keys of the configuration. They become a `Config`, like every other source of settings.

use camino::Utf8PathBuf;
use clap::Args;
use indexmap::IndexMap;

use super::policy::PolicyArgs;
use super::value_parsers::{non_empty, parse_build_arg, parse_platform};
use crate::config::choices::{EngineChoice, LinkerChoice};
use crate::config::{Config, OneOrMany};
use crate::plan::{PlanRequest, Selection};
use crate::platform::{Libc, Platform};

/// Flags for keys of the configuration, and cargo's flags that select packages.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Where to push: a host and perhaps a path, to which the image's name is added
    #[arg(
        long,
        value_name = "REGISTRY",
        value_delimiter = ',',
        env = "MULTIARCH_REGISTRY",
        hide_env_values = true,
        help_heading = "Image"
    )]
    registry: Vec<String>,
    /// The platforms of the image [default: linux/amd64,linux/arm64]
    #[arg(long = "platform", value_name = "PLATFORM", value_delimiter = ',', env = "MULTIARCH_PLATFORMS", hide_env_values = true, help_heading = "Image", value_parser = parse_platform)]
    platforms: Vec<Platform>,
    /// The tags, as templates [default: {{version}},latest]
    #[arg(
        short,
        long = "tag",
        value_name = "TAG",
        value_delimiter = ',',
        env = "MULTIARCH_TAGS",
        hide_env_values = true,
        help_heading = "Image"
    )]
    tags: Vec<String>,
    /// The base image
    #[arg(long, value_name = "REFERENCE", env = "MULTIARCH_BASE", hide_env_values = true, help_heading = "Image")]
    base: Option<String>,
    /// A built-in template (scratch, alpine, debian, distroless-static, distroless-cc) or the path of your own
    #[arg(long, value_name = "TEMPLATE", env = "MULTIARCH_TEMPLATE", hide_env_values = true, help_heading = "Image")]
    template: Option<String>,

    /// The C library to link
    #[arg(long, value_name = "LIBC", env = "MULTIARCH_LIBC", hide_env_values = true, help_heading = "Compilation")]
    libc: Option<Libc>,
    /// The linker, where the automatic choice is not wanted
    #[arg(long, value_name = "LINKER", env = "MULTIARCH_LINKER", hide_env_values = true, help_heading = "Compilation")]
    linker: Option<LinkerChoice>,
    /// The highest glibc that the binaries may ask for, such as 2.28 (zig)
    #[arg(long, value_name = "VERSION", env = "MULTIARCH_GLIBC", hide_env_values = true, help_heading = "Compilation")]
    glibc: Option<String>,
    /// cargo's profile [default: release]
    #[arg(long, value_name = "NAME", env = "MULTIARCH_PROFILE", hide_env_values = true, help_heading = "Compilation")]
    profile: Option<String>,
    /// Features to turn on
    #[arg(
        short = 'F',
        long,
        value_name = "FEATURES",
        value_delimiter = ',',
        env = "MULTIARCH_FEATURES",
        hide_env_values = true,
        help_heading = "Compilation"
    )]
    features: Vec<String>,
    /// Turn all features on
    #[arg(long, help_heading = "Compilation")]
    all_features: bool,
    /// Leave the default features off
    #[arg(long, help_heading = "Compilation")]
    no_default_features: bool,
    /// Images of these packages only
    #[arg(short, long = "package", value_name = "PACKAGE", help_heading = "Compilation")]
    packages: Vec<String>,
    /// Images with these binaries only
    #[arg(long = "bin", value_name = "NAME", help_heading = "Compilation")]
    bins: Vec<String>,
    /// The manifest of the package or workspace
    #[arg(long, value_name = "PATH", help_heading = "Compilation")]
    manifest_path: Option<Utf8PathBuf>,
    /// cargo's number of parallel jobs
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Compilation")]
    jobs: Option<u32>,
    #[arg(
        help = "Insist on Cargo.lock as it is [default]",
        long,
        overrides_with = "no_locked",
        help_heading = "Compilation"
    )]
    locked: bool,
    /// Let cargo update Cargo.lock
    #[arg(long, help_heading = "Compilation")]
    no_locked: bool,
    /// Do without the network for crates and targets
    #[arg(long, help_heading = "Compilation")]
    offline: bool,

    /// What makes the images: buildx, or this program itself, which needs no Docker [default: auto]
    #[arg(long, value_name = "ENGINE", env = "MULTIARCH_ENGINE", hide_env_values = true, help_heading = "Engine")]
    engine: Option<EngineChoice>,
    /// A registry that is spoken to by plain HTTP; those on loopback are anyway
    #[arg(
        long = "insecure-registry",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "MULTIARCH_INSECURE_REGISTRIES",
        hide_env_values = true,
        help_heading = "Image"
    )]
    insecure_registries: Vec<String>,
    /// The buildx builder, instead of the current one
    #[arg(long, value_name = "NAME", env = "MULTIARCH_BUILDER", hide_env_values = true, help_heading = "buildx")]
    builder: Option<String>,
    /// A build argument for a template of your own
    #[arg(long = "build-arg", value_name = "NAME=VALUE", value_parser = parse_build_arg, help_heading = "buildx")]
    build_args: Vec<(String, String)>,
    /// A secret for a template's RUN: id=NAME,src=FILE
    #[arg(long = "secret", value_name = "SPEC", help_heading = "buildx")]
    secrets: Vec<String>,
    /// A cache to read
    #[arg(long, value_name = "SPEC", help_heading = "buildx")]
    cache_from: Vec<String>,
    /// A cache to write
    #[arg(long, value_name = "SPEC", help_heading = "buildx")]
    cache_to: Vec<String>,
    /// Attach provenance: mode=min or mode=max; the digest then differs from run to run [default: false]
    #[arg(long, value_name = "SPEC", env = "MULTIARCH_PROVENANCE", hide_env_values = true, help_heading = "buildx")]
    provenance: Option<String>,
    /// Attach an SBOM
    #[arg(long, value_name = "SPEC", env = "MULTIARCH_SBOM", hide_env_values = true, help_heading = "buildx")]
    sbom: Option<String>,
    /// Any other argument for `docker buildx build`
    #[arg(long = "buildx-arg", value_name = "ARG", allow_hyphen_values = true, help_heading = "buildx")]
    buildx_args: Vec<String>,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl SettingsArgs {
    /// Returns the settings that were given, as a layer over the configuration files.
    pub(crate) fn config(&self) -> Config {
        let text = |values: &[String]| -> Vec<String> {
            values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
        };
        // CI sets variables to nothing. Empty flags were rejected before.
        let one = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let locked = self.locked.then_some(true).or(self.no_locked.then_some(false));
        Config {
            registry: non_empty(&text(&self.registry)).map(OneOrMany::Many),
            platforms: non_empty(&self.platforms),
            tags: non_empty(&text(&self.tags)),
            base: one(&self.base),
            template: one(&self.template),
            libc: self.libc,
            linker: self.linker,
            glibc: one(&self.glibc),
            profile: one(&self.profile),
            features: non_empty(&text(&self.features)),
            all_features: self.all_features.then_some(true),
            no_default_features: self.no_default_features.then_some(true),
            bins: non_empty(&self.bins),
            locked,
            engine: self.engine,
            insecure_registries: non_empty(&text(&self.insecure_registries)),
            builder: one(&self.builder),
            build_args: self.build_args.iter().cloned().collect::<IndexMap<_, _>>(),
            secrets: non_empty(&with_absolute_paths(&self.secrets)),
            cache_from: non_empty(&with_absolute_paths(&self.cache_from)),
            cache_to: non_empty(&with_absolute_paths(&self.cache_to)),
            provenance: one(&self.provenance),
            sbom: one(&self.sbom),
            buildx_args: non_empty(&self.buildx_args),
            ..self.policy.config()
        }
    }

    pub(crate) fn selection(&self) -> Selection {
        Selection { manifest_path: self.manifest_path.clone(), packages: self.packages.clone(), offline: self.offline }
    }

    pub(crate) fn request(&self) -> PlanRequest {
        PlanRequest { offline: self.offline, jobs: self.jobs, ..PlanRequest::default() }
    }
}

/// Makes the paths in buildx's cache and secret specs absolute, since buildx may run in another directory.
fn with_absolute_paths(specs: &[String]) -> Vec<String> {
    let current_dir = std::env::current_dir().unwrap_or_default();
    let field = |field: &str| match field.split_once('=') {
        Some((name @ ("src" | "source" | "dest"), path)) => format!("{name}={}", current_dir.join(path).display()),
        _ => field.to_owned(),
    };
    specs.iter().map(|spec| spec.split(',').map(field).collect::<Vec<_>>().join(",")).collect()
}
