//! The folders and links of a file system that layers make (image-spec, layer.md): enough to know where a copied file
//! ends up, and what its folders are. Read from streams, never unpacked. Pure but for that.

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
    Other,
}

/// A folder's owner, permission bits and time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: u64,
}

/// By path from the root, without a leading slash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree(BTreeMap<String, Node>);

/// The kernel's limit (path_resolution(7)).
const MOST_LINKS: usize = 40;

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
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = normal(&path);
            match path.rsplit('/').next().unwrap_or_default() {
                ".wh..wh..opq" => self.remove(parent(&path), true),
                name if name.starts_with(".wh.") => {
                    let hidden = name.trim_start_matches(".wh.");
                    self.remove(normal(&format!("{}/{hidden}", parent(&path))).as_str(), false);
                }
                _ => {
                    let header = entry.header();
                    let node = match header.entry_type() {
                        tar::EntryType::Directory => Node::Dir(Attributes {
                            // Fields that are left empty are zero, as Go's archive/tar reads them.
                            mode: header.mode().unwrap_or(0o755) & 0o7777,
                            uid: header.uid().unwrap_or(0),
                            gid: header.gid().unwrap_or(0),
                            mtime: header.mtime().unwrap_or(0),
                        }),
                        tar::EntryType::Symlink => {
                            let target = entry.link_name_bytes().unwrap_or_default();
                            Node::Link(String::from_utf8_lossy(&target).into_owned())
                        }
                        _ => Node::Other,
                    };
                    added.push((path, node));
                }
            }
        }
        for (path, node) in added.into_iter().filter(|(path, _)| !path.is_empty()) {
            self.insert(&path, node);
        }
        Ok(())
    }

    /// The path that a path really is, once the links on its way are followed; its last part is followed only when it
    /// leads to a folder.
    pub fn resolve(&self, path: &str) -> Result<String, String> {
        let mut rest: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let mut done = String::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                done = parent(&done).to_owned();
                continue;
            }
            let here = if done.is_empty() { part } else { format!("{done}/{part}") };
            match self.get(&here) {
                Some(Node::Link(target)) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(format!("/{here} is a link without an end"));
                    }
                    let from = if target.starts_with('/') { "" } else { parent(&here) };
                    if rest.is_empty() {
                        let target = self.resolve(&format!("{from}/{target}"))?;
                        return Ok(if matches!(self.get(&target), Some(Node::Dir(_))) { target } else { here });
                    }
                    rest.extend(parts(target).rev().map(str::to_owned));
                    done = from.to_owned();
                }
                Some(Node::Other) if !rest.is_empty() => return Err(format!("/{here} is not a folder")),
                _ => done = here,
            }
        }
        Ok(done)
    }
}

/// A path's parts, without what means nothing.
fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// Without leading, trailing and double slashes.
pub fn normal(path: &str) -> String {
    parts(path).collect::<Vec<_>>().join("/")
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
        ];
        let tree = tree(&[base]);
        for (path, real) in [
            ("/bin/app", "usr/bin/app"),
            ("/bin", "usr/bin"),
            ("/usr/local/bin/x", "usr/bin/x"),
            ("/usr/./bin/../lib//x/", "usr/lib/x"),
            ("/app", "app"),
            ("/../new/x", "new/x"),
            ("/", ""),
        ] {
            assert_eq!(tree.resolve(path).as_deref(), Ok(real), "{path}");
        }
        assert!(tree.resolve("/loop/x").is_err());
        assert_eq!(tree.resolve("/usr/file/x"), Err("/usr/file is not a folder".to_owned()));
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
