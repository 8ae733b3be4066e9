//! The file system that layers make, in a folder. The rules are those of `image::tree`: each layer by itself first, then
//! on top of those below it. Nothing is written outside of the folder, wherever links lead.

use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;

use super::layer::decompress;
use super::layer_scan::{ScannedLayer, TarEntry, entry_of};
use super::layout::Layout;
use super::rootfs::{FileAttributes, FsNode, LayerChange, LayerChanges, RegularFile, RootFs, join};
use crate::process::check_interrupt;

/// Unpacks layers, each with what is known to be in it, on top of each other. `root` is empty, and beside it one layer at
/// a time is unpacked by itself.
pub fn unpack(layout: &Layout, layers: &[(Descriptor, ScannedLayer)], root: &Utf8Path) -> Result<()> {
    let mut below = RootFs::default();
    for (layer, scanned) in layers {
        let tar = decompress(layout.open_blob(layer)?, layer.media_type().as_ref())?.context("it is no layer")?;
        add(tar, &scanned.changes, &mut below, root)
            .with_context(|| format!("layer {} cannot be unpacked", layer.digest()))?;
    }
    Ok(())
}

/// Adds a layer to what is below it.
fn add(tar: impl io::Read, changes: &LayerChanges, below: &mut RootFs, root: &Utf8Path) -> Result<()> {
    let root = Folder::new(root)?;
    for (path, change) in changes {
        match change {
            // A path of the layers below with a link on its way is none.
            _ if below.get(checked(path)?).is_none() && !path.is_empty() => {}
            LayerChange::Whiteout => root.remove(path)?,
            LayerChange::OpaqueWhiteout => root.empty(path)?,
            LayerChange::Put(_) | LayerChange::HardLink(_) => {}
        }
    }
    let dir = root.0.with_file_name("layer");
    fs_err::create_dir(&dir)?;
    let layer = Folder::new(&dir)?;
    let own = alone(tar, changes, below, &layer)?;
    for (path, node) in own.below("").filter(|(path, _)| !path.is_empty()) {
        check_interrupt()?;
        let (from, to) = (layer.path(path)?, root.path(path)?);
        match node {
            FsNode::Dir(attributes) => {
                if !is_folder(&to) {
                    root.remove(path)?;
                    fs_err::create_dir(&to)?;
                }
                own_as(&to, attributes.mode | OURS, attributes)?;
            }
            _ => {
                root.remove(path)?;
                if from.symlink_metadata().is_ok() {
                    fs_err::rename(from, to)?;
                }
            }
        }
    }
    fs_err::remove_dir_all(dir)?;
    below.apply(changes).map_err(anyhow::Error::msg)
}

/// Unpacks a layer by itself, into an empty folder; what is then there.
fn alone(tar: impl io::Read, changes: &LayerChanges, below: &RootFs, folder: &Folder) -> Result<RootFs> {
    let mut own = RootFs::default();
    let mut changes = changes.iter();
    for entry in tar::Archive::new(tar).entries()? {
        check_interrupt()?;
        let mut entry = entry?;
        let named = entry_of(&entry);
        if matches!(named, TarEntry::None) {
            continue;
        }
        let (path, change) = changes.next().context("it has more entries than it had")?;
        if let TarEntry::File(name) = named {
            ensure!(name == *path, "it has /{name} where /{path} was");
            put(path, change, below, &mut own, folder, &mut entry).with_context(|| format!("/{path}"))?;
        }
    }
    Ok(own)
}

/// Lays an entry on the others of its layer.
fn put(
    path: &str,
    change: &LayerChange,
    below: &RootFs,
    own: &mut RootFs,
    folder: &Folder,
    content: &mut impl io::Read,
) -> Result<()> {
    // Before the tree knows of the entry: it may take the place of what it links to.
    let linked = match change {
        LayerChange::HardLink(target) => Some(own.place(checked(target)?)),
        _ => None,
    };
    let place = own.put(checked(path)?, change, below).map_err(anyhow::Error::msg)?.unwrap_or_default();
    if place.is_empty() || linked.as_ref() == Some(&place) {
        return Ok(());
    }
    let to = folder.path(&place)?;
    if matches!(change, LayerChange::Put(FsNode::Dir(_))) && is_folder(&to) {
        return Ok(());
    }
    folder.remove(&place)?;
    match change {
        LayerChange::Put(FsNode::Dir(_)) => Ok(fs_err::create_dir(&to)?),
        LayerChange::Put(FsNode::Link(target)) => Ok(symlink(target, &to)?),
        LayerChange::Put(FsNode::File(RegularFile { attributes, .. })) => {
            let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(&to)?;
            io::copy(content, &mut file)?;
            own_as(&to, attributes.mode, attributes)
        }
        LayerChange::HardLink(_) => {
            let from = folder.path(&linked.unwrap_or_default())?;
            // Devices and pipes are left out, and so are links to them.
            if from.symlink_metadata().is_ok() { Ok(fs_err::hard_link(from, to)?) } else { Ok(()) }
        }
        LayerChange::Put(FsNode::Other) | LayerChange::Whiteout | LayerChange::OpaqueWhiteout => Ok(()),
    }
}

