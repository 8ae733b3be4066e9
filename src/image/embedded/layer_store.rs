//! A cache of compressed layers, keyed by a hash of their content.

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

use crate::fs;
use crate::oci::compression::Compression;
use crate::oci::descriptor;
use crate::oci::digest::{HashingWriter, hash_reader, hex};
use crate::oci::layer::{Layer, LayerEntries, write_tar};
use crate::oci::record::{read_record, write_record};
use crate::threads::lock;
use crate::ui::{Bar, Bars};

/// Default gzip level. Compresses binaries as well as BuildKit does, but takes only two thirds as long as level 6.
pub(crate) const GZIP_LEVEL: i32 = 3;

/// Version of the store format. It is part of each key, so that layers in other formats are ignored.
pub(crate) const FORMAT: u32 = 2;

/// Age after which unused layers are removed.
pub(crate) const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Maximum total size of stored layers in bytes. Layers used in the current run are always kept.
pub(crate) const MAX_SIZE: u64 = 4 << 30;

/// The metadata stored for each layer.
#[derive(Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    digest: String,
    size: u64,
    diff_id: String,
}

/// A layer in the store.
#[derive(Debug)]
pub(crate) struct StoredLayer {
    pub layer: Layer,
    pub source: LayerSource,
}

/// Where a layer comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerSource {
    /// This call compressed the layer.
    Compressed,
    /// Another image or platform of this run compressed the layer.
    SameRun,
    EarlierRun,
}

/// The state of a key in this run.
#[derive(Debug, Default)]
pub(crate) struct KeyState {
    is_compressed: bool,
}

/// The layers built in a workspace, keyed by a hash of their content.
pub(crate) struct LayerStore {
    dir: Utf8PathBuf,
    /// A lock for each key used in this run. The lock is held while the layer is written, since two images may need the
    /// same layer at the same time.
    key_locks: Mutex<BTreeMap<String, Arc<Mutex<KeyState>>>>,
    bars: Bars,
}

impl LayerRecord {
    /// Reports whether a blob has the recorded digest.
    fn matches(&self, blob: &Utf8Path) -> bool {
        let hashed = fs_err::File::open(blob).and_then(hash_reader);
        hashed.is_ok_and(|hash| self.digest == format!("sha256:{}", hash.sha256))
    }
}

impl LayerStore {
    pub(crate) fn new(dir: Utf8PathBuf, bars: &Bars) -> LayerStore {
        LayerStore { dir, key_locks: Mutex::default(), bars: bars.clone() }
    }

    /// Returns the layer with the given entries, building it unless the store already contains it.
    pub(crate) fn layer(
        &self,
        entries: &LayerEntries,
        compression: Compression,
        level: Option<u32>,
    ) -> Result<StoredLayer> {
        let level = level.map_or(Ok(default_level(compression)), i32::try_from)?;
        let content = json!({ "entries": entries, "compression": compression, "level": level, "format": FORMAT });
        let key = hex(&Sha256::digest(content.to_string()));
        let key_lock = lock(&self.key_locks).entry(key.clone()).or_default().clone();
        let mut state = lock(&key_lock);

        let record_path = self.dir.join(format!("{key}.json"));
        let blob = self.dir.join(format!("{key}.blob"));
        let existing = read_record(&record_path).filter(|record: &LayerRecord| record.matches(&blob));
        let (record, source) = match existing {
            Some(record) if state.is_compressed => (record, LayerSource::SameRun),
            Some(record) => (record, LayerSource::EarlierRun),
            None => {
                fs_err::create_dir_all(&self.dir)?;
                let bar = self.bars.bytes("Compressing", largest_file_name(entries), total_size(entries));
                let record = write(entries, compression, level, &blob, &bar)?;
                write_record(&record_path, &record)?;
                state.is_compressed = true;
                (record, LayerSource::Compressed)
            }
        };
        // Mark the layer as recently used, so that `prune` keeps it.
        filetime::set_file_mtime(&record_path, filetime::FileTime::now())?;
        let media_type = media_type(compression);
        let descriptor = descriptor::descriptor(media_type.as_ref(), &record.digest, record.size)?;
        Ok(StoredLayer { layer: Layer { descriptor, diff_id: record.diff_id, path: blob }, source })
    }

