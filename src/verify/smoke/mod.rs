//! A smoke run: every platform's image is started once, before a tag moves, with words of its owner's. It says which way
//! it ran, and what cannot be run here is said not to have run. It proves no bytes: a kernel starts whatever it can.

pub mod chroot;
pub mod command;
pub mod docker;
pub mod method;
pub mod probe;

pub use method::SmokeHost;

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;
use oci_spec::image::Descriptor;
use serde::Serialize;
use tempfile::TempDir;

use self::command::Start;
use self::method::{Reason, Runner, choose};
use super::wrong;
use crate::error::Failure;
use crate::oci::cache::Cache;
use crate::oci::layer_scan::{self, ScannedLayer};
use crate::oci::layout::Layout;
use crate::oci::rootfs::RootFs;
use crate::oci::unpack;
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::process::{self, Cmd, Line};
use crate::threads::parallel;
use crate::timings::Phase;
use crate::ui::Ui;

/// Longer is no smoke run.
const LIMIT: Duration = Duration::from_secs(30);
/// Lines of a failed run that are shown.
const SHOWN: usize = 20;

/// What came of running a platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Smoke"))]
pub struct SmokeResult {
    pub how: SmokeMethod,
    /// The entrypoint and the words after it.
    pub command: Vec<String>,
    /// The first line of what it printed.
    pub said: Option<String>,
    /// Why it was not run.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "How"))]
#[serde(rename_all = "kebab-case")]
pub enum SmokeMethod {
    /// By this machine's own kernel and processor, in the unpacked image.
    Native,
    Docker,
    DockerQemu,
    /// In the unpacked image.
    Qemu,
    NotRun,
}

impl SmokeMethod {
    /// As in "linux/arm64 under QEMU".
    pub fn words(self) -> &'static str {
        match self {
            SmokeMethod::Native => "natively",
            SmokeMethod::Docker => "in Docker",
            SmokeMethod::DockerQemu => "in Docker, under QEMU",
            SmokeMethod::Qemu => "under QEMU",
            SmokeMethod::NotRun => "not at all",
        }
    }
}

/// Runs all platforms of an image, a few at a time, where its configuration asks for that.
pub fn run(
    plan: &Plan,
    image: &Image,
    layout: &Layout,
    machine: &SmokeHost,
    cache: &Cache,
    ui: &Ui,
) -> Result<BTreeMap<Platform, SmokeResult>> {
    let Some(words) = &image.smoke else { return Ok(BTreeMap::new()) };
    let dir = plan.paths.work_dir().join("+smoke");
    // What a run that was killed has left there: no other is under way.
    if dir.exists() {
        fs_err::remove_dir_all(&dir)?;
    }
    fs_err::create_dir_all(&dir)?;
    let run = |platform: &Platform| {
        let _ran = ui.timings().span(Phase::Smoke, format_args!("{platform} {}", image.name));
        Ok((*platform, one(image, layout, *platform, words, machine, &dir, cache, ui)?))
    };
    let platforms: Vec<Platform> = image.platforms.iter().map(|platform| platform.platform).collect();
    let ran = {
        let line = std::iter::once(image.name.as_str()).chain(words.iter().map(String::as_str));
        let bar = ui.bars().elapsed("Running");
        let names: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
        bar.message(&format!("{} for {}", shell_words::join(line), names.join(", ")));
        parallel(&platforms, run)
    };
    fs_err::remove_dir_all(&dir)?;
    let mut smoke = BTreeMap::new();
    for (platform, outcome) in ran? {
        smoke.insert(platform, outcome.map_err(|failed| failed.tell(image, platform, ui))?);
    }
    Ok(smoke)
}

