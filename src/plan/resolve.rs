//! Workspace, commit and settings in, plan out: pure.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;

use super::config::{Config, OneOrMany};
use super::settings::Sources;
use super::workspace::{Package, Workspace};
use super::{
    Binary, BuildSettings, BuildxOptions, Commit, ContainerConfig, Image, ImagePlatform, Plan, Template, tags,
};
use crate::error::{Class, Failure, nearest};
use crate::platform::{Libc, Platform};

/// The built-in templates: name, the base where none is named, and the libc that fits it.
const BUILT_IN: &[(&str, &str, Libc)] = &[
    ("scratch", "scratch", Libc::Musl),
    ("alpine", "alpine:3.22", Libc::Musl),
    ("debian", "debian:trixie-slim", Libc::Gnu),
    ("distroless-static", "gcr.io/distroless/static-debian12:nonroot", Libc::Musl),
    ("distroless-cc", "gcr.io/distroless/cc-debian12:nonroot", Libc::Gnu),
];

/// The numeric user that images run as, where nothing else is said: distroless' `nonroot`.
const NON_ROOT: &str = "65532:65532";

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
    for (name, package, bins) in wanted_images(workspace, sources, request)? {
        let settings = sources.image(&name, Some(&package.name));
        images.push(image(&name, package, &bins, &settings, workspace, sources, commit.as_ref(), &mut notes)?);
    }
    let mut places: BTreeMap<String, &str> = BTreeMap::new();
    for image in &images {
        for reference in image.references() {
            if let Some(other) = places.insert(reference.clone(), &image.name) {
                return Err(Failure::new(
                    Class::Config,
                    format!("images '{other}' and '{}' would both be {reference}", image.name),
                ));
            }
        }
    }
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

