//! Binaries: one cargo run for all target triples, its JSON stream ticked off against the plan.
//! Knows `plan`; knows nothing of images.

pub mod artifact;
pub mod artifact_source;
pub mod auditable;
pub mod bundle;
pub mod c_env;
pub mod c_env_files;
pub mod cargo_command;
pub mod cargo_tree;
pub mod dependency_summary;
pub mod diagnose;
pub mod facts;
pub mod known_issues;
pub mod library_packages;
pub mod linker;
pub mod probe;
pub mod progress;
pub mod requirement;
pub mod std_library;
pub mod sysroot;
pub mod system_libraries;
pub mod target_env;
pub mod toolchain;

pub use artifact::{Artifact, Artifacts, CompiledBinary};
pub use artifact_source::ArtifactSource;

use std::collections::BTreeMap;

use anyhow::Result;
use camino::Utf8Path;
use cargo_metadata::Message;

use self::cargo_command::CargoRun;
use self::diagnose::{CargoErrors, missing_binaries};
use self::linker::cross;
use self::progress::CompileProgress;
use self::toolchain::Toolchain;
use crate::plan::{Binary, BuildSettings, Plan};
use crate::platform::Platform;
use crate::process::{Cmd, Line};
use crate::timings::Phase;
use crate::ui::{Ui, size};

/// Is told of a binary the moment that it is there, while others are still compiled.
pub type OnArtifact<'a> = &'a mut dyn FnMut(&BuildSettings, &Binary, &Artifact);

/// Compiles everything in the plan.
pub fn run(plan: &Plan, toolchain: &Toolchain, ui: &Ui, on_artifact: OnArtifact<'_>) -> Result<Artifacts> {
    let mut artifacts = Artifacts::new();
    let commands = toolchain.commands(plan, &toolchain.write_programs(plan)?);
    let labels: Vec<Label> = commands.iter().map(|(run, _)| (binaries(run), platforms(run, plan))).collect();
    for (index, (run, cmd)) in commands.into_iter().enumerate() {
        let folder = plan.paths.work_dir().join("+artifacts").join(index.to_string());
        let (binaries, platforms) = &labels[index];
        ui.status("Compiling", format!("{binaries} for {platforms}"));
        let cmd =
            cmd.args(["--color", if ui.color() { "always" } else { "never" }]).args(ui.is_quiet().then_some("--quiet"));
        ui.command(&cmd);
        let prefix = prefix(&labels, &labels[index]);
        let child = |line: &str| ui.child(&format!("{prefix}{line}"));
        let process = ui.timings().span(Phase::Cargo, format_args!("{binaries} for {platforms}"));
        artifacts.extend(cargo(&run, &cmd, plan, toolchain, (ui, &child), &mut |build, binary, path| {
            let artifact = keep(path, &folder.join(&build.triple), binary)?;
            let (size, linkage) = (size::format_bytes(artifact.size), artifact.elf.linkage());
            let platforms = plan.name_of(build);
            let mut span = process.span_from_same_start(Phase::Binary, format_args!("{platforms} {}", binary.name));
            span.bytes(artifact.size);
            drop(span);
            ui.status("Compiled", format!("{} for {platforms} ({size}, {linkage})", binary.name));
            on_artifact(build, binary, &artifact);
            Ok(artifact)
        })?);
    }
    // Once all is compiled: what did not is told first.
    for ((build, binary), artifact) in &artifacts {
        artifact.check_floor(&binary.name, &plan.name_of(build), build.glibc.as_deref())?;
    }
    Ok(artifacts)
}

fn binaries(run: &CargoRun) -> String {
    run.binaries.iter().map(|binary| binary.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The builds of a run as the plan has them, which is how images name theirs.
fn in_order<'a>(run: &'a CargoRun, plan: &Plan) -> Vec<&'a BuildSettings> {
    let mut builds: Vec<&BuildSettings> = run.builds.iter().collect();
    builds.sort_by_key(|build| plan.builds().position(|other| other == *build));
    builds
}

fn platforms(run: &CargoRun, plan: &Plan) -> String {
    in_order(run, plan).into_iter().map(|build| plan.name_of(build)).collect::<Vec<_>>().join(", ")
}

/// What is compiled, and for what.
type Label = (String, String);

/// What the lines of a run begin with, where there are several: its platforms, or where those are not its alone, its
/// binaries as well.
fn prefix(runs: &[Label], (binaries, platforms): &Label) -> String {
    let alike = runs.iter().filter(|(_, other)| other == platforms).count();
    match (runs.len(), alike) {
        (..=1, _) => String::new(),
        (_, 1) => format!("[{platforms}] "),
        _ => format!("[{binaries} {platforms}] "),
    }
}

/// Takes a binary out of cargo's hands.
type Keep<'a> = &'a mut dyn FnMut(&BuildSettings, &Binary, &Utf8Path) -> Result<Artifact>;

