//! A cache of compressed layers, by what they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::MediaType;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fs::{self, write_atomically};
use crate::oci::compression::Compression;
use crate::oci::descriptor;
use crate::oci::digest::{HashingWriter, hash_reader, hex};
use crate::oci::layer::{Layer, LayerEntries, write_tar};
use crate::threads::lock;
use crate::ui::{Bar, Bars};

/// Programs come out as small as BuildKit makes them, in two thirds of the time of level 6.
pub const GZIP_LEVEL: i32 = 3;

/// Of what is written here; another number forgets what was made with this one.
pub const FORMAT: u32 = 1;

pub const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Layers of earlier builds that are kept, in bytes.
pub const KEPT: u64 = 4 << 30;

/// What the store remembers of a layer.
#[derive(Serialize, Deserialize)]
pub struct CachedLayer {
    digest: String,
    size: u64,
    diff_id: String,
    media_type: String,
}

/// Layers that were made here, by what they are made of.
pub struct LayerStore {
    dir: Utf8PathBuf,
    /// The keys that are being made: two images may want one layer at the same time.
    making: Mutex<BTreeMap<String, Arc<Mutex<()>>>>,
    bars: Bars,
}

impl LayerStore {
    pub fn new(dir: Utf8PathBuf, bars: &Bars) -> LayerStore {
        LayerStore { dir, making: Mutex::default(), bars: bars.clone() }
    }

    /// The layer of some entries: the one that is there, or a new one. Is it new?
    pub fn layer(&self, entries: &LayerEntries, compression: Compression, level: Option<u32>) -> Result<(Layer, bool)> {
        let level = level.map_or(Ok(default_level(compression)), i32::try_from)?;
        let made_of = json!({ "entries": entries, "compression": compression, "level": level, "format": FORMAT });
        let key = hex(&Sha256::digest(made_of.to_string()));
        let key_lock = lock(&self.making).entry(key.clone()).or_default().clone();
        let _making = lock(&key_lock);

        let note = self.dir.join(format!("{key}.json"));
        let blob = self.dir.join(format!("{key}.blob"));
        let known = fs_err::read(&note).ok().and_then(|text| serde_json::from_slice::<CachedLayer>(&text).ok());
        let intact = |known: &CachedLayer| {
            let found = fs_err::File::open(&blob).and_then(hash_reader);
            found.is_ok_and(|(sha256, _)| known.digest == format!("sha256:{sha256}"))
        };
        let (known, is_new) = match known.filter(intact) {
            Some(known) => (known, false),
            None => {
                fs_err::create_dir_all(&self.dir)?;
                let bar = self.bars.bytes("Compressing", name_of(entries), size_of(entries));
                let made = write(entries, compression, level, &blob, &bar)?;
                write_atomically(&note, &serde_json::to_vec(&made)?)?;
                (made, true)
            }
        };
        // Its age says when it was last of use.
        filetime::set_file_mtime(&note, filetime::FileTime::now())?;
        let descriptor = descriptor::descriptor(&known.media_type, &known.digest, known.size)?;
        Ok((Layer { descriptor, diff_id: known.diff_id, path: blob }, is_new))
    }

    /// Forgets what was of no use for a month, and the oldest where all would be too much; what this run has used is
    /// kept. What an interrupted run left behind goes as well: no other run writes here now.
    pub fn prune(&self) -> Result<()> {
        let files = self.dir.read_dir_utf8().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.into_path()));
        let (notes, others): (Vec<_>, Vec<_>) = files.partition(|path| path.extension() == Some("json"));
        let mut notes: Vec<(SystemTime, Utf8PathBuf)> =
            notes.into_iter().filter_map(|note| Some((note.metadata().ok()?.modified().ok()?, note))).collect();
        notes.sort();
        let used = lock(&self.making);
        let (mut kept, mut bytes) = (BTreeSet::new(), 0);
        for (time, note) in notes.iter().rev() {
            bytes += note.with_extension("blob").metadata().map_or(0, |metadata| metadata.len());
            let young = time.elapsed().map_or(true, |age| age < MONTH);
            if used.contains_key(note.file_stem().unwrap_or_default()) || (young && bytes <= KEPT) {
                kept.extend([note.clone(), note.with_extension("blob")]);
            }
        }
        let all = notes.into_iter().map(|(_, note)| note).chain(others);
        Ok(all.filter(|path| !kept.contains(path)).try_for_each(fs_err::remove_file)?)
    }
}

pub fn default_level(compression: Compression) -> i32 {
    match compression {
        Compression::Gzip => GZIP_LEVEL,
        Compression::Zstd => zstd::DEFAULT_COMPRESSION_LEVEL,
    }
}

/// For people: the file that takes longest.
pub fn name_of(entries: &LayerEntries) -> &str {
    let largest = entries.iter().max_by_key(|(_, entry)| entry.file.as_ref().map(|file| file.size));
    largest.and_then(|(path, _)| path.rsplit('/').next()).unwrap_or_default()
}

pub fn size_of(entries: &LayerEntries) -> u64 {
    entries.values().filter_map(|entry| entry.file.as_ref()).map(|file| file.size).sum()
}

