//! Detects which system libraries each image's dependencies need, and whether they compile C code.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::compile::linked_libraries::SystemLibrary;
use crate::compile::{CompileRequest, probe};
use crate::plan::{Build, Plan};
use crate::ui::Ui;

/// The system libraries that an image's dependencies need, and whether they compile C code.
#[derive(Default)]
pub(crate) struct NativeDependencies {
    pub libraries: BTreeSet<SystemLibrary>,
    /// Whether a build script compiles C code.
    pub compiles_c: bool,
}

/// Returns the native dependencies of each image, in plan order.
pub(crate) fn native_dependencies(plan: &Plan, ui: &Ui) -> Result<Vec<NativeDependencies>> {
    let mut dependencies = Vec::new();
    for image in &plan.images {
        // A generated configuration lists the same libraries for all platforms, so check only the first platform.
        let build = image.platforms.first().map(|first| Build {
            settings: first.build.clone(),
            copies_libraries: false,
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
                    "image '{}': cannot determine native dependencies; run `cargo metadata` to see the error",
                    image.name
                ));
                NativeDependencies::default()
            }
        });
    }
    Ok(dependencies)
}
