//! A request to compile the builds of a plan.

use std::collections::BTreeSet;

use crate::plan::{Build, CargoOptions, Paths};

/// The parts of a plan that are needed for compiling.
#[derive(Debug, Clone, Default)]
pub(crate) struct CompileRequest {
    /// The distinct builds, in the plan's order.
    pub builds: Vec<Build>,
    pub paths: Paths,
    pub options: CargoOptions,
}

impl CompileRequest {
    /// Returns the distinct target triples of the builds.
    pub(crate) fn triples(&self) -> BTreeSet<&str> {
        self.builds.iter().map(|build| build.settings.triple.as_str()).collect()
    }

    /// Returns the builds sorted by their settings, so that the order does not depend on the configuration.
    pub(crate) fn sorted_builds(&self) -> Vec<&Build> {
        let mut builds: Vec<&Build> = self.builds.iter().collect();
        builds.sort_unstable();
        builds
    }
}
