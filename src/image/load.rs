//! Images for the Docker or Podman of this machine, for the platform that it runs.

use anyhow::{Context, Result};
use camino::Utf8Path;
use oci_spec::image::{Descriptor, ImageManifest};
use serde_json::{Value, json};

use super::export::{REF_NAME, archive};
use crate::error::{Class, Failure};
use crate::oci::layout::{Layout, blob_path};
use crate::plan::{Image, Plan};
use crate::platform::Platform;
use crate::process::{Cmd, check_interrupt, find_program};
use crate::timings::Phase;
use crate::ui::Ui;

/// A program that takes images, and its own platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLoader {
    program: &'static str,
    platform: Platform,
}

/// Programs, and what makes them say their platform.
const PROGRAMS: [(&str, [&str; 3]); 2] = [
    ("docker", ["version", "--format", "{{.Server.Os}}/{{.Server.Arch}}"]),
    ("podman", ["info", "--format", "{{.Host.OS}}/{{.Host.Arch}}"]),
];

/// Finds the program that images will be loaded into, if the plan wants that; every image must have its platform.
pub fn find(plan: &Plan, ui: &Ui) -> Result<Option<ImageLoader>> {
    if !plan.load {
        return Ok(None);
    }
    let mut words = Vec::new();
    for program in PROGRAMS.iter().filter(|(program, _)| find_program(program).is_some()) {
        match ask(program, ui)? {
            Ok(loader) => {
                plan.images.iter().try_for_each(|image| loader.choose(image).map(drop))?;
                return Ok(Some(loader));
            }
            Err(said) => words.push(said),
        }
    }
    Err(match words.is_empty() {
        true => Failure::new(Class::Engine, "there is no docker and no podman to load the image into")
            .hint("leave `--load` out, or take an archive along: `--output oci-archive:image.tar`"),
        false => Failure::new(Class::Engine, format!("the image cannot be loaded: {}", words.join("; ")))
            .hint("start it: `sudo systemctl start docker`"),
    }
    .into())
}

/// The platform of this machine's Docker, where one answers.
pub fn docker(ui: &Ui) -> Result<Option<Platform>> {
    let [docker, _] = &PROGRAMS;
    match find_program(docker.0) {
        Some(_) => Ok(ask(docker, ui)?.ok().map(|loader| loader.platform)),
        None => Ok(None),
    }
}

/// Asks a program for its platform; else what it says.
fn ask((program, args): &(&'static str, [&str; 3]), ui: &Ui) -> Result<Result<ImageLoader, String>> {
    let cmd = Cmd::new(program).args(args);
    ui.command(&cmd);
    let output = cmd.output()?;
    Ok(match (output.status.success(), output.stdout.trim().parse::<Platform>()) {
        (true, Ok(platform)) => Ok(ImageLoader { program, platform }),
        _ => Err(format!("{program}: {}", output.stderr.trim())),
    })
}

impl ImageLoader {
    /// The platform of an image that will be loaded.
    fn choose(&self, image: &Image) -> Result<Platform, Failure> {
        let mut runs = self.platform.compatible_platforms();
        runs.find(|platform| image.platforms.iter().any(|other| other.platform == *platform)).ok_or_else(|| {
            let has = image.platforms.iter().map(|platform| platform.platform.name()).collect::<Vec<_>>().join(", ");
            Failure::new(
                Class::Config,
                format!("--load: {} runs {}, and image '{}' is for {has}", self.program, self.platform, image.name),
            )
            .hint(format!("build it too: `--platform {},…`", self.platform))
        })
    }

    /// Loads every image of a plan under all its names.
    pub fn load(&self, plan: &Plan, layouts: &[&Layout], ui: &Ui) -> Result<()> {
        for (image, layout) in plan.images.iter().zip(layouts) {
            let platform = self.choose(image)?;
            let names: Vec<String> = match image.repositories.is_empty() {
                true => image.tags.iter().map(|tag| format!("{}:{tag}", image.name)).collect(),
                false => image.references().collect(),
            };
            let file = layout.dir.with_file_name("load.tar");
            let loaded = ui.timed(Phase::Output, format_args!("{} into {}", image.name, self.program), || {
                load_platform(self.program, layout, platform, &names, &file, ui)
            });
            check_interrupt()?;
            loaded.map_err(|error| {
                Failure::new(Class::Engine, format!("image '{}' cannot be loaded: {error}", image.name))
                    .hint("a Docker older than 25 may not take it: publish it to a registry instead")
            })?;
            for name in names {
                ui.status("Loaded", format!("{name} for {platform} into {}", self.program));
            }
        }
        Ok(())
    }
}

/// Has a program load a platform of a layout under some names, by an archive that is gone afterwards.
pub fn load_platform(
    program: &str,
    layout: &Layout,
    platform: Platform,
    names: &[String],
    file: &Utf8Path,
    ui: &Ui,
) -> Result<()> {
    let entry = layout.entry(platform).with_context(|| format!("the layout has no {platform}"))?;
    let entries = names.iter().map(|name| named(entry, name)).collect::<Result<Vec<_>>>()?;
    let (manifest, _) = layout.manifest(entry)?;
    let blobs = manifest.layers().iter().chain([manifest.config(), entry]);
    let blobs = blobs.map(|blob| blob_path(&layout.dir, blob));
    archive(file, blobs, &entries, Some(&docker_list(&manifest, names)))?;
    let cmd = Cmd::new(program).args(["load", "--quiet", "--input", file.as_str()]);
    ui.command(&cmd);
    let loaded = cmd.read();
    fs_err::remove_file(file)?;
    loaded.map(drop)
}

/// A manifest's line in `index.json`, under a name as containerd's importer reads it.
fn named(entry: &Descriptor, name: &str) -> Result<Value> {
    let reference: oci_spec::distribution::Reference = name.parse()?;
    let mut value = serde_json::to_value(entry)?;
    value["annotations"] = json!({ "io.containerd.image.name": reference.whole(), REF_NAME: reference.tag() });
    Ok(value)
}

/// `manifest.json` of a `docker save` archive.
fn docker_list(manifest: &ImageManifest, names: &[String]) -> Value {
    let path = |descriptor: &Descriptor| format!("blobs/sha256/{}", descriptor.digest().digest());
    let layers: Vec<String> = manifest.layers().iter().map(path).collect();
    json!([{ "Config": path(manifest.config()), "RepoTags": names, "Layers": layers }])
}
