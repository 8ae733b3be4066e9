//! What was found out about the machine: programs, targets, sysroots. Data only; `probe` fills it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use camino::Utf8PathBuf;

use super::dependency_summary::DependencySummary;
use super::linker::cross::Cross;
use crate::plan::BuildSettings;
use crate::platform::Platform;

/// The machine's tools.
#[derive(Debug, Clone, Default)]
pub struct Tools {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
    /// rustc's own target triple.
    pub host: String,
    pub rust_version: String,
    /// The toolchain ships rust-lld.
    pub rust_lld: bool,
    /// zig's command line, from PATH or the Python package `ziglang`.
    pub zig: Option<String>,
    pub cross: Option<Cross>,
    /// The flags in CARGO_ENCODED_RUSTFLAGS or RUSTFLAGS, which hide those of cargo's configuration; none where neither is set.
    pub env_rustflags: Option<Vec<String>>,
    /// Folders of this machine and what binaries call them instead: the same commit gives the same bytes anywhere, and
    /// no image tells whose machine it came from.
    pub remap: Vec<(String, String)>,
    /// The toolchain takes `-Z` flags by itself.
    pub nightly: bool,
    /// The folder in the toolchain that has the source of the standard library.
    pub rust_src: Option<String>,
    /// cargo-auditable is installed.
    pub auditable: bool,
    /// The wrapper for the workspace's own crates, in the environment or in cargo's configuration.
    pub workspace_wrapper: Option<String>,
    /// The names of the variables that cargo's children see: the environment's, and those of cargo's `[env]`.
    pub variables: BTreeSet<String>,
    pub targets: BTreeMap<String, TargetFacts>,
    /// What each build compiles; nothing is known where cargo cannot say yet.
    pub graphs: BTreeMap<BuildSettings, DependencySummary>,
    /// Folders with Debian's headers and libraries, by target triple.
    pub sysroots: BTreeMap<String, Sysroot>,
    /// A program that is missing and that sysroots need.
    pub missing_apt: Option<&'static str>,
}

impl Tools {
    /// What a build compiles, as far as it is known.
    pub fn graph(&self, build: &BuildSettings) -> Cow<'_, DependencySummary> {
        self.graphs.get(build).map_or_else(Cow::default, Cow::Borrowed)
    }

    /// Has the user set a variable, in the environment, cargo's `[env]` or the build's `build-env`?
    pub fn is_set(&self, build: &BuildSettings, name: &str) -> bool {
        self.variables.contains(name) || build.env.contains_key(name)
    }

    /// Is a build told to link the C library statically?
    pub fn links_statically(&self, build: &BuildSettings) -> bool {
        let hidden = self.targets.get(&build.triple).map(|facts| facts.build_rustflags.as_slice()).unwrap_or_default();
        let mut flags = build.rustflags.iter().chain(self.env_rustflags.iter().flatten()).chain(hidden);
        flags.any(|flag| flag.contains("+crt-static"))
    }
}

/// What there is for one target triple.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetFacts {
    /// The standard library is installed.
    pub std: bool,
    /// The toolchain ships the C runtime of this musl target.
    pub self_contained: bool,
    /// `crt-static` is on by default.
    pub crt_static: bool,
    /// The linker in the user's cargo configuration or environment.
    pub configured_linker: Option<String>,
    /// rustflags that the user's cargo configuration has for every target, but not for this one:
    /// `target.*.rustflags` would hide them.
    pub build_rustflags: Vec<String>,
    /// `<gnu-triple>-gcc`, when it is on PATH.
    pub gcc: Option<String>,
    /// `<gnu-triple>-gcc` of the other libc, when that one alone is on PATH.
    pub other_gcc: Option<String>,
    /// Those of `c_env::NAMES` that the user has set for this target.
    pub env_tools: BTreeSet<&'static str>,
}

/// What is unpacked for a target triple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysroot {
    pub platform: Platform,
    pub dir: Utf8PathBuf,
    /// Debian's name of the architecture, `arm64`.
    pub architecture: &'static str,
    /// Debian's folder for the architecture, `aarch64-linux-gnu`.
    pub folder: String,
    /// As they were asked for, by all images.
    pub packages: BTreeSet<String>,
}
