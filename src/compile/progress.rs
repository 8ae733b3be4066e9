//! Shows the progress of a cargo process: what it is compiling for each platform, and for how long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use cargo_metadata::{Artifact, BuildScript};

use super::cargo_command::CargoRun;
use super::cargo_status::{self, CargoLine, UnitKind};
use super::facts::Facts;
use super::running_units::RunningUnits;
use crate::plan::BuildSettings;
use crate::threads::lock;
use crate::ui::{Bar, Ui};

/// The time without any output after which a line shows what is running, if there are no progress bars.
const SILENCE: Duration = Duration::from_secs(60);

/// The progress of a cargo process.
pub(crate) struct CompileProgress<'a> {
    bars: Vec<BuildBar<'a>>,
    running: Arc<Mutex<RunningUnits>>,
    /// The names of the platforms, by target triple.
    platforms: BTreeMap<String, String>,
    last_output: Instant,
    has_bars: bool,
}

struct BuildBar<'a> {
    settings: &'a BuildSettings,
    bar: Bar,
}

impl<'a> CompileProgress<'a> {
    pub(crate) fn new(run: &'a CargoRun, facts: &Facts, ui: &Ui) -> CompileProgress<'a> {
        let running = Arc::<Mutex<RunningUnits>>::default();
        let mut bars = Vec::new();
        let mut platforms = BTreeMap::new();
        for build in &run.builds {
            let settings = &build.settings;
            let (shared, triple) = (Arc::clone(&running), settings.triple.clone());
            let describe = move |columns| lock(&shared).describe(&triple, Instant::now(), columns);
            let packages = facts.build(settings).dependencies.packages;
            bars.push(BuildBar { settings, bar: ui.bars().steps("Compiling", &build.name(), packages, describe) });
            platforms.insert(settings.triple.clone(), build.name());
        }
        CompileProgress { bars, running, platforms, last_output: Instant::now(), has_bars: ui.bars().are_visible() }
    }

    /// Reads a line that cargo printed to stderr.
    pub(crate) fn on_status(&self, line: CargoLine) {
        let mut running = lock(&self.running);
        match line {
            CargoLine::Package(package) => running.add_package(&package),
            CargoLine::Started(unit) => running.start(unit, Instant::now()),
            CargoLine::Failed(unit) => running.fail(&unit),
            CargoLine::TimingsPage(_) | CargoLine::Verbose | CargoLine::Other => {}
        }
    }

    /// Advances a build's bar by one crate. If `settings` is `None`, the crate was compiled for the host, and all bars
    /// advance.
    pub(crate) fn compiled(&self, artifact: &Artifact, settings: Option<&BuildSettings>) {
        let file = artifact.filenames.first().map(Utf8PathBuf::as_path);
        let (kind, name) = if artifact.target.is_custom_build() {
            (UnitKind::BuildScript, file.map(cargo_status::package_of).unwrap_or_default())
        } else {
            (UnitKind::Crate, artifact.target.name.replace('-', "_"))
        };
        lock(&self.running).finish(kind, &name, file);
        for build in &self.bars {
            if settings.is_none_or(|settings| build.settings == settings) {
                build.bar.step();
            }
        }
    }

    /// Records that a build script has finished.
    pub(crate) fn script_finished(&self, script: &BuildScript) {
        let name = cargo_status::package_of(&script.out_dir);
        lock(&self.running).finish(UnitKind::BuildScriptRun, &name, Some(&script.out_dir));
    }

    /// Removes a build's bar once all of its binaries have been linked.
    pub(crate) fn finish(&mut self, settings: &BuildSettings) {
        self.bars.retain(|build| build.settings != settings);
    }

    /// Records that a line has been printed.
    pub(crate) fn printed(&mut self) {
        self.last_output = Instant::now();
    }

    /// Returns a line on what is running if bars are hidden and nothing has been printed for a while. Returns the next
    /// line only after another such period.
    pub(crate) fn after_silence(&mut self, now: Instant) -> Option<String> {
        if self.has_bars || now.duration_since(self.last_output) < SILENCE {
            return None;
        }
        self.last_output = now;
        lock(&self.running).oldest(&self.platforms, now)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::Build;
    use crate::ui::Color;

    #[test]
    fn silent_builds_show_what_is_running() {
        const TRIPLE: &str = "aarch64-unknown-linux-musl";
        let settings = BuildSettings { triple: TRIPLE.to_owned(), ..BuildSettings::default() };
        let platforms = ["linux/arm64".parse().unwrap()].into();
        let build = Build { settings: settings.clone(), platforms, copies_libraries: false, binaries: BTreeSet::new() };
        let run = CargoRun { shared: settings, binaries: BTreeSet::new(), builds: vec![build], by_cross: false };
        let mut progress = CompileProgress::new(&run, &Facts::default(), &Ui::new(-1, Color::Never));
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(progress.after_silence(after(61)), None, "nothing is running");
        progress.last_output = start;
        progress.on_status(cargo_status::parse(&format!("     Running `rustc --crate-name app --target {TRIPLE}`")));
        assert_eq!(progress.after_silence(after(59)), None);
        assert_eq!(progress.after_silence(after(61)).as_deref(), Some("app for linux/arm64, 1m 00s"));
        assert_eq!(progress.after_silence(after(90)), None);
        assert_eq!(progress.after_silence(after(122)).as_deref(), Some("app for linux/arm64, 2m 01s"));
        progress.has_bars = true;
        assert_eq!(progress.after_silence(after(300)), None);
    }
}
