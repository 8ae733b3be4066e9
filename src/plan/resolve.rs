//! Workspace, commit and settings in, plan out: pure.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use indexmap::{IndexMap, IndexSet};

use super::check_names::{check_host, check_name, is_host, repository};
use super::image_platform::image_platform;
use super::images::{check_collisions, wanted_images};
use super::{
    Binary, BuildxOptions, CargoOptions, Checkout, Commit, ConfigSources, EngineOptions, Image, Output, Package, Paths,
    Plan, Template, Workspace, tags,
};
use crate::config::{Config, OneOrMany};
use crate::error::{Class, Failure};
use crate::oci::compression::Compression;
use crate::platform::Platform;

/// The tags where none are named, as templates.
pub const DEFAULT_TAGS: [&str; 2] = ["{{version}}", "latest"];

/// What a run asks for, beside its settings.
#[derive(Debug, Clone, Default)]
pub struct PlanRequest {
    pub offline: bool,
    pub jobs: Option<u32>,
    pub source_date_epoch: Option<u64>,
    pub outputs: Vec<Output>,
    pub artifacts: Vec<Utf8PathBuf>,
    pub load: bool,
    /// Of all images, whatever the configuration says.
    pub smoke: Option<Vec<String>>,
    /// Other files that the run writes, and no source of anything.
    pub written: Vec<Utf8PathBuf>,
    /// The platforms of the command line are a part of what another machine publishes.
    pub is_part: bool,
    pub cache_dir: Utf8PathBuf,
}

/// Decides everything that can be decided without looking at the machine.
pub fn resolve(
    workspace: &Workspace,
    sources: &ConfigSources,
    checkout: &Checkout,
    request: &PlanRequest,
) -> Result<Plan, Failure> {
    let mut notes = sources.notes.clone();
    notes.extend(tags::uncommitted_note(checkout).filter(|_| sources.command_line.tags.is_none()));
    let mut images = Vec::new();
    let wanted = wanted_images(workspace, sources)?.into_iter().map(|(name, package, binaries)| {
        let settings = sources.image(&name, Some(&package.name));
        (name, package, binaries, settings)
    });
    let wanted: Vec<_> = wanted.collect();
    let own = |settings: &Config| settings.platforms.clone().unwrap_or_else(default_platforms);
    let configured: BTreeSet<Platform> = wanted.iter().flat_map(|(.., settings)| own(settings)).collect();
    for (name, package, binaries, settings) in wanted {
        let mut platforms = sources.command_line.platforms.clone().unwrap_or_else(|| own(&settings));
        if request.is_part {
            let (kept, left) = of_part(platforms, &own(&settings), &configured);
            notes.extend(
                left.iter().map(|platform| format!("image '{name}' is not for {platform}: it is left out there")),
            );
            if kept.is_empty() && !left.is_empty() {
                continue;
            }
            platforms = kept;
        }
        let image = image(&name, package, binaries, &settings, &platforms, workspace, sources, checkout, &mut notes)?;
        let asked = sources.command_line.tags.is_some();
        notes.extend(tags::other_version_note(&name, &image.version, checkout).filter(|_| !asked));
        images.push(Image { smoke: request.smoke.clone().or(image.smoke), ..image });
    }
    check_collisions(workspace, &images)?;
    let top = sources.all_platforms(&sources.workspace);
    let insecure_registries = top.insecure_registries.unwrap_or_default();
    insecure_registries.iter().try_for_each(|host| check_host("insecure-registries", host))?;
    notes.extend(registry_notes(&images, &insecure_registries));
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
        engine: EngineOptions { choice: top.engine.unwrap_or_default(), builder: top.builder, insecure_registries },
        outputs: request.outputs.clone(),
        artifacts: request.artifacts.clone(),
        load: request.load,
        images,
        notes,
    })
}

