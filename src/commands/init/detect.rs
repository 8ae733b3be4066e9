//! Detects what the dependencies of each image need from the machine and from the base.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::compile::probe;
use crate::compile::system_libraries::SystemLibrary;
use crate::plan::{Image, Plan};
use crate::ui::Ui;

/// The C libraries and C code among an image's dependencies.
#[derive(Default)]
pub struct NativeDependencies {
    pub libraries: BTreeSet<SystemLibrary>,
    /// A build script compiles C.
    pub compiles_c: bool,
}

/// Returns the native dependencies of each image, in the plan's order.
pub fn native_dependencies(plan: &Plan, ui: &Ui) -> Result<Vec<NativeDependencies>> {
    let mut dependencies = Vec::new();
    for image in &plan.images {
        // As far as a configuration can tell, all platforms need the same libraries.
        let one = Image { platforms: image.platforms.iter().take(1).cloned().collect(), ..image.clone() };
        let tools = probe::probe(&Plan { images: vec![one], ..plan.clone() })?;
        dependencies.push(match tools.graphs.into_values().next() {
            Some(graph) => NativeDependencies { compiles_c: graph.needs_c.is_some(), libraries: graph.system },
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