/// The terminal, and how a child's line gets there.
type Screen<'a> = (&'a Ui, &'a dyn Fn(&str));

/// Runs cargo and returns every binary that was asked for, or fails naming those that are missing.
fn cargo(
    run: &CargoRun,
    cmd: &Cmd,
    plan: &Plan,
    toolchain: &Toolchain,
    (ui, child): Screen<'_>,
    keep: Keep<'_>,
) -> Result<Artifacts> {
    let by_triple: BTreeMap<&str, &BuildSettings> =
        run.builds.iter().map(|build| (build.triple.as_str(), build)).collect();
    let target_dir = if run.by_cross { cross::target_dir(plan) } else { plan.paths.target_dir.clone() };
    let mut found = Artifacts::new();
    let mut unkept = None;
    let mut said = CargoErrors::default();
    let mut underway = CompileProgress::new(run, plan, toolchain, ui);
    // Its output is read by us: bars in it are not what "always" is about, and want a width.
    let cmd = match std::env::var("CARGO_TERM_PROGRESS_WHEN").as_deref() {
        Ok("always") => cmd.clone().env("CARGO_TERM_PROGRESS_WHEN", "never"),
        _ => cmd.clone(),
    };
    let status = cmd.stream(|line| match line {
        Line::Stderr(line) => {
            said.push(&line);
            child(&line);
        }
        Line::Stdout(line) => match serde_json::from_str(&line) {
            Ok(Message::CompilerArtifact(artifact)) => {
                let on_host = |file: &Utf8Path| if run.by_cross { cross::on_host(file, plan) } else { file.to_owned() };
                let first = artifact.filenames.first().map(|file| on_host(file));
                let triple = first.as_deref().and_then(|file| triple_of(file, &target_dir));
                let build = triple.and_then(|triple| by_triple.get(triple));
                underway.compiled(&artifact.target.name, build.copied());
                let binary =
                    run.binaries.iter().find(|binary| binary.name == artifact.target.name && artifact.target.is_bin());
                if let (Some(binary), Some(build), Some(path)) = (binary, build, artifact.executable) {
                    match keep(build, binary, &on_host(&path)) {
                        Ok(artifact) => drop(found.insert(((*build).clone(), binary.clone()), artifact)),
                        Err(error) => drop(unkept.get_or_insert(error)),
                    }
                    let is_found = |binary: &Binary| found.contains_key(&((*build).clone(), binary.clone()));
                    if run.binaries.iter().all(is_found) {
                        underway.done(build);
                    }
                }
            }
            Ok(_) => {}
            // Not cargo's: a build script or a wrapper wrote to the stream.
            Err(_) => child(&line),
        },
    })?;
    drop(underway);
    if let Some(error) = unkept {
        return Err(error);
    }
    let expected = run.builds.iter().flat_map(|build| run.binaries.iter().map(move |binary| (build, binary)));
    let missing: Vec<(&BuildSettings, &Binary)> =
        expected.filter(|(build, binary)| !found.contains_key(&((*build).clone(), (*binary).clone()))).collect();
    if status.success() && missing.is_empty() {
        return Ok(found);
    }
    Err(missing_binaries::of(&said, status, run, &missing, plan, toolchain).into())
}

/// The triple that a file was built for: the first folder under the target directory.
fn triple_of<'a>(file: &'a Utf8Path, target_dir: &Utf8Path) -> Option<&'a str> {
    let first = file.strip_prefix(target_dir).ok()?.components().next()?.as_str();
    Platform::for_triple(first).next().map(|_| first)
}

/// Takes a binary out of cargo's folder, executable.
fn keep(from: &Utf8Path, folder: &Utf8Path, binary: &Binary) -> Result<Artifact> {
    fs_err::create_dir_all(folder)?;
    let path = folder.join(&binary.name);
    if path.exists() {
        fs_err::remove_file(&path)?;
    }
    fs_err::copy(from, &path)?;
    fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Artifact::read(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_several_runs_are_told_apart() {
        let run = |binary: &str, platform: &str| (binary.to_owned(), platform.to_owned());
        let (arm64, amd64) = ("linux/arm64", "linux/amd64");
        for (runs, expected) in [
            (vec![run("a", arm64)], ""),
            (vec![run("a", arm64), run("a", amd64)], "[linux/arm64] "),
            (vec![run("a", arm64), run("b", arm64)], "[a linux/arm64] "),
        ] {
            assert_eq!(prefix(&runs, &runs[0]), expected);
        }
    }

    #[test]
    fn triples_come_from_the_path_below_the_target_directory() {
        let of = |file: &'static str| triple_of(file.into(), "/w/target".into());
        assert_eq!(of("/w/target/aarch64-unknown-linux-musl/release/app"), Some("aarch64-unknown-linux-musl"));
        assert_eq!(of("/w/target/release/build/x/build-script-build"), None);
        assert_eq!(of("/elsewhere/aarch64-unknown-linux-musl/release/app"), None);
    }
}
