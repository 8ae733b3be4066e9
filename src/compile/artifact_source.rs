//! Where a run's binaries come from: cargo, or bundles that were compiled before.

use std::sync::mpsc;

use anyhow::Result;
use camino::Utf8PathBuf;

use super::artifact::{Artifacts, CompiledBinary};
use super::bundle::Bundles;
use super::request::CompileRequest;
use super::run;
use super::toolchain::Toolchain;
use crate::plan::{BuildSettings, Commit};
use crate::threads::CancelToken;
use crate::ui::Ui;

pub(crate) enum ArtifactSource {
    Cargo(Box<Toolchain>),
    Bundles(Bundles),
}

impl ArtifactSource {
    /// Finds the toolchain, or opens the bundles in `bundle_dirs` if there are any. Changes nothing.
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
            ui.note("nothing says that the bundles are of these very sources: not all is committed");
        }
        Ok(ArtifactSource::Bundles(Bundles::open(bundle_dirs, &request, commit)?))
    }

    /// Installs what is missing, without compiling anything.
    pub(crate) fn complete(self, ui: &Ui) -> Result<ArtifactSource> {
        match self {
            ArtifactSource::Cargo(toolchain) => Ok(ArtifactSource::Cargo(Box::new(toolchain.complete(ui)?))),
            bundles @ ArtifactSource::Bundles(_) => Ok(bundles),
        }
    }

    /// Returns all binaries. Each is sent to `finished` as soon as it is there.
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
                ui.status("Taking", format!("binaries from {}", dirs.join(", ")));
                for ((build, binary), artifact) in &bundles.artifacts {
                    let (build, binary, artifact) = (build.clone(), binary.clone(), artifact.clone());
                    // If the receiver is gone, its stage has failed and reports that itself.
                    let _ = finished.send(CompiledBinary { build, binary, artifact });
                }
                Ok(bundles.artifacts.clone())
            }
        }
    }

    pub(crate) fn rust_version(&self) -> &str {
        match self {
            ArtifactSource::Cargo(toolchain) => &toolchain.facts.rust.version,
            ArtifactSource::Bundles(bundles) => &bundles.rust_version,
        }
    }

    /// Do the binaries list their dependencies?
    pub(crate) fn auditable(&self) -> bool {
        match self {
            ArtifactSource::Cargo(toolchain) => toolchain.auditable,
            ArtifactSource::Bundles(bundles) => bundles.auditable,
        }
    }

    /// The name of the linker of a build, for people.
    pub(crate) fn linker_name(&self, settings: &BuildSettings) -> String {
        match self {
            ArtifactSource::Cargo(toolchain) => toolchain.linker_name(settings),
            ArtifactSource::Bundles(bundles) => bundles.linkers.get(settings).cloned().unwrap_or_default(),
        }
    }
}
