//! Writes and reads bundles: directories of compiled binaries with a manifest, which can be published from another
//! machine.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::toolchain::Toolchain;
use super::{Artifact, Artifacts, CompileRequest};
use crate::config::choices::Auditable;
use crate::elf::RuntimeRequirements;
use crate::error::{Class, Failure};
use crate::fs::{self, Replaceable};
use crate::oci::digest::{hash_reader, hex};
use crate::plan::{Binary, Build, BuildSettings, Commit};
use crate::platform::Platform;

/// The manifest's file name in a bundle directory.
pub(crate) const MANIFEST: &str = "multiarch-bundle.json";
/// The version of the manifest format. It is incremented when a field is removed or its meaning changes, but not when a
/// field is added.
const VERSION: u32 = 1;

/// The contents of a bundle's `.gitignore`, which keeps git from reporting the bundle as untracked.
const IGNORE: &str = "# made by cargo multiarch compile\n*\n";

/// A bundle's manifest, which lists its contents and the sources it was compiled from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BundleManifest {
    pub version: u32,
    pub tool: String,
    pub rust_version: String,
    /// Whether the binaries were compiled with cargo-auditable.
    pub auditable: bool,
    /// The commit, in the same format as in image labels, or `None` outside a git repository.
    pub revision: Option<String>,
    /// The SHA-256 digest of Cargo.lock, or `None` if the file does not exist.
    pub cargo_lock: Option<String>,
    pub builds: Vec<BundledBuild>,
}

/// The binaries of one build.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BundledBuild {
    /// The platforms that use these binaries.
    pub platforms: Vec<Platform>,
    pub triple: String,
    pub linker: String,
    /// The build settings, which must be the same as those of a build in the plan that uses the bundle.
    pub settings: serde_json::Value,
    pub binaries: Vec<BundledBinary>,
}

/// A binary in a bundle.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct BundledBinary {
    pub name: String,
    pub package: String,
    /// Path relative to the bundle directory.
    pub file: Utf8PathBuf,
    /// Size in bytes.
    pub size: u64,
    /// Hexadecimal SHA-256 digest.
    pub sha256: String,
    /// The binary's runtime requirements, as information for users and other tools. `publish` ignores this field and
    /// inspects the binary itself.
    #[serde(flatten, skip_deserializing)]
    pub runtime_requirements: Option<RuntimeRequirements>,
}

/// Fails if the output directory is not writable, or if it contains anything other than an earlier bundle. Called
/// before compiling.
pub(crate) fn check_output_dir(dir: &Utf8Path) -> Result<(), Failure> {
    let is_bundle = dir.join(MANIFEST).is_file();
    // An interrupted run leaves behind a directory with this `.gitignore`, but without a manifest.
    let is_incomplete = || fs_err::read_to_string(dir.join(".gitignore")).is_ok_and(|text| text == IGNORE);
    let earlier = Replaceable { name: "an earlier bundle", is_present: is_bundle || is_incomplete() };
    fs::check_output_dir(&format!("--out {dir}"), dir, &earlier, "specify a directory: `--out dist`")?;
    fs::check_writable(dir).map_err(|error| {
        Failure::new(Class::Config, format!("cannot write to --out {dir}: {error}"))
            .hint("specify a writable directory: `--out dist`")
    })?;
    let replaceable = if is_bundle { read(dir).map(drop) } else { Ok(()) };
    replaceable.map_err(|error| {
        Failure::new(Class::Config, format!("cannot replace the bundle in --out {dir}: {error:#}"))
            .hint(format!("remove it: `rm -r {dir}`"))
    })
}

/// Writes the compiled binaries to a directory, replacing any earlier bundle. Returns the paths of the binaries.
pub(crate) fn write(
    dir: &Utf8Path,
    toolchain: &Toolchain,
    commit: Option<&Commit>,
    artifacts: &Artifacts,
) -> Result<Vec<Utf8PathBuf>> {
    if dir.join(MANIFEST).is_file() {
        remove_binaries(dir)?;
    }
    fs_err::create_dir_all(dir)?;
    fs_err::write(dir.join(".gitignore"), IGNORE)?;
    let mut builds = Vec::new();
    for build in toolchain.request.sorted_builds() {
        builds.push(write_build(dir, build, toolchain, artifacts)?);
    }
    let files = builds.iter().flat_map(|build| &build.binaries).map(|binary| dir.join(&binary.file)).collect();
    let manifest = BundleManifest {
        version: VERSION,
        tool: concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")).to_owned(),
        rust_version: toolchain.facts.rust.version.clone(),
        auditable: toolchain.auditable,
        revision: commit.map(Commit::revision),
        cargo_lock: hash_cargo_lock(&toolchain.request)?,
        builds,
    };
    // Write the manifest last, so that an interrupted run does not leave behind a bundle that looks complete.
    fs::write_atomically(&dir.join(MANIFEST), &serde_json::to_vec_pretty(&manifest)?)?;
    Ok(files)
}

