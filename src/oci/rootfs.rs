//! The root file system that results from applying an image's layers (image-spec, layer.md). The `layer_scan` module
//! finds the changes to apply, and the `unpack` module applies the same changes on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::capabilities::FileCapabilities;
use crate::elf::Elf;
use crate::shell::ScriptCommand;

/// A file, directory, or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FsNode {
    Dir(FileAttributes),
    /// A symbolic link, with its target.
    Link(String),
    File(RegularFile),
    /// A device, pipe, or socket.
    Other,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegularFile {
    #[serde(flatten)]
    pub attributes: FileAttributes,
    /// Size in bytes.
    pub size: u64,
    pub content: FileContent,
    /// Capabilities that the program has when it starts. `None` if the file has none, or if they are not effective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<FileCapabilities>,
}

/// The parts of a file's content that checks need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileContent {
    Other,
    /// The complete text of a configuration file that affects how programs start.
    Text(String),
    Program(Arc<ElfFile>),
    Script(Arc<ScriptFile>),
    /// The paths of the libraries listed in `/etc/ld.so.cache`.
    LoaderCache(Vec<String>),
}

/// A file that starts with the ELF magic bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ElfFile {
    /// SHA-256 hash in hexadecimal.
    pub sha256: String,
    /// The parsed file, or `None` if it is not a valid ELF file.
    pub elf: Option<Elf>,
}

/// A file that starts with `#!`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptFile {
    /// The rest of the first line after `#!`, unchanged.
    #[serde(rename = "line")]
    pub shebang: String,
    /// The programs that a shell script may run as its main process.
    #[serde(rename = "execs", default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<ScriptCommand>,
}

/// The permission bits, owner, and modification time (in seconds) of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileAttributes {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
}

impl FileAttributes {
    /// The attributes that container runtimes give to parent directories that no layer lists.
    const IMPLIED_DIR: FileAttributes = FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
}

/// The effect of a layer entry on its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LayerChange {
    Put(FsNode),
    /// Creates a hard link to the file at another path in the same layer.
    HardLink(String),
    /// Removes the path from the lower layers.
    #[serde(rename = "Hide")]
    Whiteout,
    /// Removes the directory's contents from the lower layers.
    #[serde(rename = "Empty")]
    OpaqueWhiteout,
}

/// The changes that a layer makes, in the order of its tar entries. Paths have no leading slash, and the root is the
/// empty path.
pub(crate) type LayerChanges = Vec<(String, LayerChange)>;

/// Version of cached layer scans. Increase it if the serialized format changes, or if files are read differently.
pub(crate) const SCAN_VERSION: u32 = 7;

/// A file system, keyed by path relative to the root, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RootFs(BTreeMap<String, FsNode>);

/// The part of the lower layers that a whiteout removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The path and everything below it.
    Path(String),
    /// The contents of the directory, but not the directory itself.
    DirContents(String),
}

/// Maximum number of symbolic links to follow for a path, as in BuildKit (containerd's continuity, `fs.RootPath`).
const MAX_LINKS: usize = 255;

impl Default for RegularFile {
    /// Returns an empty file that every user can execute.
    fn default() -> RegularFile {
        RegularFile {
            attributes: FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 },
            size: 0,
            content: FileContent::Other,
            capabilities: None,
        }
    }
}

impl RootFs {
    pub(crate) fn get(&self, path: &str) -> Option<&FsNode> {
        self.0.get(path)
    }

    /// Returns the node at a path. Like lstat(2), does not follow a symbolic link at the end of the path.
    pub(crate) fn lstat(&self, path: &str) -> Option<&FsNode> {
        let path = normalize(path);
        self.get(&join(&self.resolve(parent(&path)).ok()?, file_name(&path)))
    }

