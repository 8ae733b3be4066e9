//! The workspace as cargo knows it: the one call of `cargo metadata` and what is used of its answer.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use cargo_metadata::MetadataCommand;
use semver::Version;

use super::check_features;
use crate::error::{Class, Failure};

/// The folder that the program runs in.
pub fn current_dir() -> Result<Utf8PathBuf> {
    Utf8PathBuf::try_from(std::env::current_dir()?).context("the current folder's name is not UTF-8")
}

/// The packages of a workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    pub root: Utf8PathBuf,
    pub manifest_path: Utf8PathBuf,
    pub target_dir: Utf8PathBuf,
    /// All members.
    pub packages: Vec<Package>,
    /// What cargo would build here with no `-p`: the package of the current folder, or the default members.
    pub selected: Vec<String>,
    /// They are what was asked for, by `-p`, the current folder or the manifest's, and not all that there is.
    pub narrowed: bool,
    /// The profiles that somebody has defined.
    pub profiles: BTreeSet<String>,
}

/// A member of the workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct Package {
    pub name: String,
    pub version: Version,
    pub manifest_path: Utf8PathBuf,
    /// The names of the binary targets.
    pub bins: Vec<String>,
    pub features: Vec<String>,
    pub description: Option<String>,
    pub license: Option<String>,
    pub repository: Option<String>,
    pub homepage: Option<String>,
}

#[cfg(test)]
impl Package {
    /// A package 1.2.3 in the folder of its name, with nothing in it.
    pub fn named(name: &str) -> Package {
        Package {
            name: name.to_owned(),
            version: Version::new(1, 2, 3),
            manifest_path: format!("/w/{name}/Cargo.toml").into(),
            bins: Vec::new(),
            features: Vec::new(),
            description: None,
            license: None,
            repository: None,
            homepage: None,
        }
    }
}

/// Which workspace is meant, and what of it.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub manifest_path: Option<Utf8PathBuf>,
    /// `-p`, for `wanted`.
    pub packages: Vec<String>,
    pub offline: bool,
}

impl Workspace {
    /// Asks cargo. `current_dir` decides which package is meant, as it does for `cargo build`.
    pub fn load(selection: &Selection, current_dir: &Utf8Path) -> Result<Workspace> {
        let mut command = MetadataCommand::new();
        command.no_deps().current_dir(current_dir);
        if let Some(path) = &selection.manifest_path {
            if !current_dir.join(path).is_file() {
                return Err(no_manifest(path, current_dir).into());
            }
            command.manifest_path(path);
        }
        if selection.offline {
            command.other_options(["--offline".to_owned()]);
        }
        let metadata = command.exec().map_err(explain)?;
        let packages: Vec<Package> = metadata.workspace_packages().into_iter().map(Package::from).collect();
        let here = match &selection.manifest_path {
            Some(path) => current_dir.join(path).parent().map(Utf8Path::to_owned).unwrap_or_default(),
            None => current_dir.to_owned(),
        };
        // Without `..` and links, as cargo's own paths are.
        let here = here.canonicalize_utf8().unwrap_or(here);
        let (selected, narrowed) = match member_at(&metadata, &packages, &here) {
            Some(member) => (vec![member], true),
            None => (metadata.workspace_default_packages().iter().map(|p| p.name.to_string()).collect(), false),
        };
        Ok(Workspace {
            profiles: check_features::profiles(&metadata.workspace_root.join("Cargo.toml"), current_dir),
            manifest_path: metadata.workspace_root.join("Cargo.toml"),
            root: metadata.workspace_root.clone(),
            target_dir: metadata.target_directory.clone(),
            packages,
            selected,
            narrowed,
        })
    }

    /// What stands for a workspace where there is none, or none that can be read: one program.
    pub fn stand_in(dir: &Utf8Path) -> Workspace {
        const NAME: &str = "program";
        let manifest_path = dir.join("Cargo.toml");
        let package = Package {
            name: NAME.to_owned(),
            version: Version::new(0, 0, 0),
            manifest_path: manifest_path.clone(),
            bins: vec![NAME.to_owned()],
            features: Vec::new(),
            description: None,
            license: None,
            repository: None,
            homepage: None,
        };
        Workspace {
            root: dir.to_owned(),
            manifest_path,
            target_dir: dir.join("target"),
            packages: vec![package],
            selected: vec![NAME.to_owned()],
            narrowed: false,
            profiles: BTreeSet::new(),
        }
    }

    pub fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// The package that has a binary of this name.
    pub fn package_of(&self, bin: &str) -> Option<&Package> {
        let has = |package: &&Package| package.bins.iter().any(|name| name == bin);
        let selected = self.selected.iter().filter_map(|name| self.package(name)).find(has);
        selected.or_else(|| self.packages.iter().find(has))
    }
}

/// The member whose folder, or a folder below it, is the current one; none at the workspace's root.
fn member_at(metadata: &cargo_metadata::Metadata, packages: &[Package], here: &Utf8Path) -> Option<String> {
    let folder = |package: &Package| package.manifest_path.parent().map(Utf8Path::to_owned).unwrap_or_default();
    let inside = packages
        .iter()
        .filter(|package| here.starts_with(folder(package)) && folder(package) != metadata.workspace_root)
        .max_by_key(|package| folder(package).as_str().len());
    inside.map(|package| package.name.clone())
}

impl From<&cargo_metadata::Package> for Package {
    fn from(package: &cargo_metadata::Package) -> Self {
        let bins = package.targets.iter().filter(|target| target.is_bin()).map(|target| target.name.clone()).collect();
        Package {
            name: package.name.to_string(),
            version: package.version.clone(),
            manifest_path: package.manifest_path.clone(),
            bins,
            features: package.features.keys().cloned().collect(),
            description: package.description.clone().filter(|text| !text.is_empty()),
            license: package.license.clone(),
            repository: package.repository.clone(),
            homepage: package.homepage.clone(),
        }
    }
}

fn no_manifest(path: &Utf8Path, current_dir: &Utf8Path) -> Failure {
    let failure = |what: &str| Failure::new(Class::Config, format!("--manifest-path {path}: {what}"));
    let inside = path.join("Cargo.toml");
    match current_dir.join(path).is_dir() {
        true if current_dir.join(&inside).is_file() => {
            failure("a folder, and its manifest is wanted").hint(format!("`--manifest-path {inside}`"))
        }
        true => failure("a folder without a Cargo.toml").hint("name the manifest of a package or workspace"),
        false => failure("there is no such file").hint("name the manifest of a package or workspace"),
    }
}

/// cargo's own words, and where there is no manifest what to do.
fn explain(error: cargo_metadata::Error) -> anyhow::Error {
    let cargo_metadata::Error::CargoMetadata { stderr } = error else {
        return Failure::new(Class::Toolchain, error.to_string()).hint("install Rust: https://rustup.rs").into();
    };
    let message = stderr.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or(stderr.trim());
    let failure = Failure::new(Class::Config, message.to_owned());
    match message.starts_with("could not find `Cargo.toml`") {
        true => failure.hint("run it inside a Rust package, or give `--manifest-path path/to/Cargo.toml`").into(),
        false => Failure::new(Class::Config, stderr.trim().trim_start_matches("error: ").to_owned())
            .hint("cargo says the same: `cargo metadata --no-deps --format-version 1`")
            .into(),
    }
}
