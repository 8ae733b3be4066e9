//! Files in an image's layers: streamed, never unpacked (image-spec, layer.md).

use std::collections::BTreeMap;
use std::io::{self, Read};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::{Descriptor, ImageManifest};

use crate::compile::artifact::hash;
use crate::error::{Class, Failure};
use crate::image::layer;
use crate::image::layout::Layout;

/// A regular file, as the uppermost layer that has it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    pub mode: u32,
    /// Hexadecimal.
    pub sha256: String,
}

/// Looks for files by absolute path. What a whiteout hides, or what is not a regular file, is not found.
pub fn find(layout: &Layout, manifest: &ImageManifest, paths: &[String]) -> Result<BTreeMap<String, File>> {
    let mut wanted: BTreeMap<Utf8PathBuf, &String> =
        paths.iter().map(|path| (Utf8PathBuf::from(path.trim_start_matches('/')), path)).collect();
    let mut found = BTreeMap::new();
    for layer in manifest.layers().iter().rev() {
        if wanted.is_empty() {
            break;
        }
        let mut archive = tar::Archive::new(decompress(layout, layer)?);
        let mut hidden = Vec::new();
        for entry in archive.entries().map_err(|error| unreadable(layer, &error))? {
            let mut entry = entry.map_err(|error| unreadable(layer, &error))?;
            let Ok(path) = Utf8PathBuf::from_path_buf(entry.path()?.into_owned()) else { continue };
            let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
            hidden.extend(hides(&path));
            let Some(name) = wanted.get(&path) else { continue };
            if entry.header().entry_type().is_file() {
                let file = File { mode: entry.header().mode()?, sha256: hash(&mut entry)?.0 };
                found.insert((*name).clone(), file);
            }
            wanted.remove(&path);
        }
        wanted.retain(|path, _| !hidden.iter().any(|prefix| path.starts_with(prefix)));
    }
    Ok(found)
}

/// What a whiteout entry removes from the layers below it.
fn hides(path: &Utf8Path) -> Option<Utf8PathBuf> {
    match path.file_name()? {
        ".wh..wh..opq" => path.parent().map(Utf8Path::to_owned),
        name => Some(path.with_file_name(name.strip_prefix(".wh.")?)),
    }
}

fn decompress(layout: &Layout, descriptor: &Descriptor) -> Result<Box<dyn Read>> {
    let media_type = descriptor.media_type().to_string();
    layer::decompress(layout.open_blob(descriptor)?, &media_type)?.ok_or_else(|| {
        Failure::new(Class::Verify, format!("layer {} is of unknown type {media_type}", descriptor.digest()))
            .hint("build it with compression=gzip or zstd")
            .into()
    })
}

fn unreadable(layer: &Descriptor, error: &io::Error) -> Failure {
    Failure::new(Class::Verify, format!("layer {} cannot be read: {error}", layer.digest()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts() {
        let hidden = |path: &str| hides(path.into()).map(Utf8PathBuf::into_string);
        assert_eq!(hidden("usr/bin/.wh.app").as_deref(), Some("usr/bin/app"));
        assert_eq!(hidden("usr/.wh..wh..opq").as_deref(), Some("usr"));
        assert_eq!(hidden("usr/bin/app"), None);
    }
}
