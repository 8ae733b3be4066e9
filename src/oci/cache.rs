//! Blobs of bases in the user's cache folder, by digest: verified when they are written and when they are read.
//! Several runs may use it at once.

use std::io::Seek;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;

use super::digest::{StreamHash, hash_reader};
use super::layer::compression_of;
use super::layer_scan::ScannedLayer;
use super::rootfs::SCAN_VERSION;
use crate::error::{Class, Failure};
use crate::fs::{self, write_atomically};

pub(crate) struct Cache {
    dir: Utf8PathBuf,
}

impl Cache {
    pub(crate) fn new(dir: &Utf8Path) -> Cache {
        Cache { dir: dir.to_owned() }
    }

    /// Fails where it cannot be written, before anything is compiled.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        fs::check_writable(&self.dir).map_err(|error| unusable(format!("{}: {error}", self.dir)))
    }

    /// The file of a blob; `fetch` writes it where the cache has none with the right bytes.
    pub(crate) fn blob(
        &self,
        blob: &Descriptor,
        fetch: impl FnOnce(&mut std::fs::File) -> Result<()>,
    ) -> Result<Utf8PathBuf> {
        let digest = blob.digest();
        let dir = self.dir.join("blobs").join(digest.algorithm().as_ref());
        let path = dir.join(digest.digest());
        if let Ok(file) = fs_err::File::open(&path) {
            // What is damaged is replaced in one step: another run may have done so by now.
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
                format!("the registry served {size} bytes with sha256:{sha256} as {digest} of {} bytes", blob.size()),
            )
            .hint("what is stored there is damaged, or a proxy changes it: tell whoever runs it")
            .into());
        }
        fs::persist(file, &path)?;
        Ok(path)
    }

    /// Its folder, for temporary files as well: the one that is usual for those may be in memory.
    pub(crate) fn dir(&self) -> Result<&Utf8Path> {
        self.create_dir(&self.dir)?;
        Ok(&self.dir)
    }

    /// A file without a name, gone when it is closed.
    pub(crate) fn temporary(&self) -> Result<std::fs::File> {
        Ok(tempfile::tempfile_in(self.dir()?)?)
    }

    /// What a layer holds; `read` finds it out where it is not known.
    pub(crate) fn layer(
        &self,
        layer: &Descriptor,
        read: impl FnOnce() -> Result<ScannedLayer>,
    ) -> Result<ScannedLayer> {
        if let Some(known) = self.known_layer(layer) {
            return Ok(known);
        }
        let scanned = read()?;
        if let Some(path) = self.layer_path(layer) {
            self.create_dir(path.parent().unwrap_or(&self.dir))?;
            write_atomically(&path, &serde_json::to_vec(&scanned)?)?;
        }
        Ok(scanned)
    }

    /// What a layer holds, where it was read before.
    pub(crate) fn known_layer(&self, layer: &Descriptor) -> Option<ScannedLayer> {
        serde_json::from_slice(&fs_err::read(self.layer_path(layer)?).ok()?).ok()
    }

    /// By its digest, and how its bytes are said to be compressed: said otherwise, they are no layer.
    fn layer_path(&self, layer: &Descriptor) -> Option<Utf8PathBuf> {
        let compression = compression_of(layer.media_type().as_ref())?;
        let digest = layer.digest();
        let name = format!("{}-{}.{compression}.json", digest.algorithm(), digest.digest());
        // A layer of an older form says less than is asked of it now.
        Some(self.dir.join(format!("layers-{SCAN_VERSION}")).join(name))
    }

    fn create_dir(&self, dir: &Utf8Path) -> Result<(), Failure> {
        fs_err::create_dir_all(dir).map_err(unusable)
    }
}

fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::new(Class::Other, format!("the cache cannot be written: {error}"))
        .hint("name another folder: `XDG_CACHE_HOME=/some/folder`")
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
    fn a_layer_of_an_older_form_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let cache = Cache::new(dir);
        let known = cache.layer_path(&descriptor(LAYER)).unwrap();
        for older in ["layers".to_owned(), format!("layers-{}", SCAN_VERSION - 1)] {
            fs_err::create_dir_all(dir.join(&older)).unwrap();
            fs_err::write(dir.join(older).join(known.file_name().unwrap()), "[]").unwrap();
        }
        assert_eq!(cache.layer(&descriptor(LAYER), || Ok(scanned())).unwrap(), scanned());
        assert_eq!(cache.layer(&descriptor(LAYER), || anyhow::bail!("it is known")).unwrap(), scanned());
    }

    #[test]
    fn bytes_are_a_layer_as_their_media_type_has_them() {
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
