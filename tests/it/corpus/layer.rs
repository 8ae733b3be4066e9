//! Layers built from code, including the unusual tar entries that real images contain.

use std::io::Write;
use std::sync::Arc;

use tar::{EntryType, Header};

/// The contents of a file, shared by all images that contain it.
pub type Bytes = Arc<Vec<u8>>;

/// An entry in a layer's tar archive.
#[derive(Debug, Clone)]
pub struct Entry {
    path: String,
    kind: EntryType,
    content: Bytes,
    target: String,
    mode: u32,
    owner: (u64, u64),
    /// Value of the extended attribute `security.capability`.
    capabilities: Option<[u8; 20]>,
}

impl Entry {
    fn new(path: &str, kind: EntryType, mode: u32) -> Entry {
        // Paths in layers are relative. `.` is the root directory.
        let path = path.trim_start_matches('/').to_owned();
        Entry { path, kind, content: Bytes::default(), target: String::new(), mode, owner: (0, 0), capabilities: None }
    }

    pub fn mode(mut self, mode: u32) -> Entry {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, user: u64, group: u64) -> Entry {
        self.owner = (user, group);
        self
    }

    /// Gives a program CAP_NET_BIND_SERVICE, as `setcap cap_net_bind_service=+ep` does.
    pub fn with_capability(mut self) -> Entry {
        self.capabilities = Some([1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        self
    }

    /// Sets the exact path to write to the tar archive, such as `./app`.
    pub fn written_as(mut self, path: &str) -> Entry {
        self.path = path.to_owned();
        self
    }
}

/// Creates an executable file.
pub fn program(path: &str, content: &Bytes) -> Entry {
    Entry { content: content.clone(), ..Entry::new(path, EntryType::Regular, 0o755) }
}

pub fn script(path: &str, text: &str) -> Entry {
    program(path, &Arc::new(text.as_bytes().to_vec()))
}

/// Creates a file that is not executable, such as a library.
pub fn file(path: &str, content: &Bytes) -> Entry {
    program(path, content).mode(0o644)
}

pub fn text(path: &str, text: &str) -> Entry {
    script(path, text).mode(0o644)
}

pub fn directory(path: &str) -> Entry {
    Entry::new(path, EntryType::Directory, 0o755)
}

pub fn link(path: &str, target: &str) -> Entry {
    Entry { target: target.to_owned(), ..Entry::new(path, EntryType::Symlink, 0o777) }
}

/// Creates a hard link to a path in this layer or a lower one.
pub fn hard_link(path: &str, target: &str) -> Entry {
    let target = target.trim_start_matches('/').to_owned();
    Entry { target, ..Entry::new(path, EntryType::Link, 0o755) }
}

pub fn fifo(path: &str) -> Entry {
    Entry::new(path, EntryType::Fifo, 0o644)
}

/// Creates a whiteout, which deletes a path from lower layers.
pub fn whiteout(path: &str) -> Entry {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    text(&format!("{directory}/.wh.{name}"), "")
}

/// Creates an opaque whiteout, which hides a directory's contents from lower layers.
pub fn opaque(path: &str) -> Entry {
    text(&format!("{path}/.wh..wh..opq"), "")
}

/// The compression of a layer's tar archive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Compression {
    Plain,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone)]
pub struct Layer {
    entries: Vec<Entry>,
    pub compression: Compression,
}

impl<T: Into<Vec<Entry>>> From<T> for Layer {
    fn from(entries: T) -> Layer {
        // Not compressed, because compression is slow in debug builds.
        Layer { entries: entries.into(), compression: Compression::Plain }
    }
}

impl Layer {
    pub fn compressed(mut self, compression: Compression) -> Layer {
        self.compression = compression;
        self
    }

    pub fn with(mut self, more: impl Into<Vec<Entry>>) -> Layer {
        self.entries.extend(more.into());
        self
    }

    /// Returns the layer as a tar archive. Modification times are 0, and parent directories are not added.
    pub fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            if let Some(value) = &entry.capabilities {
                archive.append_pax_extensions([("SCHILY.xattr.security.capability", &value[..])]).unwrap();
            }
            let mut header = Header::new_gnu();
            header.set_entry_type(entry.kind);
            header.set_mode(entry.mode);
            header.set_uid(entry.owner.0);
            header.set_gid(entry.owner.1);
            header.set_mtime(0);
            header.set_size(entry.content.len() as u64);
            if !entry.target.is_empty() {
                header.set_link_name_literal(&entry.target).unwrap();
            }
            if entry.path.len() > 100 {
                archive.append_data(&mut header, &entry.path, entry.content.as_slice()).unwrap();
            } else {
                // `set_path` would normalize the path.
                header.as_gnu_mut().unwrap().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
                header.set_cksum();
                archive.append(&header, entry.content.as_slice()).unwrap();
            }
        }
        archive.into_inner().unwrap()
    }
}

impl Compression {
    pub fn media_type(self) -> String {
        let plain = "application/vnd.oci.image.layer.v1.tar";
        match self {
            Compression::Plain => plain.to_owned(),
            Compression::Gzip => format!("{plain}+gzip"),
            Compression::Zstd => format!("{plain}+zstd"),
        }
    }

    pub fn compress(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Compression::Plain => tar.to_vec(),
            Compression::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(tar).unwrap();
                gzip.finish().unwrap()
            }
            Compression::Zstd => zstd::encode_all(tar, 1).unwrap(),
        }
    }
}