/// A folder that nothing leads out of.
struct Folder(Utf8PathBuf);

impl Folder {
    fn new(path: &Utf8Path) -> Result<Folder> {
        Ok(Folder(path.canonicalize_utf8()?))
    }

    /// The path of a place in it; the folders above it are made, and none of them is a link.
    fn path(&self, place: &str) -> Result<Utf8PathBuf> {
        let path = self.0.join(place);
        let above = path.parent().unwrap_or(&self.0);
        let there = above.ancestors().find(|folder| folder.symlink_metadata().is_ok()).unwrap_or(above);
        let is_real = there.canonicalize_utf8().is_ok_and(|real| real == there);
        ensure!(there.starts_with(&self.0) && is_real, "it leads out of its folder");
        fs_err::create_dir_all(above)?;
        Ok(path)
    }

    fn remove(&self, place: &str) -> Result<()> {
        let path = self.path(place)?;
        match path.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(metadata) if metadata.is_dir() => Ok(fs_err::remove_dir_all(path)?),
            Ok(_) => Ok(fs_err::remove_file(path)?),
        }
    }

    fn empty(&self, place: &str) -> Result<()> {
        let folder = if place.is_empty() { self.0.clone() } else { self.path(place)? };
        if is_folder(&folder) {
            for entry in folder.read_dir_utf8()? {
                self.remove(&join(place, entry?.file_name()))?;
            }
        }
        Ok(())
    }
}

/// What whoever unpacks must be allowed in a folder, to fill it and to remove it.
const OURS: u32 = 0o700;

