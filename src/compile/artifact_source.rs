//! Provides the binaries for a run, either by compiling them with cargo or by reading them from bundles.

use std::collections::BTreeMap;
use std::sync::mpsc;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::bundle::Bundles;
use super::facts::Sysroot;
use super::linker::types::Linker;
use super::toolchain::Toolchain;
use super::{Artifacts, CompileRequest, CompiledBinary, run};
use crate::plan::{BuildSettings, Commit};
use crate::threads::CancelToken;
use crate::ui::Ui;

/// The source of a run's binaries.
pub(crate) enum ArtifactSource {
    Cargo(Box<Toolchain>),
    Bundles(Bundles),
}

impl ArtifactSource {
    /// Opens the bundles in `bundle_dirs`, or finds the toolchain if `bundle_dirs` is empty. Does not install anything.
    pub(crate) fn find(
        request: CompileRequest,
        bundle_dirs: &[Utf8PathBuf],
        commit: Option<&Commit>,
        ui: &Ui,
    ) -> Result<ArtifactSource> {
        if bundle_dirs.is_empty() {
            return Ok(ArtifactSource::Cargo(Box::new(Toolchain::find(request)?)));
        }
        if commit.is_none_or(Commit::is_dirty) {
            ui.note("cannot verify that the bundles were built from the current sources: some files are not committed");
        }
        Ok(ArtifactSource::Bundles(Bundles::open(bundle_dirs, &request, commit)?))
    }

    /// Installs missing parts of the toolchain without compiling anything.
    pub(crate) fn install_missing(self, ui: &Ui) -> Result<ArtifactSource> {
        match self {
            ArtifactSource::Cargo(toolchain) => Ok(ArtifactSource::Cargo(Box::new(toolchain.install_missing(ui)?))),
            bundles @ ArtifactSource::Bundles(_) => Ok(bundles),
        }
    }

    /// Reports whether the binaries have to be compiled.
    pub(crate) fn compiles(&self) -> bool {
        matches!(self, ArtifactSource::Cargo(_))
    }

    /// Reports whether the binaries of a build are certain to load glibc with its default loader. Always returns false
    /// for bundles, whose binaries are already compiled.
    pub(crate) fn loads_glibc(&self, build: &BuildSettings) -> bool {
        match self {
            ArtifactSource::Cargo(toolchain) => {
                let linker = toolchain.linkers.get(build).map(|selection| &selection.linker);
                // A linker from cargo's configuration may be a script that adds flags.
                let is_known = linker.is_some_and(|linker| !matches!(linker, Linker::Configured(_) | Linker::Cross));
                is_known && toolchain.facts.build(build).loads_glibc()
            }
            ArtifactSource::Bundles(_) => false,
        }
    }

    /// Returns all binaries, sending each one to `finished` as soon as it is available.
    pub(crate) fn binaries(
        &self,
        finished: &mpsc::Sender<CompiledBinary>,
        cancel: &CancelToken,
        ui: &Ui,
    ) -> Result<Artifacts> {
        match self {
            ArtifactSource::Cargo(toolchain) => run::run(toolchain, finished, cancel, ui),
            ArtifactSource::Bundles(bundles) => {
                let dirs: Vec<&str> = bundles.dirs.iter().map(|dir| dir.as_str()).collect();
                ui.status("Using", format!("binaries from {}", dirs.join(", ")));
                for ((build, binary), artifact) in &bundles.artifacts {
                    let (build, binary, artifact) = (build.clone(), binary.clone(), artifact.clone());
                    // A closed channel means that the receiving stage has failed and will report its own error.
                    let _ = finished.send(CompiledBinary { build, binary, artifact });
                }
                Ok(bundles.artifacts.clone())
            }
        }
    }

    /// Returns the sysroots with libraries for the target triples. Empty for bundles.
    pub(crate) fn sysroots(&self) -> &BTreeMap<String, Sysroot> {
        static NONE: BTreeMap<String, Sysroot> = BTreeMap::new();
        match self {
            ArtifactSource::Cargo(toolchain) => &toolchain.facts.sysroots,
            ArtifactSource::Bundles(_) => &NONE,
        }
    }

    pub(crate) fn rust_version(&self) -> &str {
        match self {
            ArtifactSource::Cargo(toolchain) => &toolchain.facts.rust.version,
            ArtifactSource::Bundles(bundles) => &bundles.rust_version,
        }
    }

    /// Reports whether the binaries contain a list of their dependencies.
    pub(crate) fn auditable(&self) -> bool {
        match self {
            ArtifactSource::Cargo(toolchain) => toolchain.auditable,
            ArtifactSource::Bundles(bundles) => bundles.auditable,
        }
    }

    /// Returns the display name of a build's linker.
    pub(crate) fn linker_name(&self, settings: &BuildSettings) -> String {
        match self {
            ArtifactSource::Cargo(toolchain) => toolchain.linker_name(settings),
            ArtifactSource::Bundles(bundles) => bundles.linkers.get(settings).cloned().unwrap_or_default(),
        }
    }
}
