//! What is to be compiled, and how cargo is to be run.

use std::collections::BTreeSet;

use crate::plan::{Build, CargoOptions, Paths};

/// Everything that compiling needs to know of a plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompileRequest {
    /// Each once, in the plan's order.
    pub builds: Vec<Build>,
    pub paths: Paths,
    pub options: CargoOptions,
}

impl CompileRequest {
    /// The target triples of the builds, each once.
    pub(crate) fn triples(&self) -> BTreeSet<&str> {
        self.builds.iter().map(|build| build.settings.triple.as_str()).collect()
    }

    /// The builds in the order of their settings, which does not depend on the order of the configuration.
    pub(crate) fn sorted_builds(&self) -> Vec<&Build> {
        let mut builds: Vec<&Build> = self.builds.iter().collect();
        builds.sort_unstable();
        builds
    }
}
