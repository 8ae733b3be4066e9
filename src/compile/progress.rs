//! Shows the progress of a cargo process, with one bar per build.

use super::cargo_command::CargoRun;
use super::facts::Facts;
use crate::plan::BuildSettings;
use crate::ui::{Bar, Ui};

/// The progress bars of a cargo process.
pub(crate) struct CompileProgress<'a> {
    bars: Vec<BuildBar<'a>>,
}

struct BuildBar<'a> {
    settings: &'a BuildSettings,
    bar: Bar,
}

impl<'a> CompileProgress<'a> {
    pub(crate) fn new(run: &'a CargoRun, facts: &Facts, ui: &Ui) -> CompileProgress<'a> {
        let bar = |settings: &'a BuildSettings, name: &str| {
            let packages = facts.build(settings).dependencies.packages;
            BuildBar { settings, bar: ui.bars().steps("Compiling", name, packages) }
        };
        CompileProgress { bars: run.builds.iter().map(|build| bar(&build.settings, &build.name())).collect() }
    }

    /// Advances a build's bar by one crate. If `settings` is `None`, the crate was compiled for the host, and all bars
    /// advance.
    pub(crate) fn compiled(&self, crate_name: &str, settings: Option<&BuildSettings>) {
        for build in &self.bars {
            if settings.is_none_or(|settings| build.settings == settings) {
                build.bar.step(crate_name);
            }
        }
    }

    /// Removes a build's bar once all of its binaries have been linked.
    pub(crate) fn finish(&mut self, settings: &BuildSettings) {
        self.bars.retain(|build| build.settings != settings);
    }
}
