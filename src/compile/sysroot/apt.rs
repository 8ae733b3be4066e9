//! Fetches Debian packages for other architectures with apt. This does not require root. It uses the machine's apt sources, keys, pins and proxies, but does not change its packages, lists or
//! architectures.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use camino::{Utf8Path, Utf8PathBuf};

use super::packages::{self, DebianPackage};
use crate::compile::facts::Sysroot;
use crate::compile::linker::errors::sysroot_by_hand;
use crate::error::{Class, Failure};
use crate::oci::digest;
use crate::platform::Libc;
use crate::process::Cmd;
use crate::ui::Ui;

/// The programs that are required for fetching packages.
pub(crate) const PROGRAMS: [&str; 3] = ["apt-get", "apt-cache", "dpkg-deb"];

/// A separate apt environment for one architecture, stored in the user's cache directory.
pub(super) struct Apt<'a> {
    sysroot: &'a Sysroot,
    root: Utf8PathBuf,
    /// The directory of downloaded packages, which are named after their hashes.
    archives: Utf8PathBuf,
    offline: bool,
    ui: &'a Ui,
    /// The errors that apt printed while updating its lists.
    update_errors: String,
}

impl<'a> Apt<'a> {
    /// Updates apt's lists.
    pub(super) fn open(sysroot: &'a Sysroot, cache_dir: &Utf8Path, offline: bool, ui: &'a Ui) -> Result<Apt<'a>> {
        let home = cache_dir.join("apt");
        let root = home.join(sysroot.architecture);
        let mut apt = Apt { sysroot, root, archives: home.join("archives"), offline, ui, update_errors: String::new() };
        apt.create_dirs()?;
        fs_err::write(apt.root.join("apt.conf"), apt.config())?;
        if !offline {
            apt.update_errors = apt.update()?;
        }
        Ok(apt)
    }

    fn create_dirs(&self) -> Result<()> {
        for dir in ["lists/partial", "cache/archives/partial", "state", "log"] {
            fs_err::create_dir_all(self.root.join(dir))?;
        }
        Ok(fs_err::create_dir_all(&self.archives)?)
    }

    /// Returns apt's configuration, which is applied on top of the machine's. It disables the machine's hooks, selects
    /// a single architecture, and uses an empty database of installed packages.
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

    /// Updates apt's lists and returns apt's error output. Errors are not fatal, because the required lists may still
    /// be available.
    fn update(&self) -> Result<String> {
        let cmd = self.command("apt-get").arg("update");
        self.ui.command(&cmd);
        Ok(cmd.output()?.stderr)
    }

    /// Looks up packages by name in apt's lists, and returns those that it finds.
    pub(super) fn show(&self, names: &BTreeSet<String>) -> Result<Vec<DebianPackage>> {
        // Ignore the exit status: apt-cache fails if it finds none of the packages.
        let cmd = self.command("apt-cache").args(["show", "--no-all-versions"]).args(names);
        Ok(packages::parse(&cmd.output()?.stdout))
    }

    fn archive(&self, package: &DebianPackage) -> Utf8PathBuf {
        self.archives.join(format!("{}.deb", package.sha256))
    }

    /// Unpacks a downloaded package into a directory.
    pub(super) fn unpack(&self, package: &DebianPackage, dir: &Utf8Path) -> Result<()> {
        let cmd = Cmd::new("dpkg-deb").args(["-x", self.archive(package).as_str(), dir.as_str()]);
        self.ui.command(&cmd);
        let output = cmd.output()?;
        ensure!(output.status.success(), "{}", output.stderr.trim());
        Ok(())
    }

    /// Downloads the packages that are not in the cache. apt verifies downloads against the signed lists, but cached
    /// files are verified here.
    pub(super) fn download(&self, packages: &BTreeSet<DebianPackage>) -> Result<()> {
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
        let names = || missing.iter().map(|package| package.with_version());
        let request = format!("{} for {}", names().collect::<Vec<_>>().join(", "), self.sysroot.platform);
        if self.offline {
            return Err(Failure::new(Class::Toolchain, format!("not fetched yet: {request}"))
                .hint("run the command once without `--offline`")
                .into());
        }
        let download_dir = tempfile::tempdir_in(&self.root)?;
        let cmd = self.command("apt-get").arg("download").args(names()).dir(download_dir.path());
        self.ui.command(&cmd);
        let output = cmd.output()?;
        if !output.status.success() {
            return Err(Failure::new(
                Class::Toolchain,
                format!("apt cannot fetch {request}: {}", first_error(&output.stderr)),
            )
            .hint("try again: the mirror may have changed during the download")
            .hint("check that your package sources are reachable: `apt-get update`")
            .into());
        }
        for entry in fs_err::read_dir(download_dir.path())? {
            let path = entry?.path();
            let sha256 = digest::hash_reader(fs_err::File::open(&path)?)?.sha256;
            fs_err::rename(path, self.archives.join(format!("{sha256}.deb")))?;
        }
        for package in missing {
            if !has(package)? {
                return Err(Failure::new(
                    Class::Toolchain,
                    format!(
                        "the downloaded package {} does not match the expected sha256 {}",
                        package.with_version(),
                        package.sha256
                    ),
                )
                .hint("try again: the mirror may have changed during the download")
                .into());
            }
        }
        Ok(())
    }

    /// Returns the error for a requested package that is not available.
    pub(super) fn unknown(&self, name: &str) -> Failure {
        let Sysroot { platform, architecture, .. } = self.sysroot;
        let list = format!("_binary-{architecture}_Packages");
        let has_lists = fs_err::read_dir(self.root.join("lists"))
            .is_ok_and(|entries| entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains(&list)));
        let failure = |message: String| Failure::new(Class::Toolchain, message);
        if has_lists {
            return failure(format!("apt cannot find package '{name}' for {platform}")).hint(format!(
                "list available packages: `apt-cache -c {}/apt.conf search --names-only '^lib.*-dev$'`",
                self.root
            ));
        }
        if self.offline {
            return failure(format!("apt's package lists for {platform} have not been fetched yet"))
                .hint("run the command once without `--offline`");
        }
        let update_error = first_error(&self.update_errors);
        let message = if update_error.is_empty() {
            format!("apt's sources contain no packages for {platform} (Debian architecture {architecture})")
        } else {
            format!(
                "apt cannot fetch the package lists for {platform} (Debian architecture {architecture}): {update_error}"
            )
        };
        failure(message)
            .hint("check that your package sources are reachable: `apt-get update`")
            .hint(format!(
                "or add a package source with [arch={architecture}] (riscv64 requires Debian 13 or later; on Ubuntu, \
                 all architectures except amd64 and i386 are on ports.ubuntu.com)"
            ))
            .hint(sysroot_by_hand(platform.triple(Libc::Gnu)))
    }
}

/// Returns the first error in apt's output, or else the first warning, the first notice or the last line.
fn first_error(stderr: &str) -> String {
    let first = |prefix: &'static str| stderr.lines().find_map(move |line| line.strip_prefix(prefix));
    first("E: ")
        .or_else(|| first("W: "))
        .or_else(|| first("N: "))
        .or(stderr.lines().last())
        .unwrap_or_default()
        .trim()
        .to_owned()
}
