//! The root file system that an image's layers make (image-spec, layer.md): which file is at a path, who the users are,
//! and what a program finds when it starts. `layer_scan` reads layers into it, `unpack` does the same on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::elf::Elf;
use crate::shell::ScriptCommand;

/// A file, directory or link at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FsNode {
    Dir(FileAttributes),
    /// A symbolic link with its target.
    Link(String),
    File(RegularFile),
    /// A device, a pipe or a socket.
    Other,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RegularFile {
    #[serde(flatten)]
    pub attributes: FileAttributes,
    /// In bytes.
    pub size: u64,
    pub content: FileContent,
}

/// The part of a file's content that checks need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileContent {
    Other,
    /// The whole text, for the few configuration files that decide how a program starts.
    Text(String),
    Program(Arc<ElfFile>),
    Script(Arc<ScriptFile>),
    /// The libraries listed in `/etc/ld.so.cache`, by path.
    LoaderCache(Vec<String>),
}

/// A file that starts with the ELF magic number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ElfFile {
    /// In hexadecimal.
    pub sha256: String,
    /// `None` if the rest of the file is not valid ELF.
    pub elf: Option<Elf>,
}

/// A file that starts with `#!`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ScriptFile {
    /// The rest of the first line, unchanged.
    #[serde(rename = "line")]
    pub shebang: String,
    /// The programs that a shell script turns into.
    #[serde(rename = "execs", default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<ScriptCommand>,
}

/// Permission bits, owner and modification time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileAttributes {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
}

impl FileAttributes {
    /// A directory that no layer lists: runtimes create it with these.
    const IMPLIED_DIR: FileAttributes = FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
}

/// What a layer's entry does at its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum LayerChange {
    Put(FsNode),
    /// Links the file at another path of the layer here.
    HardLink(String),
    /// Removes whatever lower layers have here.
    #[serde(rename = "Hide")]
    Whiteout,
    /// Removes whatever lower layers have in this directory.
    #[serde(rename = "Empty")]
    OpaqueWhiteout,
}

/// The entries of a layer, in their order: paths from the root without a leading slash; the root itself is empty.
pub(crate) type LayerChanges = Vec<(String, LayerChange)>;

/// Version of the serialized form of scanned layers. Increase it if that form changes, or how files are read.
pub(crate) const SCAN_VERSION: u32 = 5;

/// A file system by path from the root, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RootFs(BTreeMap<String, FsNode>);

/// Something that a whiteout removes from the layers below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Removal {
    /// The path with everything below it.
    Path(String),
    /// Everything in the directory, but not the directory itself.
    DirContents(String),
}

/// Maximum number of links followed for one path, as in BuildKit (containerd's continuity, `fs.RootPath`).
const MAX_LINKS: usize = 255;

impl Default for RegularFile {
    /// An empty file that everybody may execute.
    fn default() -> RegularFile {
        RegularFile {
            attributes: FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 },
            size: 0,
            content: FileContent::Other,
        }
    }
}

impl RootFs {
    pub(crate) fn get(&self, path: &str) -> Option<&FsNode> {
        self.0.get(path)
    }

    /// Returns what is at a path without following a link at its end, as lstat(2) does.
    pub(crate) fn lstat(&self, path: &str) -> Option<&FsNode> {
        let path = normalize(path);
        self.get(&join(&self.resolve(parent(&path)).ok()?, file_name(&path)))
    }

