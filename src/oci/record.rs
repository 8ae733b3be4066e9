//! Cached records with a checksum, so that a damaged record is computed again instead of being trusted.

use anyhow::Result;
use camino::Utf8Path;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::digest::sha256;
use crate::fs::write_atomically;

/// Writes a record atomically: the digest of its JSON text on the first line, and then the text.
pub(crate) fn write_record(path: &Utf8Path, record: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(record)?;
    write_atomically(path, format!("{}\n{text}", sha256(text.as_bytes())).as_bytes())
}

/// Reads a record. Returns `None` if it does not exist, is damaged, or has another format.
pub(crate) fn read_record<T: DeserializeOwned>(path: &Utf8Path) -> Option<T> {
    let text = fs_err::read_to_string(path).ok()?;
    let (digest, record) = text.split_once('\n')?;
    (digest == sha256(record.as_bytes())).then(|| serde_json::from_str(record).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_records_are_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("record");
        assert_eq!(read_record::<Vec<u32>>(&path), None);
        write_record(&path, &[1, 2]).unwrap();
        assert_eq!(read_record(&path), Some(vec![1, 2]));
        let intact = fs_err::read(&path).unwrap();
        for position in 0..intact.len() {
            let mut damaged = intact.clone();
            damaged[position] ^= 1;
            fs_err::write(&path, &damaged).unwrap();
            assert_eq!(read_record::<Vec<u32>>(&path), None, "byte {position}");
            fs_err::write(&path, &intact[..position]).unwrap();
            assert_eq!(read_record::<Vec<u32>>(&path), None, "first {position} bytes");
        }
        fs_err::write(&path, "[1,2]").unwrap();
        assert_eq!(read_record::<Vec<u32>>(&path), None, "a record without a checksum");
    }
}
