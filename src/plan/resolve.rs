//! Workspace, commit and settings in, plan out: pure.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::config::{Config, OneOrMany};
use super::contents::image_platform;
use super::names::{check_name, repository};
use super::settings::Sources;
use super::workspace::{Package, Workspace};
use super::{Binary, BuildxOptions, Commit, Image, Plan, tags};
use crate::error::{Class, Failure, nearest};
use crate::platform::Platform;

/// What a run asks for, beside its settings.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `-p` was given: images of other packages are left out.
    pub packages: Vec<String>,
    pub offline: bool,
    pub jobs: Option<u32>,
    pub source_date_epoch: Option<u64>,
}

/// Decides everything that can be decided without looking at the machine.
pub fn resolve(
    workspace: &Workspace,
    sources: &Sources,
    commit: Option<Commit>,
    request: &Request,
) -> Result<Plan, Failure> {
    let mut notes = Vec::new();
    let mut images = Vec::new();
    for (name, package, binaries) in wanted_images(workspace, sources, request)? {
        let settings = sources.image(&name, Some(&package.name));
        images.push(image(&name, package, binaries, &settings, workspace, sources, commit.as_ref(), &mut notes)?);
    }
    check_collisions(workspace, &images)?;
    let top = sources.all_platforms(&sources.workspace);
    Ok(Plan {
        root: workspace.root.clone(),
        manifest_path: workspace.manifest_path.clone(),
        target_dir: workspace.target_dir.clone(),
        source_date_epoch: request.source_date_epoch.or(commit.as_ref().map(|commit| commit.time)).unwrap_or(0),
        commit,
        locked: top.locked.unwrap_or(true),
        offline: request.offline,
        jobs: request.jobs,
        builder: top.builder,
        images,
        notes,
    })
}

/// What cannot be told apart later: images by their name and references, binaries by the name of cargo's file.
fn check_collisions(workspace: &Workspace, images: &[Image]) -> Result<(), Failure> {
    let mut names: BTreeMap<&str, &Image> = BTreeMap::new();
    let mut places: BTreeMap<String, &str> = BTreeMap::new();
    for image in images {
        if let Some(other) = names.insert(&image.name, image) {
            let what = format!(
                "packages '{}' and '{}' would both make an image '{}'",
                other.package, image.package, image.name
            );
            return Err(Failure::new(Class::Config, what)
                .hint("name the images: [images.NAME] bins = [\"…\"], or take one package with `-p NAME`"));
        }
        for reference in image.references() {
            if let Some(other) = places.insert(reference.clone(), &image.name) {
                let what = format!("images '{other}' and '{}' would both be {reference}", image.name);
                return Err(Failure::new(Class::Config, what).hint("give one of them another name, registry or tag"));
            }
        }
    }
    let binaries: BTreeSet<&Binary> =
        images.iter().flat_map(|image| &image.platforms).flat_map(|platform| &platform.binaries).collect();
    for binary in &binaries {
        // cargo's `--bin NAME` builds it in every package that is compiled with it.
        let has_too = |other: &&&Binary| {
            other.package != binary.package
                && workspace.package(&other.package).is_some_and(|package| package.bins.contains(&binary.name))
        };
        if let Some(other) = binaries.iter().find(has_too) {
            let what = format!(
                "packages '{}' and '{}' both have a binary '{}', and cargo makes one file of them",
                binary.package, other.package, binary.name
            );
            return Err(Failure::new(Class::Config, what)
                .hint("rename one: `name` in its [[bin]]; or take one package at a time with `-p NAME`"));
        }
    }
    Ok(())
}

type Wanted<'a> = (String, &'a Package, Vec<Binary>);

/// The images by name, with the package each takes its version from and its binaries.
fn wanted_images<'a>(
    workspace: &'a Workspace,
    sources: &Sources,
    request: &Request,
) -> Result<Vec<Wanted<'a>>, Failure> {
    let configured = sources.configured_images();
    let mut images = Vec::new();
    for (name, owner) in &configured {
        let settings = sources.all_platforms(&sources.image(name, *owner));
        let owner = owner.or_else(|| workspace.package(name).map(|package| package.name.as_str()));
        let bins = match (settings.bins, owner.and_then(|owner| workspace.package(owner))) {
            (Some(bins), _) if !bins.is_empty() => bins,
            (_, Some(package)) if !package.bins.is_empty() => package.bins.clone(),
            _ if workspace.package_of(name).is_some() => vec![(*name).to_owned()],
            _ => {
                return Err(Failure::new(Class::Config, format!("image '{name}' has no binaries"))
                    .hint(format!("say which: bins = [\"…\"] in images.{name}")));
            }
        };
        let owner = owner.and_then(|owner| workspace.package(owner));
        let binaries: Vec<Binary> =
            bins.iter().map(|bin| binary(workspace, owner, bin)).collect::<Result<_, Failure>>()?;
        let selected = binaries.iter().any(|binary| request.packages.contains(&binary.package));
        if let Some(package) = workspace.package(&binaries[0].package)
            && (request.packages.is_empty() || selected)
        {
            images.push(((*name).to_owned(), package, binaries));
        }
    }
    if !configured.is_empty() {
        return if images.is_empty() { Err(no_binaries(workspace)) } else { Ok(images) };
    }
    // With nothing configured: one image for each binary, named after its package where that has just one.
    let only = sources.all_platforms(&sources.workspace).bins;
    for package in workspace.selected.iter().filter_map(|name| workspace.package(name)) {
        for bin in &package.bins {
            if only.as_ref().is_none_or(|only| only.contains(bin)) {
                let name = if package.bins.len() == 1 { &package.name } else { bin };
                images.push((name.clone(), package, vec![binary(workspace, Some(package), bin)?]));
            }
        }
    }
    if let Some(missing) =
        only.iter().flatten().find(|bin| images.iter().all(|(_, _, binaries)| binaries[0].name != **bin))
    {
        return Err(package_of(workspace, missing).err().unwrap_or_else(|| {
            Failure::new(Class::Config, format!("binary '{missing}' is not in a selected package"))
                .hint(format!("select its package: -p {}", workspace.package_of(missing).map_or("", |p| &p.name)))
        }));
    }
    if images.is_empty() { Err(no_binaries(workspace)) } else { Ok(images) }
}

