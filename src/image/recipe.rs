//! What the layers of a platform are made of: the copies of its script against the base's file system, as Docker's COPY
//! does it (Dockerfile reference, "COPY"). Reads the staged context; the binaries need not be there yet.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use camino::Utf8Path;

use super::layer::{Entries, Entry, File};
use super::script::Copy;
use super::tree::{Attributes, Node, Tree, normal, parent};
use crate::compile::artifact::hash;
use crate::error::{Class, Failure};

/// One layer of the image, on top of the base's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRecipe {
    pub entries: Entries,
    /// The source in the context, and the path in the image, of the binary that is still to come.
    pub binary: Option<(String, String)>,
    /// The instructions, for the image's history.
    pub created_by: String,
}

/// Works the copies into layers: one for each binary, one for what stands between them.
/// `is_binary` says which sources are compiled and not staged yet; `time` is what everything new carries.
pub fn layers(
    copies: &[Copy],
    context: &Utf8Path,
    is_binary: &dyn Fn(&str) -> bool,
    tree: &mut Tree,
    time: u64,
) -> Result<Vec<LayerRecipe>> {
    let mut layers: Vec<LayerRecipe> = Vec::new();
    for copy in copies {
        let binary = copy.sources.iter().find(|source| is_binary(source.as_str()));
        if binary.is_some() && copy.sources.len() > 1 {
            return Err(wrong(copy, "copies several binaries").hint("give each binary a COPY of its own").into());
        }
        if binary.is_some() || layers.last().is_none_or(|last| last.binary.is_some()) {
            layers.push(LayerRecipe { entries: Entries::new(), binary: None, created_by: String::new() });
        }
        let Some(layer) = layers.last_mut() else { continue };
        let mut placer = Placer { copy, tree, entries: &mut layer.entries, time };
        match binary {
            Some(source) => layer.binary = Some((source.clone(), placer.binary(source)?)),
            None => placer.files(context)?,
        }
        let separator = if layer.created_by.is_empty() { "" } else { " && " };
        layer.created_by.push_str(&format!("{separator}{}", copy.text));
    }
    // A WORKDIR that the base has needs no layer.
    layers.retain(|layer| layer.binary.is_some() || !layer.entries.is_empty());
    Ok(layers)
}

fn wrong(copy: &Copy, what: &str) -> Failure {
    Failure::new(Class::Config, format!("'{}' {what}", copy.text))
}

struct Placer<'a> {
    copy: &'a Copy,
    tree: &'a mut Tree,
    entries: &'a mut Entries,
    time: u64,
}