    /// Removes layers that have not been used for a month, and the least recently used ones if the store exceeds
    /// [`MAX_SIZE`]. Always keeps the layers used in this run. Also removes files left behind by interrupted runs,
    /// which is safe because only one run at a time uses the store.
    pub(crate) fn prune(&self) -> Result<()> {
        let files = self.dir.read_dir_utf8().into_iter().flatten().filter_map(|entry| Some(entry.ok()?.into_path()));
        let (records, others): (Vec<_>, Vec<_>) = files.partition(|path| path.extension() == Some("json"));
        let mut records: Vec<(SystemTime, Utf8PathBuf)> =
            records.into_iter().filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path))).collect();
        records.sort();
        let used = lock(&self.key_locks);
        let (mut kept, mut bytes) = (BTreeSet::new(), 0);
        for (time, record) in records.iter().rev() {
            bytes += record.with_extension("blob").metadata().map_or(0, |metadata| metadata.len());
            let is_recent = time.elapsed().map_or(true, |age| age < MONTH);
            if used.contains_key(record.file_stem().unwrap_or_default()) || (is_recent && bytes <= MAX_SIZE) {
                kept.extend([record.clone(), record.with_extension("blob")]);
            }
        }
        let all = records.into_iter().map(|(_, record)| record).chain(others);
        Ok(all.filter(|path| !kept.contains(path)).try_for_each(fs_err::remove_file)?)
    }
}

fn media_type(compression: Compression) -> MediaType {
    match compression {
        Compression::Gzip => MediaType::ImageLayerGzip,
        Compression::Zstd => MediaType::ImageLayerZstd,
    }
}

pub(crate) fn default_level(compression: Compression) -> i32 {
    match compression {
        Compression::Gzip => GZIP_LEVEL,
        Compression::Zstd => zstd::DEFAULT_COMPRESSION_LEVEL,
    }
}

/// Returns the name of the largest file, which labels the progress bar.
pub(crate) fn largest_file_name(entries: &LayerEntries) -> &str {
    let largest = entries.iter().max_by_key(|(_, entry)| entry.file.as_ref().map(|file| file.size));
    largest.and_then(|(path, _)| path.rsplit('/').next()).unwrap_or_default()
}

pub(crate) fn total_size(entries: &LayerEntries) -> u64 {
    entries.values().filter_map(|entry| entry.file.as_ref()).map(|file| file.size).sum()
}

