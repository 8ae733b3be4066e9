//! Resolves the workspace, configuration and commit into a plan, without inspecting the host.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use indexmap::{IndexMap, IndexSet};

use super::annotations;
use super::check_names::{check_image_name, check_registry_host, compose_repository, is_registry_host};
use super::check_programs;
use super::git_tags::{self, Release};
use super::image_platform::resolve_image_platform;
use super::images::{ImageSelection, check_collisions, select_images};
use super::tag_references::{self, Destination, TagReference};
use super::tags::{self, TagSource};
use super::{
    Binary, BuildxOptions, CargoOptions, Checkout, Commit, ConfigSources, EngineOptions, Image, Output, Package, Paths,
    Plan, TagPermissions, Template, Workspace, is_attestation_on,
};
use crate::config::{Config, OneOrMany};
use crate::error::{Class, Failure};
use crate::oci::compression::Compression;
use crate::platform::Platform;

/// Tag templates to use if none are configured.
pub(crate) const DEFAULT_TAGS: [&str; 2] = ["{{version}}", "latest"];

/// Templates of immutable tags to use if none are configured.
const DEFAULT_IMMUTABLE_TAGS: [&str; 1] = ["{{version}}"];

/// Options for a single run that are not read from configuration files.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanRequest {
    pub offline: bool,
    pub jobs: Option<u32>,
    pub source_date_epoch: Option<u64>,
    pub outputs: Vec<Output>,
    pub artifacts: Vec<Utf8PathBuf>,
    pub load: bool,
    /// Arguments for the smoke runs of all images. They override the configured arguments.
    pub smoke: Option<Vec<String>>,
    /// Additional files that the run writes, to ignore when checking for uncommitted changes.
    pub written_files: Vec<Utf8PathBuf>,
    /// Whether to add a note if an image has no registry to push to.
    pub notes_missing_registry: bool,
    /// Whether the run covers only some platforms of a plan that will be published from another machine.
    pub is_partial: bool,
    /// Whether the run never publishes images. A git tag of another version is then only noted.
    pub is_local: bool,
    pub tag_permissions: TagPermissions,
    pub cache_dir: Utf8PathBuf,
}

const NO_REGISTRY: &str =
    "no registry configured: `publish` requires `--registry ghcr.io/you`, or registry = \"…\" in the configuration";

/// Inputs for resolving a plan.
#[derive(Clone, Copy)]
struct Inputs<'a> {
    workspace: &'a Workspace,
    sources: &'a ConfigSources,
    checkout: &'a Checkout,
    request: &'a PlanRequest,
    /// Tags that name their repositories. Empty if the configuration determines the repositories.
    tag_references: &'a [TagReference],
}

impl Inputs<'_> {
    /// Reports whether tags were set by a flag or an environment variable.
    fn has_explicit_tags(&self) -> bool {
        self.sources.command_line.tags.is_some()
    }
}

/// Resolves a plan without inspecting the host.
pub(crate) fn resolve(
    workspace: &Workspace,
    sources: &ConfigSources,
    checkout: &Checkout,
    request: &PlanRequest,
) -> Result<Plan, Failure> {
    let tag_references = tag_references::parse(&sources.command_line)?;
    let inputs = Inputs { workspace, sources, checkout, request, tag_references: &tag_references };
    let mut notes = sources.notes.clone();
    if !inputs.has_explicit_tags() {
        notes.extend(tags::uncommitted_note(checkout));
    }
    let images = resolve_images(&inputs, &mut notes)?;
    tag_references::check_all_used(&tag_references, &images)?;
    check_collisions(workspace, &images)?;
    let top = sources.all_platforms_config(&sources.workspace);
    notes.extend(check_git_tags(&images, top.allow_tag_mismatch.unwrap_or_default(), &inputs)?);
    let insecure_registries = top.insecure_registries.unwrap_or_default();
    insecure_registries.iter().try_for_each(|host| check_registry_host("insecure-registries", host))?;
    notes.extend(registry_notes(&images, &insecure_registries));
    if request.source_date_epoch.is_none() {
        notes.extend(checkout.no_repository_note().map(str::to_owned));
    }
    if request.notes_missing_registry && images.iter().any(|image| image.repositories.is_empty()) {
        notes.push(NO_REGISTRY.to_owned());
    }
    Ok(Plan {
        paths: Paths {
            root: workspace.root.clone(),
            manifest_path: workspace.manifest_path.clone(),
            target_dir: workspace.target_dir.clone(),
            cache_dir: request.cache_dir.clone(),
        },
        source_date_epoch: request.source_date_epoch.or(checkout.commit().map(|commit| commit.time)).unwrap_or(0),
        commit: checkout.commit().cloned(),
        cargo: CargoOptions {
            locked: top.locked.unwrap_or(true),
            offline: request.offline,
            jobs: request.jobs,
            auditable: top.auditable.unwrap_or_default(),
        },
        engine: EngineOptions { builder: top.builder, insecure_registries },
        outputs: request.outputs.clone(),
        artifacts: request.artifacts.clone(),
        load: request.load,
        tag_permissions: request.tag_permissions,
        images,
        notes,
    })
}

