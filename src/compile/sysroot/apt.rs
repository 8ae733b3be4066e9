//! Fetches and unpacks Debian packages of other architectures, with apt's own programs, in folders of our own: no root,
//! and the machine's packages, lists and architectures stay as they are. Its sources, keys, pins and proxies are used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::packages::{self, ClosureError, DebianPackage};
use super::relocate;
use crate::compile::facts::Sysroot;
use crate::compile::linker::errors::sysroot_by_hand;
use crate::error::{Class, Failure, failure_class, message_with_causes};
use crate::fs;
use crate::oci::digest;
use crate::platform::Libc;
use crate::process::Cmd;
use crate::ui::Ui;

/// The programs that are called.
pub(crate) const PROGRAMS: [&str; 3] = ["apt-get", "apt-cache", "dpkg-deb"];

/// In a sysroot: what it was made of, written last.
const RECORD: &str = "multiarch.list";

/// How long a sysroot is used before apt is asked for newer versions.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Fetches every sysroot that is missing or stale. `cache_dir` keeps apt's lists and the packages.
pub(crate) fn fetch(sysroots: &BTreeMap<String, Sysroot>, cache_dir: &Utf8Path, offline: bool, ui: &Ui) -> Result<()> {
    for sysroot in sysroots.values() {
        let before = read_record(sysroot);
        if before.is_some() && (offline || is_fresh(sysroot)) {
            continue;
        }
        let names = packages::request_line(&sysroot.packages);
        ui.status("Fetching", format!("{names} for {}", sysroot.platform));
        match create_sysroot(&Apt::new(sysroot, cache_dir, offline, ui), before.as_deref()) {
            Err(error) if before.is_some() && failure_class(&error) != Class::Interrupted => {
                ui.warning(format!("{}: what was fetched before is used", message_with_causes(&error)));
            }
            result => result?,
        }
    }
    Ok(())
}

/// The record of a sysroot for the same packages, if there is one.
fn read_record(sysroot: &Sysroot) -> Option<String> {
    let record = fs_err::read_to_string(sysroot.dir.join(RECORD)).ok()?;
    (record.lines().next() == Some(packages::request_line(&sysroot.packages).as_str())).then_some(record)
}

fn is_fresh(sysroot: &Sysroot) -> bool {
    let age = fs_err::metadata(sysroot.dir.join(RECORD))
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age < FRESH)
}

/// Creates a sysroot, unless `before`, the record of the existing one, lists the same packages.
fn create_sysroot(apt: &Apt<'_>, before: Option<&str>) -> Result<()> {
    let Apt { sysroot, ui, .. } = *apt;
    apt.create_dirs()?;
    let _alone =
        fs::lock_file(&apt.root.join("lock"), || ui.status("Blocking", format!("another run has {}", apt.root)))?;
    fs_err::write(apt.root.join("apt.conf"), apt.config())?;
    let _progress = ui.bars().elapsed("Fetching");
    let update_errors = if apt.offline { String::new() } else { apt.update()? };
    let closure = packages::closure(&sysroot.packages, |names| apt.show(names)).map_err(|error| match error {
        ClosureError::UnknownPackage(name) => apt.unknown(&name, &update_errors).into(),
        ClosureError::LookUp(error) => error,
    })?;
    let record = packages::record(&sysroot.packages, &closure);
    if before == Some(record.as_str()) {
        return fs::write_atomically(&sysroot.dir.join(RECORD), record.as_bytes());
    }
    apt.download(&closure)?;
    let parent = sysroot.dir.parent().unwrap_or(&sysroot.dir);
    fs_err::create_dir_all(parent)?;
    let new = tempfile::Builder::new().prefix("new-").tempdir_in(parent)?;
    let dir = Utf8Path::from_path(new.path()).context("a temporary folder's name is not UTF-8")?;
    for package in &closure {
        let cmd = Cmd::new("dpkg-deb").args(["-x", apt.archive(package).as_str(), dir.as_str()]);
        ui.command(&cmd);
        let output = cmd.output()?;
        if !output.status.success() {
            let message = format!("cannot unpack {}: {}", package.exactly(), output.stderr.trim());
            return Err(Failure::new(Class::Toolchain, message).hint("is there room? `df -h` says so").into());
        }
    }
    relocate::relocate(dir, &sysroot.multiarch)?;
    fs::write_atomically(&dir.join(RECORD), record.as_bytes())?;
    if sysroot.dir.exists() {
        fs_err::remove_dir_all(&sysroot.dir)?;
    }
    fs_err::rename(new.keep(), &sysroot.dir)?;
    let names = closure.iter().map(|package| format!("{} {}", package.name, package.version)).collect::<Vec<_>>();
    ui.status("Fetched", format!("{} for {}", names.join(", "), sysroot.platform));
    Ok(())
}

/// An apt of its own for one architecture, in the user's cache.
struct Apt<'a> {
    sysroot: &'a Sysroot,
    root: Utf8PathBuf,
    /// Downloaded packages, by hash.
    archives: Utf8PathBuf,
    offline: bool,
    ui: &'a Ui,
}

