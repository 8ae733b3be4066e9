//! Bundles: the binaries of some platforms with a manifest, compiled on one machine and published from another.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Artifacts;
use super::toolchain::Toolchain;
use crate::config::choices::Auditable;
use crate::elf::RuntimeRequirements;
use crate::error::{Class, Failure};
use crate::fs::{self, Replaceable};
use crate::oci::digest::{hash_reader, hex};
use crate::plan::{Binary, BuildSettings, Plan};
use crate::platform::Platform;

/// The manifest's name in the bundle's folder.
pub const MANIFEST: &str = "multiarch-bundle.json";
/// Bumped when a field changes its meaning or goes; new fields may come at any time.
const VERSION: u32 = 1;

/// A bundle is no change of the work tree that it stands in.
const IGNORE: &str = "# made by cargo multiarch compile\n*\n";

/// What a bundle holds, and what it was made from.
#[derive(Debug, Serialize, Deserialize)]
pub struct BundleManifest {
    pub version: u32,
    pub tool: String,
    pub rust_version: String,
    /// The binaries list their dependencies, by cargo-auditable.
    pub auditable: bool,
    /// The commit as the image's label has it; none outside of git.
    pub revision: Option<String>,
    /// The sha256 of Cargo.lock; none where there is no such file.
    pub cargo_lock: Option<String>,
    pub builds: Vec<BundledBuild>,
}

