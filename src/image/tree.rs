//! The folders and links of a file system that layers make (image-spec, layer.md): enough to know where a copied file
//! ends up, what its folders are, and who its users are. Read from streams, never unpacked. Pure but for that.

use std::collections::BTreeMap;
use std::io::{self, Read};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    Dir(Attributes),
    /// A symbolic link, and where it leads.
    Link(String),
    /// What a file of users or groups says.
    Text(String),
    Other,
}

impl Node {
    /// A regular file at a path; only what is wanted of it is read.
    pub fn file(path: &str, size: u64, mut content: impl Read) -> io::Result<Node> {
        if size > LONGEST_TEXT || !["etc/passwd", "etc/group"].iter().any(|wanted| path.ends_with(wanted)) {
            return Ok(Node::Other);
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok(Node::Text(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// A folder's owner, permission bits and time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
}

/// The form in which a tree is kept, for whoever keeps one: another number for another form.
pub const FORM: u32 = 2;

/// By path from the root, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree(BTreeMap<String, Node>);

/// BuildKit's limit (containerd's continuity, `fs.RootPath`).
const MOST_LINKS: usize = 255;
/// Of users and groups; what is longer is none.
const LONGEST_TEXT: u64 = 1 << 20;

impl Tree {
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    pub fn insert(&mut self, path: &str, node: Node) {
        // A folder that is replaced by something else takes what it holds with it.
        if !matches!(node, Node::Dir(_)) && matches!(self.get(path), Some(Node::Dir(_))) {
            self.remove(path, false);
        }
        self.0.insert(path.to_owned(), node);
    }

    /// Takes a path out with all below it, or only what is below.
    fn remove(&mut self, path: &str, keep: bool) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.0.retain(|other, _| if other == path { keep } else { !other.starts_with(&prefix) });
    }

    /// Lays a layer, an uncompressed tar stream, on top.
    pub fn apply(&mut self, layer: impl Read) -> io::Result<()> {
        // Whiteouts are for the layers below, wherever they stand in this one (layer.md, "Whiteouts").
        let mut added = Vec::new();
        for entry in tar::Archive::new(layer).entries()? {
            let mut entry = entry?;
            let path = normal(&String::from_utf8_lossy(&entry.path_bytes()));
            let name = path.rsplit('/').next().unwrap_or_default();
            match name.strip_prefix(".wh.") {
                Some(".wh..opq") => self.remove(&self.place(parent(&path)), true),
                Some(hidden) => self.remove(&self.place(&join(parent(&path), hidden)), false),
                None if path.is_empty() => {}
                None => {
                    let node = node(&path, &mut entry)?;
                    added.push((path, node));
                }
            }
        }
        for (path, node) in added {
            let place = self.place(&path);
            self.folders_above(&place);
            self.insert(&place, node);
        }
        Ok(())
    }

    /// Where an entry of a layer goes: a folder above it may be a link of a layer below.
    fn place(&self, path: &str) -> String {
        let name = path.rsplit('/').next().unwrap_or_default();
        self.resolve(parent(path)).map_or_else(|_| path.to_owned(), |above| join(&above, name))
    }

    /// The folders that a layer leaves unsaid.
    fn folders_above(&mut self, path: &str) {
        let above = parent(path).to_owned();
        if !above.is_empty() && self.get(&above).is_none() {
            self.folders_above(&above);
            self.insert(&above, Node::Dir(Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 }));
        }
    }

    /// The path that a path really is, once all links on its way are followed, those to nothing as well.
    pub fn resolve(&self, path: &str) -> Result<String, String> {
        let mut rest: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                done = parent(&done).to_owned();
                continue;
            }
            let here = join(&done, &part);
            match self.get(&here) {
                Some(Node::Link(target)) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(format!("{path} is a link without an end"));
                    }
                    rest.extend(parts(target).rev().map(str::to_owned));
                    done = if target.starts_with('/') { String::new() } else { parent(&here).to_owned() };
                }
                Some(Node::Other | Node::Text(_)) if !rest.is_empty() => {
                    return Err(format!("/{here} is not a folder"));
                }
                _ => done = here,
            }
        }
        Ok(done)
    }
}

/// What a layer's entry leaves at its path.
fn node(path: &str, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Node> {
    let header = entry.header();
    Ok(match header.entry_type() {
        tar::EntryType::Directory => Node::Dir(Attributes {
            // Fields that are left empty are zero, as Go's archive/tar reads them.
            mode: header.mode().unwrap_or(0o755) & 0o7777,
            uid: header.uid().unwrap_or(0),
            gid: header.gid().unwrap_or(0),
            mtime: header.mtime().unwrap_or(0),
        }),
        tar::EntryType::Symlink => {
            Node::Link(String::from_utf8_lossy(&entry.link_name_bytes().unwrap_or_default()).into_owned())
        }
        tar::EntryType::Regular => Node::file(path, entry.size(), entry)?,
        _ => Node::Other,
    })
}

/// A name in a folder, which is empty for the root.
fn join(folder: &str, name: &str) -> String {
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

    fn layer(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, link) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_size(0);
            match kind {
                tar::EntryType::Symlink => builder.append_link(&mut header, path, link).unwrap(),
                _ => builder.append_data(&mut header, path, io::empty()).unwrap(),
            }
        }
        builder.into_inner().unwrap()
    }

    const DIR: tar::EntryType = tar::EntryType::Directory;
    const FILE: tar::EntryType = tar::EntryType::Regular;
    const LINK: tar::EntryType = tar::EntryType::Symlink;

    fn tree(layers: &[&[(&str, tar::EntryType, &str)]]) -> Tree {
        let mut tree = Tree::default();
        layers.iter().for_each(|entries| tree.apply(&layer(entries)[..]).unwrap());
        tree
    }

    #[test]
    fn links_lead_where_the_files_go() {
        let base: &[(&str, tar::EntryType, &str)] = &[
            ("./usr/bin/", DIR, ""),
            ("bin", LINK, "usr/bin"),
            ("usr/local", LINK, "/opt/local"),
            ("opt/local/bin", LINK, "../../usr/bin"),
            ("app", LINK, "usr/file"),
            ("usr/file", FILE, ""),
            ("loop", LINK, "loop"),
            ("one", LINK, "two"),
            ("two", LINK, "/one"),
            ("dangling", LINK, "/no/where"),
        ];
        // Written through a link of the layer below, and below a folder that is not listed.
        let tree = tree(&[base, &[("bin/below", FILE, ""), ("unsaid/x", FILE, "")]]);
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
        assert_eq!(tree.get("usr/bin/below"), Some(&Node::Other));
        assert!(matches!(tree.get("unsaid"), Some(Node::Dir(_))));
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
        let base: &[(&str, tar::EntryType, &str)] = &[
            ("a", DIR, ""),
            ("a/b", DIR, ""),
            ("a/b/c", FILE, ""),
            ("ab", FILE, ""),
            ("d", LINK, "a"),
            ("o", DIR, ""),
            ("o/x", FILE, ""),
        ];
        let over: &[(&str, tar::EntryType, &str)] =
            &[("a/.wh.b", FILE, ""), (".wh.d", FILE, ""), ("o/new", FILE, ""), ("o/.wh..wh..opq", FILE, "")];
        let tree = tree(&[base, over]);
        assert_eq!(tree.0.keys().collect::<Vec<_>>(), ["a", "ab", "o", "o/new"]);
    }
}