impl Placer<'_> {
    fn attributes(&self, mode: u32) -> Attributes {
        let (uid, gid) = self.copy.owner;
        Attributes { mode, uid, gid, mtime: self.time }
    }

    /// Where a source named `name` goes: into the target, where that is a folder.
    fn target(&self, name: &str) -> Result<String> {
        let target = &self.copy.target;
        let resolved = self.tree.resolve(target).map_err(|what| wrong(self.copy, &format!("does not work: {what}")))?;
        let folder =
            target.ends_with('/') || resolved.is_empty() || matches!(self.tree.get(&resolved), Some(Node::Dir(_)));
        Ok(if folder { normal(&format!("{resolved}/{name}")) } else { resolved })
    }

    /// Adds the folders above a path: as they are, or new ones.
    fn folders_above(&mut self, path: &str) {
        let above = parent(path).to_owned();
        if above.is_empty() {
            return;
        }
        self.folders_above(&above);
        let attributes = match self.tree.get(&above) {
            Some(Node::Dir(attributes)) => *attributes,
            _ => Attributes { mode: 0o755, uid: self.copy.owner.0, gid: self.copy.owner.1, mtime: self.time },
        };
        self.folder(&above, attributes);
    }

    fn folder(&mut self, path: &str, attributes: Attributes) {
        self.tree.insert(path, Node::Dir(attributes));
        self.entries.insert(path.to_owned(), Entry { attributes, file: None });
    }

    fn binary(&mut self, source: &str) -> Result<String> {
        let name = source.rsplit('/').next().unwrap_or(source);
        let target = self.target(name)?;
        self.folders_above(&target);
        self.tree.insert(&target, Node::Other);
        let attributes = self.attributes(self.copy.mode.unwrap_or(0o755));
        let file = Some(File { path: source.into(), size: 0, sha256: String::new() });
        self.entries.insert(target.clone(), Entry { attributes, file });
        Ok(target)
    }

    fn files(&mut self, context: &Utf8Path) -> Result<()> {
        if self.copy.sources.is_empty() {
            let target = self.target("")?;
            if !matches!(self.tree.get(&target), Some(Node::Dir(_))) && !target.is_empty() {
                self.folders_above(&target);
                self.folder(&target, self.attributes(0o755));
            }
            return Ok(());
        }
        for source in &self.copy.sources {
            let path = context.join(normal(source));
            let metadata = fs_err::metadata(&path).map_err(|_| {
                wrong(self.copy, &format!("copies '{source}', which is not in the build context"))
                    .hint(format!("see what is: `find {context}`"))
            })?;
            if metadata.is_dir() {
                let target = self
                    .tree
                    .resolve(&self.copy.target)
                    .map_err(|what| wrong(self.copy, &format!("does not work: {what}")))?;
                self.folders_above(&target);
                // A folder that is there keeps its mode; those within take the source's.
                if !target.is_empty() && !matches!(self.tree.get(&target), Some(Node::Dir(_))) {
                    self.folder(
                        &target,
                        self.attributes(self.copy.mode.unwrap_or(metadata.permissions().mode() & 0o7777)),
                    );
                }
                self.folder_content(&path, &target)?;
            } else {
                let name = path.file_name().unwrap_or_default().to_owned();
                let target = self.target(&name)?;
                self.file(&path, &target)?;
            }
        }
        Ok(())
    }

    fn folder_content(&mut self, from: &Utf8Path, to: &str) -> Result<()> {
        let mut children = from.read_dir_utf8()?.collect::<Result<Vec<_>, _>>()?;
        children.sort_by(|one, other| one.file_name().cmp(other.file_name()));
        for child in children {
            let target = self
                .tree
                .resolve(&format!("{to}/{}", child.file_name()))
                .map_err(|what| wrong(self.copy, &format!("does not work: {what}")))?;
            let metadata = fs_err::metadata(child.path())?;
            if metadata.is_dir() {
                self.folders_above(&target);
                self.folder(&target, self.attributes(self.copy.mode.unwrap_or(metadata.permissions().mode() & 0o7777)));
                self.folder_content(child.path(), &target)?;
            } else {
                self.file(child.path(), &target)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, from: &Utf8Path, to: &str) -> Result<()> {
        if matches!(self.tree.get(to), Some(Node::Dir(_))) {
            return Err(wrong(self.copy, &format!("would put a file where /{to} is a folder")).into());
        }
        self.folders_above(to);
        self.tree.insert(to, Node::Other);
        let mode = self.copy.mode.unwrap_or(fs_err::metadata(from)?.permissions().mode() & 0o7777);
        let (sha256, size) = hash(fs_err::File::open(from)?)?;
        let file = Some(File { path: from.to_owned(), size, sha256 });
        self.entries.insert(to.to_owned(), Entry { attributes: self.attributes(mode), file });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: u64 = 7;

    fn dir(mode: u32) -> Node {
        Node::Dir(Attributes { mode, uid: 1, gid: 1, mtime: 1 })
    }

    fn copy(sources: &[&str], target: &str) -> Copy {
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        Copy { sources, target: target.to_owned(), mode: None, owner: (0, 0), text: format!("COPY {target}") }
    }

    /// The layers of some copies from a context with `one.txt` and `data/sub/two.txt`, on a base with `/usr/bin`, a
    /// link `/bin` to it, `/root` for root alone and a file `/etc`. Binaries begin with `bin-`.
    fn made(copies: &[Copy]) -> Result<Vec<Vec<String>>> {
        let context = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(context.path()).unwrap();
        fs_err::create_dir_all(root.join("data/sub")).unwrap();
        fs_err::set_permissions(root.join("data/sub"), std::fs::Permissions::from_mode(0o750)).unwrap();
        for (file, mode) in [("one.txt", 0o644), ("data/sub/two.txt", 0o600)] {
            fs_err::write(root.join(file), "x").unwrap();
            fs_err::set_permissions(root.join(file), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut tree = Tree::default();
        for (path, node) in [
            ("usr", dir(0o755)),
            ("usr/bin", dir(0o755)),
            ("bin", Node::Link("usr/bin".to_owned())),
            ("root", dir(0o700)),
            ("etc", Node::Other),
        ] {
            tree.insert(path, node);
        }
        let layers = layers(copies, root, &|source| source.starts_with("bin-"), &mut tree, TIME)?;
        let line = |(path, entry): (&String, &Entry)| {
            let Attributes { mode, uid, mtime, .. } = entry.attributes;
            format!("{path}{} {mode:o} {uid} {mtime}", if entry.file.is_some() { "" } else { "/" })
        };
        Ok(layers.iter().map(|layer| layer.entries.iter().map(line).collect()).collect())
    }

    #[test]
    fn files_go_where_links_lead_and_folders_stay_as_they_are() {
        for (source, target, entries) in [
            ("one.txt", "/bin/x", &["usr/ 755 1 1", "usr/bin/ 755 1 1", "usr/bin/x 644 0 7"][..]),
            ("one.txt", "/bin", &["usr/ 755 1 1", "usr/bin/ 755 1 1", "usr/bin/one.txt 644 0 7"]),
            ("one.txt", "/root/new/", &["root/ 700 1 1", "root/new/ 755 0 7", "root/new/one.txt 644 0 7"]),
            ("data", "/root", &["root/ 700 1 1", "root/sub/ 750 0 7", "root/sub/two.txt 600 0 7"]),
            ("data/", "/d", &["d/ 755 0 7", "d/sub/ 750 0 7", "d/sub/two.txt 600 0 7"]),
            ("one.txt", "/", &["one.txt 644 0 7"]),
        ] {
            let layers = made(&[copy(&[source], target)]).unwrap();
            // The umask decides the mode of the context's folder `data`, which is no part of this.
            let found: Vec<&String> = layers[0].iter().filter(|line| *line != "root/ 755 0 7").collect();
            assert_eq!(found, entries, "{source} to {target}");
        }
    }

    #[test]
    fn each_binary_is_a_layer_and_what_is_between_is_one() {
        let workdir = Copy { sources: Vec::new(), ..copy(&[], "/usr/bin/") };
        let copies = [
            copy(&["one.txt"], "/a"),
            copy(&["one.txt"], "/b"),
            workdir.clone(),
            copy(&["bin-x"], "/bin/x"),
            copy(&["bin-y"], "/y"),
            workdir,
        ];
        let layers = made(&copies).unwrap();
        assert_eq!(layers[0], ["a 644 0 7", "b 644 0 7"]);
        assert_eq!(layers[1], ["usr/ 755 1 1", "usr/bin/ 755 1 1", "usr/bin/x 755 0 7"]);
        assert_eq!(layers[2], ["y 755 0 7"], "and a folder that is there needs no layer");
        assert_eq!(layers.len(), 3);
    }

    #[test]
    fn what_cannot_be_copied() {
        for (copy, says) in [
            (copy(&["none"], "/x"), "copies 'none', which is not in the build context"),
            (copy(&["one.txt"], "/etc/x"), "/etc is not a folder"),
            (copy(&["one.txt", "bin-x"], "/x/"), "copies several binaries"),
        ] {
            let error = made(&[copy]).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
