//! What was found out about the machine and about each build. Data only: `probe` fills it in.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use camino::Utf8PathBuf;

use super::cross::Cross;
use super::dependency_summary::DependencySummary;
use super::target_env;
use crate::plan::BuildSettings;
use crate::platform::Platform;

/// Everything that was found out for a number of builds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub rust: RustToolchain,
    pub tools: HostTools,
    pub env: UserEnv,
    /// By target triple, without those that rustc does not know.
    pub targets: BTreeMap<String, TargetFacts>,
    /// By build. Empty if cargo cannot resolve the dependencies yet.
    pub dependencies: BTreeMap<BuildSettings, DependencySummary>,
    /// By target triple.
    pub sysroots: BTreeMap<String, Sysroot>,
}

impl Facts {
    /// What is known about one build.
    pub(crate) fn build<'a>(&'a self, settings: &'a BuildSettings) -> BuildFacts<'a> {
        static UNKNOWN_TARGET: LazyLock<TargetFacts> = LazyLock::new(TargetFacts::default);
        static UNKNOWN_DEPENDENCIES: LazyLock<DependencySummary> = LazyLock::new(DependencySummary::default);
        BuildFacts {
            settings,
            target: self.targets.get(&settings.triple).unwrap_or(&UNKNOWN_TARGET),
            dependencies: self.dependencies.get(settings).unwrap_or(&UNKNOWN_DEPENDENCIES),
            sysroot: if settings.sysroot_packages.is_empty() { None } else { self.sysroots.get(&settings.triple) },
            env: &self.env,
        }
    }
}

/// rustc, cargo, and what belongs to them.
#[derive(Debug, Clone, Default)]
pub(crate) struct RustToolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// rustc's own target triple.
    pub host: String,
    pub version: String,
    /// The toolchain accepts `-Z` flags.
    pub is_nightly: bool,
    /// The toolchain ships rust-lld.
    pub has_rust_lld: bool,
    /// The directory in the toolchain that has the source of the standard library.
    pub rust_src: Option<String>,
    /// cargo-auditable is installed.
    pub has_auditable: bool,
}

/// Programs on this machine that compile or link for other targets.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostTools {
    /// zig is on PATH, or is installed as the Python package `ziglang`. Only looked for if a build may need it.
    pub has_zig: bool,
    pub cross: Option<Cross>,
    /// A program that sysroots need and that is not installed.
    pub missing_for_sysroots: Option<&'static str>,
}

/// What the user has set in the environment and in cargo's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserEnv {
    /// The flags in CARGO_ENCODED_RUSTFLAGS or RUSTFLAGS, which hide those of cargo's configuration. `None` if neither is
    /// set.
    pub rustflags: Option<Vec<String>>,
    /// The names of the variables that cargo's children see: the environment's, and those of cargo's `[env]`.
    pub variables: BTreeSet<String>,
    /// The wrapper for the workspace's own crates, in the environment or in cargo's configuration.
    pub workspace_wrapper: Option<String>,
    /// The same commit gives the same bytes anywhere, and no image tells whose machine it came from.
    pub path_remaps: Vec<PathRemap>,
}

/// A directory of this machine, and what binaries call it instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PathRemap {
    pub from: String,
    pub to: String,
}

impl PathRemap {
    pub(crate) fn new(from: impl Into<String>, to: &str) -> PathRemap {
        PathRemap { from: from.into(), to: to.to_owned() }
    }
}

/// What is known about one target triple.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetFacts {
    /// It is rustc's own target.
    pub is_host: bool,
    /// The standard library is installed.
    pub has_std: bool,
    /// The toolchain ships the C runtime of this musl target.
    pub self_contained: bool,
    /// `crt-static` is on by default.
    pub crt_static: bool,
    /// The linker in the user's cargo configuration or environment.
    pub configured_linker: Option<String>,
    /// rustflags that the user's cargo configuration has for every target, but not for this one:
    /// `target.*.rustflags` would hide them.
    pub global_rustflags: Vec<String>,
    /// `<gnu-triple>-gcc`, when it is on PATH.
    pub gcc: Option<String>,
    /// `<gnu-triple>-gcc` of the other libc, when that one alone is on PATH.
    pub other_libc_gcc: Option<String>,
    /// Those of [`target_env::C_VARIABLES`] that the user has set for this target in the environment.
    pub user_variables: BTreeSet<&'static str>,
}

/// Headers and libraries for a target triple, unpacked from Debian packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sysroot {
    pub platform: Platform,
    pub dir: Utf8PathBuf,
    /// Debian's name of the architecture, `arm64`.
    pub architecture: &'static str,
    /// Debian's directory name for the architecture, `aarch64-linux-gnu`.
    pub multiarch: String,
    /// The packages that all builds for this triple request.
    pub packages: BTreeSet<String>,
}

/// What is known about one build: its settings, its target, its dependencies, and the user's environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildFacts<'a> {
    pub settings: &'a BuildSettings,
    pub target: &'a TargetFacts,
    pub dependencies: &'a DependencySummary,
    /// `None` if the build requests no packages.
    pub sysroot: Option<&'a Sysroot>,
    pub env: &'a UserEnv,
}

impl<'a> BuildFacts<'a> {
    pub(crate) fn triple(&self) -> &'a str {
        &self.settings.triple
    }

    pub(crate) fn is_musl(&self) -> bool {
        self.triple().contains("-musl")
    }

    /// Has the user set a variable, in the environment, cargo's `[env]` or `build-env`?
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.env.variables.contains(name) || self.settings.env.contains_key(name)
    }

    /// Has the user set a variable for the build's target, in any of the forms that `cc` and `pkg-config` read?
    pub(crate) fn is_set_for_target(&self, name: &str) -> bool {
        let [dashed, underscored, for_targets] = target_env::spellings(name, self.triple());
        let by_kind = if self.target.is_host { format!("HOST_{name}") } else { for_targets };
        [dashed, underscored, by_kind].iter().any(|name| self.is_set(name))
    }

    /// Has the user set one of [`target_env::C_VARIABLES`] for the build, in the environment or in `build-env`?
    pub(crate) fn has_own(&self, variable: &str) -> bool {
        let is_in_build_env = |name: &String| self.settings.env.contains_key(name);
        self.target.user_variables.contains(variable)
            || target_env::spellings(variable, self.triple()).iter().any(is_in_build_env)
    }

    /// Do the user's or the build's flags ask for a statically linked C library?
    pub(crate) fn links_statically(&self) -> bool {
        let from_env = self.env.rustflags.iter().flatten();
        let mut flags = self.settings.rustflags.iter().chain(from_env).chain(&self.target.global_rustflags);
        flags.any(|flag| flag.contains("+crt-static"))
    }
}
