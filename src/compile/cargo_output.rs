//! Runs a cargo process and collects the binaries reported in its JSON messages.

use std::cell::RefCell;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::Instant;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::Message;

use super::cargo_command::CargoRun;
use super::cargo_status::{self, CargoLine, ErrorFilter};
use super::diagnose::cargo_errors::CargoErrors;
use super::diagnose::missing_binaries::{FailedRun, MissingBinary};
use super::progress::CompileProgress;
use super::toolchain::Toolchain;
use super::{Artifact, Artifacts, CompiledBinary, cross};
use crate::plan::{Binary, Build};
use crate::platform::Platform;
use crate::process::{Cmd, Line};
use crate::threads::CancelToken;
use crate::timings::{CargoPage, OpenSpan, Phase};
use crate::ui::{Ui, size};

/// A cargo process that is about to run.
pub(crate) struct CargoProcess<'a> {
    pub run: &'a CargoRun,
    pub cmd: Cmd,
    pub toolchain: &'a Toolchain,
    /// The directory that binaries are copied to, with a subdirectory for each target triple.
    pub artifacts_dir: Utf8PathBuf,
    /// The tag that identifies the process in its output. Empty if it is the only process of the run.
    pub tag: String,
    /// Whether to hide what cargo prints only because of `--verbose`.
    pub hides_verbose_output: bool,
    pub finished: &'a mpsc::Sender<CompiledBinary>,
    pub ui: &'a Ui,
}

impl CargoProcess<'_> {
    /// Runs cargo until it exits or the run is canceled. Returns all binaries, or an error that names the missing ones.
    pub(crate) fn compile(self, cancel: &CancelToken) -> Result<Artifacts> {
        let (run, ui) = (self.run, self.ui);
        let paths = &self.toolchain.request.paths;
        let target_dir = if run.by_cross { cross::target_dir(paths) } else { paths.target_dir.clone() };
        let output = CargoOutput {
            target_dir,
            progress: CompileProgress::new(run, &self.toolchain.facts, ui),
            span: ui.timings().span(Phase::Cargo, run.description()),
            process: &self,
            artifacts: Artifacts::new(),
            error_filter: ErrorFilter::default(),
            errors: CargoErrors::default(),
            copy_error: None,
        };
        let output = RefCell::new(output);
        let on_line = |line| output.borrow_mut().on_line(line);
        let status = self.cmd.stream_and_poll(cancel, on_line, || output.borrow_mut().report_silence())?;
        output.into_inner().finish(status)
    }
}

/// The results and errors that a cargo process has reported so far.
struct CargoOutput<'a> {
    process: &'a CargoProcess<'a>,
    /// The path of cargo's target directory on this machine.
    target_dir: Utf8PathBuf,
    progress: CompileProgress<'a>,
    span: OpenSpan<'a>,
    artifacts: Artifacts,
    error_filter: ErrorFilter,
    errors: CargoErrors,
    /// The first error from copying a binary. cargo keeps running after such an error.
    copy_error: Option<anyhow::Error>,
}