/// Removes the manifest and the binaries of an earlier bundle.
fn remove_binaries(dir: &Utf8Path) -> Result<()> {
    let earlier = read(dir)?;
    fs_err::remove_file(dir.join(MANIFEST))?;
    for binary in earlier.builds.iter().flat_map(|build| &build.binaries) {
        let parent = binary.file.parent().map(|parent| dir.join(parent));
        if let Some(parent) = parent.filter(|parent| parent.is_dir() && parent != dir) {
            fs_err::remove_dir_all(parent)?;
        }
    }
    Ok(())
}

/// Copies the binaries of one build into a bundle.
fn write_build(dir: &Utf8Path, build: &Build, toolchain: &Toolchain, artifacts: &Artifacts) -> Result<BundledBuild> {
    let settings = describe(&build.settings)?;
    // Include a digest of the settings in the name, because a triple can be compiled more than once with different
    // settings.
    let digest = hex(&Sha256::digest(settings.to_string()));
    let build_dir = Utf8PathBuf::from(format!("{}-{}", build.settings.triple, &digest[..8]));
    let mut binaries = Vec::new();
    for binary in &build.binaries {
        let Some(artifact) = artifacts.get(&(build.settings.clone(), binary.clone())) else { continue };
        let file = build_dir.join(&binary.name);
        fs_err::create_dir_all(dir.join(&build_dir))?;
        fs_err::copy(&artifact.path, dir.join(&file))?;
        binaries.push(BundledBinary {
            name: binary.name.clone(),
            package: binary.package.clone(),
            file,
            size: artifact.size,
            sha256: artifact.sha256.clone(),
            runtime_requirements: Some(artifact.elf.runtime_requirements()),
        });
    }
    Ok(BundledBuild {
        platforms: build.platforms.iter().copied().collect(),
        triple: build.settings.triple.clone(),
        linker: toolchain.linker_name(&build.settings),
        settings,
        binaries,
    })
}

/// Returns the settings in the form that bundles store and compare. The values of environment variables are replaced
/// with their digests, because they may be secret.
fn describe(settings: &BuildSettings) -> Result<serde_json::Value> {
    let mut described = serde_json::to_value(settings)?;
    let digests = settings.env.iter().map(|(name, value)| (name.clone(), hex(&Sha256::digest(value)).into()));
    described["env"] = serde_json::Value::Object(digests.collect());
    Ok(described)
}

/// Returns the SHA-256 digest of Cargo.lock, or `None` if the file does not exist.
fn hash_cargo_lock(request: &CompileRequest) -> Result<Option<String>> {
    let path = request.paths.root.join("Cargo.lock");
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(hash_reader(fs_err::File::open(path)?)?.sha256))
}

/// The requested binaries, read from bundles whose commit, lock file and settings match the current plan.
#[derive(Debug)]
pub(crate) struct Bundles {
    pub rust_version: String,
    pub auditable: bool,
    /// The display name of each build's linker.
    pub linkers: BTreeMap<BuildSettings, String>,
    pub artifacts: Artifacts,
    /// The directories that the user specified.
    pub dirs: Vec<Utf8PathBuf>,
}

/// A bundle directory and its parsed manifest.
struct Bundle {
    dir: Utf8PathBuf,
    manifest: BundleManifest,
}

/// A requested binary, and the bundle that contains it.
struct SelectedBinary {
    bundle_dir: Utf8PathBuf,
    bundled: BundledBinary,
}

/// The selected binaries, keyed by build settings and binary.
type SelectedBinaries = BTreeMap<(BuildSettings, Binary), SelectedBinary>;