    /// Returns all paths that start with `prefix`, in order.
    pub(crate) fn with_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a FsNode)> {
        let from = self.0.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(path, node)| (path.as_str(), node)).take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// Returns the text of a file whose text is kept, following links.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        match self.get(&self.resolve(path).ok()?)? {
            FsNode::File(RegularFile { content: FileContent::Text(text), .. }) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn insert(&mut self, path: &str, node: FsNode) {
        // A directory that something else replaces takes its contents with it.
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

    /// Puts a layer on top. Fails with the reason if one of its entries is impossible.
    ///
    /// The layer is laid out by itself first, as overlayfs has it: its paths go through its own links only, its hard
    /// links name its own files, and its directories replace links below.
    pub(crate) fn apply(&mut self, layer: &LayerChanges) -> Result<(), String> {
        self.apply_whiteouts(layer);
        let mut upper = RootFs::default();
        for (path, change) in layer {
            upper.add_entry(path, change, self)?;
        }
        self.merge(upper);
        Ok(())
    }

    /// Removes what a layer's whiteouts hide, wherever they are in the layer: they hide files of lower layers only
    /// (layer.md, "Whiteouts"). Returns what was removed, in order.
    pub(crate) fn apply_whiteouts(&mut self, layer: &LayerChanges) -> Vec<Removal> {
        let mut removals = Vec::new();
        for (path, change) in layer {
            let removal = match change {
                LayerChange::Whiteout => Removal::Path(path.clone()),
                LayerChange::OpaqueWhiteout => Removal::DirContents(path.clone()),
                LayerChange::Put(_) | LayerChange::HardLink(_) => continue,
            };
            // A path that goes through a link of a lower layer names nothing.
            let exists = path.is_empty() || self.get(path).is_some();
            self.remove(&removal);
            if exists {
                removals.push(removal);
            }
        }
        removals
    }

    /// Puts a layer that was laid out by itself on top.
    pub(crate) fn merge(&mut self, upper: RootFs) {
        for (path, node) in upper.0 {
            self.insert(&path, node);
        }
    }

    /// Adds an entry to the earlier ones of its layer, which `self` holds. Returns the path where it ends up, or `None`
    /// for whiteouts. Directories that the layer does not list are taken from the `lower` layers.
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
                    return Err(format!("/{path} is a hard link to /{target}, which is no file of the same layer"));
                }
            },
            LayerChange::Whiteout | LayerChange::OpaqueWhiteout => return Ok(None),
        };
        let real_path = self.real_path(path);
        self.add_parents(&real_path, lower);
        self.insert(&real_path, node);
        Ok(Some(real_path))
    }

    /// Returns where an entry of a layer ends up: a directory above it may be a link.
    pub(crate) fn real_path(&self, path: &str) -> String {
        if path.is_empty() {
            return String::new();
        }
        match self.resolve(parent(path)) {
            Ok(dir) => join(&dir, file_name(path)),
            Err(_) => path.to_owned(),
        }
    }

    /// Adds the directories above a path that the layer does not list: those of the `lower` layers, or new ones.
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

    /// Follows all links on the way to a path and at its end, dangling ones as well, and returns the real path.
    pub(crate) fn resolve(&self, path: &str) -> Result<String, String> {
        self.resolve_through(path, &mut |_| {})
    }

    /// Does the same, and calls `on_dir` with each directory on the way; the root is the empty path.
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
                        return Err(format!("{path} is a link without an end"));
                    }
                    remaining.extend(components(target).rev().map(str::to_owned));
                    if target.starts_with('/') {
                        resolved = String::new();
                    }
                }
                Some(FsNode::Other | FsNode::File(_)) if !remaining.is_empty() => {
                    return Err(format!("/{next} is not a folder"));
                }
                _ => resolved = next,
            }
        }
        Ok(resolved)
    }
}

/// Joins a directory, which is empty for the root, and a name in it.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Returns the components of a path, without empty ones and `.`.
fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|component| !component.is_empty() && *component != ".")
}

/// Removes leading, trailing and double slashes, and `.`.
pub(crate) fn normalize(path: &str) -> String {
    components(path).collect::<Vec<_>>().join("/")
}

/// Normalizes a path from the root and removes its `..` without looking at links (Go's `path.Clean`).
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

/// Returns the directory of a normalized path; empty if that is the root.
pub(crate) fn parent(path: &str) -> &str {
    Utf8Path::new(path).parent().map_or("", Utf8Path::as_str)
}

/// Returns what follows the last slash of a path.
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
    fn links_lead_where_the_files_go() {
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
        // Below a folder that is not listed.
        let rootfs = rootfs(&[base, &[("unsaid/x", FILE())]]);
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
            assert_eq!(rootfs.resolve(path), Err(format!("{path} is a link without an end")));
        }
        assert!(matches!(rootfs.get("unsaid"), Some(FsNode::Dir(_))));
        assert_eq!(rootfs.resolve("/usr/file/x"), Err("/usr/file is not a folder".to_owned()));
    }

    #[test]
    fn paths_without_detours() {
        for (path, cleaned) in [("/a/../../b/./c/", "b/c"), ("x/..", ""), ("..//..", ""), ("a//b", "a/b")] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn whiteouts_hide_what_is_below() {
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
    fn hard_links_are_the_files_that_they_name() {
        let program = FsNode::File(RegularFile { size: 7, ..RegularFile::default() });
        let base: &[(&str, LayerChange)] =
            &[("a", LayerChange::Put(program.clone())), ("b", LayerChange::HardLink("a".to_owned()))];
        let mut rootfs = rootfs(&[base, &[("a", LayerChange::Whiteout)]]);
        assert_eq!((rootfs.get("a"), rootfs.get("b")), (None, Some(&program)));
        let wrong = rootfs.apply(&changes(&[("e", LayerChange::HardLink("b".to_owned()))])).unwrap_err();
        assert_eq!(wrong, "/e is a hard link to /b, which is no file of the same layer");
    }

    #[test]
    fn a_layers_links_are_its_own() {
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
