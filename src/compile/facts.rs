//! Facts about the machine and the builds, as collected by `probe`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use camino::Utf8PathBuf;

use super::c_variable_names;
use super::cross::Cross;
use super::dependency_summary::DependencySummary;
use super::zig_program::ZigProgram;
use crate::plan::BuildSettings;
use crate::platform::Platform;

/// Facts about the machine and a set of builds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub rust: RustToolchain,
    pub tools: HostTools,
    pub env: UserEnv,
    /// The targets by triple. Triples that rustc does not support are omitted.
    pub targets: BTreeMap<String, TargetFacts>,
    /// The dependencies of each build. Builds whose dependencies cargo cannot resolve are omitted.
    pub dependencies: BTreeMap<BuildSettings, DependencySummary>,
    /// The requested sysroots, by target triple.
    pub sysroots: BTreeMap<String, Sysroot>,
}

impl Facts {
    /// Returns the facts about one build.
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

/// The installed rustc and cargo, and related tools.
#[derive(Debug, Clone, Default)]
pub(crate) struct RustToolchain {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// The target triple that rustc itself runs on.
    pub host: String,
    pub version: String,
    /// Whether the toolchain accepts `-Z` flags.
    pub is_nightly: bool,
    /// Whether the toolchain includes rust-lld.
    pub has_rust_lld: bool,
    /// The directory in the toolchain that contains the standard library's source, if it is installed.
    pub rust_src: Option<String>,
    /// Whether cargo-auditable is installed.
    pub has_auditable: bool,
}

/// Programs on this machine that compile or link for other targets.
#[derive(Debug, Clone, Default)]
pub(crate) struct HostTools {
    /// The first zig that `zig_program` finds. Always `None` if no build could need zig.
    pub zig: Option<ZigProgram>,
    pub cross: Option<Cross>,
    /// The memory in bytes that programs can allocate without swapping, if known. Respects the limits of the container.
    pub available_memory: Option<u64>,
    /// A program that is required for creating sysroots but is not installed.
    pub missing_for_sysroots: Option<&'static str>,
}

/// The user's settings in the environment and in cargo's configuration.
#[derive(Debug, Clone, Default)]
pub(crate) struct UserEnv {
    /// The flags in CARGO_ENCODED_RUSTFLAGS or RUSTFLAGS, which override the flags in cargo's configuration. `None` if
    /// neither variable is set.
    pub rustflags: Option<Vec<String>>,
    /// The names of the variables that are set in the environment or in cargo's `[env]` table.
    pub variables: BTreeSet<String>,
    /// The maximum number of rustc processes, from CARGO_BUILD_JOBS or cargo's configuration. A negative number is
    /// subtracted from the number of cores.
    pub jobs: Option<i32>,
    /// The rustc wrapper for workspace members, from the environment or cargo's configuration.
    pub workspace_wrapper: Option<String>,
    /// The directories whose paths are replaced in binaries, so that builds are reproducible and images reveal no local
    /// paths.
    pub path_remaps: Vec<PathRemap>,
}

/// A directory on this machine, and the path that replaces it in binaries.
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

/// The facts about one target triple.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetFacts {
    /// Whether the target is the host.
    pub is_host: bool,
    /// Whether the standard library is installed for this target.
    pub has_std: bool,
    /// Whether the toolchain includes the C runtime for this musl target.
    pub self_contained: bool,
    /// Whether `crt-static` is enabled by default.
    pub crt_static: bool,
    /// The linker set in the user's cargo configuration or environment.
    pub configured_linker: Option<String>,
    /// The user's rustflags for this target, from the environment or cargo's configuration.
    pub rustflags: Vec<String>,
    /// The global rustflags in the user's cargo configuration. Empty if the configuration sets rustflags for this
    /// target, which override the global ones.
    pub global_rustflags: Vec<String>,
    /// The number of flags at the end of `rustflags` that come from `[target.'cfg(…)']` tables.
    pub cfg_rustflags: usize,
    /// The environment variable that set the last of the other `rustflags`, if there is one.
    pub rustflags_variable: Option<RustflagsVariable>,
    /// The name of the target's cross gcc, if it is on PATH.
    pub gcc: Option<String>,
    /// For a musl target without a cross gcc on PATH, the name of the glibc cross gcc, if it is on PATH.
    pub other_libc_gcc: Option<String>,
    /// The variables in [`c_variable_names::C_VARIABLES`] that the user has set for this target in the environment.
    pub user_variables: BTreeSet<&'static str>,
    /// The `links` keys of crates whose build scripts cargo's configuration overrides for this target.
    pub overridden_links: BTreeSet<String>,
}

