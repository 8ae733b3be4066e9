//! Loads the workspace and its packages with `cargo metadata`.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::MetadataCommand;
use semver::Version;

use super::cargo_error;
use super::cargo_profiles::CargoProfiles;
use crate::error::{Class, Failure};

/// Returns the current directory. Fails if its path is not valid UTF-8.
pub(crate) fn current_dir() -> Result<Utf8PathBuf> {
    Utf8PathBuf::try_from(std::env::current_dir()?).context("the path of the current directory is not valid UTF-8")
}

/// A cargo workspace and its selected packages.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Workspace {
    pub root: Utf8PathBuf,
    pub manifest_path: Utf8PathBuf,
    pub target_dir: Utf8PathBuf,
    /// All workspace members.
    pub packages: Vec<Package>,
    /// Names of the packages passed with `-p`. If none were passed, names of the packages that `cargo build` would
    /// select: the one in the current directory, or the default members.
    pub selected: Vec<String>,
    /// Whether the selection comes from `-p`, the current directory or `--manifest-path` instead of the default
    /// members.
    pub has_explicit_selection: bool,
    /// Custom profiles, and overrides of cargo's built-in profiles.
    pub profiles: CargoProfiles,
}

/// A workspace member.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Package {
    pub name: String,
    pub version: Version,
    pub manifest_path: Utf8PathBuf,
    /// Names of the binary targets.
    pub bins: Vec<String>,
    /// The binary that `cargo run` starts, if the manifest sets it.
    pub default_run: Option<String>,
    pub features: Vec<String>,
    pub description: Option<String>,
    pub license: Option<String>,
    pub repository: Option<String>,
    pub homepage: Option<String>,
}

impl Package {
    /// Creates a package with the given binaries and no optional metadata.
    pub(crate) fn with_bins(name: &str, version: Version, manifest_path: Utf8PathBuf, bins: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            version,
            manifest_path,
            bins: bins.iter().map(|bin| (*bin).to_owned()).collect(),
            default_run: None,
            features: Vec::new(),
            description: None,
            license: None,
            repository: None,
            homepage: None,
        }
    }

    /// Creates a package with version 1.2.3, in a directory named after it.
    #[cfg(test)]
    pub(crate) fn for_tests(name: &str, bins: &[&str]) -> Package {
        Package::with_bins(name, Version::new(1, 2, 3), format!("/w/{name}/Cargo.toml").into(), bins)
    }
}

/// Flags that select a workspace and its packages.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub manifest_path: Option<Utf8PathBuf>,
    /// Packages passed with `-p`. Applied later, by `select_packages`.
    pub packages: Vec<String>,
    pub offline: bool,
}

impl Workspace {
    /// Creates a workspace in which all packages are selected.
    pub(crate) fn with_packages(root: &Utf8Path, packages: Vec<Package>) -> Workspace {
        Workspace {
            root: root.to_owned(),
            manifest_path: root.join("Cargo.toml"),
            target_dir: root.join("target"),
            selected: packages.iter().map(|package| package.name.clone()).collect(),
            packages,
            has_explicit_selection: false,
            profiles: CargoProfiles::default(),
        }
    }

    /// Loads the workspace with `cargo metadata`. As in `cargo build`, `current_dir` determines the selected package.
    pub(crate) fn load(selection: &Selection, current_dir: &Utf8Path) -> Result<Workspace> {
        let mut command = MetadataCommand::new();
        command.no_deps().current_dir(current_dir);
        if let Some(path) = &selection.manifest_path {
            if !current_dir.join(path).is_file() {
                return Err(missing_manifest(path, current_dir).into());
            }
            command.manifest_path(path);
        }
        if selection.offline {
            command.other_options(["--offline".to_owned()]);
        }
        let metadata = command.exec().map_err(explain_metadata_error)?;
        let packages: Vec<Package> = metadata.workspace_packages().into_iter().map(Package::from).collect();
        let selected_dir = match &selection.manifest_path {
            Some(path) => current_dir.join(path).parent().map(Utf8Path::to_owned).unwrap_or_default(),
            None => current_dir.to_owned(),
        };
        // Resolve `..` and symbolic links, because the paths that cargo reports contain none.
        let selected_dir = selected_dir.canonicalize_utf8().unwrap_or(selected_dir);
        let member = member_at(&metadata.workspace_root, &packages, &selected_dir);
        let has_explicit_selection = member.is_some();
        let selected = match member {
            Some(member) => vec![member],
            None => metadata.workspace_default_packages().iter().map(|package| package.name.to_string()).collect(),
        };
        Ok(Workspace {
            profiles: CargoProfiles::load(&metadata.workspace_root.join("Cargo.toml"), current_dir),
            manifest_path: metadata.workspace_root.join("Cargo.toml"),
            root: metadata.workspace_root.clone(),
            target_dir: metadata.target_directory.clone(),
            packages,
            selected,
            has_explicit_selection,
        })
    }

