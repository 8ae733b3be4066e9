//! Fetches packages from Debian archives without apt. Every file is verified: the signature of `InRelease`, the hash of the
//! package index that it lists, and the hashes of the packages in the index (Debian repository format).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use chrono::Utc;

use super::packages::{self, DebianPackage};
use super::release::{IndexFile, Release};
use super::signature::{self, Verifier};
use super::{clearsigned, deb, version};
use crate::compile::facts::Sysroot;
use crate::error::{Class, Failure};
use crate::fs::write_atomically;
use crate::oci::digest;
use crate::plan::debian_mirror::Suite;
use crate::registry::{DownloadError, Downloader};
use crate::ui::Ui;

/// Maximum number of bytes of a downloaded file. The largest package index has about 10 MB, the largest package 1 GB.
const SIZE_LIMIT: u64 = 2 << 30;

/// How to access Debian archives.
#[derive(Debug, Clone)]
pub(crate) struct ArchiveOptions {
    pub suites: Vec<Suite>,
    /// The configured keyring.
    pub keyring: Option<Utf8PathBuf>,
    pub verifier: Verifier,
}

/// The packages of one architecture in all configured suites.
pub(crate) struct Archive<'a> {
    sysroot: &'a Sysroot,
    /// The directory of cached files.
    dir: Utf8PathBuf,
    offline: bool,
    ui: &'a Ui,
    downloader: Downloader,
    /// The available versions of each package, best first.
    packages: BTreeMap<String, Vec<Available>>,
}

/// A version of a package that a suite contains.
struct Available {
    package: DebianPackage,
    archive: String,
    priority: u32,
}

