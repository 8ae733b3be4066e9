//! Unpacks layers into a directory. [`RootFs`] decides where each entry goes and what whiteouts remove; this module acts on
//! it, and never writes outside the directory, wherever links lead.

use std::io;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};

use anyhow::{Context, Result, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use oci_spec::image::Descriptor;

use super::layer::decompress;
use super::layer_scan::{ScannedLayer, TarEntry};
use super::layout::Layout;
use super::rootfs::{FileAttributes, FsNode, LayerChange, LayerChanges, RegularFile, Removal, RootFs, join};
use crate::process::check_interrupt;

/// A layer with its content.
#[derive(Debug)]
pub(crate) struct UnpackableLayer {
    pub descriptor: Descriptor,
    pub scanned: ScannedLayer,
}

/// Unpacks layers on top of each other into `root`, which is empty. One layer at a time is
/// unpacked into a directory next to it first.
pub(crate) fn unpack(layout: &Layout, layers: &[UnpackableLayer], root: &Utf8Path) -> Result<()> {
    let mut lower = RootFs::default();
    for UnpackableLayer { descriptor, scanned } in layers {
        let blob = layout.open_blob(descriptor)?;
        let tar = decompress(blob, descriptor.media_type().as_ref())?.context("it is no layer")?;
        add_layer(tar, &scanned.changes, &mut lower, root)
            .with_context(|| format!("layer {} cannot be unpacked", descriptor.digest()))?;
    }
    Ok(())
}

/// Adds a layer on top of the `lower` ones, which are in `root`.
fn add_layer(tar: impl io::Read, changes: &LayerChanges, lower: &mut RootFs, root: &Utf8Path) -> Result<()> {
    changes.iter().try_for_each(|(path, _)| check_path(path))?;
    let root = ConfinedDir::new(root)?;
    for removal in lower.apply_whiteouts(changes) {
        match removal {
            Removal::Path(path) => root.remove(&path)?,
            Removal::DirContents(path) => root.clear(&path)?,
        }
    }
    let layer_dir = root.0.with_file_name("layer");
    fs_err::create_dir(&layer_dir)?;
    let layer = ConfinedDir::new(&layer_dir)?;
    let upper = unpack_layer(tar, changes, lower, &layer)?;
    move_into(&upper, &layer, &root)?;
    fs_err::remove_dir_all(layer_dir)?;
    lower.merge(upper);
    Ok(())
}

/// Unpacks a layer by itself into an empty directory, and returns what is there afterwards.
fn unpack_layer(tar: impl io::Read, changes: &LayerChanges, lower: &RootFs, dir: &ConfinedDir) -> Result<RootFs> {
    let mut upper = RootFs::default();
    let mut changes = changes.iter();
    for entry in tar::Archive::new(tar).entries()? {
        check_interrupt()?;
        let mut entry = entry?;
        let kind = TarEntry::of(&entry);
        if matches!(kind, TarEntry::Metadata) {
            continue;
        }
        let (path, change) = changes.next().context("it has more entries than it had")?;
        if let TarEntry::File(name) = kind {
            ensure!(name == *path, "it has /{name} where /{path} was");
            unpack_entry(path, change, lower, &mut upper, dir, &mut entry).with_context(|| format!("/{path}"))?;
        }
    }
    Ok(upper)
}

/// Unpacks an entry of a layer next to the earlier ones.
fn unpack_entry(
    path: &str,
    change: &LayerChange,
    lower: &RootFs,
    upper: &mut RootFs,
    dir: &ConfinedDir,
    content: &mut impl io::Read,
) -> Result<()> {
    // Resolved before the entry is added, which may replace the file that it links to.
    let linked = match change {
        LayerChange::HardLink(target) => {
            check_path(target)?;
            Some(upper.real_path(target))
        }
        _ => None,
    };
    let real_path = upper.add_entry(path, change, lower).map_err(anyhow::Error::msg)?.unwrap_or_default();
    if real_path.is_empty() || linked.as_ref() == Some(&real_path) {
        return Ok(());
    }
    let to = dir.path(&real_path)?;
    if matches!(change, LayerChange::Put(FsNode::Dir(_))) && is_dir(&to) {
        return Ok(());
    }
    dir.remove(&real_path)?;
    match change {
        LayerChange::Put(FsNode::Dir(_)) => Ok(fs_err::create_dir(&to)?),
        LayerChange::Put(FsNode::Link(target)) => Ok(symlink(target, &to)?),
        LayerChange::Put(FsNode::File(RegularFile { attributes, .. })) => {
            let mut file = fs_err::OpenOptions::new().write(true).create_new(true).open(&to)?;
            io::copy(content, &mut file)?;
            set_attributes(&to, attributes.mode, attributes)
        }
        LayerChange::HardLink(_) => {
            let from = dir.path(&linked.unwrap_or_default())?;
            // Devices and pipes are not created, and neither are links to them.
            if from.symlink_metadata().is_ok() {
                fs_err::hard_link(from, to)?;
            }
            Ok(())
        }
        LayerChange::Put(FsNode::Other) | LayerChange::Whiteout | LayerChange::OpaqueWhiteout => Ok(()),
    }
}

/// Moves an unpacked layer on top of what is in `root`.
fn move_into(upper: &RootFs, layer: &ConfinedDir, root: &ConfinedDir) -> Result<()> {
    for (path, node) in upper.with_prefix("").filter(|(path, _)| !path.is_empty()) {
        check_interrupt()?;
        let (from, to) = (layer.path(path)?, root.path(path)?);
        if let FsNode::Dir(attributes) = node {
            if !is_dir(&to) {
                root.remove(path)?;
                fs_err::create_dir(&to)?;
            }
            set_attributes(&to, attributes.mode | OWNER_ACCESS, attributes)?;
        } else {
            root.remove(path)?;
            if from.symlink_metadata().is_ok() {
                fs_err::rename(from, to)?;
            }
        }
    }
    Ok(())
}

/// A directory that no path leads out of.
struct ConfinedDir(Utf8PathBuf);

impl ConfinedDir {
    fn new(path: &Utf8Path) -> Result<ConfinedDir> {
        Ok(ConfinedDir(path.canonicalize_utf8()?))
    }

    /// Returns where `path` is on disk. Creates the directories above it, and fails if one of them is a link.
    fn path(&self, path: &str) -> Result<Utf8PathBuf> {
        let path = self.0.join(path);
        let parent = path.parent().unwrap_or(&self.0);
        let existing = parent.ancestors().find(|dir| dir.symlink_metadata().is_ok()).unwrap_or(parent);
        let is_real = existing.canonicalize_utf8().is_ok_and(|real| real == existing);
        ensure!(existing.starts_with(&self.0) && is_real, "it leads out of its folder");
        fs_err::create_dir_all(parent)?;
        Ok(path)
    }

    fn remove(&self, path: &str) -> Result<()> {
        let path = self.path(path)?;
        match path.symlink_metadata() {
            Err(_) => Ok(()),
            Ok(metadata) if metadata.is_dir() => Ok(fs_err::remove_dir_all(path)?),
            Ok(_) => Ok(fs_err::remove_file(path)?),
        }
    }

    /// Removes everything in a directory.
    fn clear(&self, path: &str) -> Result<()> {
        let dir = if path.is_empty() { self.0.clone() } else { self.path(path)? };
        if is_dir(&dir) {
            for entry in dir.read_dir_utf8()? {
                self.remove(&join(path, entry?.file_name()))?;
            }
        }
        Ok(())
    }
}

/// Permissions that this process needs in every directory, to fill and to remove it.
const OWNER_ACCESS: u32 = 0o700;

fn is_dir(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Fails for a path with `..`, which no layer needs.
fn check_path(path: &str) -> Result<()> {
    if path.split('/').any(|component| component == "..") {
        bail!("/{path} has '..' in it");
    }
    Ok(())
}

/// Sets the mode of a file or directory and, if this process may do so, its owner.
fn set_attributes(path: &Utf8Path, mode: u32, attributes: &FileAttributes) -> Result<()> {
    let id = |id: u64| u32::try_from(id).ok();
    if rustix::process::geteuid().is_root() {
        // Fails for users that this user namespace does not map.
        let _ = lchown(path, id(attributes.uid), id(attributes.gid));
    }
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use tar::{EntryType, Header};

    use super::*;
    use crate::oci::layer_scan;

    /// Creates a layer from entries: `name -> target` is a link, `name = target` a hard link, `name/` a directory, and
    /// anything else a file that contains its own path.
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

    /// Unpacks layers into an empty directory. Returns what is there afterwards, and the last error.
    fn unpacked(layers: &[&[&str]]) -> (Vec<String>, Option<String>) {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
        let root = dir.join("root");
        fs_err::create_dir(&root).unwrap();
        fs_err::create_dir(dir.join("outside")).unwrap();
        let mut lower = RootFs::default();
        let mut error = None;
        for entries in layers {
            let entries: Vec<String> = entries.iter().map(|entry| entry.replace("DIR", dir.as_str())).collect();
            let tar = layer(&entries);
            let scanned =
                layer_scan::scan(&tar[..], "application/vnd.oci.image.layer.v1.tar", Utf8Path::new("/none")).unwrap();
            if let Err(wrong) = add_layer(&tar[..], &scanned.changes, &mut lower, &root) {
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
            found.push(if metadata.is_dir() {
                format!("{name}/")
            } else if metadata.is_symlink() {
                format!("{name} -> {}", path.read_link_utf8().unwrap())
            } else {
                format!("{name}: {}", fs_err::read_to_string(&path).unwrap())
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
    fn nothing_leads_out_of_the_directory() {
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
            // Checks that nothing was written outside.
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