/// An environment variable that adds flags to those in cargo's configuration files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RustflagsVariable {
    pub name: String,
    /// The number of flags in the variable.
    pub flags: usize,
}

/// Headers and libraries for a target triple, unpacked from Debian packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sysroot {
    pub platform: Platform,
    pub dir: Utf8PathBuf,
    /// Debian's name for the architecture, such as `arm64`.
    pub architecture: &'static str,
    /// Debian's library directory for the architecture, such as `aarch64-linux-gnu`.
    pub multiarch: String,
    /// All packages requested by builds for this triple.
    pub packages: BTreeSet<String>,
    /// Whether images contain libraries of the packages, which then need the libraries that those depend on.
    pub is_copied: bool,
}

/// The facts about one build: its settings, its target, its dependencies, and the user's environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BuildFacts<'a> {
    pub settings: &'a BuildSettings,
    pub target: &'a TargetFacts,
    pub dependencies: &'a DependencySummary,
    /// The sysroot, or `None` if the build requests no packages.
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

    /// Reports whether the user has set a variable in the environment, in cargo's `[env]` table or in `build-env`.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.env.variables.contains(name) || self.settings.env.contains_key(name)
    }

    /// Reports whether the user has set a variable for the build's target, in any of the forms that `cc` and
    /// `pkg-config` read.
    pub(crate) fn is_set_for_target(&self, name: &str) -> bool {
        let [dashed, underscored, for_targets] = c_variable_names::spellings(name, self.triple());
        let by_kind = if self.target.is_host { format!("HOST_{name}") } else { for_targets };
        [dashed, underscored, by_kind].iter().any(|name| self.is_set(name))
    }

    /// Reports whether the user has set one of [`c_variable_names::C_VARIABLES`] for the build, in the environment or
    /// in `build-env`.
    pub(crate) fn is_set_by_user(&self, variable: &str) -> bool {
        let is_in_build_env = |name: &String| self.settings.env.contains_key(name);
        self.target.user_variables.contains(variable)
            || c_variable_names::spellings(variable, self.triple()).iter().any(is_in_build_env)
    }

    /// Reports whether programs are certain to load glibc with its default loader: no flag links them statically or sets
    /// another loader.
    pub(crate) fn loads_glibc(&self) -> bool {
        /// Parts of flags that link statically, set another loader, or leave out the start files.
        const OTHER: [&str; 4] = ["-static", "dynamic-linker", "-nostartfiles", "-nostdlib"];
        let is_default = !self.rustflags().any(|flag| OTHER.iter().any(|part| flag.contains(part)));
        self.triple().contains("-linux-gnu") && is_default && !self.links_statically()
    }

    /// Returns the flags for rustc, from the user and from the build's settings.
    pub(crate) fn rustflags(&self) -> impl Iterator<Item = &'a String> {
        let from_env = self.env.rustflags.iter().flatten();
        self.settings.rustflags.iter().chain(from_env).chain(&self.target.rustflags)
    }

    /// Reports whether the user's or the build's flags request static linking of the C library.
    pub(crate) fn links_statically(&self) -> bool {
        let from_env = self.env.rustflags.iter().flatten();
        let mut flags = self.settings.rustflags.iter().chain(from_env).chain(&self.target.global_rustflags);
        flags.any(|flag| flag.contains("+crt-static"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_decide_whether_programs_load_glibc() {
        for (flags, expected) in [
            (&[][..], true),
            (&["-Copt-level=3"], true),
            (&["-Ctarget-feature=+crt-static"], false),
            (&["-C", "link-arg=-static"], false),
            (&["-Clink-args=-static-pie"], false),
            (&["-Clink-arg=-nostartfiles"], false),
            (&["-Clink-arg=-Wl,--dynamic-linker=/ld.so"], false),
        ] {
            let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let triple = "x86_64-unknown-linux-gnu".to_owned();
            let settings = BuildSettings { triple, rustflags: flags, ..BuildSettings::default() };
            assert_eq!(Facts::default().build(&settings).loads_glibc(), expected, "{:?}", settings.rustflags);
        }
    }
}
