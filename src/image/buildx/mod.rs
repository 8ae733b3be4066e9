//! The buildx engine: runs `docker buildx build` to write an OCI layout.

pub(crate) mod builder;
pub(crate) mod buildkitd_config;
pub(crate) mod docker;
pub(crate) mod qemu;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use self::builder::Builder;
use super::build_context::StagedContext;
use crate::error::{Class, Failure};
use crate::oci::compression::Compression;
use crate::oci::layout::{self, Layout};
use crate::plan::{Image, Paths};
use crate::platform::Platform;
use crate::process::{Cmd, Line};
use crate::threads::CancelToken;
use crate::timings::Phase;
use crate::ui::Ui;

/// An engine that builds images with `docker buildx build`.
#[derive(Clone, Copy)]
pub(crate) struct BuildxEngine<'a> {
    pub builder: &'a Builder,
    pub paths: &'a Paths,
    pub source_date_epoch: u64,
}

/// The purpose of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuildPurpose {
    Publish,
    /// A trial build with placeholders for the binaries, to check the image while cargo is compiling. The builder keeps
    /// the results of RUN instructions, so the build for publishing does not run them again.
    Trial,
}

/// A `docker buildx build` command.
pub(crate) struct BuildCommand {
    pub cmd: Cmd,
    /// The directory of the OCI layout that the command writes.
    layout_dir: Utf8PathBuf,
}

impl BuildxEngine<'_> {
    /// Returns the commands that build an image: a single command for all platforms or, if several nodes may build them,
    /// one command for each platform. buildx cannot write a single layout for an image built by several nodes.
    pub(crate) fn commands(&self, image: &Image, staged: &StagedContext, purpose: BuildPurpose) -> Vec<BuildCommand> {
        let platforms: Vec<Platform> = image.platforms.iter().map(|platform| platform.platform).collect();
        if !self.is_split(image) {
            return vec![self.command(image, staged, &platforms, self.layout_dir(staged, image, purpose), purpose)];
        }
        let parts = self.paths.work_dir().join("+nodes").join(&image.name);
        let part = |platform: &Platform| parts.join(platform.stage_suffix());
        platforms.iter().map(|platform| self.command(image, staged, &[*platform], part(platform), purpose)).collect()
    }

    /// Returns the directory of an image's layout.
    fn layout_dir(&self, staged: &StagedContext, image: &Image, purpose: BuildPurpose) -> Utf8PathBuf {
        match purpose {
            BuildPurpose::Publish => staged.dir.join("oci"),
            BuildPurpose::Trial => self.paths.work_dir().join("+trial").join(image.name.replace('/', "+")),
        }
    }

    /// Reports whether each platform of an image is built with its own command.
    fn is_split(&self, image: &Image) -> bool {
        self.builder.is_multi_node && image.platforms.len() > 1
    }

    /// Returns the command that builds an image for `platforms` into an OCI layout.
    fn command(
        &self,
        image: &Image,
        staged: &StagedContext,
        platforms: &[Platform],
        layout_dir: Utf8PathBuf,
        purpose: BuildPurpose,
    ) -> BuildCommand {
        let names: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
        let mut cmd =
            Cmd::new("docker").args(["buildx", "build", "--progress", "plain", "--platform", &names.join(",")]);
        if let Some(name) = &self.builder.name {
            cmd = cmd.args(["--builder", name]);
        }
        if image.has_index {
            // Without this argument, BuildKit writes an index only for several platforms.
            cmd = cmd.args(["--build-arg", "BUILDKIT_MULTI_PLATFORM=1"]);
        }
        let options = &image.buildx;
        for (name, value) in staged.dockerfile.build_args.iter().chain(&options.build_args) {
            cmd = cmd.args(["--build-arg", &format!("{name}={value}")]);
        }
        // An annotation of both needs two flags, because buildx 0.13 does not add `index,manifest:NAME` to the index.
        for (target, annotations) in [("index", &image.annotations), ("manifest", &image.manifest_annotations)] {
            for (name, value) in annotations {
                cmd = cmd.args(["--annotation", &format!("{target}:{name}={value}")]);
            }
        }
        for planned in image.platforms.iter().filter(|planned| platforms.contains(&planned.platform)) {
            for (name, value) in &planned.annotations {
                cmd = cmd.args(["--annotation", &format!("manifest[{}]:{name}={value}", planned.platform)]);
            }
        }
        // Provenance is disabled by default because it contains the build time, which would change the digest with
        // every build.
        cmd = cmd.arg(format!("--provenance={}", options.provenance.as_deref().unwrap_or("false")));
        if let Some(sbom) = &options.sbom {
            cmd = cmd.arg(format!("--sbom={sbom}"));
        }
        cmd = cmd.args(["--output", &output(image, &layout_dir)]);
        let lists =
            [("--cache-from", &options.cache_from), ("--secret", &options.secrets), ("--cache-to", &options.cache_to)];
        for (flag, values) in lists {
            if flag == "--cache-to" && purpose == BuildPurpose::Trial {
                continue;
            }
            for value in values {
                cmd = cmd.args([flag, value]);
            }
        }
        cmd = cmd
            .args(&options.args)
            .args(["--file", staged.dir.join("Dockerfile").as_str(), staged.dir.as_str()])
            .env("SOURCE_DATE_EPOCH", self.source_date_epoch.to_string())
            // Paths in the configuration are relative to the workspace root, not to the current directory.
            .dir(self.paths.root.as_str());
        BuildCommand { cmd, layout_dir }
    }

    /// Builds an image into the `oci` directory of its build context.
    pub(crate) fn build(&self, image: &Image, staged: &StagedContext, cancel: &CancelToken, ui: &Ui) -> Result<Layout> {
        let platforms = image.platforms.iter().map(|platform| platform.platform.name()).collect::<Vec<_>>().join(", ");
        ui.status("Building", format!("{} for {platforms}", image.name));
        ui.timed(Phase::Layout, format_args!("{} by buildx", image.name), || {
            self.build_for(BuildPurpose::Publish, image, staged, cancel, ui)
        })
    }

    /// Builds an image from a build context with placeholders for the binaries.
    pub(crate) fn build_trial(
        &self,
        image: &Image,
        staged: &StagedContext,
        cancel: &CancelToken,
        ui: &Ui,
    ) -> Result<Layout> {
        ui.status("Checking", format!("{} without its binaries, by building it", image.name));
        ui.timed(Phase::Prepare, format_args!("trial build of {} by buildx", image.name), || {
            self.build_for(BuildPurpose::Trial, image, staged, cancel, ui)
        })
    }

    fn build_for(
        &self,
        purpose: BuildPurpose,
        image: &Image,
        staged: &StagedContext,
        cancel: &CancelToken,
        ui: &Ui,
    ) -> Result<Layout> {
        let commands = self.commands(image, staged, purpose);
        let failure = format!("failed to build image '{}'", image.name);
        for BuildCommand { cmd, layout_dir } in &commands {
            // Remove an existing layout, because buildx would add the image to it.
            if layout_dir.exists() {
                fs_err::remove_dir_all(layout_dir)?;
            }
            run(cmd, &failure, &staged.dir, cancel, ui)?;
        }
        let dir = self.layout_dir(staged, image, purpose);
        if self.is_split(image) {
            let parts = commands.iter().map(|command| Layout::open(&command.layout_dir)).collect::<Result<Vec<_>>>()?;
            layout::merge(&dir, &parts)?;
        }
        Layout::open(&dir)
    }
}