impl Bundles {
    /// Reads the bundles in the given directories or their immediate subdirectories, and copies their binaries to the
    /// work directory. Fails unless the bundles contain exactly the requested binaries.
    pub(crate) fn open(dirs: &[Utf8PathBuf], request: &CompileRequest, commit: Option<&Commit>) -> Result<Bundles> {
        let mut bundles = Vec::new();
        for dir in dirs {
            let bundle_dirs = bundle_dirs(dir);
            if bundle_dirs.is_empty() {
                return Err(Failure::new(Class::Config, format!("no bundle found in {dir}: {MANIFEST} is missing"))
                    .hint("create one: `cargo multiarch compile --out DIR`")
                    .into());
            }
            for dir in bundle_dirs {
                bundles.push(Bundle { manifest: read(&dir)?, dir });
            }
        }
        let revision = commit.map(Commit::revision);
        let cargo_lock = hash_cargo_lock(request)?;
        for bundle in &bundles {
            check_origin(bundle, revision.as_deref(), cargo_lock.as_deref())?;
        }
        let rust_version = bundles.first().map(|bundle| bundle.manifest.rust_version.clone()).unwrap_or_default();
        let auditable = check_auditable(&bundles, request.options.auditable)?;
        let mut linkers = BTreeMap::new();
        let mut selected = SelectedBinaries::new();
        let descriptions = request.builds.iter().map(|build| describe(&build.settings)).collect::<Result<Vec<_>>>()?;
        for bundle in bundles {
            check_rust_version(&bundle, &rust_version)?;
            for bundled in bundle.manifest.builds {
                // `select` reports builds whose settings do not match the plan.
                let build = descriptions.iter().position(|description| *description == bundled.settings);
                let build = build.and_then(|index| request.builds.get(index));
                if let Some(build) = build.filter(|_| !bundled.binaries.is_empty()) {
                    linkers.insert(build.settings.clone(), bundled.linker.clone());
                }
                select(&mut selected, &bundle.dir, bundled, build)?;
            }
        }
        check_complete(&selected, &request.builds)?;
        let artifacts = copy(&selected, request)?;
        Ok(Bundles { rust_version, auditable, linkers, artifacts, dirs: dirs.to_owned() })
    }
}

/// Copies the selected binaries to the work directory. Fails if a file does not match its digest in the manifest.
fn copy(selected: &SelectedBinaries, request: &CompileRequest) -> Result<Artifacts> {
    let mut artifacts = Artifacts::new();
    let dir = request.paths.work_dir().join("+artifacts/bundles");
    for (number, ((settings, binary), SelectedBinary { bundle_dir, bundled })) in selected.iter().enumerate() {
        let from = bundle_dir.join(&bundled.file);
        let changed = || {
            Failure::new(Class::Verify, format!("{from} is missing or does not match the bundle's manifest"))
                .hint(format!("recompile the bundle, or transfer it again (expected sha256: {})", bundled.sha256))
        };
        let hash = fs_err::File::open(&from).and_then(hash_reader).map_err(|_| changed())?;
        if hash.sha256 != bundled.sha256 {
            return Err(changed().into());
        }
        let artifact = Artifact::copy(&from, &dir.join(number.to_string()), binary)?;
        if let Some(build) = request.builds.iter().find(|build| build.settings == *settings) {
            artifact.check_floor(&binary.name, &build.name(), settings.glibc.as_deref())?;
        }
        artifacts.insert((settings.clone(), binary.clone()), artifact);
    }
    Ok(artifacts)
}

/// Returns `dir` itself if it is a bundle, or otherwise its immediate subdirectories that are bundles, sorted by path.
fn bundle_dirs(dir: &Utf8Path) -> Vec<Utf8PathBuf> {
    let is_bundle = |dir: &Utf8Path| dir.join(MANIFEST).is_file();
    if is_bundle(dir) {
        return vec![dir.to_owned()];
    }
    let entries = dir.read_dir_utf8().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.into_path()));
    let mut dirs: Vec<Utf8PathBuf> = entries.filter(|entry| is_bundle(entry)).collect();
    dirs.sort_unstable();
    dirs
}

fn read(dir: &Utf8Path) -> Result<BundleManifest> {
    let path = dir.join(MANIFEST);
    let unreadable = |reason: String| {
        Failure::new(Class::Config, format!("cannot read {path}: {reason}"))
            .hint("recompile the bundle with this version of cargo-multiarch: `cargo multiarch compile --out DIR`")
    };
    let text = fs_err::read(&path).with_context(|| format!("bundle {dir}"))?;
    let json: serde_json::Value = serde_json::from_slice(&text).map_err(|error| unreadable(error.to_string()))?;
    if json["version"] != VERSION {
        return Err(unreadable(format!("unsupported version {}, expected {VERSION}", json["version"])).into());
    }
    let manifest: BundleManifest = serde_json::from_value(json).map_err(|error| unreadable(error.to_string()))?;
    let mut files = manifest.builds.iter().flat_map(|build| &build.binaries).map(|entry| &entry.file);
    // Reject paths outside the bundle, because listed files are copied, and deleted when the bundle is replaced.
    let inside = |file: &Utf8PathBuf| file.components().all(|part| matches!(part, Utf8Component::Normal(_)));
    if let Some(file) = files.find(|file| !inside(file)) {
        return Err(unreadable(format!("'{file}' is outside the bundle directory")).into());
    }
    Ok(manifest)
}

