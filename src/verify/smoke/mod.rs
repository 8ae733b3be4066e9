//! Runs every platform of an image once, with the configured arguments, before any tag moves ("smoke run"). Platforms
//! that this machine cannot run are reported as not run. Smoke runs do not replace the checks on the image's bytes,
//! because a kernel that is set up for QEMU also runs programs built for the wrong architecture.

pub(crate) mod chroot;
pub(crate) mod command;
pub(crate) mod docker;
pub(crate) mod host;
pub(crate) mod method;
pub(crate) mod probe;
pub(crate) mod result;
pub(crate) mod run;

pub(crate) use host::SmokeHost;
pub(crate) use method::{NotRunReason, Runner};
pub(crate) use probe::find_host;
pub(crate) use result::{SmokeMethod, SmokeResult, SmokeResults};

use std::collections::VecDeque;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;
use tempfile::TempDir;

use self::command::SmokeCommand;
use self::docker::DockerRun;
use self::run::{Attempt, FinishedRun, run_command};
use super::error::image_failure;
use crate::error::Failure;
use crate::oci::cache::Cache;
use crate::oci::layer_scan;
use crate::oci::layout::Layout;
use crate::oci::rootfs::RootFs;
use crate::oci::unpack::{self, UnpackableLayer};
use crate::plan::Image;
use crate::platform::Platform;
use crate::threads::parallel;
use crate::timings::Phase;
use crate::ui::Ui;

/// Runs all platforms of an image in parallel if a smoke run is configured. Images are unpacked in `work_dir`.
pub(crate) fn run(
    image: &Image,
    layout: &Layout,
    host: &SmokeHost,
    work_dir: &Utf8Path,
    cache: &Cache,
    ui: &Ui,
) -> Result<SmokeResults> {
    let Some(arguments) = &image.smoke else { return Ok(SmokeResults::new()) };
    let dir = work_dir.join("+smoke");
    // Delete files that a killed run may have left behind. The workspace is locked, so no other run is using the
    // directory.
    if dir.exists() {
        fs_err::remove_dir_all(&dir)?;
    }
    fs_err::create_dir_all(&dir)?;
    let run = ImageRun { image, layout, arguments, host, dir: &dir, cache, ui };
    let outcomes = run.all_platforms();
    fs_err::remove_dir_all(&dir)?;
    let mut results = SmokeResults::new();
    for (platform, outcome) in outcomes? {
        match outcome {
            Outcome::Completed(result) => results.insert(platform, result),
            Outcome::Failed(failed) => return Err(failed.report(image, platform, ui).into()),
        };
    }
    Ok(results)
}

/// The smoke run of an image on all its platforms.
struct ImageRun<'a> {
    image: &'a Image,
    layout: &'a Layout,
    /// Arguments to the entrypoint.
    arguments: &'a [String],
    host: &'a SmokeHost,
    dir: &'a Utf8Path,
    cache: &'a Cache,
    ui: &'a Ui,
}

/// The outcome for one platform. Failures are reported after all platforms have run.
enum Outcome {
    Completed(SmokeResult),
    Failed(FailedSmokeRun),
}