type Wanted<'a> = (String, &'a Package, Vec<String>);

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
        let package = package_of(workspace, &bins[0])?;
        let selected =
            bins.iter().filter_map(|bin| workspace.package_of(bin)).any(|p| request.packages.contains(&p.name));
        if request.packages.is_empty() || selected {
            images.push(((*name).to_owned(), package, bins));
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
                images.push((name.clone(), package, vec![bin.clone()]));
            }
        }
    }
    if let Some(missing) = only.iter().flatten().find(|bin| images.iter().all(|(_, _, bins)| bins[0] != **bin)) {
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
    bins: &[String],
    settings: &Config,
    workspace: &Workspace,
    sources: &Sources,
    commit: Option<&Commit>,
    notes: &mut Vec<String>,
) -> Result<Image, Failure> {
    let all = sources.all_platforms(settings);
    check_name(name)?;
    let registries = all.registry.clone().map(OneOrMany::into_vec).unwrap_or_default();
    let repositories: Vec<String> =
        registries.iter().map(|registry| repository(registry, name)).collect::<Result<_, _>>()?;
    let asked = sources.command_line.tags.is_some();
    let templates = all.tags.clone().unwrap_or_else(|| vec!["{{version}}".to_owned(), "latest".to_owned()]);
    let tags = tags::render(&templates, asked, &package.version, commit)?;
    notes.extend(tags.notes.into_iter().map(|note| format!("{name}: {note}")));

    let binaries: Vec<Binary> = bins
        .iter()
        .map(|bin| Ok(Binary { name: bin.clone(), package: package_of(workspace, bin)?.name.clone() }))
        .collect::<Result<_, Failure>>()?;
    let earlier = |index: usize, path: String| binaries[..index].iter().any(|other| other.path() == path);
    if let Some((_, twice)) = binaries.iter().enumerate().find(|(index, binary)| earlier(*index, binary.path())) {
        return Err(Failure::new(Class::Config, format!("image '{name}' has two binaries at {}", twice.path()))
            .hint("name each binary once in `bins`"));
    }

    let mut platforms = all.platforms.clone().unwrap_or_else(default_platforms);
    platforms.sort_unstable();
    platforms.dedup();
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
        repositories,
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

fn image_platform(
    image: &str,
    platform: Platform,
    settings: &Config,
    binaries: &[Binary],
    labels: &IndexMap<String, String>,
    workspace: &Workspace,
) -> Result<ImagePlatform, Failure> {
    let template = template(settings, &workspace.root)?;
    let built_in = match template {
        Template::BuiltIn(name) => BUILT_IN.iter().find(|row| row.0 == name),
        Template::File(_) => None,
    };
    // A base alone does not decide the libc: a static binary runs on all of them.
    let named = settings.template.is_some().then_some(built_in).flatten();
    let libc = settings.libc.or(named.map(|row| row.2)).unwrap_or(Libc::Musl);
    let base = match (&settings.base, built_in) {
        (Some(base), _) => base.clone(),
        (None, Some(row)) if row.0 != "scratch" || libc == Libc::Musl => row.1.to_owned(),
        (None, None) if libc == Libc::Musl => "scratch".to_owned(),
        _ => {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': libc \"gnu\" needs a base that has glibc"),
            )
            .hint("say which: base = \"debian:trixie-slim\", or template = \"debian\"; or take libc = \"musl\""));
        }
    };
    let mut all_labels = labels.clone();
    all_labels.extend(settings.labels.clone());
    let default_entrypoint = || {
        let main = binaries.iter().find(|binary| binary.name == image).unwrap_or(&binaries[0]);
        vec![main.path()]
    };
    let files = settings.files.clone().unwrap_or_default();
    for file in &files {
        check_file(file, image)?;
        if binaries.iter().any(|binary| binary.path() == file.to) {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': a file and a binary are both {}", file.to),
            ));
        }
    }
    for (index, file) in files.iter().enumerate() {
        if files[..index].iter().any(|other| other.to == file.to) {
            return Err(Failure::new(Class::Config, format!("image '{image}': two files are both {}", file.to)));
        }
    }
    Ok(ImagePlatform {
        platform,
        build: build_settings(image, platform, libc, settings)?,
        binaries: binaries.to_vec(),
        base,
        template,
        files,
        container: ContainerConfig {
            env: settings.env.clone(),
            labels: all_labels,
            entrypoint: settings.entrypoint.clone().unwrap_or_else(default_entrypoint),
            cmd: settings.cmd.clone(),
            expose: settings.expose.iter().flatten().map(ToString::to_string).collect(),
            volumes: settings.volumes.clone().unwrap_or_default(),
            user: Some(settings.user.clone().unwrap_or_else(|| NON_ROOT.to_owned())),
            workdir: settings.workdir.clone(),
            stop_signal: settings.stop_signal.clone(),
            healthcheck: settings.healthcheck.clone(),
        },
    })
}

fn build_settings(image: &str, platform: Platform, libc: Libc, settings: &Config) -> Result<BuildSettings, Failure> {
    let triple = match &settings.target {
        None => platform.triple(libc).to_owned(),
        Some(target) if Platform::for_triple(target).any(|other| other.elf() == platform.elf()) => target.clone(),
        Some(target) => {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': target '{target}' is not for {platform}"),
            )
            .hint(format!(
                "{platform} is {} or {}",
                platform.triple(Libc::Musl),
                platform.triple(Libc::Gnu)
            )));
        }
    };
    let mut rustflags: Vec<String> =
        platform.target_cpu().map(|cpu| format!("-Ctarget-cpu={cpu}")).into_iter().collect();
    rustflags.extend(settings.rustflags.iter().flatten().cloned());
    if let Some(glibc) = &settings.glibc {
        let numbers = glibc.split('.').filter(|part| part.parse::<u8>().is_ok()).count();
        if numbers != 2 || glibc.split('.').count() != 2 {
            return Err(Failure::new(Class::Config, format!("image '{image}': glibc '{glibc}' is not a version"))
                .hint("write it as in glibc = \"2.28\""));
        }
    }
    Ok(BuildSettings {
        triple,
        profile: settings.profile.clone().unwrap_or_else(|| "release".to_owned()),
        features: settings.features.clone().unwrap_or_default(),
        all_features: settings.all_features.unwrap_or_default(),
        no_default_features: settings.no_default_features.unwrap_or_default(),
        rustflags,
        env: settings.build_env.clone().into_iter().collect(),
        linker: settings.linker,
        glibc: settings.glibc.clone().filter(|_| libc == Libc::Gnu),
    })
}

