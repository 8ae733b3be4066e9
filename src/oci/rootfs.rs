//! The file system that layers make (image-spec, layer.md): enough of it to know where a copied file ends up, who its
//! users are, and what a program finds when it starts. `scan` reads it from the layers. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::elf::Elf;
use crate::shell::ScriptCommand;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FsNode {
    Dir(FileAttributes),
    /// A symbolic link, and where it leads.
    Link(String),
    File(RegularFile),
    /// A device, a pipe or a socket.
    Other,
}

/// A regular file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegularFile {
    #[serde(flatten)]
    pub attributes: FileAttributes,
    /// Bytes.
    pub size: u64,
    pub content: FileContent,
}

/// What is kept of a file's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileContent {
    Other,
    /// All of it, of the few files that a start depends on.
    Text(String),
    Program(Arc<ElfFile>),
    Script(Arc<ScriptFile>),
    /// The libraries that `/etc/ld.so.cache` names, by path.
    LoaderCache(Vec<String>),
}

/// A file that begins as ELF files do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElfFile {
    /// Hexadecimal.
    pub sha256: String,
    /// None where the rest of it is none.
    pub elf: Option<Elf>,
}

/// A file that begins with `#!`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptFile {
    /// What follows on the first line, as it is.
    pub line: String,
    /// What it replaces itself with, where a shell reads it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub execs: Vec<ScriptCommand>,
}

/// An owner, permission bits and a time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileAttributes {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
}

/// What an entry of a layer does at its path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerChange {
    Put(FsNode),
    /// The file at another path gets this one as well.
    HardLink(String),
    /// A whiteout: nothing of the layers below is left here.
    #[serde(rename = "Hide")]
    Whiteout,
    /// An opaque whiteout: a folder of the layers below is empty.
    #[serde(rename = "Empty")]
    OpaqueWhiteout,
}

/// A layer: paths from the root without a leading slash, in the order of its entries; empty for the root itself.
pub type LayerChanges = Vec<(String, LayerChange)>;

/// The form in which layers are kept, for whoever keeps some: another number for another form, and for files that are
/// read in another way.
pub const SCAN_VERSION: u32 = 5;

/// By path from the root, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RootFs(BTreeMap<String, FsNode>);

/// BuildKit's limit (containerd's continuity, `fs.RootPath`).
const MOST_LINKS: usize = 255;

impl Default for RegularFile {
    /// An empty file that everybody may run.
    fn default() -> RegularFile {
        RegularFile {
            attributes: FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 },
            size: 0,
            content: FileContent::Other,
        }
    }
}

impl RootFs {
    pub fn get(&self, path: &str) -> Option<&FsNode> {
        self.0.get(path)
    }

    /// What a path itself is: links in the folders above it are followed, and one at its end is not.
    pub fn at(&self, path: &str) -> Option<&FsNode> {
        let path = normal(path);
        self.get(&join(&self.resolve(parent(&path)).ok()?, path.rsplit('/').next().unwrap_or_default()))
    }

    /// All paths that begin with a text, in order.
    pub fn below<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a FsNode)> {
        let from = self.0.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        from.map(|(path, node)| (path.as_str(), node)).take_while(move |(path, _)| path.starts_with(prefix))
    }

    /// The text of a file that is kept as one, through links.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.get(&self.resolve(path).ok()?)? {
            FsNode::File(RegularFile { content: FileContent::Text(text), .. }) => Some(text),
            _ => None,
        }
    }

    pub fn insert(&mut self, path: &str, node: FsNode) {
        // A folder that is replaced by something else takes what it holds with it.
        if !matches!(node, FsNode::Dir(_)) && matches!(self.get(path), Some(FsNode::Dir(_))) {
            self.remove(path, false);
        }
        self.0.insert(path.to_owned(), node);
    }

    /// Takes a path out with all below it, or only what is below.
    fn remove(&mut self, path: &str, keep: bool) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let gone: Vec<String> = self.below(&prefix).map(|(path, _)| path.to_owned()).collect();
        gone.iter().filter(|gone| *gone != path).for_each(|gone| drop(self.0.remove(gone)));
        if !keep {
            self.0.remove(path);
        }
    }

    /// Lays a layer on top; says what of it cannot be. As with overlayfs, where a layer is unpacked by itself: its paths
    /// go through links of its own, a link below it gives way to a folder, and its hard links name files of its own.
    pub fn apply(&mut self, layer: &LayerChanges) -> Result<(), String> {
        // Whiteouts are for the layers below, wherever they stand in this one (layer.md, "Whiteouts").
        for (path, change) in layer {
            match change {
                LayerChange::Whiteout => self.remove(path, false),
                LayerChange::OpaqueWhiteout => self.remove(path, true),
                LayerChange::Put(_) | LayerChange::HardLink(_) => {}
            }
        }
        let mut own = RootFs::default();
        layer.iter().try_for_each(|(path, change)| own.put(path, change, self).map(drop))?;
        own.0.into_iter().for_each(|(path, node)| self.insert(&path, node));
        Ok(())
    }

    /// Lays an entry of a layer on the others of the same layer, and nothing for a whiteout; where it went.
    pub fn put(&mut self, path: &str, change: &LayerChange, below: &RootFs) -> Result<Option<String>, String> {
        let node = match change {
            LayerChange::Put(node) => node.clone(),
            LayerChange::HardLink(target) => match self.get(&self.place(target)) {
                Some(node @ (FsNode::File(_) | FsNode::Link(_) | FsNode::Other)) => node.clone(),
                _ => {
                    return Err(format!("/{path} is a hard link to /{target}, which is no file of the same layer"));
                }
            },
            LayerChange::Whiteout | LayerChange::OpaqueWhiteout => return Ok(None),
        };
        let place = self.place(path);
        self.folders_above(&place, below);
        self.insert(&place, node);
        Ok(Some(place))
    }

    /// Where an entry of a layer goes: a folder above it may be a link.
    pub fn place(&self, path: &str) -> String {
        if path.is_empty() {
            return String::new();
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        self.resolve(parent(path)).map_or_else(|_| path.to_owned(), |above| join(&above, name))
    }

    /// The folders that a layer leaves unsaid: those below it, or new ones.
    fn folders_above(&mut self, path: &str, below: &RootFs) {
        let above = parent(path).to_owned();
        if !above.is_empty() && self.get(&above).is_none() {
            self.folders_above(&above, below);
            let node = match below.get(&above) {
                Some(node @ FsNode::Dir(_)) => node.clone(),
                _ => FsNode::Dir(FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 }),
            };
            self.insert(&above, node);
        }
    }

    /// The path that a path really is, once all links on its way are followed, those to nothing as well.
    pub fn resolve(&self, path: &str) -> Result<String, String> {
        self.walk(path, &mut |_| {})
    }

    /// The same; tells each folder that is gone through, the root as the empty path.
    pub fn walk(&self, path: &str, through: &mut dyn FnMut(&str)) -> Result<String, String> {
        let mut rest: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                done = parent(&done).to_owned();
                continue;
            }
            through(&done);
            let here = join(&done, &part);
            match self.get(&here) {
                Some(FsNode::Link(target)) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(format!("{path} is a link without an end"));
                    }
                    rest.extend(parts(target).rev().map(str::to_owned));
                    done = if target.starts_with('/') { String::new() } else { parent(&here).to_owned() };
                }
                Some(FsNode::Other | FsNode::File(_)) if !rest.is_empty() => {
                    return Err(format!("/{here} is not a folder"));
                }
                _ => done = here,
            }
        }
        Ok(done)
    }
}

