//! Blobs of bases in the user's cache folder, by digest: verified when they are written and when they are read.
//! Several runs may use it at once.

use std::io::Seek;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;

use crate::compile::artifact::hash;
use crate::error::{Class, Failure};
use crate::files::{self, replace};
use crate::image::tree::{FORM, Tree};

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

    /// The folders and links of a base, by its manifest's digest; `read` finds them out where they are not known.
    pub fn tree(&self, manifest: &str, read: impl FnOnce() -> Result<Tree>) -> Result<Tree> {
        // A tree of an older form says less than is asked of it now.
        let dir = self.dir.join(format!("trees-{FORM}"));
        let path = dir.join(format!("{}.json", manifest.replace(':', "-")));
        if let Some(tree) = fs_err::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok()) {
            return Ok(tree);
        }
        let tree = read()?;
        self.make(&dir)?;
        replace(&path, &serde_json::to_vec(&tree)?)?;
        Ok(tree)
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

    #[test]
    fn a_tree_of_an_older_form_is_read_anew() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        for older in ["trees".to_owned(), format!("trees-{}", FORM - 1)] {
            fs_err::create_dir_all(dir.join(&older)).unwrap();
            fs_err::write(dir.join(older).join("sha256-x.json"), r#"{"etc/passwd":"Other"}"#).unwrap();
        }
        let cache = Cache::new(dir);
        let mut tree = Tree::default();
        tree.insert("etc/passwd", crate::image::tree::Node::Text("bob:x:7:8::/:\n".to_owned()));
        assert_eq!(cache.tree("sha256:x", || Ok(tree.clone())).unwrap(), tree);
        assert_eq!(cache.tree("sha256:x", || anyhow::bail!("it is known")).unwrap(), tree);
    }
}
