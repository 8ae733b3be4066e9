//! Keeps track of the processes that cargo is running, so that progress can show what is compiled and for how long.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use super::cargo_status::{Unit, UnitKind};
use crate::ui::text::{display_width, format_elapsed};

/// The time after which the age of a process is shown.
const SHOW_AGE_AFTER: Duration = Duration::from_secs(3);

/// The processes that a cargo process is running, in the order in which they started.
#[derive(Debug, Default)]
pub(crate) struct RunningUnits {
    units: Vec<(Unit, Instant)>,
    /// Names of packages, keyed by the names that their crates have by default.
    packages: BTreeMap<String, String>,
}

impl RunningUnits {
    pub(crate) fn add_package(&mut self, package: &str) {
        self.packages.insert(package.replace('-', "_"), package.to_owned());
    }

    pub(crate) fn start(&mut self, unit: Unit, now: Instant) {
        self.units.push((unit, now));
    }

    pub(crate) fn fail(&mut self, unit: &Unit) {
        self.remove(|running| running == unit);
    }

    /// Removes the process that created `file`.
    pub(crate) fn finish(&mut self, kind: UnitKind, name: &str, file: Option<&Utf8Path>) {
        let is_for = |unit: &Unit| match (&unit.triple, file) {
            (Some(triple), Some(file)) => file.components().any(|component| component.as_str() == triple),
            (triple, _) => triple.is_none(),
        };
        let is_named = |unit: &Unit| unit.kind == kind && unit.name == name;
        if !self.remove(|unit| is_named(unit) && unit.triple.is_some() && is_for(unit)) {
            self.remove(|unit| is_named(unit) && is_for(unit));
        }
    }

    fn remove(&mut self, is_removed: impl Fn(&Unit) -> bool) -> bool {
        let position = self.units.iter().position(|(unit, _)| is_removed(unit));
        if let Some(position) = position {
            self.units.remove(position);
        }
        position.is_some()
    }

    /// Lists the processes for a target in at most `columns` columns, followed by those for the host, which are needed
    /// for all targets. For example: `aws-sdk-ec2 1m 20s, serde_json, +2`.
    pub(crate) fn describe(&self, triple: &str, now: Instant, columns: usize) -> String {
        let is_for_target = |unit: &Unit| unit.triple.as_deref() == Some(triple);
        let for_target = self.units.iter().filter(|(unit, _)| is_for_target(unit));
        let for_host = self.units.iter().filter(|(unit, _)| unit.triple.is_none());
        let all = for_target.chain(for_host);
        let names: Vec<String> = all.map(|(unit, start)| self.with_age(unit, now.duration_since(*start))).collect();
        fit(&names, columns)
    }

    /// Lists the oldest processes with their platforms, such as `aws-sdk-ec2 for linux/arm64, 1m 20s`. `platforms` maps
    /// triples to the names of platforms. Returns `None` if nothing is running.
    pub(crate) fn oldest(&self, platforms: &BTreeMap<String, String>, now: Instant) -> Option<String> {
        let (unit, start) = self.units.first()?;
        let platform = unit.triple.as_ref().and_then(|triple| platforms.get(triple));
        let platform = platform.map(|platform| format!(" for {platform}")).unwrap_or_default();
        let others = match self.units.len() - 1 {
            0 => String::new(),
            others => format!(", and {others} more"),
        };
        Some(format!("{}{platform}, {}{others}", self.name(unit), format_elapsed(now.duration_since(*start))))
    }

    fn with_age(&self, unit: &Unit, age: Duration) -> String {
        let name = self.name(unit);
        if age < SHOW_AGE_AFTER { name } else { format!("{name} {}", format_elapsed(age)) }
    }

    fn name(&self, unit: &Unit) -> String {
        let package = self.packages.get(&unit.name).unwrap_or(&unit.name);
        match unit.kind {
            UnitKind::Crate => package.clone(),
            UnitKind::BuildScript => format!("{package} build.rs").trim_start().to_owned(),
            UnitKind::BuildScriptRun => format!("{package} build script").trim_start().to_owned(),
        }
    }
}