fn no_binaries(workspace: &Workspace) -> Failure {
    Failure::new(Class::Config, format!("no binary target in {}", workspace.selected.join(", ")))
        .hint("an image needs a program: add src/main.rs, or select another package with `-p NAME`")
}

/// A binary of the image's own package or, where that has none of this name, of another.
fn binary(workspace: &Workspace, owner: Option<&Package>, bin: &str) -> Result<Binary, Failure> {
    let owner = owner.filter(|package| package.bins.iter().any(|name| name == bin));
    let package = owner.map_or_else(|| package_of(workspace, bin), Ok)?;
    Ok(Binary { name: bin.to_owned(), package: package.name.clone() })
}

fn package_of<'a>(workspace: &'a Workspace, bin: &str) -> Result<&'a Package, Failure> {
    workspace.package_of(bin).ok_or_else(|| {
        let known = || workspace.packages.iter().flat_map(|package| &package.bins).map(String::as_str);
        let failure = Failure::new(Class::Config, format!("the workspace has no binary '{bin}'"));
        match nearest(bin, known()) {
            Some(near) => failure.hint(format!("did you mean '{near}'?")),
            None => failure.hint(format!("its binaries are: {}", known().collect::<Vec<_>>().join(", "))),
        }
    })
}

#[expect(clippy::too_many_arguments, reason = "each is one input of a pure function")]
fn image(
    name: &str,
    package: &Package,
    binaries: Vec<Binary>,
    settings: &Config,
    workspace: &Workspace,
    sources: &Sources,
    commit: Option<&Commit>,
    notes: &mut Vec<String>,
) -> Result<Image, Failure> {
    let all = sources.all_platforms(settings);
    check_name(name)?;
    let registries = all.registry.clone().map(OneOrMany::into_vec).unwrap_or_default();
    let repositories: IndexSet<String> =
        registries.iter().map(|registry| repository(registry, name)).collect::<Result<_, _>>()?;
    let asked = sources.command_line.tags.is_some();
    let templates = all.tags.clone().unwrap_or_else(|| vec!["{{version}}".to_owned(), "latest".to_owned()]);
    let tags = tags::render(&templates, asked, &package.version, commit)?;
    notes.extend(tags.notes.into_iter().map(|note| format!("{name}: {note}")));

    let earlier = |index: usize, path: String| binaries[..index].iter().any(|other| other.path() == path);
    if let Some((_, twice)) = binaries.iter().enumerate().find(|(index, binary)| earlier(*index, binary.path())) {
        return Err(Failure::new(Class::Config, format!("image '{name}' has two binaries at {}", twice.path()))
            .hint("name each binary once in `bins`"));
    }

    let wanted = all.platforms.clone().unwrap_or_else(default_platforms);
    let platforms: Vec<Platform> = Platform::all().filter(|platform| wanted.contains(platform)).collect();
    if platforms.is_empty() {
        return Err(Failure::new(Class::Config, format!("image '{name}' has no platform"))
            .hint("give one with `--platform linux/amd64`"));
    }
    for overridden in settings.platform.keys().filter(|platform| !platforms.contains(platform)) {
        if sources.command_line.platforms.is_none() {
            return Err(Failure::new(
                Class::Config,
                format!("image '{name}' has keys for {overridden} but does not build it"),
            )
            .hint(format!("add \"{overridden}\" to `platforms`, or take the keys out")));
        }
    }
    let labels = labels(name, package, commit);
    let platforms = platforms
        .into_iter()
        .map(|platform| {
            image_platform(name, platform, &sources.platform(settings, platform), &binaries, &labels, workspace)
        })
        .collect::<Result<Vec<_>, _>>()?;

    let mut annotations = labels;
    annotations.extend(all.annotations);
    Ok(Image {
        name: name.to_owned(),
        package: package.name.clone(),
        version: package.version.clone(),
        repositories: repositories.into_iter().collect(),
        tags: tags.tags,
        annotations,
        platforms,
        buildx: BuildxOptions {
            build_args: all.build_args,
            cache_from: all.cache_from.unwrap_or_default(),
            cache_to: all.cache_to.unwrap_or_default(),
            provenance: all.provenance,
            sbom: all.sbom,
            secrets: all.secrets.unwrap_or_default(),
            args: all.buildx_args.unwrap_or_default(),
        },
    })
}

fn default_platforms() -> Vec<Platform> {
    Platform::all().filter(|platform| matches!(platform.name(), "linux/amd64" | "linux/arm64")).collect()
}

/// `org.opencontainers.image.*` (image-spec, annotations.md) from the manifest and git.
fn labels(name: &str, package: &Package, commit: Option<&Commit>) -> IndexMap<String, String> {
    [
        ("title", Some(name.to_owned())),
        ("description", package.description.clone().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))),
        ("version", Some(package.version.to_string())),
        ("revision", commit.map(|commit| commit.sha.clone())),
        ("source", package.repository.clone()),
        ("url", package.homepage.clone().or_else(|| package.repository.clone())),
        ("licenses", package.license.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
    .collect()
}
