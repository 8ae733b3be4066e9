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
            let _ = zig_libc::prebuild(toolchain, &c_env, &prebuild);
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
        ui.status("Compiling", format!("{} for {}", run.binary_names(), run.platform_names()));
        let cmd = for_terminal(toolchain.cargo_command(run, c_env), ui);
        ui.command(&cmd);
        let process = CargoProcess {
            run,
            cmd: without_bars(cmd),
            toolchain,
            artifacts_dir: toolchain.request.paths.work_dir().join("+artifacts").join(index.to_string()),
            line_prefix: line_prefix(run, &runs),
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
    cmd.args(["--color", color]).args(ui.is_quiet().then_some("--quiet"))
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

/// Returns the prefix for the lines of a run's output. It is empty if there is only one run. Otherwise, it names the
/// run's platforms, preceded by its binaries if another run has the same platforms.
fn line_prefix(run: &CargoRun, runs: &[CargoRun]) -> String {
    if runs.len() == 1 {
        return String::new();
    }
    let platforms = run.platform_names();
    if runs.iter().filter(|other| other.platform_names() == platforms).count() == 1 {
        format!("[{platforms}] ")
    } else {
        format!("[{} {platforms}] ", run.binary_names())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Binary, Build, BuildSettings};

    #[test]
    fn output_of_several_runs_has_a_prefix() {
        let run = |binary: &str, platform: &str| {
            let binaries = [Binary { name: binary.to_owned(), package: binary.to_owned() }];
            let settings = BuildSettings::default();
            let platforms = [platform.parse().unwrap()].into();
            CargoRun {
                shared: settings.clone(),
                binaries: binaries.clone().into(),
                builds: vec![Build { settings, platforms, copies_libraries: false, binaries: binaries.into() }],
                by_cross: false,
            }
        };
        let (arm64, amd64) = ("linux/arm64", "linux/amd64");
        for (runs, expected) in [
            (vec![run("a", arm64)], ""),
            (vec![run("a", arm64), run("a", amd64)], "[linux/arm64] "),
            (vec![run("a", arm64), run("b", arm64)], "[a linux/arm64] "),
        ] {
            assert_eq!(line_prefix(&runs[0], &runs), expected);
        }
    }
}
