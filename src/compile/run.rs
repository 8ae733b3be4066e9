//! Compiles the requested binaries by running cargo processes one after another.

use std::sync::mpsc;

use anyhow::Result;

use super::c_env::CEnv;
use super::cargo_command::CargoRun;
use super::cargo_output::CargoProcess;
use super::toolchain::Toolchain;
use super::{Artifacts, CompiledBinary, zig_libc};
use crate::process::Cmd;
use crate::threads::CancelToken;
use crate::ui::Ui;

/// Compiles all requested binaries, sending each one to `finished` as soon as it is linked. Stops cargo if the run is
/// canceled.
pub(crate) fn run(
    toolchain: &Toolchain,
    finished: &mpsc::Sender<CompiledBinary>,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Artifacts> {
    let c_env = toolchain.write_c_env()?;
    // Stops when cargo has finished: by then, it has either used the C libraries or failed.
    let prebuild = CancelToken::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Only a faster build is lost if this fails.
            let _ = zig_libc::prebuild(toolchain, &c_env, &prebuild, ui);
        });
        let artifacts = run_cargo(toolchain, &c_env, finished, cancel, ui);
        prebuild.cancel();
        artifacts
    })
}

fn run_cargo(
    toolchain: &Toolchain,
    c_env: &CEnv,
    finished: &mpsc::Sender<CompiledBinary>,
    cancel: &CancelToken,
    ui: &Ui,
) -> Result<Artifacts> {
    let runs = toolchain.cargo_runs();
    let mut artifacts = Artifacts::new();
    for (index, run) in runs.iter().enumerate() {
        ui.status("Compiling", run.description());
        let cmd = for_terminal(toolchain.cargo_command(run, c_env), ui);
        ui.command(&cmd);
        // cargo prints what it starts only if it is verbose.
        let adds_verbose = !(ui.is_quiet() || run.by_cross || toolchain.facts.env.sets_verbosity);
        let cmd = cmd.args(adds_verbose.then_some("--verbose"));
        let process = CargoProcess {
            run,
            cmd: without_bars(cmd),
            toolchain,
            artifacts_dir: toolchain.request.paths.work_dir().join("+artifacts").join(index.to_string()),
            tag: tag(run, &runs),
            hides_verbose_output: adds_verbose && !ui.is_verbose(),
            finished,
            ui,
        };
        artifacts.extend(process.compile(cancel)?);
    }
    // Check glibc versions last, so that compile errors are reported first.
    check_glibc_floors(toolchain, &artifacts)?;
    Ok(artifacts)
}

fn for_terminal(cmd: Cmd, ui: &Ui) -> Cmd {
    let color = if ui.color() { "always" } else { "never" };
    let cmd = cmd.args(["--color", color]).args(ui.is_quiet().then_some("--quiet"));
    cmd.args(ui.timings().is_enabled().then_some("--timings"))
}

/// Disables cargo's progress bar if CARGO_TERM_PROGRESS_WHEN forces it to be shown, because cargo's output is piped
/// instead of written to a terminal.
fn without_bars(cmd: Cmd) -> Cmd {
    const WHEN: &str = "CARGO_TERM_PROGRESS_WHEN";
    if std::env::var(WHEN).is_ok_and(|when| when == "always") { cmd.env(WHEN, "never") } else { cmd }
}

fn check_glibc_floors(toolchain: &Toolchain, artifacts: &Artifacts) -> Result<()> {
    for build in toolchain.request.sorted_builds() {
        for binary in &build.binaries {
            if let Some(artifact) = artifacts.get(&(build.settings.clone(), binary.clone())) {
                artifact.check_floor(&binary.name, &build.name(), build.settings.glibc.as_deref())?;
            }
        }
    }
    Ok(())
}

/// Returns a short tag for the output of a run: its architectures or, if another run has the same ones, its binaries.
/// Empty if there is only one run.
fn tag(run: &CargoRun, runs: &[CargoRun]) -> String {
    let is_unique = |tag: fn(&CargoRun) -> String| runs.iter().filter(|other| tag(other) == tag(run)).count() == 1;
    if runs.len() == 1 {
        String::new()
    } else if is_unique(short_platforms) {
        short_platforms(run)
    } else if is_unique(CargoRun::binary_names) {
        run.binary_names()
    } else {
        format!("{} {}", run.binary_names(), short_platforms(run))
    }
}

/// Returns the names of a run's platforms without their operating system, which is Linux for all of them.
fn short_platforms(run: &CargoRun) -> String {
    run.platform_names().replace("linux/", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Binary, Build, BuildSettings};

    #[test]
    fn output_of_several_runs_has_a_tag() {
        let run = |binary: &str, platforms: &[&str]| {
            let binaries = [Binary { name: binary.to_owned(), package: binary.to_owned() }];
            let settings = BuildSettings::default();
            let build = |platform: &&str| Build {
                settings: settings.clone(),
                platforms: [platform.parse().unwrap()].into(),
                copies_libraries: false,
                binaries: binaries.clone().into(),
            };
            let builds = platforms.iter().map(build).collect();
            CargoRun { shared: settings.clone(), binaries: binaries.clone().into(), builds, by_cross: false }
        };
        let (arm64, amd64) = (&["linux/arm64"][..], &["linux/amd64", "linux/arm/v7"][..]);
        for (runs, expected) in [
            (vec![run("a", arm64)], ""),
            (vec![run("a", arm64), run("a", amd64)], "arm64"),
            (vec![run("a", amd64), run("a", arm64)], "amd64, arm/v7"),
            (vec![run("a", arm64), run("b", arm64)], "a"),
            (vec![run("a", arm64), run("a", amd64), run("b", arm64)], "a arm64"),
        ] {
            assert_eq!(tag(&runs[0], &runs), expected);
        }
    }
}
