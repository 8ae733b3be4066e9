//! What cargo is at, for people who wait: a bar for each platform of one of its processes.

use super::cargo_command::CargoRun;
use super::in_order;
use super::toolchain::Toolchain;
use crate::plan::{BuildSettings, Plan};
use crate::ui::{Bar, Ui};

pub struct CompileProgress<'a>(Vec<(&'a BuildSettings, Bar)>);

impl<'a> CompileProgress<'a> {
    pub fn new(run: &'a CargoRun, plan: &Plan, toolchain: &Toolchain, ui: &Ui) -> CompileProgress<'a> {
        let bar = |build| {
            let packages = toolchain.tools.graph(build).packages;
            (build, ui.bars().steps("Compiling", &plan.name_of(build), packages))
        };
        CompileProgress(in_order(run, plan).into_iter().map(bar).collect())
    }

    /// A crate is compiled, for a platform; or for this machine, which all of them have waited for.
    pub fn compiled(&self, name: &str, build: Option<&BuildSettings>) {
        let bars = self.0.iter().filter(|(of, _)| build.is_none_or(|build| *of == build));
        bars.for_each(|(_, bar)| bar.step(name));
    }

    /// A platform has all that it wants.
    pub fn done(&mut self, build: &BuildSettings) {
        self.0.retain(|(of, _)| *of != build);
    }
}
