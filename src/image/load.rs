//! Loads images into the local Docker or Podman engine, but only for the engine's native platform.

use anyhow::{Context, Result};
use camino::Utf8Path;
use oci_spec::image::{Descriptor, ImageManifest};
use serde_json::{Value, json};

use super::export::{REF_NAME, archive};
use crate::error::{Class, Failure};
use crate::host;
use crate::oci::layout::{Layout, blob_path};
use crate::plan::Image;
use crate::platform::Platform;
use crate::process::{Cmd, check_interrupt, find_program};
use crate::timings::Phase;
use crate::ui::Ui;

/// A container engine to load images into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageLoader {
    /// The container engine's command: `docker` or `podman`.
    program: &'static str,
    /// The container engine's native platform.
    platform: Platform,
}

/// A command that prints a container engine's platform.
struct PlatformQuery {
    program: &'static str,
    args: [&'static str; 3],
}

const DOCKER: PlatformQuery =
    PlatformQuery { program: "docker", args: ["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"] };
const PODMAN: PlatformQuery =
    PlatformQuery { program: "podman", args: ["info", "--format", "{{.Host.OS}}/{{.Host.Arch}}"] };

/// The result of a [`PlatformQuery`].
enum QueryResult {
    Platform(Platform),
    /// The error output of a failed command.
    Failed(String),
}

/// Finds the container engine to load images into. Fails if an image is not built for the engine's platform.
pub(crate) fn find(images: &[Image], ui: &Ui) -> Result<ImageLoader> {
    let mut errors = Vec::new();
    for query in [DOCKER, PODMAN].iter().filter(|query| find_program(query.program).is_some()) {
        match query.run(ui)? {
            QueryResult::Platform(platform) => {
                let loader = ImageLoader { program: query.program, platform };
                images.iter().try_for_each(|image| loader.select_platform(image).map(drop))?;
                return Ok(loader);
            }
            QueryResult::Failed(stderr) => errors.push(format!("{}: {stderr}", query.program)),
        }
    }
    Err(if errors.is_empty() {
        Failure::new(Class::Engine, "`--load` requires Docker or Podman, but neither is installed")
            .hint("omit `--load`, or write an archive: `--output oci-archive:image.tar`")
    } else {
        let errors = errors.join("; ");
        let start = host::docker::start_command(&errors);
        Failure::new(Class::Engine, format!("cannot load images: {errors}")).hint(format!("start Docker: `{start}`"))
    }
    .into())
}

/// Returns the platform of the local Docker daemon, or `None` if the daemon is not running.
pub(crate) fn docker_platform(ui: &Ui) -> Result<Option<Platform>> {
    if find_program(DOCKER.program).is_none() {
        return Ok(None);
    }
    Ok(match DOCKER.run(ui)? {
        QueryResult::Platform(platform) => Some(platform),
        QueryResult::Failed(_) => None,
    })
}

impl PlatformQuery {
    fn run(&self, ui: &Ui) -> Result<QueryResult> {
        let cmd = Cmd::new(self.program).args(self.args);
        ui.command(&cmd);
        let output = cmd.output()?;
        Ok(match output.stdout.trim().parse() {
            Ok(platform) if output.status.success() => QueryResult::Platform(platform),
            _ => QueryResult::Failed(output.stderr.trim().to_owned()),
        })
    }
}

impl ImageLoader {
    /// Selects the platform to load from an image.
    fn select_platform(&self, image: &Image) -> Result<Platform, Failure> {
        let mut runs = self.platform.compatible_platforms();
        runs.find(|platform| image.platforms.iter().any(|other| other.platform == *platform)).ok_or_else(|| {
            let available =
                image.platforms.iter().map(|platform| platform.platform.name()).collect::<Vec<_>>().join(", ");
            Failure::new(
                Class::Config,
                format!(
                    "cannot load image '{}': {} runs on {}, but the image is built for {available}",
                    image.name, self.program, self.platform
                ),
            )
            .hint(format!("add {} to `--platform`, or to `platforms` in the configuration", self.platform))
        })
    }

    /// Loads images under all of their names. `layouts` contains one layout per image, in the same order as `images`.
    pub(crate) fn load(&self, images: &[Image], layouts: &[&Layout], ui: &Ui) -> Result<()> {
        images.iter().zip(layouts).try_for_each(|(image, layout)| self.load_image(image, layout, ui))
    }

    fn load_image(&self, image: &Image, layout: &Layout, ui: &Ui) -> Result<()> {
        let platform = self.select_platform(image)?;
        let names: Vec<String> = if image.repositories.is_empty() {
            image.tags.iter().map(|tag| format!("{}:{tag}", image.name)).collect()
        } else {
            image.references().collect()
        };
        let file = layout.dir.with_file_name("load.tar");
        let loaded = ui.timed(Phase::Output, format_args!("{} into {}", image.name, self.program), || {
            load_platform(self.program, layout, platform, &names, &file, ui)
        });
        check_interrupt()?;
        loaded.map_err(|error| {
            Failure::new(Class::Engine, format!("cannot load image '{}': {error}", image.name))
                .hint("update Docker if it is older than version 25, or publish the image to a registry instead")
        })?;
        for name in names {
            ui.status("Loaded", format!("{name} for {platform} into {}", self.program));
        }
        Ok(())
    }
}

/// Loads a layout's image for one platform under `names`, using a temporary archive at `file`.
pub(crate) fn load_platform(
    program: &str,
    layout: &Layout,
    platform: Platform,
    names: &[String],
    file: &Utf8Path,
    ui: &Ui,
) -> Result<()> {
    let entry = layout.entry(platform).with_context(|| format!("the layout does not contain {platform}"))?;
    let entries = names.iter().map(|name| named_entry(entry, name)).collect::<Result<Vec<_>>>()?;
    let (manifest, _) = layout.manifest(entry)?;
    let blobs = manifest.layers().iter().chain([manifest.config(), entry]);
    let blobs = blobs.map(|blob| blob_path(&layout.dir, blob));
    archive(file, blobs, &entries, Some(&docker_manifest(&manifest, names)))?;
    let cmd = Cmd::new(program).args(["load", "--quiet", "--input", file.as_str()]);
    ui.command(&cmd);
    let loaded = cmd.read();
    fs_err::remove_file(file)?;
    loaded.map(drop)
}

/// Returns a manifest's entry for `index.json`, with `name` in the annotations that containerd's importer reads.
fn named_entry(entry: &Descriptor, name: &str) -> Result<Value> {
    let reference: oci_spec::distribution::Reference = name.parse()?;
    let mut value = serde_json::to_value(entry)?;
    value["annotations"] = json!({ "io.containerd.image.name": reference.whole(), REF_NAME: reference.tag() });
    Ok(value)
}

/// Returns the `manifest.json` of an archive in `docker save` format.
fn docker_manifest(manifest: &ImageManifest, names: &[String]) -> Value {
    let path = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.digest().digest());
    let layers: Vec<String> = manifest.layers().iter().map(path).collect();
    json!([{ "Config": path(manifest.config()), "RepoTags": names, "Layers": layers }])
}