pub fn write(
    entries: &LayerEntries,
    compression: Compression,
    level: i32,
    blob: &Utf8Path,
    bar: &Bar,
) -> Result<CachedLayer> {
    let out = HashingWriter::new(BufWriter::new(fs::temporary_file(blob)?));
    let (out, diff_id, media_type) = match compression {
        Compression::Gzip => {
            let level = flate2::Compression::new(level.unsigned_abs());
            let tar = write_tar(entries, bar, HashingWriter::new(flate2::write::GzEncoder::new(out, level)))?;
            let diff_id = tar.digest();
            (tar.to.finish()?, diff_id, MediaType::ImageLayerGzip)
        }
        Compression::Zstd => {
            let tar = write_tar(entries, bar, HashingWriter::new(zstd::Encoder::new(out, level)?))?;
            let diff_id = tar.digest();
            (tar.to.finish()?, diff_id, MediaType::ImageLayerZstd)
        }
    };
    let known = CachedLayer { digest: out.digest(), size: out.size, diff_id, media_type: media_type.to_string() };
    let file = out.to.into_inner().map_err(io::IntoInnerError::into_error)?;
    fs::persist(file, blob)?;
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest::hash_reader;
    use crate::oci::layer::{LayerEntry, LayerFile, decompress};
    use crate::oci::rootfs::FileAttributes;

    fn entries(dir: &Utf8Path) -> LayerEntries {
        let path = dir.join("file");
        fs_err::write(&path, "content").unwrap();
        let attributes = FileAttributes { mode: 0o1777, uid: 3_000_000, gid: 0, mtime: 7 };
        let (sha256, size) = hash_reader("content".as_bytes()).unwrap();
        let long = format!("tmp/{}", "long".repeat(60));
        BTreeMap::from([
            ("tmp".to_owned(), LayerEntry { attributes, file: None }),
            (long, LayerEntry { attributes, file: Some(LayerFile { path, size, sha256 }) }),
        ])
    }

    #[test]
    fn the_same_entries_give_the_same_layer() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let entries = entries(dir);
        for (compression, suffix) in [(Compression::Gzip, "+gzip"), (Compression::Zstd, "+zstd")] {
            let store = LayerStore::new(dir.join("a"), &Bars::default());
            let (made, is_new) = store.layer(&entries, compression, None).unwrap();
            assert!(is_new);
            assert_eq!(store.layer(&entries, compression, None).unwrap(), (made.clone(), false));
            assert_eq!(
                made,
                Layer {
                    path: made.path.clone(),
                    ..LayerStore::new(dir.join("b"), &Bars::default()).layer(&entries, compression, None).unwrap().0
                }
            );
            let media_type = made.descriptor.media_type().to_string();
            assert!(media_type.ends_with(suffix), "{media_type}");
            let stream = decompress(fs_err::File::open(&made.path).unwrap(), &media_type).unwrap().unwrap();
            let (diff_id, _) = hash_reader(stream).unwrap();
            assert_eq!(made.diff_id, format!("sha256:{diff_id}"));
            let stream = decompress(fs_err::File::open(&made.path).unwrap(), &media_type).unwrap().unwrap();
            let mut archive = tar::Archive::new(stream);
            let found = archive.entries().unwrap().map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (entry.path_bytes().len(), header.mode().unwrap(), header.uid().unwrap(), header.mtime().unwrap())
            });
            assert_eq!(found.collect::<Vec<_>>(), [(4, 0o1777, 3_000_000, 7), (244, 0o1777, 3_000_000, 7)]);
        }
        assert!(decompress(&b""[..], "application/vnd.example+gzip").unwrap().is_none());
    }

    #[test]
    fn a_file_that_changes_is_no_layer() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let entries = entries(dir);
        for other in ["CONTENT", "short"] {
            fs_err::write(dir.join("file"), other).unwrap();
            let error = LayerStore::new(dir.join("store"), &Bars::default())
                .layer(&entries, Compression::Gzip, None)
                .unwrap_err();
            assert!(error.to_string().contains("changed while it was packed"), "{error}");
            assert_eq!(fs_err::read_dir(dir.join("store")).unwrap().count(), 0);
        }
    }

    #[test]
    fn the_usual_level_is_a_level() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (store, entries) = (LayerStore::new(dir.join("store"), &Bars::default()), entries(dir));
        let (usual, _) = store.layer(&entries, Compression::Gzip, None).unwrap();
        assert_eq!(store.layer(&entries, Compression::Gzip, Some(3)).unwrap().0, usual);
        assert_ne!(store.layer(&entries, Compression::Gzip, Some(6)).unwrap().0.path, usual.path);
    }

    #[test]
    fn old_layers_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let store = LayerStore::new(dir.join("store"), &Bars::default());
        let (layer, _) = store.layer(&entries(dir), Compression::Gzip, None).unwrap();
        store.prune().unwrap();
        assert!(layer.path.exists());
        let long_ago = filetime::FileTime::from_unix_time(1, 0);
        filetime::set_file_mtime(layer.path.with_extension("json"), long_ago).unwrap();
        fs_err::write(dir.join("store/.tmpX"), "a killed run's").unwrap();
        store.prune().unwrap();
        assert!(layer.path.exists(), "this run has used it");
        LayerStore::new(dir.join("store"), &Bars::default()).prune().unwrap();
        assert_eq!(fs_err::read_dir(dir.join("store")).unwrap().count(), 0);
    }
}
