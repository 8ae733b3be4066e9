//! The buildx engine: the `docker buildx build` calls, first into an OCI layout, then to the registry.

use anyhow::Result;
use camino::Utf8Path;

use super::builder::Builder;
use super::context::Staged;
use super::layout::Layout;
use crate::error::{Class, Failure};
use crate::plan::{Image, Plan};
use crate::process::{Cmd, Line};
use crate::ui::Ui;

/// `docker buildx build` without an output.
fn command(plan: &Plan, image: &Image, staged: &Staged, builder: &Builder) -> Cmd {
    let platforms: Vec<&str> = image.platforms.iter().map(|platform| platform.platform.name()).collect();
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
    for (flag, values) in [("--cache-from", &options.cache_from), ("--secret", &options.secrets)] {
        cmd = values.iter().fold(cmd, |cmd, value| cmd.args([flag, value]));
    }
    cmd.env("SOURCE_DATE_EPOCH", plan.source_date_epoch.to_string())
}

fn from_context(cmd: Cmd, staged: &Staged) -> Cmd {
    cmd.args(["--file", staged.dir.join("Dockerfile").as_str(), staged.dir.as_str()])
}

/// The call that builds an image into an OCI layout.
pub fn build_command(plan: &Plan, image: &Image, staged: &Staged, builder: &Builder) -> Cmd {
    let output = format!("type=oci,tar=false,{}", csv_field("dest", staged.dir.join("oci").as_str()));
    let cmd = command(plan, image, staged, builder).args(["--output", &output]);
    let cmd = image.buildx.cache_to.iter().fold(cmd, |cmd, value| cmd.args(["--cache-to", value]));
    from_context(cmd.args(&image.buildx.args), staged)
}

/// The call that pushes it, all tags at once; everything is cached by then.
pub fn push_command(plan: &Plan, image: &Image, staged: &Staged, builder: &Builder) -> Cmd {
    let cmd = image.references().fold(command(plan, image, staged, builder), |cmd, tag| cmd.args(["--tag", &tag]));
    let metadata = metadata_file(staged);
    let output = ["--output", "type=image,oci-mediatypes=true", "--push", "--metadata-file", metadata.as_str()];
    from_context(cmd.args(output).args(cached(&image.buildx.args)), staged)
}

/// A field of the comma-separated form that buildx takes: in quotes, where the value needs them.
fn csv_field(name: &str, value: &str) -> String {
    match value.contains([',', '"']) {
        true => format!("\"{name}={}\"", value.replace('"', "\"\"")),
        false => format!("{name}={value}"),
    }
}

/// The user's arguments without those that build anew: what was verified is in the cache, and is what is pushed.
fn cached(args: &[String]) -> Vec<&String> {
    let mut args = args.iter();
    let mut kept = Vec::new();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--no-cache-filter" => drop(args.next()),
            "--no-cache" | "--pull" => {}
            arg if arg.starts_with("--no-cache") || arg.starts_with("--pull=") => {}
            _ => kept.push(arg),
        }
    }
    kept
}

fn metadata_file(staged: &Staged) -> camino::Utf8PathBuf {
    staged.dir.join("push.json")
}

/// Builds an image into `oci/` of its context.
pub fn build(plan: &Plan, image: &Image, staged: &Staged, builder: &Builder, ui: &Ui) -> Result<Layout> {
    let platforms = image.platforms.iter().map(|platform| platform.platform.name()).collect::<Vec<_>>().join(", ");
    ui.status("Building", format!("{} for {platforms}", image.name));
    run(
        &build_command(plan, image, staged, builder),
        &format!("building image '{}' failed", image.name),
        &staged.dir,
        ui,
    )?;
    Layout::open(&staged.dir.join("oci"))
}

/// Pushes an image and returns the digest that buildx says it pushed.
pub fn push(plan: &Plan, image: &Image, staged: &Staged, builder: &Builder, ui: &Ui) -> Result<String> {
    for reference in image.references() {
        ui.status("Pushing", reference);
    }
    run(
        &push_command(plan, image, staged, builder),
        &format!("pushing image '{}' failed", image.name),
        &staged.dir,
        ui,
    )?;
    let metadata: serde_json::Value = serde_json::from_slice(&fs_err::read(metadata_file(staged))?)?;
    match metadata["containerimage.digest"].as_str() {
        Some(digest) => Ok(digest.to_owned()),
        None => Err(Failure::new(Class::Engine, "buildx did not say what it pushed")
            .hint("install a newer docker-buildx")
            .into()),
    }
}

/// Runs buildx; its words are shown as they come with `-vv`, and where it fails.
fn run(cmd: &Cmd, what: &str, context: &Utf8Path, ui: &Ui) -> Result<()> {
    ui.command(cmd);
    let mut words = Vec::new();
    let progress = ui.progress("buildx", 0);
    let status = cmd.stream(|line| {
        let (Line::Stdout(line) | Line::Stderr(line)) = line;
        progress.message(line.clone());
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
    let error = words.iter().rev().find_map(|line| line.strip_prefix("ERROR: ")).unwrap_or("buildx gave no reason");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_push_builds_nothing_anew() {
        let args = ["--no-cache-filter", "s", "--no-cache", "--pull", "--no-cache-filter=s", "--network", "host"];
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        assert_eq!(cached(&args), ["--network", "host"]);
    }

    #[test]
    fn fields() {
        assert_eq!(csv_field("dest", "/a b"), "dest=/a b");
        assert_eq!(csv_field("dest", "/a,\"b"), "\"dest=/a,\"\"b\"");
    }
}