impl<'a> Archive<'a> {
    /// Fetches the package indexes.
    pub(crate) fn open(
        options: &ArchiveOptions,
        sysroot: &'a Sysroot,
        cache_dir: &Utf8Path,
        offline: bool,
        ui: &'a Ui,
    ) -> Result<Archive<'a>> {
        let dir = cache_dir.join("debian");
        fs_err::create_dir_all(&dir)?;
        let downloader =
            Downloader::new().map_err(|error| anyhow::anyhow!("cannot create the HTTP client: {error}"))?;
        let mut archive = Archive { sysroot, dir, offline, ui, downloader, packages: BTreeMap::new() };
        let keyring = signature::keyring(options.keyring.as_deref(), &archive.dir)?;
        for suite in &options.suites {
            let release = archive.release(suite, options.verifier, &keyring)?;
            archive.add_packages(suite, &release)?;
        }
        for versions in archive.packages.values_mut() {
            versions.sort_by(|a, b| {
                let by_priority = b.priority.cmp(&a.priority);
                by_priority.then_with(|| version::compare(&b.package.version, &a.package.version))
            });
        }
        Ok(archive)
    }

    /// Returns a suite's `Release` file, with a verified signature. `InRelease` contains both, so that they always match.
    fn release(&self, suite: &Suite, verifier: Verifier, keyring: &Utf8Path) -> Result<Release> {
        let cached = self.dir.join(format!("release-{}", sha256(suite.to_string().as_bytes())?));
        let url = suite.url("InRelease");
        if self.offline {
            let content = fs_err::read_to_string(&cached);
            let content = content.map_err(|_| self.not_fetched(&format!("the package lists of {suite}")))?;
            return Ok(Release::parse(&self.verified(&content, &url, verifier, keyring)?));
        }
        let content = self.get(&url)?;
        let release = Release::parse(&self.verified(&String::from_utf8_lossy(&content), &url, verifier, keyring)?);
        if let Some(problem) = release.problem(&suite.name, Utc::now()) {
            return Err(Failure::new(Class::Toolchain, format!("{url} {problem}"))
                .hint("check debian-mirror: the mirror may be out of date, or the suite misspelled")
                .into());
        }
        write_atomically(&cached, &content)?;
        Ok(release)
    }

    /// Returns the signed text of a file with a cleartext signature.
    fn verified(&self, content: &str, url: &str, verifier: Verifier, keyring: &Utf8Path) -> Result<String> {
        let Some(signed) = clearsigned::split(content) else {
            return Err(Failure::new(Class::Toolchain, format!("{url} is not signed"))
                .hint("check debian-mirror: the server may have returned a page instead of the file")
                .into());
        };
        let dir = tempfile::tempdir_in(&self.dir)?;
        let dir = Utf8Path::from_path(dir.path()).context("the cache's path is not valid UTF-8")?;
        let (file, signature) = (dir.join("Release"), dir.join("Release.gpg"));
        fs_err::write(&file, &signed.text)?;
        fs_err::write(&signature, &signed.signature)?;
        signature::verify(verifier, keyring, &file, &signature, url, self.ui)?;
        Ok(signed.text)
    }

    fn add_packages(&mut self, suite: &Suite, release: &Release) -> Result<()> {
        let Some(index) = release.packages_index(self.sysroot.architecture) else {
            let (platform, architecture) = (self.sysroot.platform, self.sysroot.architecture);
            let message = format!("{suite} has no packages for {platform} (Debian architecture {architecture})");
            return Err(Failure::new(Class::Toolchain, message)
                .hint("choose another release or mirror in debian-mirror (riscv64 requires Debian 13 or later)")
                .into());
        };
        let content = self.index(suite, &index, release.acquires_by_hash)?;
        let mut text = String::new();
        deb::decompress(&index.path, &content)?
            .read_to_string(&mut text)
            .with_context(|| format!("cannot decompress {}", suite.url(&index.path)))?;
        for package in packages::parse(&text) {
            let available = Available { archive: suite.archive.clone(), priority: release.priority, package };
            self.packages.entry(available.package.name.clone()).or_default().push(available);
        }
        Ok(())
    }

    /// Returns a package index, which is cached by its hash.
    fn index(&self, suite: &Suite, index: &IndexFile, by_hash: bool) -> Result<Vec<u8>> {
        let cached = self.dir.join(format!("index-{}", index.sha256));
        if let Ok(content) = fs_err::read(&cached)
            && sha256(&content)? == index.sha256
        {
            return Ok(content);
        }
        let url = suite.url(&index.download_path(by_hash));
        if self.offline {
            return Err(self.not_fetched(&format!("the package lists of {suite}")));
        }
        let content = self.get(&url)?;
        check_hash(&url, &content, &index.sha256)?;
        write_atomically(&cached, &content)?;
        Ok(content)
    }

    /// Returns the packages with the given names, or names with versions, that the archives contain.
    pub(crate) fn show(&self, names: &BTreeSet<String>) -> Vec<DebianPackage> {
        let find = |name: &String| {
            let (bare, version) =
                name.split_once('=').map_or((name.as_str(), None), |(bare, version)| (bare, Some(version)));
            let mut versions = self.packages.get(bare)?.iter();
            versions.find(|available| version.is_none_or(|version| available.package.version == version))
        };
        names.iter().filter_map(find).map(|available| available.package.clone()).collect()
    }

    /// Returns the path of a downloaded package.
    pub(crate) fn file(&self, package: &DebianPackage) -> Utf8PathBuf {
        self.dir.join(format!("{}.deb", package.sha256))
    }

    /// Downloads the packages that are not in the cache.
    pub(crate) fn download(&self, packages: &BTreeSet<DebianPackage>) -> Result<()> {
        for package in packages {
            let path = self.file(package);
            if path.is_file() && digest::hash_reader(fs_err::File::open(&path)?)?.sha256 == package.sha256 {
                continue;
            }
            if self.offline {
                return Err(self.not_fetched(&format!("{} for {}", package.with_version(), self.sysroot.platform)));
            }
            let url = format!("{}/{}", self.archive_of(package)?, package.filename);
            let content = self.get(&url)?;
            check_hash(&url, &content, &package.sha256)?;
            write_atomically(&path, &content)?;
        }
        Ok(())
    }

    /// Returns the URL of the archive that contains a package.
    fn archive_of(&self, package: &DebianPackage) -> Result<&str> {
        let mut versions = self.packages.get(&package.name).into_iter().flatten();
        let found = versions.find(|available| available.package == *package);
        Ok(&found.with_context(|| format!("no archive contains {}", package.with_version()))?.archive)
    }

    fn get(&self, url: &str) -> Result<Vec<u8>> {
        self.ui.details("Downloading", url);
        self.downloader.download(url, SIZE_LIMIT).map_err(|error| match error {
            DownloadError::Local(error) => error,
            DownloadError::Status(404) => Failure::new(Class::Toolchain, format!("{url} does not exist"))
                .hint("check the URL and the suite in debian-mirror")
                .into(),
            error => Failure::new(Class::Toolchain, format!("cannot download {url}: {error}"))
                .hint(format!("check your network connection with `curl -I {url}`, or use another mirror"))
                .into(),
        })
    }

    fn not_fetched(&self, request: &str) -> anyhow::Error {
        Failure::new(Class::Toolchain, format!("not fetched yet: {request}"))
            .hint("run the command once without `--offline`")
            .into()
    }

    /// Returns the error for a requested package that is not available.
    pub(crate) fn unknown(&self, name: &str) -> Failure {
        let bare = name.split('=').next().unwrap_or(name);
        let message = format!("the Debian mirror has no package '{name}' for {}", self.sysroot.platform);
        let failure = Failure::new(Class::Toolchain, message);
        match self.packages.get(bare) {
            Some(versions) => {
                let versions: Vec<&str> = versions.iter().map(|available| available.package.version.as_str()).collect();
                failure.hint(format!("choose an available version: {}", versions.join(", ")))
            }
            None => failure.did_you_mean(bare, self.packages.keys().map(String::as_str)),
        }
    }
}

/// Returns a hash in hexadecimal, as in package indexes.
fn sha256(content: &[u8]) -> Result<String> {
    Ok(digest::hash_reader(content)?.sha256)
}

fn check_hash(url: &str, content: &[u8], expected: &str) -> Result<()> {
    if sha256(content)? == expected {
        return Ok(());
    }
    Err(Failure::new(Class::Toolchain, format!("{url} does not match the expected sha256 {expected}"))
        .hint("try again: the mirror may have changed during the download")
        .into())
}