pub(crate) fn write(
    entries: &LayerEntries,
    compression: Compression,
    level: i32,
    blob: &Utf8Path,
    bar: &Bar,
) -> Result<LayerRecord> {
    let out = HashingWriter::new(BufWriter::new(fs::temporary_file(blob)?));
    let (out, diff_id) = match compression {
        Compression::Gzip => {
            let level = flate2::Compression::new(level.unsigned_abs());
            let tar = write_tar(entries, bar, HashingWriter::new(flate2::write::GzEncoder::new(out, level)))?;
            let diff_id = tar.digest();
            (tar.to.finish()?, diff_id)
        }
        Compression::Zstd => {
            let tar = write_tar(entries, bar, HashingWriter::new(zstd::Encoder::new(out, level)?))?;
            let diff_id = tar.digest();
            (tar.to.finish()?, diff_id)
        }
    };
    let record = LayerRecord { digest: out.digest(), size: out.size, diff_id };
    let file = out.to.into_inner().map_err(io::IntoInnerError::into_error)?;
    fs::persist(file, blob)?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::digest::{StreamHash, hash_reader};
    use crate::oci::layer::{LayerEntry, LayerFile, decompress};
    use crate::oci::rootfs::FileAttributes;

    fn entries(dir: &Utf8Path) -> LayerEntries {
        let path = dir.join("file");
        fs_err::write(&path, "content").unwrap();
        let attributes = FileAttributes { mode: 0o1777, uid: 3_000_000, gid: 0, mtime: 7 };
        let StreamHash { sha256, size } = hash_reader("content".as_bytes()).unwrap();
        let long = format!("tmp/{}", "long".repeat(60));
        BTreeMap::from([
            ("tmp".to_owned(), LayerEntry { attributes, file: None, capabilities: None }),
            (long, LayerEntry { attributes, file: Some(LayerFile { path, size, sha256 }), capabilities: None }),
        ])
    }

    #[test]
    fn same_entries_give_the_same_layer() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let entries = entries(dir);
        for (compression, suffix) in [(Compression::Gzip, "+gzip"), (Compression::Zstd, "+zstd")] {
            let store = LayerStore::new(dir.join("a"), &Bars::default());
            let StoredLayer { layer: built, source } = store.layer(&entries, compression, None).unwrap();
            assert_eq!(source, LayerSource::Compressed);
            let later_run = LayerStore::new(dir.join("a"), &Bars::default());
            for (store, expected) in [(&store, LayerSource::SameRun), (&later_run, LayerSource::EarlierRun)] {
                let again = store.layer(&entries, compression, None).unwrap();
                assert_eq!((&again.layer, again.source), (&built, expected));
            }
            assert_eq!(
                built,
                Layer {
                    path: built.path.clone(),
                    ..LayerStore::new(dir.join("b"), &Bars::default()).layer(&entries, compression, None).unwrap().layer
                }
            );
            let media_type = built.descriptor.media_type().to_string();
            assert!(media_type.ends_with(suffix), "{media_type}");
            let stream = decompress(fs_err::File::open(&built.path).unwrap(), &media_type).unwrap().unwrap();
            let diff_id = hash_reader(stream).unwrap().sha256;
            assert_eq!(built.diff_id, format!("sha256:{diff_id}"));
            let stream = decompress(fs_err::File::open(&built.path).unwrap(), &media_type).unwrap().unwrap();
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
    fn damaged_records_are_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (store, entries) = (LayerStore::new(dir.join("store"), &Bars::default()), entries(dir));
        let layer = store.layer(&entries, Compression::Gzip, None).unwrap().layer;
        let record = layer.path.with_extension("json");
        let intact = fs_err::read(&record).unwrap();
        for position in 0..intact.len() {
            let mut damaged = intact.clone();
            damaged[position] ^= 1;
            fs_err::write(&record, &damaged).unwrap();
            let again = store.layer(&entries, Compression::Gzip, None).unwrap();
            assert_eq!((&again.layer, again.source), (&layer, LayerSource::Compressed), "byte {position}");
        }
    }

    #[test]
    fn rejects_files_that_change_while_they_are_packed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let entries = entries(dir);
        for other in ["CONTENT", "short"] {
            fs_err::write(dir.join("file"), other).unwrap();
            let error = LayerStore::new(dir.join("store"), &Bars::default())
                .layer(&entries, Compression::Gzip, None)
                .unwrap_err();
            assert!(error.to_string().contains("changed while it was being packed"), "{error}");
            assert_eq!(fs_err::read_dir(dir.join("store")).unwrap().count(), 0);
        }
    }

    #[test]
    fn default_level_can_be_set_explicitly() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (store, entries) = (LayerStore::new(dir.join("store"), &Bars::default()), entries(dir));
        let implicit = store.layer(&entries, Compression::Gzip, None).unwrap().layer;
        assert_eq!(store.layer(&entries, Compression::Gzip, Some(3)).unwrap().layer, implicit);
        assert_ne!(store.layer(&entries, Compression::Gzip, Some(6)).unwrap().layer.path, implicit.path);
    }

    #[test]
    fn prune_removes_old_layers_and_temporary_files() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let store = LayerStore::new(dir.join("store"), &Bars::default());
        let layer = store.layer(&entries(dir), Compression::Gzip, None).unwrap().layer;
        store.prune().unwrap();
        assert!(layer.path.exists());
        let long_ago = filetime::FileTime::from_unix_time(1, 0);
        filetime::set_file_mtime(layer.path.with_extension("json"), long_ago).unwrap();
        fs_err::write(dir.join("store/.tmpX"), "left by a killed run").unwrap();
        store.prune().unwrap();
        assert!(layer.path.exists(), "layers used in this run are kept");
        LayerStore::new(dir.join("store"), &Bars::default()).prune().unwrap();
        assert_eq!(fs_err::read_dir(dir.join("store")).unwrap().count(), 0);
    }
}