#[expect(clippy::too_many_arguments, reason = "each is one input of a pure function")]
fn image(
    name: &str,
    package: &Package,
    binaries: Vec<Binary>,
    settings: &Config,
    wanted: &[Platform],
    workspace: &Workspace,
    sources: &ConfigSources,
    checkout: &Checkout,
    notes: &mut Vec<String>,
) -> Result<Image, Failure> {
    let all = sources.all_platforms(settings);
    check_name(name)?;
    let registries = all.registry.clone().map(OneOrMany::into_vec).unwrap_or_default();
    let repositories: IndexSet<String> =
        registries.iter().map(|registry| repository(registry, name)).collect::<Result<_, _>>()?;
    let asked = sources.command_line.tags.is_some();
    let templates = all.tags.clone().unwrap_or_else(|| DEFAULT_TAGS.map(str::to_owned).to_vec());
    let tags = tags::render(&templates, asked, &package.version, checkout)?;
    notes.extend(tags.notes.into_iter().map(|note| format!("{name}: {note}")));

    let earlier = |index: usize, path: String| binaries[..index].iter().any(|other| other.path() == path);
    if let Some((_, twice)) = binaries.iter().enumerate().find(|(index, binary)| earlier(*index, binary.path())) {
        return Err(Failure::new(Class::Config, format!("image '{name}' has two binaries at {}", twice.path()))
            .hint("name each binary once in `bins`"));
    }

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
    let labels = labels(name, package, checkout.commit());
    let platforms = platforms
        .into_iter()
        .map(|platform| {
            image_platform(name, platform, &sources.platform(settings, platform), &binaries, &labels, workspace)
        })
        .collect::<Result<Vec<_>, _>>()?;

    let policy = all.policy();
    if let Some(glibc) = all.glibc.filter(|_| platforms.iter().all(|platform| platform.build.glibc.is_none())) {
        notes.push(format!("{name}: glibc {glibc} means nothing here, musl is linked (libc = \"gnu\" changes that)"));
    }
    let compression = all.compression.unwrap_or_default();
    let (format, levels) = match compression {
        Compression::Gzip => ("gzip", 1..=9),
        Compression::Zstd => ("zstd", 1..=22),
    };
    if let Some(level) = all.compression_level.filter(|level| !levels.contains(level)) {
        return Err(Failure::new(Class::Config, format!("image '{name}': {format} has no compression-level {level}"))
            .hint(format!("its levels are {} to {}", levels.start(), levels.end())));
    }
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
        compression,
        compression_level: all.compression_level,
        policy,
        smoke: all.smoke,
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

/// What may not be meant, of where images go to and come from.
fn registry_notes(images: &[Image], insecure: &[String]) -> IndexSet<String> {
    let first = |reference: &str| reference.split_once('/').map_or("", |(first, _)| first).to_owned();
    let mut notes = IndexSet::new();
    for (image, repository) in images.iter().flat_map(|image| image.repositories.iter().map(move |it| (image, it))) {
        let registry = repository.strip_suffix(&format!("/{}", image.name)).unwrap_or(repository);
        if registry.rsplit('/').next() == Some(image.name.as_str()) {
            notes.insert(format!("registry '{registry}' ends in the image's name, which is added to it: {repository}"));
        }
        if !is_host(&first(repository)) {
            notes.insert(format!(
                "registry '{registry}' is on Docker Hub, docker.io/{registry}: a host has a dot or a port"
            ));
        }
    }
    let platforms = || images.iter().flat_map(|image| &image.platforms);
    let mut hosts: IndexSet<String> = images.iter().flat_map(|image| &image.repositories).map(|it| first(it)).collect();
    hosts.extend(platforms().map(|platform| first(&platform.base)).filter(|host| is_host(host)));
    // A template of one's own may pull from anywhere.
    if platforms().all(|platform| matches!(platform.template, Template::BuiltIn(_))) {
        let unused = insecure.iter().filter(|host| !hosts.contains(*host));
        notes.extend(unused.map(|host| {
            let used = hosts.iter().filter(|host| is_host(host)).cloned().collect::<Vec<_>>().join(", ");
            format!("insecure-registries: nothing is on '{host}' (the hosts are: {used})")
        }));
    }
    notes
}

/// The platforms that an image is compiled for as a part of a plan, and those that are left to the images which are
/// configured for them; what none is configured for, all get.
fn of_part(asked: Vec<Platform>, own: &[Platform], configured: &BTreeSet<Platform>) -> (Vec<Platform>, Vec<Platform>) {
    asked.into_iter().partition(|platform| own.contains(platform) || !configured.contains(platform))
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

    /// A workspace with a package `a` and its binary `a`.
    fn workspace() -> Workspace {
        let package = Package {
            bins: vec!["a".into()],
            description: Some("two\n  lines".into()),
            repository: Some("https://git.example/a".into()),
            ..Package::named("a")
        };
        Workspace {
            root: "/w".into(),
            manifest_path: "/w/Cargo.toml".into(),
            target_dir: "/w/target".into(),
            packages: vec![package],
            selected: vec!["a".into()],
            narrowed: false,
            profiles: std::collections::BTreeSet::new(),
        }
    }

    fn plan(config: &str, checkout: &Checkout) -> Plan {
        let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
        resolve(&workspace(), &sources, checkout, &PlanRequest::default()).unwrap()
    }

    #[test]
    fn one_repository_is_named_once() {
        let plan = plan("registry = ['r.example', 'r.example/', 'other.example']", &Checkout::None);
        assert_eq!(plan.images[0].repositories, ["r.example/a", "other.example/a"]);
        assert!(plan.cargo.locked && plan.engine.builder.is_none());
    }

    #[test]
    fn a_glibc_floor_without_glibc_is_said() {
        let noted = plan("glibc = '2.28'", &Checkout::None);
        assert_eq!(noted.notes.len(), 1, "{:?}", noted.notes);
        let mixed = plan("glibc = '2.28'\n[platform.'linux/arm64']\nlibc = 'gnu'\nbase = 'x'", &Checkout::None);
        assert!(mixed.notes.is_empty(), "{:?}", mixed.notes);
    }

    #[test]
    fn registries_that_may_not_be_meant() {
        const UNUSED: &str = "insecure-registries: nothing is on 'r.example' (the hosts are: r.example:5000)";
        for (config, expected) in [
            ("registry = 'r.example'\nbase = 'library/alpine'", None),
            ("registry = ['docker.io/me', 'localhost', 'r:5000/me']", None),
            (
                "registry = 'me/team'",
                Some("registry 'me/team' is on Docker Hub, docker.io/me/team: a host has a dot or a port"),
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
    fn a_part_of_a_plan_leaves_out_what_is_not_of_it() {
        const OWN: &str = "[images.one]\nbins = ['a']\n[images.two]\nbins = ['a']\nplatforms = ['linux/amd64']";
        const LEFT: &str = "image 'two' is not for linux/arm64: it is left out there";
        for (config, flags, is_part, expected, note) in [
            (OWN, &[][..], true, "one: linux/amd64 linux/arm64; two: linux/amd64", None),
            (OWN, &["linux/arm64"], true, "one: linux/arm64", Some(LEFT)),
            (OWN, &["linux/amd64"], true, "one: linux/amd64; two: linux/amd64", None),
            (OWN, &["linux/amd64", "linux/arm64"], true, "one: linux/amd64 linux/arm64; two: linux/amd64", Some(LEFT)),
            // None is configured for it: whoever asks wants it all the same.
            (OWN, &["linux/riscv64"], true, "one: linux/riscv64; two: linux/riscv64", None),
            (OWN, &["linux/arm64"], false, "one: linux/arm64; two: linux/arm64", None),
            ("", &["linux/arm64"], true, "a: linux/arm64", None),
            ("", &["linux/riscv64"], true, "a: linux/riscv64", None),
        ] {
            let platforms: Vec<Platform> = flags.iter().map(|name| name.parse().unwrap()).collect();
            let sources = ConfigSources {
                workspace: toml::from_str(config).unwrap(),
                command_line: Config { platforms: (!flags.is_empty()).then_some(platforms), ..Config::default() },
                ..ConfigSources::default()
            };
            let request = PlanRequest { is_part, ..PlanRequest::default() };
            let plan = resolve(&workspace(), &sources, &Checkout::None, &request).unwrap();
            let line = |image: &Image| {
                let names: Vec<&str> = image.platforms.iter().map(|platform| platform.platform.name()).collect();
                format!("{}: {}", image.name, names.join(" "))
            };
            let found: Vec<String> = plan.images.iter().map(line).collect();
            assert_eq!(found.join("; "), expected, "{config} {flags:?} {is_part}");
            assert_eq!(plan.notes.iter().map(String::as_str).collect::<Vec<_>>(), Vec::from_iter(note), "{flags:?}");
        }
    }

    #[test]
    fn labels_come_from_the_manifest_and_the_commit() {
        let commit = |changes: &[&str]| {
            let changes = changes.iter().map(|path| (*path).to_owned()).collect();
            Checkout::Commit(Commit { sha: "5ha".into(), time: 7, tag: None, branch: None, changes })
        };
        let config = "[images.one]\nbins = ['a']\n[images.two]\nbins = ['a']";
        let dirty = plan(config, &commit(&["a.rs", "b", "c", "d"]));
        assert_eq!(dirty.notes.len(), 1, "{:?}", dirty.notes);
        assert!(dirty.notes[0].starts_with("the work tree has changes that are not committed (a.rs, b and 2 more): "));
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