    /// Returns all paths that start with `prefix` and their nodes, sorted by path.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a FsNode)> {
        let from = self.0.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(path, node)| (path.as_str(), node)).take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// Returns the text of a configuration file, following symbolic links. Returns `None` for any other file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        match self.get(&self.resolve(path).ok()?)? {
            FsNode::File(RegularFile { content: FileContent::Text(text), .. }) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn insert(&mut self, path: &str, node: FsNode) {
        // Replacing a directory with a file or link also removes the directory's contents.
        if !matches!(node, FsNode::Dir(_)) && matches!(self.get(path), Some(FsNode::Dir(_))) {
            self.remove(&Removal::Path(path.to_owned()));
        }
        self.0.insert(path.to_owned(), node);
    }

    fn remove(&mut self, removal: &Removal) {
        let (Removal::Path(path) | Removal::DirContents(path)) = removal;
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let contents: Vec<String> = self.with_prefix(&prefix).map(|(path, _)| path.to_owned()).collect();
        for inner in contents.iter().filter(|inner| *inner != path) {
            self.0.remove(inner);
        }
        if matches!(removal, Removal::Path(_)) {
            self.0.remove(path);
        }
    }

    /// Applies a layer. If one of its entries is invalid, returns the reason as an error.
    ///
    /// Like overlayfs, evaluates the layer separately before merging it: paths follow only symbolic links in the same
    /// layer, hard links refer to files in the same layer, and directories replace symbolic links in lower layers.
    pub(crate) fn apply(&mut self, layer: &LayerChanges) -> Result<(), String> {
        self.apply_whiteouts(layer);
        let mut upper = RootFs::default();
        for (path, change) in layer {
            upper.add_entry(path, change, self)?;
        }
        self.merge(upper);
        Ok(())
    }

    /// Removes the files hidden by a layer's whiteouts, and returns the removals in order. Whiteouts are applied before
    /// all other entries because they affect only lower layers, no matter where they are in the archive (layer.md,
    /// "Whiteouts").
    pub(crate) fn apply_whiteouts(&mut self, layer: &LayerChanges) -> Vec<Removal> {
        let mut removals = Vec::new();
        for (path, change) in layer {
            let removal = match change {
                LayerChange::Whiteout => Removal::Path(path.clone()),
                LayerChange::OpaqueWhiteout => Removal::DirContents(path.clone()),
                LayerChange::Put(_) | LayerChange::HardLink(_) => continue,
            };
            // Whiteouts do not follow symbolic links in lower layers, so a path below one does not exist.
            let exists = path.is_empty() || self.get(path).is_some();
            self.remove(&removal);
            if exists {
                removals.push(removal);
            }
        }
        removals
    }

    /// Merges a separately evaluated layer into the file system, replacing existing files.
    pub(crate) fn merge(&mut self, upper: RootFs) {
        for (path, node) in upper.0 {
            self.insert(&path, node);
        }
    }

    /// Adds an entry to `self`, which contains the earlier entries of the same layer. Returns the entry's real path, or
    /// `None` for whiteouts. Parent directories that the layer does not list are copied from the `lower` layers.
    pub(crate) fn add_entry(
        &mut self,
        path: &str,
        change: &LayerChange,
        lower: &RootFs,
    ) -> Result<Option<String>, String> {
        let node = match change {
            LayerChange::Put(node) => node.clone(),
            LayerChange::HardLink(target) => match self.get(&self.real_path(target)) {
                Some(node @ (FsNode::File(_) | FsNode::Link(_) | FsNode::Other)) => node.clone(),
                _ => {
                    return Err(format!("/{path} is a hard link to /{target}, which is not a file in the same layer"));
                }
            },
            LayerChange::Whiteout | LayerChange::OpaqueWhiteout => return Ok(None),
        };
        let real_path = self.real_path(path);
        self.add_parents(&real_path, lower);
        self.insert(&real_path, node);
        Ok(Some(real_path))
    }

    /// Returns the real path of a layer entry, whose parent directories may be symbolic links.
    pub(crate) fn real_path(&self, path: &str) -> String {
        if path.is_empty() {
            return String::new();
        }
        match self.resolve(parent(path)) {
            Ok(dir) => join(&dir, file_name(path)),
            Err(_) => path.to_owned(),
        }
    }

    /// Adds missing parent directories of a path, copying them from the `lower` layers if they exist there.
    fn add_parents(&mut self, path: &str, lower: &RootFs) {
        let dir = parent(path).to_owned();
        if dir.is_empty() || self.get(&dir).is_some() {
            return;
        }
        self.add_parents(&dir, lower);
        let node = match lower.get(&dir) {
            Some(node @ FsNode::Dir(_)) => node.clone(),
            _ => FsNode::Dir(FileAttributes::IMPLIED_DIR),
        };
        self.insert(&dir, node);
    }

    /// Resolves all symbolic links in a path, including dangling ones, and returns the real path.
    pub(crate) fn resolve(&self, path: &str) -> Result<String, String> {
        self.resolve_through(path, &mut |_| {})
    }

    /// Resolves a path like [`RootFs::resolve`], and calls `on_dir` for each directory that is searched. The root is
    /// the empty path.
    pub(crate) fn resolve_through(&self, path: &str, on_dir: &mut dyn FnMut(&str)) -> Result<String, String> {
        let mut remaining: Vec<String> = components(path).rev().map(str::to_owned).collect();
        let mut resolved = String::new();
        let mut links = 0;
        while let Some(component) = remaining.pop() {
            if component == ".." {
                resolved = parent(&resolved).to_owned();
                continue;
            }
            on_dir(&resolved);
            let next = join(&resolved, &component);
            match self.get(&next) {
                Some(FsNode::Link(target)) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(format!("{path} has too many levels of symbolic links"));
                    }
                    remaining.extend(components(target).rev().map(str::to_owned));
                    if target.starts_with('/') {
                        resolved = String::new();
                    }
                }
                Some(FsNode::Other | FsNode::File(_)) if !remaining.is_empty() => {
                    return Err(format!("/{next} is not a directory"));
                }
                _ => resolved = next,
            }
        }
        Ok(resolved)
    }
}

