//! Unpacks layers into a directory. [`RootFs`] determines the destination of each entry and the effect of whiteouts.
//! This module applies the changes on disk, and never follows symbolic links out of the directory.

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

/// A layer to unpack, with its scanned content.
#[derive(Debug)]
pub(crate) struct UnpackableLayer {
    pub descriptor: Descriptor,
    pub scanned: ScannedLayer,
}

/// Unpacks layers on top of each other into the empty directory `root`. Each layer is first unpacked into a separate
/// directory next to `root`.
pub(crate) fn unpack(layout: &Layout, layers: &[UnpackableLayer], root: &Utf8Path) -> Result<()> {
    let mut lower = RootFs::default();
    for UnpackableLayer { descriptor, scanned } in layers {
        let blob = layout.open_blob(descriptor)?;
        let tar = decompress(blob, descriptor.media_type().as_ref())?
            .with_context(|| format!("{} is not a layer", descriptor.digest()))?;
        add_layer(tar, &scanned.changes, &mut lower, root)
            .with_context(|| format!("cannot unpack layer {}", descriptor.digest()))?;
    }
    Ok(())
}

/// Adds a layer on top of the `lower` layers, which are already unpacked in `root`.
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

/// Unpacks a single layer into an empty directory, and returns the layer's file system.
fn unpack_layer(tar: impl io::Read, changes: &LayerChanges, lower: &RootFs, dir: &ConfinedDir) -> Result<RootFs> {
    let mut upper = RootFs::default();
    let mut changes = changes.iter();
    for entry in tar::Archive::new(tar).entries()? {
        check_interrupt()?;
        let mut entry = entry?;
        let kind = TarEntry::classify(&entry);
        if matches!(kind, TarEntry::Metadata) {
            continue;
        }
        let (path, change) = changes.next().context("the archive has more entries than the scan found")?;
        if let TarEntry::File(name) = kind {
            ensure!(name == *path, "the archive contains /{name}, but the scan found /{path}");
            unpack_entry(path, change, lower, &mut upper, dir, &mut entry).with_context(|| format!("/{path}"))?;
        }
    }
    Ok(upper)
}

/// Unpacks a layer entry. All earlier entries of the same layer must already be unpacked.
fn unpack_entry(
    path: &str,
    change: &LayerChange,
    lower: &RootFs,
    upper: &mut RootFs,
    dir: &ConfinedDir,
    content: &mut impl io::Read,
) -> Result<()> {
    // Resolve the hard link first, because adding the entry may replace the link's target.
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
            // Devices and pipes are not unpacked, so hard links to them are skipped.
            if from.symlink_metadata().is_ok() {
                fs_err::hard_link(from, to)?;
            }
            Ok(())
        }
        LayerChange::Put(FsNode::Other) | LayerChange::Whiteout | LayerChange::OpaqueWhiteout => Ok(()),
    }
}

/// Moves an unpacked layer into `root`, replacing existing files.
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

/// A directory that restricts all file operations to its contents.
struct ConfinedDir(Utf8PathBuf);

impl ConfinedDir {
    fn new(path: &Utf8Path) -> Result<ConfinedDir> {
        Ok(ConfinedDir(path.canonicalize_utf8()?))
    }

    /// Returns the location of `path` on disk. Creates its parent directories, and fails if one of them is a symbolic
    /// link.
    fn path(&self, path: &str) -> Result<Utf8PathBuf> {
        let path = self.0.join(path);
        let parent = path.parent().unwrap_or(&self.0);
        let existing = parent.ancestors().find(|dir| dir.symlink_metadata().is_ok()).unwrap_or(parent);
        let is_real = existing.canonicalize_utf8().is_ok_and(|real| real == existing);
        ensure!(existing.starts_with(&self.0) && is_real, "path escapes the root directory");
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

/// Permissions that this process needs to add files to a directory and to remove it later.
const OWNER_ACCESS: u32 = 0o700;

fn is_dir(path: &Utf8Path) -> bool {
    path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir())
}

/// Fails if a path contains `..`. Paths in valid layers never do.
fn check_path(path: &str) -> Result<()> {
    if path.split('/').any(|component| component == "..") {
        bail!("/{path} contains '..'");
    }
    Ok(())
}

/// Sets the mode of a file or directory and, if running as root, also its owner.
fn set_attributes(path: &Utf8Path, mode: u32, attributes: &FileAttributes) -> Result<()> {
    let id = |id: u64| u32::try_from(id).ok();
    if rustix::process::geteuid().is_root() {
        // Ignore errors, which occur if the user namespace does not map the IDs.
        let _ = lchown(path, id(attributes.uid), id(attributes.gid));
    }
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use tar::{EntryType, Header};

    use super::*;
    use crate::oci::layer_scan;

    /// Creates a layer from entries: `name -> target` is a symbolic link, `name = target` is a hard link, `name/` is a
    /// directory, and anything else is a file that contains its own path.
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
            // Set the names directly, because the tar crate rejects `..` and strips leading slashes.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
            let content = if kind == EntryType::Regular { path } else { "" };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    /// Unpacks layers into an empty directory. Returns the resulting files and the last error.
    fn unpack_layers(layers: &[&[&str]]) -> (Vec<String>, Option<String>) {
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
            if let Err(unpack_error) = add_layer(&tar[..], &scanned.changes, &mut lower, &root) {
                error = Some(format!("{unpack_error:#}"));
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
            let (found, error) = unpack_layers(layers);
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), error),
                (expected.to_vec(), None),
                "{layers:?}"
            );
        }
    }

    #[test]
    fn nothing_is_written_outside_the_directory() {
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
            // `unpack_layers` asserts that no files are written outside the directory.
            unpack_layers(layers);
        }
        for (layers, expected) in [
            (&[&["../x"][..]][..], "/../x contains '..'"),
            (&[&["a -> b", "b -> a", "a/x"]], "/a/x: path escapes the root directory"),
            (&[&["y = /etc/passwd"]], "/y: /y is a hard link to /etc/passwd, which is not a file in the same layer"),
        ] {
            let (_, error) = unpack_layers(layers);
            assert_eq!(error.as_deref(), Some(expected), "{layers:?}");
        }
        let (found, error) = unpack_layers(&[&["out -> /outside", "out/x"]]);
        assert_eq!(
            (found, error),
            (vec!["out -> /outside".into(), "outside/".into(), "outside/x: out/x".into()], None)
        );
    }
}