impl ImageRun<'_> {
    fn all_platforms(&self) -> Result<Vec<(Platform, Outcome)>> {
        let name = self.image.name.as_str();
        let platforms: Vec<Platform> = self.image.platforms.iter().map(|planned| planned.platform).collect();
        let line = shell_words::join([name].into_iter().chain(self.arguments.iter().map(String::as_str)));
        let names: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
        let bar = self.ui.bars().elapsed("Running");
        bar.message(&format!("{line} for {}", names.join(", ")));
        parallel(&platforms, |platform| {
            let _ran = self.ui.timings().span(Phase::Smoke, format_args!("{platform} {name}"));
            Ok((*platform, self.platform(*platform)?))
        })
    }

    fn platform(&self, platform: Platform) -> Result<Outcome> {
        let entry = self.layout.entry(platform).with_context(|| format!("the layout does not contain {platform}"))?;
        let (manifest, config) = self.layout.manifest(entry)?;
        let (layers, root) = self.read_layers(manifest.layers())?;
        let command = SmokeCommand::new(self.arguments, &root, platform, &config)
            .with_context(|| format!("image '{}'", self.image.name))?;
        let runner = Runner::choose(platform, command.is_single_program, self.host);
        let attempt = self.attempt(platform, &runner, &command, &layers, &root)?;
        let (line, name) = (command.display(), &self.image.name);
        let (method, first_line, reason) = match attempt {
            Attempt::NotRun(reason) => {
                self.ui.warning(format!("image '{name}': {platform}: skipped smoke run `{line}`: {reason}"));
                (SmokeMethod::NotRun, None, Some(reason))
            }
            Attempt::Finished(run) => {
                if let Some(ending) = run.failure() {
                    let problem = format!("smoke run `{line}` {ending}");
                    let hint = run.failure_hint(self.arguments, command.user.as_ref());
                    return Ok(Outcome::Failed(FailedSmokeRun { problem, hint, last_lines: run.last_lines }));
                }
                let printed = run.first_line.as_ref().map(|first| format!(": {first}")).unwrap_or_default();
                let method = runner.method();
                self.ui.status("Ran", format!("{line} for {platform}, {}{printed}", method.description()));
                (method, run.first_line, None)
            }
        };
        Ok(Outcome::Completed(SmokeResult { method, command: command.words, first_line, reason }))
    }

    fn attempt(
        &self,
        platform: Platform,
        runner: &Runner,
        command: &SmokeCommand,
        layers: &[UnpackableLayer],
        root: &RootFs,
    ) -> Result<Attempt> {
        let dir = TempDir::new_in(self.dir)?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary directory's path is not valid UTF-8")?;
        let unpack = || self.unpack(command, layers, root, dir);
        let run = |cmd| -> Result<FinishedRun> { run_command(&cmd, self.ui) };
        Ok(match runner {
            Runner::Docker { emulated } => {
                let may_lack_emulation = *emulated && !self.host.emulated.contains(&platform);
                let (image, layout, arguments) = (self.image.name.as_str(), self.layout, self.arguments);
                let capabilities = command.capabilities;
                DockerRun { image, layout, platform, arguments, capabilities, may_lack_emulation, dir }.run(self.ui)?
            }
            Runner::Isolated { isolation, .. } => {
                Attempt::Finished(run(chroot::isolated_command(&unpack()?, command, *isolation, false))?)
            }
            Runner::IsolatedQemu { isolation, qemu } => {
                let root_dir = unpack()?;
                chroot::install_qemu(qemu, &root_dir)?;
                Attempt::Finished(run(chroot::isolated_command(&root_dir, command, *isolation, true))?)
            }
            Runner::Qemu(qemu) => Attempt::Finished(run(chroot::qemu_prefix_command(&unpack()?, command, qemu))?),
            Runner::NotRun(NotRunReason { reason, fix }) => Attempt::NotRun(format!("{reason}: run `{fix}`")),
        })
    }

    /// Reads layers and merges them into one file system.
    fn read_layers(&self, layers: &[Descriptor]) -> Result<(Vec<UnpackableLayer>, RootFs)> {
        let mut root = RootFs::default();
        let mut read = Vec::new();
        for layer in layers {
            let scanned = self.cache.layer(layer, || {
                let blob = self.layout.open_blob(layer)?;
                Ok(layer_scan::scan(blob, layer.media_type().as_ref(), self.cache.dir()?)?)
            })?;
            root.apply(&scanned.changes).map_err(anyhow::Error::msg)?;
            read.push(UnpackableLayer { descriptor: layer.clone(), scanned });
        }
        Ok((read, root))
    }

    /// Unpacks the image into a new root directory.
    fn unpack(
        &self,
        command: &SmokeCommand,
        layers: &[UnpackableLayer],
        root: &RootFs,
        dir: &Utf8Path,
    ) -> Result<Utf8PathBuf> {
        let root_dir = dir.join("root");
        fs_err::create_dir(&root_dir)?;
        unpack::unpack(self.layout, layers, &root_dir)?;
        chroot::prepare_root(&root_dir, root, command)?;
        Ok(root_dir)
    }
}

/// A failed smoke run.
struct FailedSmokeRun {
    /// Error message that contains the command and how it failed.
    problem: String,
    hint: String,
    last_lines: VecDeque<String>,
}

impl FailedSmokeRun {
    /// Prints the last lines of the output, unless the output was already shown, and returns the failure.
    fn report(self, image: &Image, platform: Platform, ui: &Ui) -> Failure {
        if !ui.is_verbose() {
            self.last_lines.iter().for_each(|line| ui.child(line));
        }
        image_failure(&image.name, format!("{platform}: {}", self.problem)).hint(self.hint)
    }
}