#[expect(clippy::too_many_arguments, reason = "each is one input of a run")]
fn one(
    image: &Image,
    layout: &Layout,
    platform: Platform,
    words: &[String],
    machine: &SmokeHost,
    dir: &Utf8Path,
    cache: &Cache,
    ui: &Ui,
) -> Result<Result<SmokeResult, Failed>> {
    let entry = layout.entry(platform).with_context(|| format!("the layout has no {platform}"))?;
    let (manifest, config) = layout.manifest(entry)?;
    let (layers, tree) = layers(layout, manifest.layers(), cache)?;
    let start = Start::new(words, &tree, platform, &config).with_context(|| format!("image '{}'", image.name))?;
    let way = choose(platform, start.alone, machine);
    let dir = TempDir::new_in(dir)?;
    let dir = Utf8Path::from_path(dir.path()).context("the folder's name is not UTF-8")?;
    let unpacked = || {
        let root = dir.join("root");
        fs_err::create_dir(&root)?;
        unpack::unpack(layout, &layers, &root)?;
        chroot::prepare_root(&root, &tree, &start)?;
        anyhow::Ok(root)
    };
    let ran = match &way {
        Runner::Docker { foreign } => {
            let unknown = *foreign && !machine.handled.contains(&platform);
            docker::run(image, layout, platform, words, unknown, dir, ui)?
        }
        Runner::Root { entry, .. } => Ok(follow(&chroot::command(&unpacked()?, &start, *entry, false), ui)?),
        Runner::RootWithQemu { entry, qemu } => {
            let root = unpacked()?;
            chroot::install_qemu(qemu, &root)?;
            Ok(follow(&chroot::command(&root, &start, *entry, true), ui)?)
        }
        Runner::Qemu(qemu) => Ok(follow(&chroot::beside(&unpacked()?, &start, qemu), ui)?),
        Runner::NotRun(Reason { why, mend }) => Err(format!("{why}: `{mend}`")),
    };
    let line = start.line();
    let (how, said, reason) = match ran {
        Err(reason) => {
            ui.warning(format!("image '{}': {platform}: the smoke run `{line}` was not run: {reason}", image.name));
            (SmokeMethod::NotRun, None, Some(reason))
        }
        Ok(ran) => {
            if let Some(failed) = failed(&line, &ran) {
                return Ok(Err(failed));
            }
            let said = ran.first.as_ref().map(|first| format!(": {first}")).unwrap_or_default();
            ui.status("Ran", format!("{line} for {platform}, {}{said}", way.how().words()));
            (way.how(), ran.first, None)
        }
    };
    Ok(Ok(SmokeResult { how, command: start.command, said, reason }))
}

/// What is in layers, and what they make together.
fn layers(layout: &Layout, layers: &[Descriptor], cache: &Cache) -> Result<(Vec<(Descriptor, ScannedLayer)>, RootFs)> {
    let mut tree = RootFs::default();
    let mut read = Vec::new();
    for layer in layers {
        let scan = || Ok(layer_scan::scan(layout.open_blob(layer)?, layer.media_type().as_ref(), cache.dir()?)?);
        let scanned = cache.layer(layer, scan)?;
        tree.apply(&scanned.changes).map_err(anyhow::Error::msg)?;
        read.push((layer.clone(), scanned));
    }
    Ok((read, tree))
}

/// What a run left behind.
#[derive(Debug)]
struct Ran {
    /// None where its time was over.
    status: Option<ExitStatus>,
    /// The first line of its standard output, or else of its standard error.
    first: Option<String>,
    last: VecDeque<String>,
}

/// Runs to the end, or to the limit.
fn follow(cmd: &Cmd, ui: &Ui) -> Result<Ran> {
    ui.command(cmd);
    let (mut out, mut err, mut last) = (None, None, VecDeque::new());
    let status = cmd.stream_within(LIMIT, |line| {
        let (first, line) = match line {
            Line::Stdout(line) => (&mut out, line),
            Line::Stderr(line) => (&mut err, line),
        };
        if ui.is_verbose() {
            ui.child(&line);
        }
        if !line.trim().is_empty() {
            first.get_or_insert_with(|| line.trim().to_owned());
        }
        if last.len() == SHOWN {
            last.pop_front();
        }
        last.push_back(line);
    })?;
    Ok(Ran { status, first: out.or(err), last })
}

/// A run that did not end well.
struct Failed {
    /// The command and how it ended.
    what: String,
    last: VecDeque<String>,
}

fn failed(line: &str, ran: &Ran) -> Option<Failed> {
    let ended = match ran.status {
        Some(status) if status.success() => return None,
        Some(status) => match status.code() {
            Some(code) => format!("ended with {code}"),
            None => format!("was ended by {}", process::ended(status)),
        },
        None => format!("was not over after {} s", LIMIT.as_secs()),
    };
    Some(Failed { what: format!("the smoke run `{line}` {ended}"), last: ran.last.clone() })
}

impl Failed {
    /// The failure, after the last words of what failed.
    fn tell(self, image: &Image, platform: Platform, ui: &Ui) -> Failure {
        if !ui.is_verbose() {
            self.last.iter().for_each(|line| ui.child(line));
        }
        wrong(image, format!("{platform}: {}", self.what))
            .hint("its words must let it end by itself, and with 0: smoke = [\"--version\"]")
    }
}