/// The binaries that one target triple was compiled to.
#[derive(Debug, Serialize, Deserialize)]
pub struct BundledBuild {
    /// The platforms of the plan that want these binaries.
    pub platforms: Vec<Platform>,
    pub triple: String,
    pub linker: String,
    /// How they were compiled; compared as a whole with the plan's.
    pub settings: serde_json::Value,
    pub binaries: Vec<BundledBinary>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct BundledBinary {
    pub name: String,
    pub package: String,
    /// From the bundle's folder.
    pub file: Utf8PathBuf,
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
    /// For people and other tools: a publish reads the file itself.
    #[serde(flatten, skip_deserializing)]
    pub asks: Option<RuntimeRequirements>,
}

/// Fails where a folder holds something else than an earlier bundle, before anything is compiled.
pub fn check_output_dir(dir: &Utf8Path) -> Result<(), Failure> {
    let is_bundle = dir.join(MANIFEST).is_file();
    // What an interrupted run left behind has no manifest, and this file.
    let is_ours = || fs_err::read_to_string(dir.join(".gitignore")).is_ok_and(|text| text == IGNORE);
    let earlier = Replaceable { name: "an earlier bundle", is_present: is_bundle || is_ours() };
    fs::check_output_dir(&format!("--out {dir}"), dir, &earlier, "name a folder: `--out dist`")?;
    fs::check_writable(dir).map_err(|error| {
        Failure::new(Class::Config, format!("--out {dir} cannot be written: {error}"))
            .hint("name a folder of yours: `--out dist`")
    })?;
    let replaceable = if is_bundle { read(dir).map(drop) } else { Ok(()) };
    replaceable.map_err(|error| {
        Failure::new(Class::Config, format!("--out {dir} is no bundle that can be replaced: {error:#}"))
            .hint(format!("remove it: `rm -r {dir}`"))
    })
}

/// Writes what was compiled into a folder, in place of an earlier bundle; the files' paths.
pub fn write(dir: &Utf8Path, plan: &Plan, toolchain: &Toolchain, artifacts: &Artifacts) -> Result<Vec<Utf8PathBuf>> {
    if dir.join(MANIFEST).is_file() {
        let earlier = read(dir)?;
        fs_err::remove_file(dir.join(MANIFEST))?;
        let folders = earlier.builds.iter().flat_map(|build| &build.binaries).filter_map(|entry| entry.file.parent());
        for folder in folders.map(|folder| dir.join(folder)).filter(|folder| folder.is_dir() && folder != dir) {
            fs_err::remove_dir_all(folder)?;
        }
    }
    fs_err::create_dir_all(dir)?;
    fs_err::write(dir.join(".gitignore"), IGNORE)?;
    let mut builds: BTreeMap<&BuildSettings, BundledBuild> = BTreeMap::new();
    let mut paths = Vec::new();
    for ((settings, binary), artifact) in artifacts {
        let described = describe(settings)?;
        // One triple may be compiled in several ways.
        let folder =
            Utf8PathBuf::from(format!("{}-{}", settings.triple, &hex(&Sha256::digest(described.to_string()))[..8]));
        let file = folder.join(&binary.name);
        fs_err::create_dir_all(dir.join(&folder))?;
        fs_err::copy(&artifact.path, dir.join(&file))?;
        paths.push(dir.join(&file));
        let build = builds.entry(settings).or_insert_with(|| BundledBuild {
            platforms: plan.platforms_of(settings).into_iter().collect(),
            triple: settings.triple.clone(),
            linker: toolchain.linker(settings),
            settings: described,
            binaries: Vec::new(),
        });
        build.binaries.push(BundledBinary {
            name: binary.name.clone(),
            package: binary.package.clone(),
            file,
            size: artifact.size,
            sha256: artifact.sha256.clone(),
            asks: Some(artifact.elf.runtime_requirements()),
        });
    }
    let manifest = BundleManifest {
        version: VERSION,
        tool: concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")).to_owned(),
        rust_version: toolchain.tools.rust_version.clone(),
        auditable: toolchain.auditable,
        revision: plan.commit.as_ref().map(|commit| commit.revision()),
        cargo_lock: cargo_lock(plan)?,
        builds: builds.into_values().collect(),
    };
    // The last: what an interrupted run leaves is no bundle.
    fs::write_atomically(&dir.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    Ok(paths)
}

/// Settings as they are compared. The values of variables may be secrets, and a bundle goes through others' hands: they
/// stand there by their digests.
fn describe(settings: &BuildSettings) -> Result<serde_json::Value> {
    let mut described = serde_json::to_value(settings)?;
    let digests = settings.env.iter().map(|(name, value)| (name.clone(), hex(&Sha256::digest(value)).into()));
    described["env"] = serde_json::Value::Object(digests.collect());
    Ok(described)
}

fn cargo_lock(plan: &Plan) -> Result<Option<String>> {
    let path = plan.paths.root.join("Cargo.lock");
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(hash_reader(fs_err::File::open(path)?)?.0))
}

/// The binaries of a plan in bundles that were made from the same commit and lock file, for the same plan.
#[derive(Debug)]
pub struct Bundles {
    pub rust_version: String,
    pub auditable: bool,
    /// By build.
    pub linkers: BTreeMap<BuildSettings, String>,
    artifacts: Artifacts,
}

/// The bundle and the entry of every binary.
type Found = BTreeMap<(BuildSettings, Binary), (Utf8PathBuf, BundledBinary)>;

impl Bundles {
    /// Reads the manifests in some folders, or in the folders right in them, and compares them with the plan.
    pub fn open(plan: &Plan) -> Result<Bundles> {
        let mut manifests = Vec::new();
        for dir in &plan.artifacts {
            let dirs = bundle_dirs(dir);
            if dirs.is_empty() {
                return Err(Failure::new(Class::Config, format!("there is no bundle in {dir}: no {MANIFEST}"))
                    .hint("make one: `cargo multiarch compile --out DIR`")
                    .into());
            }
            for dir in dirs {
                manifests.push((read(&dir)?, dir));
            }
        }
        let cargo_lock = cargo_lock(plan)?;
        for (manifest, dir) in &manifests {
            check_origin(manifest, dir, plan, cargo_lock.as_deref())?;
        }
        select(plan, manifests)
    }