/// Fails if a bundle was compiled from a different commit or Cargo.lock.
fn check_origin(bundle: &Bundle, revision: Option<&str>, cargo_lock: Option<&str>) -> Result<(), Failure> {
    let Bundle { dir, manifest } = bundle;
    let differs = |source: &str, found: &str, expected: &str| {
        Failure::new(Class::Config, format!("bundle {dir} was compiled {source}: expected {expected}, found {found}"))
    };
    if manifest.revision.as_deref() != revision {
        let name = |revision: Option<&str>| revision.unwrap_or("no commit").to_owned();
        return Err(differs("from a different commit", &name(manifest.revision.as_deref()), &name(revision))
            .hint("check out the bundle's commit, or recompile the bundle"));
    }
    if manifest.cargo_lock.as_deref() != cargo_lock {
        let short = |digest: Option<&str>| digest.map_or("none", |digest| &digest[..digest.len().min(12)]).to_owned();
        return Err(differs("with a different Cargo.lock", &short(manifest.cargo_lock.as_deref()), &short(cargo_lock))
            .hint(
                "commit Cargo.lock, check with `git status` that no build step modifies it, and recompile the bundle",
            ));
    }
    Ok(())
}

/// Returns whether the bundles were compiled with cargo-auditable. Fails if only some of them were, or if they do not
/// match the requested setting.
fn check_auditable(bundles: &[Bundle], requested: Auditable) -> Result<bool, Failure> {
    let any = bundles.iter().any(|bundle| bundle.manifest.auditable);
    let fits = |bundle: &Bundle| match requested {
        Auditable::Auto => bundle.manifest.auditable == any,
        Auditable::Always => bundle.manifest.auditable,
        Auditable::Never => !bundle.manifest.auditable,
    };
    match bundles.iter().find(|bundle| !fits(bundle)) {
        None => Ok(any),
        Some(Bundle { dir, manifest }) => {
            let used = if manifest.auditable { "with" } else { "without" };
            let message = format!(
                "bundle {dir} was compiled {used} cargo-auditable, which conflicts with another bundle or the \
                 `auditable` setting"
            );
            Err(Failure::new(Class::Config, message).hint("set auditable = true or false, and recompile the bundles"))
        }
    }
}

/// Fails if a bundle was compiled with a different version of rustc than the first bundle.
fn check_rust_version(Bundle { dir, manifest }: &Bundle, first: &str) -> Result<(), Failure> {
    if manifest.rust_version == first {
        return Ok(());
    }
    let message = format!(
        "bundle {dir} was compiled with rustc {}, but another bundle was compiled with rustc {first}",
        manifest.rust_version
    );
    Err(Failure::new(Class::Config, message)
        .hint("pin the toolchain in rust-toolchain.toml, and recompile the bundles"))
}

/// Adds the binaries of a bundled build to `selected`. `build` is the requested build with the same settings, if any.
fn select(
    selected: &mut SelectedBinaries,
    bundle_dir: &Utf8Path,
    bundled: BundledBuild,
    build: Option<&Build>,
) -> Result<(), Failure> {
    for entry in bundled.binaries {
        let is_same = |binary: &&Binary| binary.name == entry.name && binary.package == entry.package;
        let requested = build.and_then(|build| Some((build, build.binaries.iter().find(is_same)?)));
        let Some((build, binary)) = requested else {
            return Err(not_requested(bundle_dir, &bundled.platforms, &entry.name));
        };
        let key = (build.settings.clone(), binary.clone());
        let new = SelectedBinary { bundle_dir: bundle_dir.to_owned(), bundled: entry };
        if let Some(SelectedBinary { bundle_dir: other, .. }) = selected.insert(key, new) {
            let platforms = list(&bundled.platforms);
            let message = format!("'{}' for {platforms} is in two bundles: {other} and {bundle_dir}", binary.name);
            return Err(Failure::new(Class::Config, message).hint("remove one of them from `--artifacts`"));
        }
    }
    Ok(())
}

/// Fails if a requested binary is missing from all bundles.
fn check_complete(selected: &SelectedBinaries, builds: &[Build]) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for build in builds {
        for binary in &build.binaries {
            if !selected.contains_key(&(build.settings.clone(), binary.clone())) {
                missing.extend(build.platforms.iter().map(|platform| format!("'{}' for {platform}", binary.name)));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Class::Config, format!("no bundle contains {}", missing.join(", ")))
        .hint("compile the missing binaries: `cargo multiarch compile --platform PLATFORM --out DIR`")
        .hint("or publish only some platforms: `--platform PLATFORM`"))
}

fn list(platforms: &[Platform]) -> String {
    platforms.iter().map(Platform::to_string).collect::<Vec<_>>().join(", ")
}

fn not_requested(dir: &Utf8Path, platforms: &[Platform], binary: &str) -> Failure {
    let message =
        format!("bundle {dir} contains '{binary}' for {}, which does not match the current plan", list(platforms));
    Failure::new(Class::Config, message)
        .hint("use the same platforms, features, profile, flags and packages for `compile` and `publish`")
        .hint(format!("compare {dir}/{MANIFEST} with the plan: `cargo multiarch plan --message-format json`"))
}