/// A template by name or path; where none is named, by what the base is.
fn template(settings: &Config, root: &Utf8Path) -> Result<Template, Failure> {
    let built_in = |name: &str| BUILT_IN.iter().find(|row| row.0 == name).map(|row| Template::BuiltIn(row.0));
    if let Some(name) = &settings.template {
        if name.contains(['/', '.']) {
            return Ok(Template::File(root.join(name)));
        }
        return built_in(name).ok_or_else(|| {
            let known = BUILT_IN.iter().map(|row| row.0);
            let failure = Failure::new(Class::Config, format!("unknown template '{name}'"));
            match nearest(name, known.clone()) {
                Some(near) => failure.hint(format!("did you mean '{near}'?")),
                None => failure.hint(format!(
                    "built in are {}; a file of your own has a '.' or '/' in its name",
                    known.collect::<Vec<_>>().join(", ")
                )),
            }
        });
    }
    let base = settings.base.as_deref().unwrap_or("scratch");
    let path = base.split(['@']).next().unwrap_or(base);
    let name = path.rsplit('/').next().unwrap_or(path).split(':').next().unwrap_or(path);
    let by_base = match name {
        "scratch" | "alpine" => name,
        _ if path.contains("distroless") && name.starts_with("static") => "distroless-static",
        _ if path.contains("distroless") => "distroless-cc",
        _ => "debian",
    };
    Ok(built_in(by_base).unwrap_or(Template::BuiltIn("scratch")))
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

/// The grammar of a repository's last component (distribution-spec, "Pulling manifests").
fn check_name(name: &str) -> Result<(), Failure> {
    let good = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    if name.split('/').all(good) {
        return Ok(());
    }
    let failure = Failure::new(Class::Config, format!("'{name}' is not a name for an image"));
    let lower = name.to_lowercase().replace(' ', "-");
    Err(match lower.split('/').all(good) {
        true => failure.hint(format!("names are in lower case: [images.{lower}] with bins = [\"…\"]")),
        false => failure.hint("a name has lower-case letters, digits, '.', '_' and '-', and '/' between its parts"),
    })
}

fn repository(registry: &str, name: &str) -> Result<String, Failure> {
    let wrong = |what: &str| {
        Failure::new(Class::Config, format!("registry '{registry}' {what}"))
            .hint("write it as in registry = \"ghcr.io/you\": a host and perhaps a path; the image's name is added")
    };
    let registry = registry.trim_end_matches('/');
    if registry.is_empty() {
        return Err(wrong("is empty"));
    }
    if registry.contains("://") {
        return Err(wrong("has a scheme"));
    }
    let (host, path) = registry.split_once('/').unwrap_or((registry, ""));
    // Docker's rule: a first component without a dot, a colon or the name localhost is a Docker Hub namespace.
    if host.contains(['.', ':']) || host == "localhost" {
        if !path.is_empty() {
            check_name(path).map_err(|_| wrong("has a path that no registry takes"))?;
        }
    } else {
        check_name(registry).map_err(|_| wrong("is no host and no Docker Hub account"))?;
    }
    if host.contains('@') || path.contains(':') {
        return Err(wrong("has more than a host and a path"));
    }
    Ok(format!("{registry}/{name}"))
}

fn check_file(file: &super::FileEntry, image: &str) -> Result<(), Failure> {
    let to = Utf8PathBuf::from(&file.to);
    if !to.is_absolute() || to.components().any(|part| part.as_str() == "..") || file.to.ends_with('/') {
        return Err(Failure::new(
            Class::Config,
            format!("image '{image}': files.to '{}' is not a full path in the image", file.to),
        )
        .hint("write it as in to = \"/etc/app/config.toml\""));
    }
    if let Some(mode) = &file.mode {
        if u32::from_str_radix(mode, 8).is_err() || mode.len() > 4 {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}': mode '{mode}' of {} is not octal", file.to),
            )
            .hint("write it as in mode = \"0755\""));
        }
    }
    Ok(())
}