impl CargoOutput<'_> {
    fn on_line(&mut self, line: Line) {
        match line {
            Line::Stderr(line) => self.on_stderr(line),
            Line::Stdout(line) => match serde_json::from_str(&line) {
                Ok(Message::CompilerArtifact(artifact)) => self.on_artifact(&artifact),
                Ok(Message::BuildScriptExecuted(script)) => self.progress.script_finished(&script),
                Ok(_) => {}
                // This line is not from cargo: a build script or a wrapper wrote it to stdout.
                Err(_) => self.print(&line),
            },
        }
    }

    fn on_stderr(&mut self, line: String) {
        let parsed = cargo_status::parse(&line);
        let is_verbose = matches!(parsed, CargoLine::Started(_) | CargoLine::Verbose);
        if let CargoLine::TimingsPage(path) = &parsed {
            self.add_timings_page(path);
        }
        self.progress.on_status(parsed);
        if !self.process.hides_verbose_output {
            self.print_stderr(&[line]);
        } else if !is_verbose {
            let lines = self.error_filter.push(line);
            self.print_stderr(&lines);
        }
    }

    fn add_timings_page(&self, path: &Utf8Path) {
        let page = CargoPage { name: self.process.run.description(), path: self.on_host(path) };
        self.process.ui.timings().add_cargo_page(page);
    }

    fn print_stderr(&mut self, lines: &[String]) {
        for line in lines {
            self.errors.push(line);
            self.print(line);
        }
    }

    fn print(&mut self, line: &str) {
        self.process.ui.child(&cargo_status::tagged(line, &self.process.tag));
        self.progress.printed();
    }

    /// Prints what is running if cargo has not printed anything for a while.
    fn report_silence(&mut self) {
        if let Some(running) = self.progress.after_silence(Instant::now()) {
            self.process.ui.status("Compiling", running);
        }
    }

    fn on_artifact(&mut self, message: &cargo_metadata::Artifact) {
        let run = self.process.run;
        let name = message.target.name.as_str();
        let file = message.filenames.first().map(|file| self.on_host(file));
        let triple = file.as_deref().and_then(|file| triple_of(file, &self.target_dir));
        let build = run.builds.iter().find(|build| Some(build.settings.triple.as_str()) == triple);
        self.progress.compiled(message, build.map(|build| &build.settings));
        let binary = run.binaries.iter().find(|binary| binary.name == name && message.target.is_bin());
        let (Some(build), Some(binary), Some(executable)) = (build, binary, &message.executable) else { return };
        match self.copy_binary(build, binary, &self.on_host(executable)) {
            Ok(artifact) => self.add(build, binary, artifact),
            Err(error) => drop(self.copy_error.get_or_insert(error)),
        }
    }

    /// Converts a path reported by cargo to a path on this machine.
    fn on_host(&self, file: &Utf8Path) -> Utf8PathBuf {
        if self.process.run.by_cross {
            cross::on_host(file, &self.process.toolchain.request.paths)
        } else {
            file.to_owned()
        }
    }

    /// Copies a binary to the artifacts directory, so that later cargo processes do not overwrite it.
    fn copy_binary(&self, build: &Build, binary: &Binary, executable: &Utf8Path) -> Result<Artifact> {
        let dir = self.process.artifacts_dir.join(&build.settings.triple);
        let artifact = Artifact::copy(executable, &dir, binary)?;
        let platforms = build.name();
        let mut span = self.span.span_from_same_start(Phase::Binary, format_args!("{platforms} {}", binary.name));
        span.bytes(artifact.size);
        drop(span);
        let (size, linkage) = (size::format_bytes(artifact.size), artifact.elf.linkage());
        self.process.ui.status("Compiled", format!("{} for {platforms} ({size}, {linkage})", binary.name));
        self.process.ui.details("Linked", format!("{} for {platforms}: {}", binary.name, artifact.describe_linking()));
        Ok(artifact)
    }

    fn add(&mut self, build: &Build, binary: &Binary, artifact: Artifact) {
        let settings = &build.settings;
        let compiled = CompiledBinary { build: settings.clone(), binary: binary.clone(), artifact: artifact.clone() };
        // The channel is closed if no stage is waiting for binaries, or if the receiving stage has failed and will
        // report its own error.
        let _ = self.process.finished.send(compiled);
        self.artifacts.insert((settings.clone(), binary.clone()), artifact);
        if build.binaries.iter().all(|binary| self.has(build, binary)) {
            self.progress.finish(settings);
        }
    }

    fn has(&self, build: &Build, binary: &Binary) -> bool {
        self.artifacts.contains_key(&(build.settings.clone(), binary.clone()))
    }

    fn finish(mut self, status: ExitStatus) -> Result<Artifacts> {
        let held = self.error_filter.flush();
        self.print_stderr(&held);
        if let Some(error) = self.copy_error.take() {
            return Err(error);
        }
        let CargoProcess { run, toolchain, .. } = self.process;
        let mut missing = Vec::new();
        for build in &run.builds {
            for binary in run.binaries.iter().filter(|binary| !self.has(build, binary)) {
                let linker = toolchain.linkers.get(&build.settings).map(|selection| &selection.linker);
                missing.push(MissingBinary { build, binary, linker });
            }
        }
        if status.success() && missing.is_empty() {
            return Ok(self.artifacts);
        }
        let host = &toolchain.facts.rust.host;
        Err(FailedRun { errors: &self.errors, status, host, run, missing: &missing }.into_failure().into())
    }
}

/// Returns the triple that a file was built for: the name of the first directory below the target directory. Returns
/// `None` if that name is not a supported triple.
fn triple_of<'a>(file: &'a Utf8Path, target_dir: &Utf8Path) -> Option<&'a str> {
    let first = file.strip_prefix(target_dir).ok()?.components().next()?.as_str();
    Platform::for_triple(first).next().map(|_| first)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::plan::BuildSettings;
    use crate::threads::Cancelled;
    use crate::ui::Color;

    #[test]
    fn cargo_is_stopped_when_another_stage_fails() {
        let run = CargoRun {
            shared: BuildSettings::default(),
            binaries: BTreeSet::new(),
            builds: Vec::new(),
            by_cross: false,
        };
        let ui = Ui::new(-1, Color::Never);
        let cancel = CancelToken::default();
        cancel.cancel();
        let process = CargoProcess {
            run: &run,
            cmd: Cmd::new("sleep").arg("60"),
            toolchain: &Toolchain::default(),
            artifacts_dir: "/nowhere".into(),
            tag: String::new(),
            hides_verbose_output: false,
            finished: &mpsc::channel().0,
            ui: &ui,
        };
        let start = Instant::now();
        assert!(Cancelled::caused(&process.compile(&cancel).unwrap_err()));
        assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    }

    #[test]
    fn the_first_directory_below_the_target_directory_is_the_triple() {
        let triple = |file: &'static str| triple_of(file.into(), "/w/target".into());
        assert_eq!(triple("/w/target/aarch64-unknown-linux-musl/release/app"), Some("aarch64-unknown-linux-musl"));
        assert_eq!(triple("/w/target/release/build/x/build-script-build"), None);
        assert_eq!(triple("/elsewhere/aarch64-unknown-linux-musl/release/app"), None);
    }
}