fn resolve_images(inputs: &Inputs<'_>, notes: &mut Vec<String>) -> Result<Vec<Image>, Failure> {
    let Inputs { sources, request, .. } = *inputs;
    let selections = select_images(inputs.workspace, sources)?;
    let settings: Vec<Config> = selections.iter().map(|image| image_settings(image, inputs)).collect();
    let all_configured: BTreeSet<Platform> = settings.iter().flat_map(configured_platforms).collect();
    let mut images = Vec::new();
    for (selection, settings) in selections.into_iter().zip(settings) {
        let name = selection.name.clone();
        let configured = configured_platforms(&settings);
        let mut platforms = sources.command_line.platforms.clone().unwrap_or_else(|| configured.clone());
        if request.is_partial {
            let skipped = remove_platforms_of_other_images(&mut platforms, &configured, &all_configured);
            let note =
                |platform: &Platform| format!("skipping {platform} for image '{name}': not configured for this image");
            notes.extend(skipped.iter().map(note));
            if platforms.is_empty() && !skipped.is_empty() {
                continue;
            }
        }
        images.push(resolve_image(selection, &settings, &platforms, inputs, notes)?);
    }
    Ok(images)
}

/// Returns an image's settings, without capabilities that are set for all images and concern the binaries of others.
fn image_settings(image: &ImageSelection<'_>, inputs: &Inputs<'_>) -> Config {
    let Inputs { workspace, sources, .. } = *inputs;
    let mut settings = sources.image_config(&image.name, Some(&image.package.name));
    let is_in_workspace = |name: &String| workspace.packages.iter().any(|package| package.bins.contains(name));
    let is_of_other_images = |name: &String| {
        sources.workspace.capabilities.contains_key(name)
            && is_in_workspace(name)
            && !image.binaries.iter().any(|binary| binary.name == *name)
    };
    settings.capabilities.retain(|name, _| !is_of_other_images(name));
    settings
}

/// Compares the commit's git tags with the versions of the images. If they differ, fails or returns a note. It is a note
/// if that is allowed, if nothing will be published, or if the work tree differs from the tagged commit.
fn check_git_tags(images: &[Image], is_allowed: bool, inputs: &Inputs<'_>) -> Result<Option<String>, Failure> {
    let Inputs { workspace, checkout, request, .. } = *inputs;
    if inputs.has_explicit_tags() {
        return Ok(None);
    }
    let releases: Vec<Release<'_>> = images.iter().map(Image::release).collect();
    let packages = workspace.package_names();
    let Some(mismatch) = git_tags::find_mismatch(&releases, checkout.git_tags(), &packages) else { return Ok(None) };
    let is_note = is_allowed || request.is_local || request.is_partial || checkout.uncommitted_reason().is_some();
    if is_note { Ok(Some(mismatch.to_string())) } else { Err(mismatch.failure()) }
}

/// Returns an image's configured platforms, or the default platforms if none are configured.
fn configured_platforms(settings: &Config) -> Vec<Platform> {
    let is_default = |platform: &Platform| matches!(platform.name(), "linux/amd64" | "linux/arm64");
    settings.platforms.clone().unwrap_or_else(|| Platform::all().filter(is_default).collect())
}

/// Removes and returns the requested platforms that are configured only for other images. Keeps platforms that are not
/// configured for any image.
fn remove_platforms_of_other_images(
    requested: &mut Vec<Platform>,
    configured: &[Platform],
    all_configured: &BTreeSet<Platform>,
) -> Vec<Platform> {
    let is_of_other_images =
        |platform: &mut Platform| !configured.contains(platform) && all_configured.contains(platform);
    requested.extract_if(.., is_of_other_images).collect()
}