    /// The binaries; `on_artifact` is told of each.
    pub fn artifacts(&self, on_artifact: super::OnArtifact<'_>) -> Artifacts {
        self.artifacts.iter().for_each(|((build, binary), artifact)| on_artifact(build, binary, artifact));
        self.artifacts.clone()
    }
}

/// Takes the binaries out of their bundles; those must have the bytes that were written.
fn take(plan: &Plan, found: &Found) -> Result<Artifacts> {
    let mut artifacts = Artifacts::new();
    for (number, (key, (dir, entry))) in found.iter().enumerate() {
        let from = dir.join(&entry.file);
        let folder = plan.paths.work_dir().join("+artifacts/bundles").join(number.to_string());
        let changed = || {
            Failure::new(Class::Verify, format!("{from} is not what was compiled: it has other bytes, or is not there"))
                .hint(format!("sha256 {} is wanted: compile the bundle again, or transfer it again", entry.sha256))
        };
        let found = fs_err::File::open(&from).and_then(hash_reader).map_err(|_| changed())?;
        if found.0 != entry.sha256 {
            return Err(changed().into());
        }
        let (build, binary) = key;
        let artifact = super::keep(&from, &folder, binary)?;
        artifact.check_floor(&binary.name, &plan.name_of(build), build.glibc.as_deref())?;
        artifacts.insert(key.clone(), artifact);
    }
    Ok(artifacts)
}

/// A folder that is a bundle, or those in it that are, sorted.
fn bundle_dirs(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_one = |dir: &Utf8Path| dir.join(MANIFEST).is_file();
    if is_one(dir) {
        return vec![dir.to_owned()];
    }
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.into_path()));
    let mut dirs: Vec<Utf8PathBuf> = entries.filter(|entry| is_one(entry)).collect();
    dirs.sort_unstable();
    dirs
}

fn read(dir: &Utf8Path) -> Result<BundleManifest> {
    let path = dir.join(MANIFEST);
    let unreadable = |what: String| {
        Failure::new(Class::Config, format!("{path} cannot be read: {what}"))
            .hint("compile it again with this version: `cargo multiarch compile --out DIR`")
    };
    let text = fs_err::read(&path).with_context(|| format!("bundle {dir}"))?;
    let version: serde_json::Value = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if version["version"] != VERSION {
        return Err(unreadable(format!("it has version {}, wanted {VERSION}", version["version"])).into());
    }
    let manifest: BundleManifest = serde_json::from_value(version).map_err(|error| unreadable(error.to_string()))?;
    let mut files = manifest.builds.iter().flat_map(|build| &build.binaries).map(|entry| &entry.file);
    // What it names is copied from, and removed when the bundle is made anew.
    let inside = |file: &Utf8PathBuf| file.components().all(|part| matches!(part, Utf8Component::Normal(_)));
    match files.find(|file| !inside(file)) {
        Some(file) => Err(unreadable(format!("'{file}' is not in the bundle's folder")).into()),
        None => Ok(manifest),
    }
}

fn check_origin(
    manifest: &BundleManifest,
    dir: &Utf8Path,
    plan: &Plan,
    cargo_lock: Option<&str>,
) -> Result<(), Failure> {
    let here = plan.commit.as_ref().map(|commit| commit.revision());
    let differs = |what: &str, theirs: &str, ours: &str| {
        Failure::new(Class::Config, format!("bundle {dir} was compiled from another {what}: {theirs}, here is {ours}"))
    };
    let name = |revision: &Option<String>| revision.clone().unwrap_or_else(|| "no commit".to_owned());
    if manifest.revision != here {
        return Err(differs("commit", &name(&manifest.revision), &name(&here))
            .hint("check that commit out here, or compile the bundle again"));
    }
    if manifest.cargo_lock.as_deref() != cargo_lock {
        let short = |digest: Option<&str>| digest.map_or("none", |digest| &digest[..digest.len().min(12)]).to_owned();
        return Err(differs("Cargo.lock", &short(manifest.cargo_lock.as_deref()), &short(cargo_lock))
            .hint("commit Cargo.lock, and let nothing change it on the way: `git status`"));
    }
    Ok(())
}

