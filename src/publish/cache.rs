//! Blobs of bases in the user's cache folder, by digest: verified when they are written and when they are read.
//! Several runs may use it at once.

use std::io::Seek;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;

use crate::compile::artifact::hash;
use crate::error::{Class, Failure};
use crate::files::{self, replace};
use crate::image::scan::Scanned;
use crate::image::tree::FORM;

pub struct Cache {
    dir: Utf8PathBuf,
}

impl Cache {
    pub fn new(dir: &Utf8Path) -> Cache {
        Cache { dir: dir.to_owned() }
    }

    /// The file of a blob; `fetch` writes it where the cache has none with the right bytes.
    pub fn blob(&self, blob: &Descriptor, fetch: impl FnOnce(&mut std::fs::File) -> Result<()>) -> Result<Utf8PathBuf> {
        let digest = blob.digest();
        let dir = self.dir.join("blobs").join(digest.algorithm().as_ref());
        let path = dir.join(digest.digest());
        if let Ok(file) = fs_err::File::open(&path) {
            // What is damaged is replaced in one step: another run may have done so by now.
            if hash(file)? == (digest.digest().to_owned(), blob.size()) {
                return Ok(path);
            }
        }
        self.make(&dir)?;
        let mut file = files::temporary(&path)?;
        fetch(file.as_file_mut())?;
        file.rewind()?;
        let (found, size) = hash(file.as_file())?;
        if (found.as_str(), size) != (digest.digest(), blob.size()) {
            return Err(Failure::new(
                Class::Verify,
                format!("the registry served {size} bytes with sha256:{found} as {digest} of {} bytes", blob.size()),
            )
            .hint("what is stored there is damaged, or a proxy changes it: tell whoever runs it")
            .into());
        }
        files::place(file, &path)?;
        Ok(path)
    }

    /// A file without a name, gone when it is closed: the folder for temporary files may be in memory.
    pub fn temporary(&self) -> Result<std::fs::File> {
        self.make(&self.dir)?;
        Ok(tempfile::tempfile_in(&self.dir)?)
    }

    /// What a layer holds, by its digest; `read` finds it out where it is not known.
    pub fn layer(&self, digest: &str, read: impl FnOnce() -> Result<Scanned>) -> Result<Scanned> {
        if let Some(known) = self.known_layer(digest) {
            return Ok(known);
        }
        let scanned = read()?;
        let path = self.layer_path(digest);
        self.make(path.parent().unwrap_or(&self.dir))?;
        replace(&path, &serde_json::to_vec(&scanned)?)?;
        Ok(scanned)
    }

    /// What a layer holds, where it was read before.
    pub fn known_layer(&self, digest: &str) -> Option<Scanned> {
        serde_json::from_slice(&fs_err::read(self.layer_path(digest)).ok()?).ok()
    }

    fn layer_path(&self, digest: &str) -> Utf8PathBuf {
        // A layer of an older form says less than is asked of it now.
        self.dir.join(format!("layers-{FORM}")).join(format!("{}.json", digest.replace(':', "-")))
    }

    fn make(&self, dir: &Utf8Path) -> Result<(), Failure> {
        fs_err::create_dir_all(dir).map_err(|error| {
            Failure::new(Class::Other, format!("the cache cannot be used: {error}"))
                .hint("name another folder: `XDG_CACHE_HOME=/some/folder`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tree::{Change, Node};

    #[test]
    fn a_layer_of_an_older_form_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for older in ["layers".to_owned(), format!("layers-{}", FORM - 1)] {
            fs_err::create_dir_all(dir.join(&older)).unwrap();
            fs_err::write(dir.join(older).join("sha256-x.json"), "[]").unwrap();
        }
        let cache = Cache::new(dir);
        let changes = vec![("etc".to_owned(), Change::Put(Node::Link("/private/etc".to_owned())))];
        let scanned = Scanned { diff_id: "sha256:y".to_owned(), changes };
        assert_eq!(cache.layer("sha256:x", || Ok(scanned.clone())).unwrap(), scanned);
        assert_eq!(cache.layer("sha256:x", || anyhow::bail!("it is known")).unwrap(), scanned);
    }
}