    /// Creates a workspace with one package, for use when the actual workspace is missing or unreadable.
    pub(crate) fn placeholder(dir: &Utf8Path) -> Workspace {
        const NAME: &str = "program";
        let package = Package::with_bins(NAME, Version::new(0, 0, 0), dir.join("Cargo.toml"), &[NAME]);
        Workspace::with_packages(dir, vec![package])
    }

    pub(crate) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    pub(crate) fn package_names(&self) -> Vec<&str> {
        self.packages.iter().map(|package| package.name.as_str()).collect()
    }

    /// Returns a package that contains the binary, preferring selected packages.
    pub(crate) fn package_with_bin(&self, bin: &str) -> Option<&Package> {
        let has_bin = |package: &&Package| package.bins.iter().any(|name| name == bin);
        let selected = self.selected.iter().filter_map(|name| self.package(name)).find(has_bin);
        selected.or_else(|| self.packages.iter().find(has_bin))
    }
}

/// Returns the name of the innermost member that contains a directory. Ignores a package in the workspace root.
fn member_at(workspace_root: &Utf8Path, packages: &[Package], dir: &Utf8Path) -> Option<String> {
    let package_dir = |package: &Package| package.manifest_path.parent().map(Utf8Path::to_owned).unwrap_or_default();
    let containing = packages
        .iter()
        .filter(|package| dir.starts_with(package_dir(package)) && package_dir(package) != workspace_root)
        .max_by_key(|package| package_dir(package).as_str().len());
    containing.map(|package| package.name.clone())
}

impl From<&cargo_metadata::Package> for Package {
    fn from(package: &cargo_metadata::Package) -> Self {
        let bins = package.targets.iter().filter(|target| target.is_bin()).map(|target| target.name.clone()).collect();
        Package {
            name: package.name.to_string(),
            version: package.version.clone(),
            manifest_path: package.manifest_path.clone(),
            bins,
            default_run: package.default_run.clone(),
            features: package.features.keys().cloned().collect(),
            description: package.description.clone().filter(|text| !text.is_empty()),
            license: package.license.clone(),
            repository: package.repository.clone(),
            homepage: package.homepage.clone(),
        }
    }
}

fn missing_manifest(path: &Utf8Path, current_dir: &Utf8Path) -> Failure {
    let failure = |problem: &str| Failure::new(Class::Config, format!("--manifest-path {path}: {problem}"));
    let manifest_inside = path.join("Cargo.toml");
    if current_dir.join(&manifest_inside).is_file() {
        failure("expected a Cargo.toml, found a directory").hint(format!("use `--manifest-path {manifest_inside}`"))
    } else if current_dir.join(path).is_dir() {
        failure("the directory does not contain a Cargo.toml").hint("use the path of a package or workspace manifest")
    } else {
        failure("no such file").hint("use the path of a package or workspace manifest")
    }
}

/// Converts an error from `cargo metadata`, adding a hint.
fn explain_metadata_error(error: cargo_metadata::Error) -> anyhow::Error {
    let cargo_metadata::Error::CargoMetadata { stderr } = error else {
        return Failure::new(Class::Toolchain, error.to_string()).hint("install Rust: https://rustup.rs").into();
    };
    let message = cargo_error::message(&stderr);
    if message.starts_with("could not find `Cargo.toml`") {
        return Failure::new(Class::Config, message.lines().next().unwrap_or_default())
            .hint("run the command in a Rust package, or pass `--manifest-path path/to/Cargo.toml`")
            .into();
    }
    Failure::new(Class::Config, message)
        .hint("run `cargo metadata --no-deps --format-version 1` to reproduce the error")
        .into()
}