/// Ticks every binary of the plan off against the bundles.
fn select(plan: &Plan, manifests: Vec<(BundleManifest, Utf8PathBuf)>) -> Result<Bundles> {
    let rust_version = manifests.first().map(|(manifest, _)| manifest.rust_version.clone()).unwrap_or_default();
    let auditable = manifests.iter().any(|(manifest, _)| manifest.auditable);
    let wanted = |listed: bool| match plan.cargo.auditable {
        Auditable::Auto => listed == auditable,
        Auditable::Always => listed,
        Auditable::Never => !listed,
    };
    if let Some((_, dir)) = manifests.iter().find(|(manifest, _)| !wanted(manifest.auditable)) {
        let what =
            format!("bundle {dir} was compiled with cargo-auditable, or without it, and others and the plan were not");
        return Err(Failure::new(Class::Config, what).hint("say which for all: auditable = true or false").into());
    }
    let (mut linkers, mut found) = (BTreeMap::new(), Found::new());
    let wanted: Vec<(&BuildSettings, &Binary, serde_json::Value)> = plan
        .platforms()
        .flat_map(|platform| platform.binaries.iter().map(|binary| (&platform.build, binary)))
        .map(|(build, binary)| Ok((build, binary, describe(build)?)))
        .collect::<Result<_>>()?;
    for (manifest, dir) in manifests {
        if manifest.rust_version != rust_version {
            let what =
                format!("bundle {dir} was compiled by rustc {}, and others by {}", manifest.rust_version, rust_version);
            return Err(Failure::new(Class::Config, what)
                .hint("take one toolchain for all: rust-toolchain.toml")
                .into());
        }
        for build in manifest.builds {
            for entry in build.binaries {
                let is_it = |(_, binary, settings): &&(&BuildSettings, &Binary, serde_json::Value)| {
                    *settings == build.settings && binary.name == entry.name && binary.package == entry.package
                };
                let Some((settings, binary, _)) = wanted.iter().find(is_it) else {
                    return Err(unwanted(&dir, &build.platforms, &entry.name).into());
                };
                linkers.insert((*settings).clone(), build.linker.clone());
                let key = ((*settings).clone(), (*binary).clone());
                if let Some((other, _)) = found.insert(key, (dir.clone(), entry)) {
                    let platforms = list(&build.platforms);
                    return Err(Failure::new(
                        Class::Config,
                        format!("'{}' for {platforms} is in two bundles: {other} and {dir}", binary.name),
                    )
                    .hint("leave one of them out of `--artifacts`")
                    .into());
                }
            }
        }
    }
    let missing: Vec<String> = plan
        .platforms()
        .flat_map(|platform| platform.binaries.iter().map(move |binary| (platform, binary)))
        .filter(|(platform, binary)| !found.contains_key(&(platform.build.clone(), (*binary).clone())))
        .map(|(platform, binary)| format!("'{}' for {}", binary.name, platform.platform))
        .collect();
    match missing.is_empty() {
        true => Ok(Bundles { rust_version, auditable, linkers, artifacts: take(plan, &found)? }),
        false => Err(Failure::new(Class::Config, format!("no bundle has {}", missing.join(", ")))
            .hint("compile what is missing: `cargo multiarch compile --platform PLATFORM --out DIR`")
            .hint("or publish less: `--platform`")
            .into()),
    }
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

fn unwanted(dir: &Utf8Path, platforms: &[Platform], binary: &str) -> Failure {
    let what = format!("bundle {dir} has '{binary}' for {}, which is not what would be compiled here", list(platforms));
    Failure::new(Class::Config, what)
        .hint("the platforms, features, profile, flags and packages must be the same for `compile` and `publish`")
        .hint("see what is wanted here: `cargo multiarch plan --message-format json`")
}