/// A name in a folder, which is empty for the root.
pub fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// A path's parts, without what means nothing.
fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// Without leading, trailing and double slashes.
pub fn normal(path: &str) -> String {
    parts(path).collect::<Vec<_>>().join("/")
}

/// A path from the root with its `..` gone, whatever links there are (Go's `path.Clean`); normal.
pub fn clean(path: &str) -> String {
    let mut kept = Vec::new();
    for part in parts(path) {
        match part {
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    kept.join("/")
}

/// The folder of a normal path; empty for the root's.
pub fn parent(path: &str) -> &str {
    Utf8Path::new(path).parent().map_or("", Utf8Path::as_str)
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

    fn tree(layers: &[&[(&str, LayerChange)]]) -> RootFs {
        let mut tree = RootFs::default();
        layers.iter().for_each(|entries| tree.apply(&changes(entries)).unwrap());
        tree
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
        let tree = tree(&[base, &[("unsaid/x", FILE())]]);
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
            assert_eq!(tree.resolve(path).as_deref(), Ok(real), "{path}");
        }
        for path in ["/loop", "/loop/", "/loop/x", "/one", "/two/x"] {
            assert_eq!(tree.resolve(path), Err(format!("{path} is a link without an end")));
        }
        assert!(matches!(tree.get("unsaid"), Some(FsNode::Dir(_))));
        assert_eq!(tree.resolve("/usr/file/x"), Err("/usr/file is not a folder".to_owned()));
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
        let tree = tree(&[base, over]);
        assert_eq!(tree.0.keys().collect::<Vec<_>>(), ["a", "ab", "o", "o/new"]);
    }
    #[test]
    fn hard_links_are_the_files_that_they_name() {
        let program = FsNode::File(RegularFile { size: 7, ..RegularFile::default() });
        let base: &[(&str, LayerChange)] =
            &[("a", LayerChange::Put(program.clone())), ("b", LayerChange::HardLink("a".to_owned()))];
        let mut tree = tree(&[base, &[("a", LayerChange::Whiteout)]]);
        assert_eq!((tree.get("a"), tree.get("b")), (None, Some(&program)));
        let wrong = tree.apply(&changes(&[("e", LayerChange::HardLink("b".to_owned()))])).unwrap_err();
        assert_eq!(wrong, "/e is a hard link to /b, which is no file of the same layer");
    }

    #[test]
    fn a_layers_links_are_its_own() {
        let dir = |mode: u32| LayerChange::Put(FsNode::Dir(FileAttributes { mode, uid: 0, gid: 0, mtime: 0 }));
        let base: &[(&str, LayerChange)] =
            &[("usr/lib/a", FILE()), ("lib", link("usr/lib")), ("lib/b", FILE()), ("x", dir(0o700))];
        let merged = tree(&[base]);
        assert!(merged.get("usr/lib/b").is_some() && merged.get("lib/b").is_none());
        let merged = tree(&[base, &[("lib/c", FILE()), ("x/y", FILE())]]);
        assert!(matches!(merged.get("lib"), Some(FsNode::Dir(_))));
        assert!(merged.get("lib/c").is_some() && merged.get("usr/lib/c").is_none());
        assert!(matches!(merged.get("x"), Some(FsNode::Dir(FileAttributes { mode: 0o700, .. }))));
    }
}
