//! Where a run's binaries come from: cargo, or bundles that were compiled before.

use anyhow::Result;

use super::bundle::Bundles;
use super::toolchain::Toolchain;
use super::{Artifacts, OnArtifact};
use crate::plan::{BuildSettings, Commit, Plan};
use crate::ui::Ui;

pub enum ArtifactSource {
    Cargo(Box<Toolchain>),
    Bundles(Bundles),
}

impl ArtifactSource {
    /// Finds out what will be used; nothing is changed.
    pub fn find(plan: &Plan, ui: &Ui) -> Result<ArtifactSource> {
        if !plan.artifacts.is_empty() {
            if plan.commit.as_ref().is_none_or(Commit::is_dirty) {
                ui.note("nothing says that the bundles are of these very sources: not all is committed");
            }
            return Ok(ArtifactSource::Bundles(Bundles::open(plan)?));
        }
        Ok(ArtifactSource::Cargo(Box::new(Toolchain::find(plan)?)))
    }

    /// Installs what is missing; nothing is compiled.
    pub fn complete(self, plan: &Plan, ui: &Ui) -> Result<ArtifactSource> {
        match self {
            ArtifactSource::Cargo(toolchain) => Ok(ArtifactSource::Cargo(Box::new(toolchain.complete(plan, ui)?))),
            bundles @ ArtifactSource::Bundles(_) => Ok(bundles),
        }
    }

    /// The binaries of the whole plan; `on_artifact` is told of each as it comes.
    pub fn binaries(&self, plan: &Plan, ui: &Ui, on_artifact: OnArtifact<'_>) -> Result<Artifacts> {
        match self {
            ArtifactSource::Cargo(toolchain) => super::run(plan, toolchain, ui, on_artifact),
            ArtifactSource::Bundles(bundles) => {
                let dirs: Vec<&str> = plan.artifacts.iter().map(|dir| dir.as_str()).collect();
                ui.status("Taking", format!("binaries from {}", dirs.join(", ")));
                Ok(bundles.artifacts(on_artifact))
            }
        }
    }

    pub fn rust_version(&self) -> &str {
        match self {
            ArtifactSource::Cargo(toolchain) => &toolchain.tools.rust_version,
            ArtifactSource::Bundles(bundles) => &bundles.rust_version,
        }
    }

    /// Do the binaries list their dependencies?
    pub fn auditable(&self) -> bool {
        match self {
            ArtifactSource::Cargo(toolchain) => toolchain.auditable,
            ArtifactSource::Bundles(bundles) => bundles.auditable,
        }
    }

    /// What linked a build, as people know it.
    pub fn linker(&self, build: &BuildSettings) -> String {
        match self {
            ArtifactSource::Cargo(toolchain) => toolchain.linker(build),
            ArtifactSource::Bundles(bundles) => bundles.linkers.get(build).cloned().unwrap_or_default(),
        }
    }
}
