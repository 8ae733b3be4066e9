//! Options that set configuration keys. They are converted to a `Config`, like every other source of settings.

use camino::Utf8PathBuf;
use clap::builder::BoolishValueParser;
use clap::{Arg, Args};
use indexmap::IndexMap;

use super::policy::PolicyArgs;
use super::value_parsers::{non_empty, parse_build_arg, parse_name_and_value, parse_platform};
use crate::config::choices::{EngineChoice, LinkerChoice};
use crate::config::{Config, OneOrMany};
use crate::plan::{PlanRequest, Selection};
use crate::platform::{Libc, Platform};

/// Replaces the summary of `--registry` for commands that do not push. Returns other options unchanged.
pub(crate) fn with_registry_summary(arg: Arg, summary: &'static str) -> Arg {
    if arg.get_id() != "registry" {
        return arg;
    }
    let details = "A registry is a host with an optional path, such as ghcr.io/you. The image name is appended to it.";
    arg.help(summary).long_help(format!("{summary}\n\n{details}"))
}

/// Options that set configuration keys, and cargo's options for selecting packages.
#[derive(Debug, Default, Args)]
pub(crate) struct SettingsArgs {
    /// Push to this registry
    ///
    /// A registry is a host with an optional path, such as ghcr.io/you. The image name is appended to it.
    #[arg(
        long,
        value_name = "REGISTRY",
        value_delimiter = ',',
        env = "MULTIARCH_REGISTRY",
        hide_env_values = true,
        help_heading = "Image"
    )]
    registry: Vec<String>,
    /// Build for these platforms [default: linux/amd64,linux/arm64]
    #[arg(
        long = "platform",
        value_name = "PLATFORM",
        value_delimiter = ',',
        value_parser = parse_platform,
        env = "MULTIARCH_PLATFORMS",
        hide_env_values = true,
        help_heading = "Image"
    )]
    platforms: Vec<Platform>,
    /// Publish these tags [default: {{version}},latest]
    ///
    /// Tags are templates that can use version, major, minor, patch, pre, git.sha, git.short, git.tag and git.branch. A tag
    /// may name its repository, as in ghcr.io/you/app:1.2.3 for the image app, which replaces the registry.
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
    /// Allow publishing a commit whose git tag names another version
    ///
    /// By default, a git tag such as v1.2.3 must be the version of a published package.
    #[arg(
        long,
        value_parser = BoolishValueParser::new(),
        env = "MULTIARCH_ALLOW_TAG_MISMATCH",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "Image"
    )]
    allow_tag_mismatch: bool,
    /// Add a label to the images, in addition to those of the configuration
    #[arg(
        long = "label",
        value_name = "NAME=VALUE",
        value_parser = parse_name_and_value,
        hide_short_help = true,
        help_heading = "Image"
    )]
    labels: Vec<(String, String)>,
    /// Add an annotation to the images, in addition to those of the configuration
    ///
    /// The prefix index: or manifest: limits an annotation to the index or to the platforms' manifests.
    #[arg(
        long = "annotation",
        value_name = "NAME=VALUE",
        value_parser = parse_name_and_value,
        hide_short_help = true,
        help_heading = "Image"
    )]
    annotations: Vec<(String, String)>,
    /// Base image [default: the template's base image, or scratch]
    #[arg(long, value_name = "REFERENCE", env = "MULTIARCH_BASE", hide_env_values = true, help_heading = "Image")]
    base: Option<String>,
    /// Dockerfile template, given as a built-in name or a path
    ///
    /// The built-in templates are scratch, alpine, debian, distroless-static and distroless-cc. By default, the
    /// template depends on the base image.
    #[arg(long, value_name = "TEMPLATE", env = "MULTIARCH_TEMPLATE", hide_env_values = true, help_heading = "Image")]
    template: Option<String>,

    /// C library to link against
    ///
    /// The default is the template's C library, or musl if it sets none.
    #[arg(long, value_name = "LIBC", env = "MULTIARCH_LIBC", hide_env_values = true, help_heading = "Compilation")]
    libc: Option<Libc>,
    /// Linker to use
    ///
    /// By default, the linker is chosen automatically for each platform.
    #[arg(long, value_name = "LINKER", env = "MULTIARCH_LINKER", hide_env_values = true, help_heading = "Compilation")]
    linker: Option<LinkerChoice>,
    /// Highest glibc version that the binaries may require, such as 2.28 (requires zig)
    #[arg(
        long,
        value_name = "VERSION",
        env = "MULTIARCH_GLIBC",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "Compilation"
    )]
    glibc: Option<String>,
    /// Cargo profile to compile with [default: release]
    #[arg(long, value_name = "NAME", env = "MULTIARCH_PROFILE", hide_env_values = true, help_heading = "Compilation")]
    profile: Option<String>,
    /// Features to activate
    #[arg(
        short = 'F',
        long,
        value_name = "FEATURES",
        value_delimiter = ',',
        env = "MULTIARCH_FEATURES",
        hide_env_values = true,
        help_heading = "Feature selection"
    )]
    features: Vec<String>,
    /// Activate all available features
    #[arg(long, help_heading = "Feature selection")]
    all_features: bool,
    /// Do not activate the `default` feature
    #[arg(long, help_heading = "Feature selection")]
    no_default_features: bool,
    /// Build only the images of these packages
    #[arg(short, long = "package", value_name = "PACKAGE", help_heading = "Package selection")]
    packages: Vec<String>,
    /// Build only images that contain these binaries
    #[arg(long = "bin", value_name = "NAME", help_heading = "Package selection")]
    bins: Vec<String>,
    /// Path to Cargo.toml
    #[arg(long, value_name = "PATH", help_heading = "Manifest")]
    manifest_path: Option<Utf8PathBuf>,
    /// Fetch sysroot-packages from this Debian archive, such as `https://mirror.example/debian trixie`
    #[arg(
        long,
        value_name = "URL SUITE",
        value_delimiter = ',',
        env = "MULTIARCH_DEBIAN_MIRROR",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "Compilation"
    )]
    debian_mirror: Vec<String>,
    /// File with the OpenPGP keys of the Debian archive [default: Debian's keys]
    #[arg(
        long,
        value_name = "FILE",
        env = "MULTIARCH_DEBIAN_KEYRING",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "Compilation"
    )]
    debian_keyring: Option<String>,
    /// Number of parallel jobs
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Compilation"
    )]
    jobs: Option<u32>,
    #[arg(
        help = "Require Cargo.lock to be up to date [default]",
        long,
        overrides_with = "no_locked",
        help_heading = "Manifest"
    )]
    locked: bool,
    /// Allow cargo to update Cargo.lock
    #[arg(long, help_heading = "Manifest")]
    no_locked: bool,
    /// Run without accessing the network
    #[arg(long, help_heading = "Manifest")]
    offline: bool,

    /// Engine to use [default: auto]
    ///
    /// The engine builds the images from the compiled binaries.
    #[arg(long, value_name = "ENGINE", env = "MULTIARCH_ENGINE", hide_env_values = true, help_heading = "Engine")]
    engine: Option<EngineChoice>,
    /// Access these registries over plain HTTP
    ///
    /// Loopback registries always use plain HTTP.
    #[arg(
        long = "insecure-registry",
        value_name = "HOST[:PORT]",
        value_delimiter = ',',
        env = "MULTIARCH_INSECURE_REGISTRIES",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "Image"
    )]
    insecure_registries: Vec<String>,
    /// buildx builder to use [default: the current builder]
    #[arg(
        long,
        value_name = "NAME",
        env = "MULTIARCH_BUILDER",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "buildx"
    )]
    builder: Option<String>,
    /// Build argument for Dockerfile templates
    #[arg(
        long = "build-arg",
        value_name = "NAME=VALUE",
        value_parser = parse_build_arg,
        hide_short_help = true,
        help_heading = "buildx"
    )]
    build_args: Vec<(String, String)>,
    /// Secret for RUN instructions in templates, such as id=token,src=token.txt
    #[arg(long = "secret", value_name = "SPEC", hide_short_help = true, help_heading = "buildx")]
    secrets: Vec<String>,
    /// Cache to import, such as type=local,src=target/cache
    #[arg(long, value_name = "SPEC", hide_short_help = true, help_heading = "buildx")]
    cache_from: Vec<String>,
    /// Cache to export, such as type=local,dest=target/cache
    #[arg(long, value_name = "SPEC", hide_short_help = true, help_heading = "buildx")]
    cache_to: Vec<String>,
    /// Provenance attestation to attach: mode=min or mode=max [default: none]
    ///
    /// With an attestation, digests differ from build to build.
    #[arg(
        long,
        value_name = "SPEC",
        env = "MULTIARCH_PROVENANCE",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "buildx"
    )]
    provenance: Option<String>,
    /// SBOM attestation to attach, such as true [default: none]
    #[arg(
        long,
        value_name = "SPEC",
        env = "MULTIARCH_SBOM",
        hide_env_values = true,
        hide_short_help = true,
        help_heading = "buildx"
    )]
    sbom: Option<String>,
    /// Additional argument for `docker buildx build`
    #[arg(
        long = "buildx-arg",
        value_name = "ARG",
        allow_hyphen_values = true,
        hide_short_help = true,
        help_heading = "buildx"
    )]
    buildx_args: Vec<String>,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl SettingsArgs {
    /// Returns the settings as a configuration that overrides the configuration files.
    pub(crate) fn config(&self) -> Config {
        let texts = |values: &[String]| -> Vec<String> {
            values.iter().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).collect()
        };
        // Treat empty values as unset, because CI services may set unused variables to the empty string. Empty
        // arguments have already been rejected.
        let text = |value: &Option<String>| value.clone().filter(|value| !value.is_empty());
        let locked = self.locked.then_some(true).or(self.no_locked.then_some(false));
        Config {
            registry: non_empty(&texts(&self.registry)).map(OneOrMany::Many),
            platforms: non_empty(&self.platforms),
            tags: non_empty(&texts(&self.tags)),
            allow_tag_mismatch: self.allow_tag_mismatch.then_some(true),
            labels: self.labels.iter().cloned().collect::<IndexMap<_, _>>(),
            annotations: self.annotations.iter().cloned().collect::<IndexMap<_, _>>(),
            base: text(&self.base),
            template: text(&self.template),
            libc: self.libc,
            linker: self.linker,
            glibc: text(&self.glibc),
            profile: text(&self.profile),
            features: non_empty(&texts(&self.features)),
            all_features: self.all_features.then_some(true),
            no_default_features: self.no_default_features.then_some(true),
            bins: non_empty(&self.bins),
            debian_mirror: non_empty(&texts(&self.debian_mirror)).map(OneOrMany::Many),
            debian_keyring: text(&self.debian_keyring).map(|path| with_absolute_path(&path)),
            locked,
            engine: self.engine,
            insecure_registries: non_empty(&texts(&self.insecure_registries)),
            builder: text(&self.builder),
            build_args: self.build_args.iter().cloned().collect::<IndexMap<_, _>>(),
            secrets: non_empty(&with_absolute_paths(&self.secrets)),
            cache_from: non_empty(&with_absolute_paths(&self.cache_from)),
            cache_to: non_empty(&with_absolute_paths(&self.cache_to)),
            provenance: text(&self.provenance),
            sbom: text(&self.sbom),
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

fn with_absolute_path(path: &str) -> String {
    std::env::current_dir().unwrap_or_default().join(path).display().to_string()
}

/// Makes the paths in buildx's cache and secret options absolute, because buildx runs in the workspace directory.
fn with_absolute_paths(specs: &[String]) -> Vec<String> {
    let current_dir = std::env::current_dir().unwrap_or_default();
    let field = |field: &str| match field.split_once('=') {
        Some((name @ ("src" | "source" | "dest"), path)) => format!("{name}={}", current_dir.join(path).display()),
        _ => field.to_owned(),
    };
    specs.iter().map(|spec| spec.split(',').map(field).collect::<Vec<_>>().join(",")).collect()
}