/// Joins a directory and the name of a file in it. The root directory is the empty path.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Returns the components of a path, skipping `.` and empty components.
fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty() && *component != ".")
}

/// Normalizes a path by removing `.` and leading, trailing, and duplicate slashes.
pub(crate) fn normalize(path: &str) -> String {
    components(path).collect::<Vec<_>>().join("/")
}

/// Normalizes a path relative to the root, and resolves `..` without following symbolic links, like Go's `path.Clean`.
pub(crate) fn clean(path: &str) -> String {
    let mut kept = Vec::new();
    for component in components(path) {
        if component == ".." {
            kept.pop();
        } else {
            kept.push(component);
        }
    }
    kept.join("/")
}

/// Returns the parent directory of a normalized path, or an empty string if the parent is the root.
pub(crate) fn parent(path: &str) -> &str {
    Utf8Path::new(path).parent().map_or("", Utf8Path::as_str)
}

/// Returns the part of a path after the last slash.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: fn() -> LayerChange = || LayerChange::Put(FsNode::File(RegularFile::default()));
    const DIR: fn() -> LayerChange =
        || LayerChange::Put(FsNode::Dir(FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 }));

    fn link(target: &str) -> LayerChange {
        LayerChange::Put(FsNode::Link(target.to_owned()))
    }

    fn changes(entries: &[(&str, LayerChange)]) -> LayerChanges {
        entries.iter().map(|(path, change)| ((*path).to_owned(), change.clone())).collect()
    }

    fn rootfs(layers: &[&[(&str, LayerChange)]]) -> RootFs {
        let mut rootfs = RootFs::default();
        layers.iter().for_each(|entries| rootfs.apply(&changes(entries)).unwrap());
        rootfs
    }

    #[test]
    fn resolves_symbolic_links() {
        let base: &[(&str, LayerChange)] = &[
            ("usr/bin", DIR()),
            ("bin", link("usr/bin")),
            ("usr/local", link("/opt/local")),
            ("opt/local/bin", link("../../usr/bin")),
            ("app", link("usr/file")),
            ("usr/file", FILE()),
            ("loop", link("loop")),
            ("one", link("two")),
            ("two", link("/one")),
            ("dangling", link("/no/where")),
        ];
        // The layer does not list the parent directory of `implied/x`.
        let rootfs = rootfs(&[base, &[("implied/x", FILE())]]);
        for (path, real) in [
            ("/bin/app", "usr/bin/app"),
            ("/bin", "usr/bin"),
            ("/usr/local/bin/x", "usr/bin/x"),
            ("/usr/./bin/../lib//x/", "usr/lib/x"),
            ("/app", "usr/file"),
            ("/../new/x", "new/x"),
            ("/", ""),
            ("/dangling", "no/where"),
            ("/dangling/x", "no/where/x"),
        ] {
            assert_eq!(rootfs.resolve(path).as_deref(), Ok(real), "{path}");
        }
        for path in ["/loop", "/loop/", "/loop/x", "/one", "/two/x"] {
            assert_eq!(rootfs.resolve(path), Err(format!("{path} has too many levels of symbolic links")));
        }
        assert!(matches!(rootfs.get("implied"), Some(FsNode::Dir(_))));
        assert_eq!(rootfs.resolve("/usr/file/x"), Err("/usr/file is not a directory".to_owned()));
    }

    #[test]
    fn clean_resolves_parent_components() {
        for (path, cleaned) in [("/a/../../b/./c/", "b/c"), ("x/..", ""), ("..//..", ""), ("a//b", "a/b")] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn whiteouts_hide_files_of_lower_layers() {
        let base: &[(&str, LayerChange)] = &[
            ("a", DIR()),
            ("a/b", DIR()),
            ("a/b/c", FILE()),
            ("ab", FILE()),
            ("d", link("a")),
            ("o", DIR()),
            ("o/x", FILE()),
        ];
        let over: &[(&str, LayerChange)] = &[
            ("a/b", LayerChange::Whiteout),
            ("d", LayerChange::Whiteout),
            ("o/new", FILE()),
            ("o", LayerChange::OpaqueWhiteout),
        ];
        let rootfs = rootfs(&[base, over]);
        assert_eq!(rootfs.0.keys().collect::<Vec<_>>(), ["a", "ab", "o", "o/new"]);
    }

    #[test]
    fn hard_links_share_the_file_in_the_same_layer() {
        let program = FsNode::File(RegularFile { size: 7, ..RegularFile::default() });
        let base: &[(&str, LayerChange)] =
            &[("a", LayerChange::Put(program.clone())), ("b", LayerChange::HardLink("a".to_owned()))];
        let mut rootfs = rootfs(&[base, &[("a", LayerChange::Whiteout)]]);
        assert_eq!((rootfs.get("a"), rootfs.get("b")), (None, Some(&program)));
        let error = rootfs.apply(&changes(&[("e", LayerChange::HardLink("b".to_owned()))])).unwrap_err();
        assert_eq!(error, "/e is a hard link to /b, which is not a file in the same layer");
    }

    #[test]
    fn layers_do_not_follow_links_of_lower_layers() {
        let dir = |mode: u32| LayerChange::Put(FsNode::Dir(FileAttributes { mode, uid: 0, gid: 0, mtime: 0 }));
        let base: &[(&str, LayerChange)] =
            &[("usr/lib/a", FILE()), ("lib", link("usr/lib")), ("lib/b", FILE()), ("x", dir(0o700))];
        let merged = rootfs(&[base]);
        assert!(merged.get("usr/lib/b").is_some() && merged.get("lib/b").is_none());
        let merged = rootfs(&[base, &[("lib/c", FILE()), ("x/y", FILE())]]);
        assert!(matches!(merged.get("lib"), Some(FsNode::Dir(_))));
        assert!(merged.get("lib/c").is_some() && merged.get("usr/lib/c").is_none());
        assert!(matches!(merged.get("x"), Some(FsNode::Dir(FileAttributes { mode: 0o700, .. }))));
    }
}
