//! A cache of base image blobs in the user's cache directory, keyed by digest. Blobs are verified on every read and
//! write. Several runs can use the cache concurrently.

use std::io::Seek;
use std::time::Duration;

use anyhow::Result;
use camino::{Utf8DirEntry, Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;

use super::digest::{StreamHash, hash_reader};
use super::layer::layer_compression;
use super::layer_scan::ScannedLayer;
use super::record::{read_record, write_record};
use super::rootfs::SCAN_VERSION;
use crate::error::{Class, Failure};
use crate::fs;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A cache of blobs and scanned layers.
pub(crate) struct Cache {
    dir: Utf8PathBuf,
}

impl Cache {
    pub(crate) fn new(dir: &Utf8Path) -> Cache {
        Cache { dir: dir.to_owned() }
    }

    /// Checks before compilation that the cache is writable.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        fs::check_writable(&self.dir).map_err(|error| unusable(format!("{}: {error}", self.dir)))
    }

    /// Removes temporary files that killed runs have left behind. Keeps those of the last day, because their runs may not
    /// have ended.
    pub(crate) fn remove_leftovers(&self) -> Result<(), Failure> {
        let subdirectories = |dir: &Utf8Path| -> Vec<Utf8PathBuf> {
            let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
            entries.map(Utf8DirEntry::into_path).filter(|path| path.is_dir()).collect()
        };
        let mut dirs = subdirectories(&self.dir);
        dirs.extend(subdirectories(&self.dir.join("blobs")));
        for dir in dirs {
            fs::remove_old_temporary_files(&dir, DAY).map_err(unusable)?;
        }
        Ok(())
    }

    /// Returns the path of a cached blob. Calls `fetch` to download it if the cache has no valid copy.
    pub(crate) fn blob(
        &self,
        blob: &Descriptor,
        fetch: impl FnOnce(&mut std::fs::File) -> Result<()>,
    ) -> Result<Utf8PathBuf> {
        let digest = blob.digest();
        let dir = self.dir.join("blobs").join(digest.algorithm().as_ref());
        let path = dir.join(digest.digest());
        if let Ok(file) = fs_err::File::open(&path) {
            // Do not delete a damaged blob, but replace it atomically below, since other runs may be using or replacing
            // it.
            let StreamHash { sha256, size } = hash_reader(file)?;
            if (sha256.as_str(), size) == (digest.digest(), blob.size()) {
                return Ok(path);
            }
        }
        self.create_dir(&dir)?;
        let mut file = fs::temporary_file(&path)?;
        fetch(file.as_file_mut())?;
        file.rewind()?;
        let StreamHash { sha256, size } = hash_reader(file.as_file())?;
        if (sha256.as_str(), size) != (digest.digest(), blob.size()) {
            return Err(Failure::new(
                Class::Verify,
                format!(
                    "expected blob {digest} with {} bytes, but the registry sent sha256:{sha256} with {size} bytes",
                    blob.size()
                ),
            )
            .hint("contact the registry's operator: the blob is damaged, or a proxy modified it")
            .into());
        }
        fs::persist(file, &path)?;
        Ok(path)
    }

    /// Returns the cache directory, creating it if needed. It is also used for temporary files, because the default
    /// temporary directory may be in memory.
    pub(crate) fn dir(&self) -> Result<&Utf8Path> {
        self.create_dir(&self.dir)?;
        Ok(&self.dir)
    }

    /// Creates an unnamed temporary file that is removed when it is closed.
    pub(crate) fn temporary(&self) -> Result<std::fs::File> {
        Ok(tempfile::tempfile_in(self.dir()?)?)
    }

    /// Returns a scanned layer from the cache, or else calls `scan` and caches the result.
    pub(crate) fn layer(
        &self,
        layer: &Descriptor,
        scan: impl FnOnce() -> Result<ScannedLayer>,
    ) -> Result<ScannedLayer> {
        if let Some(cached) = self.known_layer(layer) {
            return Ok(cached);
        }
        let scanned = scan()?;
        if let Some(path) = self.layer_path(layer) {
            self.create_dir(path.parent().unwrap_or(&self.dir))?;
            write_record(&path, &scanned)?;
        }
        Ok(scanned)
    }

    /// Returns a scanned layer if it is in the cache.
    pub(crate) fn known_layer(&self, layer: &Descriptor) -> Option<ScannedLayer> {
        read_record(&self.layer_path(layer)?)
    }

    /// Returns the path of a scanned layer's record, or `None` if the media type is not a layer type. The file name
    /// contains the compression, because it determines how the blob is read.
    fn layer_path(&self, layer: &Descriptor) -> Option<Utf8PathBuf> {
        let compression = layer_compression(layer.media_type().as_ref())?;
        let digest = layer.digest();
        let name = format!("{}-{}.{compression}.json", digest.algorithm(), digest.digest());
        // Each format has a separate directory, because records in older formats lack required information.
        Some(self.dir.join(format!("layers-{SCAN_VERSION}")).join(name))
    }

    fn create_dir(&self, dir: &Utf8Path) -> Result<(), Failure> {
        fs_err::create_dir_all(dir).map_err(unusable)
    }
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Other, format!("cannot write to the cache: {error}"))
        .hint("use another directory: `XDG_CACHE_HOME=/path/to/cache`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::rootfs::{FsNode, LayerChange};

    const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn descriptor(media_type: &str) -> Descriptor {
        let json =
            serde_json::json!({ "mediaType": media_type, "digest": format!("sha256:{}", "0".repeat(64)), "size": 1 });
        serde_json::from_value(json).unwrap()
    }

    fn scanned() -> ScannedLayer {
        let changes = vec![("etc".to_owned(), LayerChange::Put(FsNode::Link("/private/etc".to_owned())))];
        ScannedLayer { diff_id: "sha256:y".to_owned(), changes }
    }

    #[test]
    fn layers_in_older_formats_are_scanned_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let cache = Cache::new(dir);
        let path = cache.layer_path(&descriptor(LAYER)).unwrap();
        for older in ["layers".to_owned(), format!("layers-{}", SCAN_VERSION - 1)] {
            fs_err::create_dir_all(dir.join(&older)).unwrap();
            fs_err::write(dir.join(older).join(path.file_name().unwrap()), "[]").unwrap();
        }
        assert_eq!(cache.layer(&descriptor(LAYER), || Ok(scanned())).unwrap(), scanned());
        assert_eq!(cache.layer(&descriptor(LAYER), || anyhow::bail!("must not be scanned again")).unwrap(), scanned());
    }

    #[test]
    fn damaged_records_are_scanned_again() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Utf8Path::from_path(dir.path()).unwrap());
        cache.layer(&descriptor(LAYER), || Ok(scanned())).unwrap();
        let path = cache.layer_path(&descriptor(LAYER)).unwrap();
        let damaged = fs_err::read_to_string(&path).unwrap().replace("sha256:y", "sha256:z");
        fs_err::write(&path, damaged).unwrap();
        assert_eq!(cache.known_layer(&descriptor(LAYER)), None);
        assert_eq!(cache.layer(&descriptor(LAYER), || Ok(scanned())).unwrap(), scanned());
        assert_eq!(cache.known_layer(&descriptor(LAYER)), Some(scanned()));
    }

    #[test]
    fn leftovers_of_killed_runs_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for file in ["blobs/sha256/.tmpOld", "blobs/sha256/.tmpNew", "blobs/sha256/0123", "layers-1/.tmpOld"] {
            let path = dir.join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "x").unwrap();
            if !file.ends_with("New") {
                filetime::set_file_mtime(&path, filetime::FileTime::from_unix_time(1, 0)).unwrap();
            }
        }
        Cache::new(dir).remove_leftovers().unwrap();
        let files = |dir: &Utf8Path| {
            let mut names: Vec<_> =
                dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(files(&dir.join("blobs/sha256")), [".tmpNew", "0123"]);
        assert_eq!(files(&dir.join("layers-1")), [""; 0]);
        Cache::new(&dir.join("missing")).remove_leftovers().unwrap();
    }

    #[test]
    fn scanned_layers_are_found_by_digest_and_compression() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(Utf8Path::from_path(dir.path()).unwrap());
        cache.layer(&descriptor(LAYER), || Ok(scanned())).unwrap();
        for (media_type, known) in [
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", true),
            ("application/vnd.oci.image.layer.v1.tar", false),
            ("application/vnd.oci.image.layer.v1.tar+zstd", false),
            ("application/vnd.in-toto+json", false),
        ] {
            assert_eq!(cache.known_layer(&descriptor(media_type)).is_some(), known, "{media_type}");
        }
    }
}
