//! Layers from code: what is at a path, with the owner, the mode and the oddities that real tars have.

use std::io::Write;
use std::sync::Arc;

use tar::{EntryType, Header};

/// A file's content, shared by the images that have it.
pub type Bytes = Arc<Vec<u8>>;

/// What a layer says of a path.
#[derive(Debug, Clone)]
pub struct Entry {
    path: String,
    kind: EntryType,
    content: Bytes,
    target: String,
    mode: u32,
    owner: (u64, u64),
}

impl Entry {
    fn new(path: &str, kind: EntryType, mode: u32) -> Entry {
        // The way that tars of layers write it. `.` is the root itself.
        let path = path.trim_start_matches('/').to_owned();
        Entry { path, kind, content: Bytes::default(), target: String::new(), mode, owner: (0, 0) }
    }

    pub fn mode(mut self, mode: u32) -> Entry {
        self.mode = mode;
        self
    }

    pub fn owner(mut self, user: u64, group: u64) -> Entry {
        self.owner = (user, group);
        self
    }

    /// The path as it is written, such as `./app`.
    pub fn written_as(mut self, path: &str) -> Entry {
        self.path = path.to_owned();
        self
    }
}

/// Something executable.
pub fn program(path: &str, content: &Bytes) -> Entry {
    Entry { content: content.clone(), ..Entry::new(path, EntryType::Regular, 0o755) }
}

pub fn script(path: &str, text: &str) -> Entry {
    program(path, &Arc::new(text.as_bytes().to_vec()))
}

/// Something to read, such as a library.
pub fn file(path: &str, content: &Bytes) -> Entry {
    program(path, content).mode(0o644)
}

pub fn text(path: &str, text: &str) -> Entry {
    script(path, text).mode(0o644)
}

pub fn folder(path: &str) -> Entry {
    Entry::new(path, EntryType::Directory, 0o755)
}

pub fn link(path: &str, target: &str) -> Entry {
    Entry { target: target.to_owned(), ..Entry::new(path, EntryType::Symlink, 0o777) }
}

/// Another name for a path of this layer or of one below.
pub fn hard_link(path: &str, target: &str) -> Entry {
    let target = target.trim_start_matches('/').to_owned();
    Entry { target, ..Entry::new(path, EntryType::Link, 0o755) }
}

pub fn pipe(path: &str) -> Entry {
    Entry::new(path, EntryType::Fifo, 0o644)
}

/// A path of the layers below that is gone.
pub fn whiteout(path: &str) -> Entry {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    text(&format!("{folder}/.wh.{name}"), "")
}

/// A folder of which nothing of the layers below is left.
pub fn opaque(path: &str) -> Entry {
    text(&format!("{path}/.wh..wh..opq"), "")
}

/// How a layer's tar is stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Packing {
    Plain,
    Gzip,
    Zstd,
}

#[derive(Debug, Clone)]
pub struct Layer {
    entries: Vec<Entry>,
    pub packing: Packing,
}

impl<T: Into<Vec<Entry>>> From<T> for Layer {
    fn from(entries: T) -> Layer {
        // Plain, as the tests' own build packs slowly.
        Layer { entries: entries.into(), packing: Packing::Plain }
    }
}

impl Layer {
    pub fn packed(mut self, packing: Packing) -> Layer {
        self.packing = packing;
        self
    }

    pub fn with(mut self, more: impl Into<Vec<Entry>>) -> Layer {
        self.entries.extend(more.into());
        self
    }

    /// Everything from 1970, and no folder that nobody asked for.
    pub fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in &self.entries {
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
                // Verbatim: `set_path` makes paths nicer than they come.
                header.as_gnu_mut().unwrap().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
                header.set_cksum();
                archive.append(&header, entry.content.as_slice()).unwrap();
            }
        }
        archive.into_inner().unwrap()
    }
}

impl Packing {
    pub fn media_type(self) -> String {
        let plain = "application/vnd.oci.image.layer.v1.tar";
        match self {
            Packing::Plain => plain.to_owned(),
            Packing::Gzip => format!("{plain}+gzip"),
            Packing::Zstd => format!("{plain}+zstd"),
        }
    }

    pub fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Packing::Plain => tar.to_vec(),
            Packing::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(tar).unwrap();
                gzip.finish().unwrap()
            }
            Packing::Zstd => zstd::encode_all(tar, 1).unwrap(),
        }
    }
}
