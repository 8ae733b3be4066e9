//! Detects what the dependencies of each image need from the machine and from the base.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::compile::system_libraries::SystemLibrary;
use crate::compile::{CompileRequest, probe};
use crate::plan::{Build, Plan};
use crate::ui::Ui;

/// The C libraries and C code among an image's dependencies.
#[derive(Default)]
pub(crate) struct NativeDependencies {
    pub libraries: BTreeSet<SystemLibrary>,
    /// A build script compiles C.
    pub compiles_c: bool,
}

/// Returns the native dependencies of each image, in the plan's order.
pub(crate) fn native_dependencies(plan: &Plan, ui: &Ui) -> Result<Vec<NativeDependencies>> {
    let mut dependencies = Vec::new();
    for image in &plan.images {
        // As far as a configuration can tell, all platforms need the same libraries.
        let build = image.platforms.first().map(|first| Build {
            settings: first.build.clone(),
            platforms: [first.platform].into(),
            binaries: first.binaries.iter().cloned().collect(),
        });
        let builds = build.into_iter().collect();
        let request = CompileRequest { builds, paths: plan.paths.clone(), options: plan.cargo.clone() };
        let summaries = probe::probe(&request)?.into_result()?.dependencies;
        dependencies.push(match summaries.into_values().next() {
            Some(summary) => {
                NativeDependencies { compiles_c: summary.needs_c.is_some(), libraries: summary.system_libraries }
            }
            None => {
                ui.warning(format!(
                    "{}: its dependencies are not known, and so not what they want: `cargo metadata` says why",
                    image.name
                ));
                NativeDependencies::default()
            }
        });
    }
    Ok(dependencies)
}