/// Returns the `--output` value for an OCI layout. `rewrite-timestamp` sets the modification time of all new files to
/// SOURCE_DATE_EPOCH, including directories created by COPY.
fn output(image: &Image, dir: &Utf8Path) -> String {
    let mut output = format!("type=oci,tar=false,rewrite-timestamp=true,{}", csv_field("dest", dir.as_str()));
    let level = image.compression_level.map(|level| format!(",compression-level={level}")).unwrap_or_default();
    match image.compression {
        Compression::Gzip if level.is_empty() => {}
        Compression::Gzip => output.push_str(&format!(",compression=gzip,force-compression=true{level}")),
        Compression::Zstd => output.push_str(&format!(",compression=zstd,force-compression=true{level}")),
    }
    output
}

/// Formats `name=value` as a field of a comma-separated buildx option, quoting it if needed.
fn csv_field(name: &str, value: &str) -> String {
    if value.contains([',', '"']) {
        format!("\"{name}={}\"", value.replace('"', "\"\""))
    } else {
        format!("{name}={value}")
    }
}

/// Runs buildx. With `-vv`, prints its output as it appears. Otherwise, prints only the last lines if buildx fails. The
/// error message starts with `failure`.
fn run(cmd: &Cmd, failure: &str, context: &Utf8Path, cancel: &CancelToken, ui: &Ui) -> Result<()> {
    ui.command(cmd);
    let mut lines = Vec::new();
    let progress = ui.bars().elapsed("buildx");
    let status = cmd.stream_until(cancel, |line| {
        let (Line::Stdout(line) | Line::Stderr(line)) = line;
        progress.message(&line);
        if ui.is_verbose() {
            ui.child(&line);
        }
        lines.push(line);
    })?;
    drop(progress);
    if status.success() {
        return Ok(());
    }
    if !ui.is_verbose() {
        let last = lines.len().saturating_sub(20);
        lines[last..].iter().for_each(|line| ui.child(line));
    }
    let reason = reason(&lines);
    let message = format!("{failure}: {reason}");
    let is_unauthorized =
        ["401 Unauthorized", "403 Forbidden", "authorization failed"].iter().any(|sign| reason.contains(sign));
    Err(if is_unauthorized {
        Failure::new(Class::Registry, message).hint("log in: `cargo multiarch login REGISTRY`")
    } else {
        Failure::new(Class::Engine, message)
            .hint(format!("inspect the build context in {context}"))
            .hint("run again with `-vv` to see the full buildx output")
    }
    .into())
}

/// Returns the reason why buildx failed: its last error, or else its last line of output other than `See 'docker buildx
/// build --help'`.
fn reason(lines: &[String]) -> &str {
    let error = lines.iter().rev().find_map(|line| line.strip_prefix("ERROR: "));
    let last = || lines.iter().rev().map(String::as_str).find(|line| !line.is_empty() && !line.starts_with("See "));
    let reason = error.or_else(last).unwrap_or("buildx printed no error message");
    reason.strip_prefix("failed to solve: ").unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_the_reason() {
        for (lines, expected) in [
            ("#1 x\nERROR: failed to solve: disk full\n", "disk full"),
            ("ERROR: one\n------\nERROR: two", "two"),
            ("unknown flag: --nope\nSee 'docker buildx build --help'.\n", "unknown flag: --nope"),
            ("", "buildx printed no error message"),
        ] {
            assert_eq!(reason(&lines.lines().map(str::to_owned).collect::<Vec<_>>()), expected, "{lines}");
        }
    }

    #[test]
    fn quotes_values_with_commas_and_quotes() {
        assert_eq!(csv_field("dest", "/a b"), "dest=/a b");
        assert_eq!(csv_field("dest", "/a,\"b"), "\"dest=/a,\"\"b\"");
    }
}