/// Joins as many names as fit into `columns` columns, and counts the others. The first name is always included.
fn fit(names: &[String], columns: usize) -> String {
    let joined = |count: usize| match names.len() - count {
        0 => names.join(", "),
        others => format!("{}, +{others}", names[..count].join(", ")),
    };
    let fitting = (1..=names.len()).rev().map(joined).find(|text| display_width(text) <= columns);
    fitting.or_else(|| names.first().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "aarch64-unknown-linux-musl";
    const AMD64: &str = "x86_64-unknown-linux-musl";

    fn unit(kind: UnitKind, name: &str, triple: Option<&str>) -> Unit {
        Unit { kind, name: name.to_owned(), triple: triple.map(str::to_owned) }
    }

    #[test]
    fn shows_what_is_running_for_each_platform() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut running = RunningUnits::default();
        running.add_package("aws-sdk-ec2");
        running.start(unit(UnitKind::BuildScriptRun, "ring", None), at(0));
        for (number, triple) in [ARM64, AMD64].into_iter().enumerate() {
            running.start(unit(UnitKind::Crate, "aws_sdk_ec2", Some(triple)), at(10 + number as u64));
        }
        running.start(unit(UnitKind::Crate, "serde", Some(AMD64)), at(88));
        let shown = |running: &RunningUnits, triple| running.describe(triple, at(90), 80);
        assert_eq!(shown(&running, ARM64), "aws-sdk-ec2 1m 20s, ring build script 1m 30s");
        assert_eq!(shown(&running, AMD64), "aws-sdk-ec2 1m 19s, serde, ring build script 1m 30s");
        assert_eq!(running.describe(AMD64, at(90), 30), "aws-sdk-ec2 1m 19s, serde, +1");
        assert_eq!(running.describe(AMD64, at(90), 28), "aws-sdk-ec2 1m 19s, +2");
        assert_eq!(running.describe(AMD64, at(90), 5), "aws-sdk-ec2 1m 19s", "truncated when it is drawn");

        // The crate that finished last is no longer shown.
        running.finish(UnitKind::BuildScriptRun, "ring", Some("/t/build/ring-0123456789abcdef/out".into()));
        let file = format!("/t/{AMD64}/release/deps/libaws_sdk_ec2.rlib");
        running.finish(UnitKind::Crate, "aws_sdk_ec2", Some(Utf8Path::new(&file)));
        assert_eq!(shown(&running, AMD64), "serde");
        assert_eq!(shown(&running, ARM64), "aws-sdk-ec2 1m 20s");
        let platforms = BTreeMap::from([(ARM64.to_owned(), "linux/arm64".to_owned())]);
        let oldest = running.oldest(&platforms, at(90));
        assert_eq!(oldest.as_deref(), Some("aws-sdk-ec2 for linux/arm64, 1m 20s, and 1 more"));
        running.fail(&unit(UnitKind::Crate, "aws_sdk_ec2", Some(ARM64)));
        running.finish(UnitKind::Crate, "serde", Some(Utf8Path::new(&format!("/t/{AMD64}/x.rlib"))));
        assert_eq!((shown(&running, ARM64), running.oldest(&platforms, at(90))), (String::new(), None));
    }

    #[test]
    fn crates_for_the_host_and_for_targets_are_distinguished() {
        let now = Instant::now();
        let mut running = RunningUnits::default();
        running.start(unit(UnitKind::Crate, "syn", None), now);
        running.start(unit(UnitKind::Crate, "syn", Some(ARM64)), now);
        running.finish(UnitKind::Crate, "syn", Some(Utf8Path::new("/t/release/deps/libsyn.rlib")));
        assert_eq!(
            (running.describe(AMD64, now, 80), running.describe(ARM64, now, 80)),
            (String::new(), "syn".to_owned())
        );
        running.finish(UnitKind::Crate, "other", None);
        running.finish(UnitKind::Crate, "syn", Some(Utf8Path::new(&format!("/t/{ARM64}/libsyn.rlib"))));
        assert_eq!(running.describe(ARM64, now, 80), "");
    }
}
