//! The buildx engine: the `docker buildx build` call, into an OCI layout.

pub mod builder;
pub mod buildkitd_config;
pub mod docker;
pub mod qemu;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use self::builder::Builder;
use super::context::StagedContext;
use crate::error::{Class, Failure};
use crate::oci::compression::Compression;
use crate::oci::layout::{self, Layout};
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::process::{Cmd, Line};
use crate::timings::Phase;
use crate::ui::Ui;

/// The calls that build an image, each with the layout that it writes: one for all platforms or, as buildx writes no
/// layout of what several nodes build, one for each.
pub fn calls(plan: &Plan, image: &Image, staged: &StagedContext, builder: &Builder) -> Vec<(Utf8PathBuf, Cmd)> {
    let platforms: Vec<Platform> = image.platforms.iter().map(|platform| platform.platform).collect();
    let call = |platforms: &[Platform], dir: Utf8PathBuf| {
        let cmd = build_command(plan, image, staged, builder, platforms, &dir);
        (dir, cmd)
    };
    match builder.is_spread {
        false => vec![call(&platforms, staged.dir.join("oci"))],
        true => {
            let parts = plan.paths.work_dir().join("+nodes").join(&image.name);
            platforms.iter().map(|platform| call(&[*platform], parts.join(platform.stage_suffix()))).collect()
        }
    }
}

/// The call that builds an image for some platforms into an OCI layout.
fn build_command(
    plan: &Plan,
    image: &Image,
    staged: &StagedContext,
    builder: &Builder,
    platforms: &[Platform],
    layout: &Utf8Path,
) -> Cmd {
    let platforms: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
    let mut cmd =
        Cmd::new("docker").args(["buildx", "build", "--progress", "plain", "--platform", &platforms.join(",")]);
    if let Some(name) = &builder.name {
        cmd = cmd.args(["--builder", name]);
    }
    // An index also for one platform: a plain manifest is what lets a daemon run the wrong architecture.
    cmd = cmd.args(["--build-arg", "BUILDKIT_MULTI_PLATFORM=1"]);
    let options = &image.buildx;
    for (name, value) in staged.dockerfile.build_args.iter().chain(&options.build_args) {
        cmd = cmd.args(["--build-arg", &format!("{name}={value}")]);
    }
    for (key, value) in &image.annotations {
        cmd = cmd.args(["--annotation", &format!("index:{key}={value}")]);
    }
    // Provenance has the time in it: on by default, no two runs would have one digest.
    cmd = cmd.arg(format!("--provenance={}", options.provenance.as_deref().unwrap_or("false")));
    cmd = options.sbom.iter().fold(cmd, |cmd, sbom| cmd.arg(format!("--sbom={sbom}")));
    cmd = cmd.args(["--output", &output(image, layout)]);
    for (flag, values) in
        [("--cache-from", &options.cache_from), ("--secret", &options.secrets), ("--cache-to", &options.cache_to)]
    {
        cmd = values.iter().fold(cmd, |cmd, value| cmd.args([flag, value]));
    }
    cmd.args(&options.args)
        .args(["--file", staged.dir.join("Dockerfile").as_str(), staged.dir.as_str()])
        .env("SOURCE_DATE_EPOCH", plan.source_date_epoch.to_string())
        // What the configuration names is below the workspace, wherever the program was started.
        .dir(plan.paths.root.as_str())
}

/// The layout that is wanted. All that is new carries SOURCE_DATE_EPOCH, also the folders that COPY makes.
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

/// A field of the comma-separated form that buildx takes: in quotes, where the value needs them.
fn csv_field(name: &str, value: &str) -> String {
    match value.contains([',', '"']) {
        true => format!("\"{name}={}\"", value.replace('"', "\"\"")),
        false => format!("{name}={value}"),
    }
}

/// Builds an image into `oci/` of its context.
pub fn build(plan: &Plan, image: &Image, staged: &StagedContext, builder: &Builder, ui: &Ui) -> Result<Layout> {
    let platforms = image.platforms.iter().map(|platform| platform.platform.name()).collect::<Vec<_>>().join(", ");
    ui.status("Building", format!("{} for {platforms}", image.name));
    let calls = calls(plan, image, staged, builder);
    let failed = format!("building image '{}' failed", image.name);
    ui.timed(Phase::Layout, format_args!("{} by buildx", image.name), || {
        calls.iter().try_for_each(|(dir, cmd)| {
            // A folder that is there would be added to.
            if dir.exists() {
                fs_err::remove_dir_all(dir)?;
            }
            run(cmd, &failed, &staged.dir, ui)
        })
    })?;
    let dir = staged.dir.join("oci");
    if builder.is_spread {
        let parts = calls.iter().map(|(dir, _)| Layout::open(dir)).collect::<Result<Vec<_>>>()?;
        layout::merge(&dir, &parts)?;
    }
    Layout::open(&dir)
}

/// Runs buildx; its words are shown as they come with `-vv`, and where it fails.
fn run(cmd: &Cmd, what: &str, context: &Utf8Path, ui: &Ui) -> Result<()> {
    ui.command(cmd);
    let mut words = Vec::new();
    let progress = ui.bars().elapsed("buildx");
    let status = cmd.stream(|line| {
        let (Line::Stdout(line) | Line::Stderr(line)) = line;
        progress.message(&line);
        if ui.is_verbose() {
            ui.child(&line);
        }
        words.push(line);
    })?;
    drop(progress);
    if status.success() {
        return Ok(());
    }
    if !ui.is_verbose() {
        let last = words.len().saturating_sub(20);
        words[last..].iter().for_each(|line| ui.child(line));
    }
    let error = reason(&words);
    let failure = Failure::new(Class::Engine, format!("{what}: {error}"));
    Err(if error.contains("401 Unauthorized")
        || error.contains("403 Forbidden")
        || error.contains("authorization failed")
    {
        Failure::new(Class::Registry, format!("{what}: {error}")).hint("log in: `docker login REGISTRY`")
    } else {
        failure
            .hint(format!("what was to be built is in {context}"))
            .hint("run again with -vv to see all that buildx says")
    }
    .into())
}

/// Why buildx says that it failed: its last error, else the last line that is no advice.
fn reason(words: &[String]) -> &str {
    let error = words.iter().rev().find_map(|line| line.strip_prefix("ERROR: "));
    let last = || words.iter().rev().map(String::as_str).find(|line| !line.is_empty() && !line.starts_with("See "));
    let reason = error.or_else(last).unwrap_or("buildx gave no reason");
    reason.strip_prefix("failed to solve: ").unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons() {
        for (words, expected) in [
            ("#1 x\nERROR: failed to solve: it is late\n", "it is late"),
            ("ERROR: one\n------\nERROR: two", "two"),
            ("unknown flag: --nope\nSee 'docker buildx build --help'.\n", "unknown flag: --nope"),
            ("", "buildx gave no reason"),
        ] {
            assert_eq!(reason(&words.lines().map(str::to_owned).collect::<Vec<_>>()), expected, "{words}");
        }
    }

    #[test]
    fn fields() {
        assert_eq!(csv_field("dest", "/a b"), "dest=/a b");
        assert_eq!(csv_field("dest", "/a,\"b"), "\"dest=/a,\"\"b\"");
    }
}