impl<'a> Apt<'a> {
    fn new(sysroot: &'a Sysroot, cache_dir: &Utf8Path, offline: bool, ui: &'a Ui) -> Apt<'a> {
        let home = cache_dir.join("apt");
        let root = home.join(sysroot.architecture);
        Apt { sysroot, root, archives: home.join("archives"), offline, ui }
    }

    fn create_dirs(&self) -> Result<()> {
        for folder in ["lists/partial", "cache/archives/partial", "state", "log"] {
            fs_err::create_dir_all(self.root.join(folder))?;
        }
        Ok(fs_err::create_dir_all(&self.archives)?)
    }

    /// Laid over the machine's own configuration: its hooks are for its own packages, and its lists of architectures
    /// is not ours. Nothing is installed, so nothing counts as installed.
    fn config(&self) -> String {
        let Apt { sysroot: Sysroot { architecture, .. }, root, .. } = self;
        format!(
            "#clear APT::Architectures;\n#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
             #clear APT::Update::Post-Invoke-Success;\n\
             APT::Architecture \"{architecture}\";\nAPT::Architectures {{ \"{architecture}\"; }};\n\
             APT::Sandbox::User \"root\";\nDir::State \"{root}/state/\";\nDir::State::lists \"{root}/lists/\";\n\
             Dir::State::status \"/dev/null\";\nDir::Cache \"{root}/cache/\";\nDir::Log \"{root}/log/\";\n\
             Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n\
             Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled \"false\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n"
        )
    }

    fn command(&self, program: &str) -> Cmd {
        let config = self.root.join("apt.conf");
        Cmd::new(program).args(["-c", config.as_str(), "-q=2"]).env("LC_ALL", "C")
    }

    /// What apt said that it could not fetch: the lists that are wanted may be there all the same.
    fn update(&self) -> Result<String> {
        let cmd = self.command("apt-get").arg("update");
        self.ui.command(&cmd);
        Ok(cmd.output()?.stderr)
    }

    /// The packages that the lists have among `names`.
    fn show(&self, names: &BTreeSet<String>) -> Result<Vec<DebianPackage>> {
        // It fails where it knows none of them.
        let cmd = self.command("apt-cache").args(["show", "--no-all-versions"]).args(names);
        Ok(packages::parse(&cmd.output()?.stdout))
    }

    fn archive(&self, package: &DebianPackage) -> Utf8PathBuf {
        self.archives.join(format!("{}.deb", package.sha256))
    }

    /// Downloads what the cache lacks. apt checks it against the signed lists; what is in the cache is checked here.
    fn download(&self, packages: &BTreeSet<DebianPackage>) -> Result<()> {
        let has = |package: &DebianPackage| -> Result<bool> {
            let path = self.archive(package);
            Ok(path.is_file() && digest::hash_reader(fs_err::File::open(&path)?)?.sha256 == package.sha256)
        };
        let mut missing = Vec::new();
        for package in packages {
            if !has(package)? {
                missing.push(package);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let names = || missing.iter().map(|package| package.exactly());
        let request = format!("{} for {}", names().collect::<Vec<_>>().join(", "), self.sysroot.platform);
        if self.offline {
            return Err(Failure::new(Class::Toolchain, format!("{request} was not fetched yet"))
                .hint("run the same once without --offline")
                .into());
        }
        let folder = tempfile::tempdir_in(&self.root)?;
        let cmd = self.command("apt-get").arg("download").args(names()).dir(folder.path());
        self.ui.command(&cmd);
        let output = cmd.output()?;
        if !output.status.success() {
            return Err(Failure::new(
                Class::Toolchain,
                format!("apt cannot fetch {request}: {}", complaint(&output.stderr)),
            )
            .hint("run it again: a mirror may have changed meanwhile")
            .hint("see that your sources can be reached: `apt-get update`")
            .into());
        }
        for entry in fs_err::read_dir(folder.path())? {
            let path = entry?.path();
            let sha256 = digest::hash_reader(fs_err::File::open(&path)?)?.sha256;
            fs_err::rename(path, self.archives.join(format!("{sha256}.deb")))?;
        }
        for package in missing {
            if !has(package)? {
                return Err(Failure::new(
                    Class::Toolchain,
                    format!("{}: what apt fetched does not have the hash {}", package.exactly(), package.sha256),
                )
                .hint("run it again: a mirror may have changed meanwhile")
                .into());
            }
        }
        Ok(())
    }

    /// Explains why a requested package is not available. `update_errors` is what apt printed when it fetched the lists.
    fn unknown(&self, name: &str, update_errors: &str) -> Failure {
        let Sysroot { platform, architecture, .. } = self.sysroot;
        let list = format!("_binary-{architecture}_Packages");
        let has_lists = fs_err::read_dir(self.root.join("lists"))
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains(&list)));
        let failure = |message: String| Failure::new(Class::Toolchain, message);
        if has_lists {
            return failure(format!("apt knows no package '{name}' for {platform}")).hint(format!(
                "see what there is: `apt-cache -c {}/apt.conf search --names-only '^lib.*-dev$'`",
                self.root
            ));
        }
        if self.offline {
            return failure(format!("apt's lists for {platform} were not fetched yet"))
                .hint("run the same once without --offline");
        }
        let complaint = complaint(update_errors);
        let message = if complaint.is_empty() {
            format!("apt's sources have nothing for {platform}, Debian's {architecture}")
        } else {
            format!("apt cannot fetch the lists for {platform}, Debian's {architecture}: {complaint}")
        };
        failure(message)
            .hint("see that your sources can be reached: `apt-get update`; while a mirror changes, run it again later")
            .hint(format!(
                "and that they have it: Debian has riscv64 from version 13, Ubuntu has all but amd64 and i386 in its \
                 archive of ports: add a source with [arch={architecture}]"
            ))
            .hint(sysroot_by_hand(platform.triple(Libc::Gnu)))
    }
}

/// The first error in apt's words, or else the first warning, or else whatever it said.
fn complaint(stderr: &str) -> String {
    let first = |prefix: &'static str| stderr.lines().find_map(move |line| line.strip_prefix(prefix));
    first("E: ")
        .or_else(|| first("W: "))
        .or_else(|| first("N: "))
        .or(stderr.lines().last())
        .unwrap_or_default()
        .trim()
        .to_owned()
}
