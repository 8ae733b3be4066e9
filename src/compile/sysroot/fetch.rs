//! Fetches the packages of sysroots, and unpacks them into separate directories.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::apt::Apt;
use super::archive::{Archive, ArchiveOptions};
use super::packages::{self, ClosureError, DebianPackage};
use super::source::SysrootSource;
use super::{deb, relocate};
use crate::compile::facts::Sysroot;
use crate::error::{Class, Failure, failure_class, message_with_causes};
use crate::fs;
use crate::plan::CargoOptions;
use crate::ui::Ui;

/// The name of the file that lists a sysroot's packages. It is written last, so its presence marks a complete sysroot.
const RECORD: &str = "multiarch.list";

/// How long to use a sysroot before checking for newer packages.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Fetches sysroots from one source.
pub(crate) struct Fetcher<'a> {
    pub source: SysrootSource,
    /// The directory of package lists and packages.
    pub cache_dir: &'a Utf8Path,
    pub options: &'a CargoOptions,
    pub ui: &'a Ui,
}

/// The packages of one architecture.
enum Packages<'a> {
    Apt(Apt<'a>),
    Archive(Archive<'a>),
}

impl Fetcher<'_> {
    /// Fetches every sysroot that is missing or stale.
    pub(crate) fn fetch(&self, sysroots: &BTreeMap<String, Sysroot>) -> Result<()> {
        for sysroot in sysroots.values() {
            let before = read_record(sysroot);
            if before.is_some() && (self.options.offline || is_fresh(sysroot)) {
                continue;
            }
            let names = packages::request_line(&sysroot.packages, sysroot.is_copied);
            self.ui.status("Fetching", format!("{names} for {}", sysroot.platform));
            match self.create_sysroot(sysroot, before.as_deref()) {
                Err(error) if before.is_some() && failure_class(&error) != Class::Interrupted => {
                    self.ui.warning(format!("{}; using the existing sysroot", message_with_causes(&error)));
                }
                result => result?,
            }
        }
        Ok(())
    }

    /// Creates a sysroot. `before` is the record of the existing sysroot. If the packages have not changed, the existing
    /// sysroot is kept and only marked as fresh.
    fn create_sysroot(&self, sysroot: &Sysroot, before: Option<&str>) -> Result<()> {
        let lock_dir = self.cache_dir.join("apt").join(sysroot.architecture);
        fs_err::create_dir_all(&lock_dir)?;
        let _lock = fs::lock_file(&lock_dir.join("lock"), || {
            self.ui.status("Blocking", format!("waiting for another run to release {lock_dir}"));
        })?;
        let _progress = self.ui.bars().elapsed("Fetching");
        let packages = self.open(sysroot)?;
        let closure = packages::closure(&sysroot.packages, sysroot.is_copied, |names| packages.show(names));
        let closure = closure.map_err(|error| match error {
            ClosureError::UnknownPackage(name) => packages.unknown(&name).into(),
            ClosureError::LookUp(error) => error,
        })?;
        let record = packages::record(&sysroot.packages, sysroot.is_copied, &closure);
        if before == Some(record.as_str()) {
            return fs::write_atomically(&sysroot.dir.join(RECORD), record.as_bytes());
        }
        packages.download(&closure)?;
        unpack(&packages, &closure, &record, sysroot)?;
        let names = closure.iter().map(|package| format!("{} {}", package.name, package.version)).collect::<Vec<_>>();
        self.ui.status("Fetched", format!("{} for {}", names.join(", "), sysroot.platform));
        Ok(())
    }

    fn open<'a>(&'a self, sysroot: &'a Sysroot) -> Result<Packages<'a>> {
        let CargoOptions { offline, debian_mirror, debian_keyring, .. } = self.options;
        Ok(match self.source {
            SysrootSource::Archive(verifier) => {
                let options =
                    ArchiveOptions { suites: debian_mirror.clone(), keyring: debian_keyring.clone(), verifier };
                Packages::Archive(Archive::open(&options, sysroot, self.cache_dir, *offline, self.ui)?)
            }
            // Without any source, selecting a linker has already failed.
            SysrootSource::Apt | SysrootSource::None(_) => {
                Packages::Apt(Apt::open(sysroot, self.cache_dir, *offline, self.ui)?)
            }
        })
    }
}

impl Packages<'_> {
    fn show(&self, names: &BTreeSet<String>) -> Result<Vec<DebianPackage>> {
        match self {
            Packages::Apt(apt) => apt.show(names),
            Packages::Archive(archive) => Ok(archive.show(names)),
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        match self {
            Packages::Apt(apt) => apt.unknown(name),
            Packages::Archive(archive) => archive.unknown(name),
        }
    }

    fn download(&self, packages: &BTreeSet<DebianPackage>) -> Result<()> {
        match self {
            Packages::Apt(apt) => apt.download(packages),
            Packages::Archive(archive) => archive.download(packages),
        }
    }

    /// Unpacks a downloaded package into a directory.
    fn unpack(&self, package: &DebianPackage, dir: &Utf8Path) -> Result<()> {
        match self {
            Packages::Apt(apt) => apt.unpack(package, dir),
            Packages::Archive(archive) => deb::unpack(&archive.file(package), dir),
        }
    }
}

/// Unpacks packages into a new directory, which replaces the existing sysroot once it is complete.
fn unpack(packages: &Packages<'_>, closure: &BTreeSet<DebianPackage>, record: &str, sysroot: &Sysroot) -> Result<()> {
    let parent = sysroot.dir.parent().unwrap_or(&sysroot.dir);
    fs_err::create_dir_all(parent)?;
    let new = tempfile::Builder::new().prefix("new-").tempdir_in(parent)?;
    let dir = Utf8Path::from_path(new.path()).context("the path of a temporary directory is not valid UTF-8")?;
    for package in closure {
        packages.unpack(package, dir).map_err(|error| {
            let message = format!("cannot unpack {}: {}", package.with_version(), message_with_causes(&error));
            Failure::new(Class::Toolchain, message).hint("check the available disk space: `df -h`")
        })?;
    }
    relocate::relocate(dir, &sysroot.multiarch)?;
    fs::write_atomically(&dir.join(RECORD), record.as_bytes())?;
    if sysroot.dir.exists() {
        fs_err::remove_dir_all(&sysroot.dir)?;
    }
    fs_err::rename(new.keep(), &sysroot.dir)?;
    Ok(())
}

/// Returns the record of an existing sysroot, if it was created for the same requested packages.
fn read_record(sysroot: &Sysroot) -> Option<String> {
    let record = fs_err::read_to_string(sysroot.dir.join(RECORD)).ok()?;
    let request = packages::request_line(&sysroot.packages, sysroot.is_copied);
    (record.lines().next() == Some(request.as_str())).then_some(record)
}

fn is_fresh(sysroot: &Sysroot) -> bool {
    let age = fs_err::metadata(sysroot.dir.join(RECORD))
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age < FRESH)
}