fn is_folder(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// A path of a layer without `..`, which no path of a layer needs.
fn checked(path: &str) -> Result<&str> {
    if path.split('/').any(|part| part == "..") {
        bail!("/{path} has '..' in it");
    }
    Ok(path)
}

/// Gives a file or a folder its owner, where that may be done, and its mode.
fn own_as(path: &Utf8Path, mode: u32, attributes: &FileAttributes) -> Result<()> {
    let number = |id: u64| u32::try_from(id).ok();
    if rustix::process::geteuid().is_root() {
        // A root of no more than a few users has not all of them.
        let _ = lchown(path, number(attributes.uid), number(attributes.gid));
    }
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use tar::{EntryType, Header};

    use super::*;
    use crate::oci::layer_scan;

    /// A layer: paths with what is there. `name -> target` is a link, `name = target` a hard link, `name/` a folder, and
    /// whatever else a file that holds its own path.
    fn layer(entries: &[String]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for entry in entries {
            let mut header = Header::new_gnu();
            header.set_mode(0o755);
            let (path, kind, link) = match (entry.split_once(" -> "), entry.split_once(" = ")) {
                (Some((path, target)), _) => (path, EntryType::Symlink, target),
                (_, Some((path, target))) => (path, EntryType::Link, target),
                _ if entry.ends_with('/') => (entry.as_str(), EntryType::Directory, ""),
                _ => (entry.as_str(), EntryType::Regular, ""),
            };
            header.set_entry_type(kind);
            // As they are: the library refuses `..` and drops a leading slash.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            let content = if kind == EntryType::Regular { path } else { "" };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    /// Unpacks layers into `root` of a folder; what is then there, and what went wrong.
    fn unpacked(layers: &[&[&str]]) -> (Vec<String>, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let root = dir.join("root");
        fs_err::create_dir(&root).unwrap();
        fs_err::create_dir(dir.join("outside")).unwrap();
        let mut below = RootFs::default();
        let mut error = None;
        for entries in layers {
            let entries: Vec<String> = entries.iter().map(|entry| entry.replace("DIR", dir.as_str())).collect();
            let tar = layer(&entries);
            let scanned =
                layer_scan::scan(&tar[..], "application/vnd.oci.image.layer.v1.tar", Utf8Path::new("/none")).unwrap();
            if let Err(wrong) = add(&tar[..], &scanned.changes, &mut below, &root) {
                error = Some(format!("{wrong:#}"));
                fs_err::remove_dir_all(dir.join("layer")).unwrap_or_default();
            }
        }
        assert_eq!(dir.join("outside").read_dir_utf8().unwrap().count(), 0, "{layers:?}");
        assert_eq!(dir.read_dir_utf8().unwrap().count(), 2, "{layers:?}");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        found.sort();
        (found, error)
    }

    fn walk(dir: &Utf8Path, root: &Utf8Path, found: &mut Vec<String>) {
        for entry in dir.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            let name = path.strip_prefix(root).unwrap();
            let metadata = path.symlink_metadata().unwrap();
            found.push(match () {
                () if metadata.is_dir() => format!("{name}/"),
                () if metadata.is_symlink() => format!("{name} -> {}", path.read_link_utf8().unwrap()),
                () => format!("{name}: {}", fs_err::read_to_string(&path).unwrap()),
            });
            if metadata.is_dir() {
                walk(&path, root, found);
            }
        }
    }

    #[test]
    fn layers_are_merged() {
        for (layers, expected) in [
            (&[&["a/", "a/x", "b"][..], &["a/y", "b"]][..], &["a/", "a/x: a/x", "a/y: a/y", "b: b"][..]),
            (&[&["a/x", "b"], &["a/.wh.x", ".wh.b"]], &["a/"]),
            (&[&["a/x", "a/z/y"], &["a/new", "a/.wh..wh..opq"]], &["a/", "a/new: a/new"]),
            (&[&["a/x"], &["a"]], &["a: a"]),
            (&[&["usr/lib/", "lib -> usr/lib"], &["lib/x"]], &["lib/", "lib/x: lib/x", "usr/", "usr/lib/"]),
            (&[&["usr/lib/", "lib -> usr/lib", "lib/x"]], &["lib -> usr/lib", "usr/", "usr/lib/", "usr/lib/x: lib/x"]),
            (&[&["usr/x", "lib -> usr"], &["lib/.wh.x"]], &["lib -> usr", "usr/", "usr/x: usr/x"]),
            (&[&["usr/lib/x", "lib -> usr/lib"], &["lib/"]], &["lib/", "usr/", "usr/lib/", "usr/lib/x: usr/lib/x"]),
            (&[&["x", "y = x"], &["x"]], &["x: x", "y: x"]),
            (&[&["x", "z"], &["x", "y = x"], &[".wh.x"]], &["y: x", "z: z"]),
            (&[&["l -> x", "m = l"]], &["l -> x", "m -> x"]),
            (&[&["x", "x = x"]], &["x: x"]),
            (&[&["/abs", "./dot"]], &["abs: /abs", "dot: ./dot"]),
        ] {
            let (found, error) = unpacked(layers);
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), error),
                (expected.to_vec(), None),
                "{layers:?}"
            );
        }
    }

    #[test]
    fn nothing_leads_out_of_the_folder() {
        for layers in [
            &[&["../outside/x"][..]][..],
            &[&["a/../../outside/x"]],
            &[&["a/.."]],
            &[&["x", "../outside/y = x"]],
            &[&["y = ../outside"]],
            &[&["out -> ../outside", "out/x"]],
            &[&["out -> DIR/outside"], &["out/x"]],
            &[&["out -> DIR/outside", "deep/ -> x"], &["out/sub/x"]],
            &[&["out -> DIR/outside"], &["out/.wh.x", "out/.wh..wh..opq"]],
            &[&["a -> b", "b -> a"], &["a/x"]],
            &[&["out -> DIR/outside"], &["out"]],
            &[&["../.wh.outside"]],
            &[&["a/.wh..."]],
        ] {
            // What is outside is looked at there.
            unpacked(layers);
        }
        for (layers, expected) in [
            (&[&["../x"][..]][..], "/../x has '..' in it"),
            (&[&["a -> b", "b -> a", "a/x"]], "/a/x: it leads out of its folder"),
            (&[&["y = /etc/passwd"]], "/y: /y is a hard link to /etc/passwd, which is no file of the same layer"),
        ] {
            let (_, error) = unpacked(layers);
            assert_eq!(error.as_deref(), Some(expected), "{layers:?}");
        }
        let (found, error) = unpacked(&[&["out -> /outside", "out/x"]]);
        assert_eq!(
            (found, error),
            (vec!["out -> /outside".into(), "outside/".into(), "outside/x: out/x".into()], None)
        );
    }
}