fn resolve_image(
    selection: ImageSelection<'_>,
    settings: &Config,
    platforms: &[Platform],
    inputs: &Inputs<'_>,
    notes: &mut Vec<String>,
) -> Result<Image, Failure> {
    let ImageSelection { name, package, binaries } = selection;
    let Inputs { workspace, sources, checkout, request, .. } = *inputs;
    let all = sources.all_platforms_config(settings);
    check_image_name(&name)?;
    let Destination { repositories, tags: templates } = destination(&name, &all, inputs.tag_references)?;
    let release = Release { package: &package.name, image: &name, version: &package.version };
    let packages = workspace.package_names();
    let ci_tag = checkout.commit().and_then(|commit| commit.ci_tag.as_deref());
    let git_tag = release.git_tag(checkout.git_tags(), ci_tag, &packages);
    let compared_tag = release.compare(checkout.git_tags(), &packages);
    let source = TagSource { version: &package.version, checkout, git_tag };
    let tags = tags::render(&templates, inputs.has_explicit_tags(), &source)?;
    let immutable = all.immutable_tags.clone().unwrap_or_else(|| DEFAULT_IMMUTABLE_TAGS.map(str::to_owned).to_vec());
    let immutable_tags = tags::immutable(&immutable, &tags.tags, &source)?;
    notes.extend(tags.notes.into_iter().map(|note| format!("{name}: {note}")));
    check_binary_paths(&name, &binaries)?;
    let has_platform_flags = sources.command_line.platforms.is_some();
    let platforms = sort_platforms(&name, platforms, settings, has_platform_flags)?;
    let has_index = resolve_index(&name, &platforms, &all)?;

    let labels = labels(&name, package, checkout.commit());
    let mut resolved = Vec::new();
    for platform in platforms {
        let settings = sources.platform_config(settings, platform);
        let platform = resolve_image_platform(&name, platform, &settings, &binaries, &labels, workspace)?;
        check_programs::check(&name, &platform, &settings, sources)?;
        resolved.push(platform);
    }
    let copies_libraries = resolved.iter().any(|platform| platform.copy_libraries);
    if all.copy_libraries == Some(true) && !copies_libraries {
        let message = format!("image '{name}': copy-libraries requires sysroot-packages, which is not set");
        return Err(
            Failure::new(Class::Config, message).hint("list the Debian packages: sysroot-packages = [\"libssl-dev\"]")
        );
    }
    if copies_libraries && !request.artifacts.is_empty() {
        let message = format!(
            "image '{name}': copy-libraries cannot be used with `--artifacts`, because bundles contain no libraries"
        );
        return Err(Failure::new(Class::Config, message).hint("run `publish` without `--artifacts`"));
    }
    let policy = all.policy();
    if let Some(glibc) = all.glibc.filter(|_| resolved.iter().all(|platform| platform.build.glibc.is_none())) {
        notes.push(format!(
            "{name}: ignoring glibc = \"{glibc}\" because binaries link against musl (to use glibc, set libc = \"gnu\")"
        ));
    }
    let compression = all.compression.unwrap_or_default();
    check_compression_level(&name, compression, all.compression_level)?;
    let annotations = annotations::resolve(&name, labels, &all.annotations, has_index)?;
    Ok(Image {
        name,
        package: package.name.clone(),
        version: package.version.clone(),
        repositories: repositories.into_iter().collect(),
        tags: tags.tags,
        git_tag: compared_tag,
        immutable_tags,
        has_index,
        annotations: annotations.index,
        manifest_annotations: annotations.manifests,
        platforms: resolved,
        compression,
        compression_level: all.compression_level,
        policy,
        smoke: request.smoke.clone().or(all.smoke),
        engine: all.engine.unwrap_or_default(),
        has_engine_flag: sources.command_line.engine.is_some(),
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

/// Returns the repositories and tags of an image, from its settings or from tags that name their repositories.
fn destination(name: &str, settings: &Config, references: &[TagReference]) -> Result<Destination, Failure> {
    if !references.is_empty() {
        return tag_references::destination(references, name);
    }
    let registries = settings.registry.clone().map(OneOrMany::into_vec).unwrap_or_default();
    let repositories =
        registries.iter().map(|registry| compose_repository(registry, name)).collect::<Result<_, _>>()?;
    let tags = settings.tags.clone().unwrap_or_else(|| DEFAULT_TAGS.map(str::to_owned).to_vec());
    Ok(Destination { repositories, tags })
}

/// Returns an error if two binaries have the same path in the image.
fn check_binary_paths(image: &str, binaries: &[Binary]) -> Result<(), Failure> {
    for (index, binary) in binaries.iter().enumerate() {
        if binaries[..index].iter().any(|other| other.path() == binary.path()) {
            return Err(Failure::new(
                Class::Config,
                format!("image '{image}' has two binaries with the path {}", binary.path()),
            )
            .hint("list each binary only once in `bins`"));
        }
    }
    Ok(())
}

/// Returns an image's platforms, in the order of [`Platform::all`]. Fails if the list is empty, or if the configuration
/// has keys for a platform that is not built.
fn sort_platforms(
    image: &str,
    platforms: &[Platform],
    settings: &Config,
    has_platform_flags: bool,
) -> Result<Vec<Platform>, Failure> {
    let sorted: Vec<Platform> = Platform::all().filter(|platform| platforms.contains(platform)).collect();
    if sorted.is_empty() {
        return Err(Failure::new(Class::Config, format!("image '{image}' has no platforms"))
            .hint("select one with `--platform linux/amd64`"));
    }
    let not_built = settings.platform.keys().find(|platform| !sorted.contains(platform));
    if let Some(platform) = not_built.filter(|_| !has_platform_flags) {
        let message = format!("image '{image}' has settings for {platform}, which is not one of its platforms");
        return Err(Failure::new(Class::Config, message)
            .hint(format!("add \"{platform}\" to `platforms`, or remove the settings")));
    }
    Ok(sorted)
}

/// Reports whether an image has an index. Fails if it has none but needs one for several platforms or for attestations.
fn resolve_index(image: &str, platforms: &[Platform], settings: &Config) -> Result<bool, Failure> {
    if settings.index.unwrap_or(true) {
        return Ok(true);
    }
    if platforms.len() > 1 {
        let names = platforms.iter().map(|platform| platform.name()).collect::<Vec<_>>().join(", ");
        let message = format!("image '{image}' has index = false, but {} platforms: {names}", platforms.len());
        return Err(Failure::new(Class::Config, message).hint(format!(
            "select a single platform, such as platforms = [\"{}\"], or remove index = false",
            platforms[0]
        )));
    }
    for (key, value) in [("provenance", &settings.provenance), ("sbom", &settings.sbom)] {
        if is_attestation_on(value.as_deref()) {
            let message = format!("image '{image}': {key} needs an index, but index = false");
            return Err(
                Failure::new(Class::Config, message).hint(format!("remove `{key}`, or publish an index: index = true"))
            );
        }
    }
    if let Some(flag) = attestation_flag(settings.buildx_args.as_deref().unwrap_or_default()) {
        let message = format!("image '{image}': {flag} in buildx-args needs an index, but index = false");
        return Err(Failure::new(Class::Config, message)
            .hint(format!("remove {flag} from `buildx-args`, or publish an index: index = true")));
    }
    Ok(false)
}

/// Returns the first flag that adds an attestation, from arguments of `docker buildx build`.
fn attestation_flag(args: &[String]) -> Option<&str> {
    let mut args = args.iter().map(String::as_str).peekable();
    while let Some(arg) = args.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (arg, args.peek().copied()),
        };
        let is_on = match flag {
            "--attest" => value.is_none_or(|value| !value.contains("disabled=true")),
            "--provenance" | "--sbom" => value.is_none_or(|value| is_attestation_on(Some(value))),
            _ => false,
        };
        if is_on {
            return Some(flag);
        }
    }
    None
}

fn check_compression_level(image: &str, compression: Compression, level: Option<u32>) -> Result<(), Failure> {
    let (format, levels) = match compression {
        Compression::Gzip => ("gzip", 1..=9),
        Compression::Zstd => ("zstd", 1..=22),
    };
    match level {
        Some(level) if !levels.contains(&level) => {
            Err(Failure::new(Class::Config, format!("image '{image}': invalid compression-level {level} for {format}"))
                .hint(format!("use a level from {} to {}", levels.start(), levels.end())))
        }
        _ => Ok(()),
    }
}

/// Returns notes about registry settings that are probably mistakes.
fn registry_notes(images: &[Image], insecure_registries: &[String]) -> IndexSet<String> {
    let mut notes = IndexSet::new();
    for image in images {
        for repository in &image.repositories {
            let registry = repository.strip_suffix(&format!("/{}", image.name)).unwrap_or(repository);
            if registry.rsplit('/').next() == Some(image.name.as_str()) {
                notes.insert(format!(
                    "registry '{registry}' already ends with the image name, which will be appended again: {repository}"
                ));
            }
            if !is_registry_host(first_component(repository)) {
                notes.insert(format!(
                    "registry '{registry}' is used as the Docker Hub account docker.io/{registry}: a registry host \
                     must contain a dot or a port"
                ));
            }
        }
    }
    notes.extend(unused_insecure_registries(images, insecure_registries));
    notes
}

/// Returns a note for each insecure registry that is used neither by an image nor by a base.
fn unused_insecure_registries(images: &[Image], insecure_registries: &[String]) -> Vec<String> {
    let platforms = || images.iter().flat_map(|image| &image.platforms);
    // Custom templates may pull from any registry, so any of these registries may be in use.
    if platforms().any(|platform| matches!(platform.template, Template::File(_))) {
        return Vec::new();
    }
    let repositories = images.iter().flat_map(|image| &image.repositories);
    let mut hosts: IndexSet<&str> = repositories.map(|repository| first_component(repository)).collect();
    hosts.extend(platforms().map(|platform| first_component(&platform.base)).filter(|host| is_registry_host(host)));
    let listed = hosts.iter().copied().filter(|host| is_registry_host(host)).collect::<Vec<_>>().join(", ");
    let unused = insecure_registries.iter().filter(|registry| !hosts.contains(registry.as_str()));
    unused.map(|registry| format!("insecure-registries: '{registry}' is unused (hosts in use: {listed})")).collect()
}

/// Returns the part of a reference before the first slash, or an empty string if there is no slash.
fn first_component(reference: &str) -> &str {
    reference.split_once('/').map_or("", |(first, _)| first)
}

/// Returns the `org.opencontainers.image.*` labels (image-spec, annotations.md), based on the manifest and the commit.
fn labels(name: &str, package: &Package, commit: Option<&Commit>) -> IndexMap<String, String> {
    [
        ("title", Some(name.to_owned())),
        ("description", package.description.clone().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))),
        ("version", Some(package.version.to_string())),
        ("revision", commit.map(Commit::revision)),
        ("source", package.repository.clone()),
        ("url", package.homepage.clone().or_else(|| package.repository.clone())),
        ("licenses", package.license.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a workspace with a package `a` that contains a binary `a`.
    fn workspace() -> Workspace {
        let package = Package {
            description: Some("two\n  lines".into()),
            repository: Some("https://git.example/a".into()),
            ..Package::for_tests("a", &["a"])
        };
        Workspace::with_packages("/w".into(), vec![package])
    }

    /// Creates a request with a timestamp, which suppresses the note about a missing git repository.
    fn request() -> PlanRequest {
        PlanRequest { source_date_epoch: Some(7), ..PlanRequest::default() }
    }

    fn plan(config: &str, checkout: &Checkout) -> Plan {
        let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
        resolve(&workspace(), &sources, checkout, &request()).unwrap()
    }

    #[test]
    fn removes_duplicate_repositories() {
        let plan = plan("registry = ['r.example', 'r.example/', 'other.example']", &Checkout::None);
        assert_eq!(plan.images[0].repositories, ["r.example/a", "other.example/a"]);
        assert!(plan.cargo.locked && plan.engine.builder.is_none());
    }

    #[test]
    fn notes_an_ignored_glibc_version() {
        let noted = plan("glibc = '2.28'", &Checkout::None);
        assert_eq!(noted.notes.len(), 1, "{:?}", noted.notes);
        let mixed = plan("glibc = '2.28'\n[platform.'linux/arm64']\nlibc = 'gnu'\nbase = 'x'", &Checkout::None);
        assert!(mixed.notes.is_empty(), "{:?}", mixed.notes);
    }

    #[test]
    fn notes_suspicious_registries() {
        const UNUSED: &str = "insecure-registries: 'r.example' is unused (hosts in use: r.example:5000)";
        for (config, expected) in [
            ("registry = 'r.example'\nbase = 'library/alpine'", None),
            ("registry = ['docker.io/me', 'localhost', 'r:5000/me']", None),
            (
                "registry = 'me/team'",
                Some(
                    "registry 'me/team' is used as the Docker Hub account docker.io/me/team: a registry host \
                     must contain a dot or a port",
                ),
            ),
            ("registry = 'r.example:5000'\ninsecure-registries = ['r.example:5000']", None),
            ("base = 'r.example:5000/x'\ninsecure-registries = ['r.example:5000']", None),
            ("registry = 'r.example:5000'\ninsecure-registries = ['r.example']", Some(UNUSED)),
            ("template = 'x.j2'\ninsecure-registries = ['r.example']", None),
        ] {
            let notes = plan(config, &Checkout::None).notes;
            assert_eq!(
                notes.iter().map(String::as_str).collect::<Vec<_>>(),
                expected.into_iter().collect::<Vec<_>>(),
                "{config}"
            );
        }
    }

    #[test]
    fn partial_plans_skip_platforms_of_other_images() {
        const CONFIG: &str = "[images.one]\nbins = ['a']\n[images.two]\nbins = ['a']\nplatforms = ['linux/amd64']";
        const SKIPPED: &str = "skipping linux/arm64 for image 'two': not configured for this image";
        for (config, flags, is_partial, expected, note) in [
            (CONFIG, &[][..], true, "one: linux/amd64 linux/arm64; two: linux/amd64", None),
            (CONFIG, &["linux/arm64"], true, "one: linux/arm64", Some(SKIPPED)),
            (CONFIG, &["linux/amd64"], true, "one: linux/amd64; two: linux/amd64", None),
            (
                CONFIG,
                &["linux/amd64", "linux/arm64"],
                true,
                "one: linux/amd64 linux/arm64; two: linux/amd64",
                Some(SKIPPED),
            ),
            // A platform that is not configured for any image is built for all images.
            (CONFIG, &["linux/riscv64"], true, "one: linux/riscv64; two: linux/riscv64", None),
            (CONFIG, &["linux/arm64"], false, "one: linux/arm64; two: linux/arm64", None),
            ("", &["linux/arm64"], true, "a: linux/arm64", None),
            ("", &["linux/riscv64"], true, "a: linux/riscv64", None),
        ] {
            let platforms: Vec<Platform> = flags.iter().map(|name| name.parse().unwrap()).collect();
            let sources = ConfigSources {
                workspace: toml::from_str(config).unwrap(),
                command_line: Config { platforms: (!flags.is_empty()).then_some(platforms), ..Config::default() },
                ..ConfigSources::default()
            };
            let request = PlanRequest { is_partial, ..request() };
            let plan = resolve(&workspace(), &sources, &Checkout::None, &request).unwrap();
            let line = |image: &Image| {
                let names: Vec<&str> = image.platforms.iter().map(|platform| platform.platform.name()).collect();
                format!("{}: {}", image.name, names.join(" "))
            };
            let found: Vec<String> = plan.images.iter().map(line).collect();
            assert_eq!(found.join("; "), expected, "{config} {flags:?} {is_partial}");
            assert_eq!(plan.notes.iter().map(String::as_str).collect::<Vec<_>>(), Vec::from_iter(note), "{flags:?}");
        }
    }

    #[test]
    fn labels_come_from_the_manifest_and_the_commit() {
        let commit = |changes: &[&str]| {
            let changes = changes.iter().map(|path| (*path).to_owned()).collect();
            Checkout::Commit(Commit { sha: "5ha".into(), time: 7, changes, ..Commit::default() })
        };
        let config = "[images.one]\nbins = ['a']\n[images.two]\nbins = ['a']";
        let dirty = plan(config, &commit(&["a.rs", "b", "c", "d"]));
        assert_eq!(dirty.notes.len(), 1, "{:?}", dirty.notes);
        assert!(dirty.notes[0].starts_with("the work tree has uncommitted changes (a.rs, b and 2 more): "));
        assert_eq!(dirty.images[0].annotations["org.opencontainers.image.revision"], "5ha-dirty");
        let plan = plan("labels = { mine = '1' }\nannotations = { theirs = '2' }", &commit(&[]));
        let image = &plan.images[0];
        let value = |key: &str| image.annotations.get(&format!("org.opencontainers.image.{key}")).map(String::as_str);
        assert_eq!(value("description"), Some("two lines"));
        assert_eq!((value("url"), value("revision")), (Some("https://git.example/a"), Some("5ha")));
        assert_eq!((value("licenses"), plan.source_date_epoch), (None, 7));
        assert_eq!(image.annotations.get("theirs").map(String::as_str), Some("2"));
        assert_eq!(image.annotations.get("mine"), None);
        assert_eq!(image.platforms[0].container.labels.get("mine").map(String::as_str), Some("1"));
    }
}
