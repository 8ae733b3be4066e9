//! Plans a platform's layers by applying its COPY and WORKDIR instructions to the base's file system (Dockerfile
//! reference, "COPY"). Reads files from the build context, but does not need the compiled binaries yet.

use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use camino::Utf8Path;

use super::chown::{Owner, resolve_owner};
use crate::dockerfile::error::StageError;
use crate::dockerfile::stage::StageCopy;
use crate::error::{Class, Failure};
use crate::oci::digest::{StreamHash, hash_reader};
use crate::oci::layer::{LayerEntries, LayerEntry, LayerFile};
use crate::oci::layer_scan;
use crate::oci::rootfs::{FileAttributes, FsNode, RegularFile, RootFs, normalize, parent};

/// A layer that an image adds to its base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PlannedLayer {
    pub entries: LayerEntries,
    /// The binary, if any, that must be compiled before the layer can be built.
    pub binary: Option<PlannedBinary>,
    /// The libraries, if any, that are selected when all binaries have been compiled.
    pub libraries: Option<PlannedLibraries>,
    /// The instructions that create the layer, for the image history.
    pub created_by: String,
}

impl PlannedLayer {
    /// Reports whether the layer cannot be built before binaries have been compiled.
    pub(crate) fn is_pending(&self) -> bool {
        self.binary.is_some() || self.libraries.is_some()
    }
}

/// A binary that has not been compiled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedBinary {
    /// The binary's path in the build context.
    pub source: String,
    /// The binary's path in the image, relative to the root.
    pub target: String,
}

/// The libraries of an image, which depend on its binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedLibraries {
    /// The directory in the image, relative to the root.
    pub target: String,
    /// The attributes of the files.
    pub attributes: FileAttributes,
}

/// Sources that are not complete before the binaries have been compiled.
pub(crate) struct PendingSources<'a> {
    /// Reports whether a source is a binary.
    pub is_binary: &'a dyn Fn(&str) -> bool,
    /// The directory of libraries in the build context.
    pub libraries: Option<&'a str>,
}

/// Groups copies into layers: one layer for each binary, one for libraries, and one for each sequence of instructions
/// between them. `time` is the modification time for all new files.
pub(crate) fn plan_layers(
    copies: &[StageCopy],
    context: &Utf8Path,
    pending: &PendingSources<'_>,
    rootfs: &mut RootFs,
    time: u64,
) -> Result<Vec<PlannedLayer>> {
    let mut layers: Vec<PlannedLayer> = Vec::new();
    for copy in copies {
        let binary = copy.sources.iter().find(|source| (pending.is_binary)(source.as_str()));
        let is_pending = |source: &String| pending.libraries == Some(source.trim_end_matches('/'));
        let has_libraries = copy.sources.iter().any(is_pending);
        if binary.is_some() || has_libraries || layers.last().is_none_or(PlannedLayer::is_pending) {
            layers.push(PlannedLayer::default());
        }
        let Some(layer) = layers.last_mut() else { continue };
        let mut copier = Copier { copy, owner: Owner::default(), rootfs, entries: &mut layer.entries, time };
        match binary {
            Some(source) => {
                copier.resolve_owner()?;
                layer.binary = Some(PlannedBinary { source: source.clone(), target: copier.copy_binary(source)? });
            }
            None if copy.sources.is_empty() => copier.create_working_dir()?,
            None => {
                copier.resolve_owner()?;
                copier.copy_files(context)?;
                if has_libraries {
                    layer.libraries = Some(copier.copy_libraries()?);
                }
            }
        }
        let separator = if layer.created_by.is_empty() { "" } else { " && " };
        layer.created_by.push_str(&format!("{separator}{}", copy.text));
    }
    // A WORKDIR that already exists in the base does not need a layer.
    layers.retain(|layer| layer.is_pending() || !layer.entries.is_empty());
    Ok(layers)
}

fn failure(copy: &StageCopy, problem: &str) -> Failure {
    Failure::new(Class::Config, format!("'{}' {problem}", copy.text))
}

/// A COPY or WORKDIR instruction, with the file system and the layer that it changes.
struct Copier<'a> {
    copy: &'a StageCopy,
    owner: Owner,
    rootfs: &'a mut RootFs,
    entries: &'a mut LayerEntries,
    time: u64,
}

impl Copier<'_> {
    /// Resolves the owner specified in the instruction.
    fn resolve_owner(&mut self) -> Result<(), Failure> {
        let Some(owner) = &self.copy.owner else { return Ok(()) };
        self.owner = resolve_owner(owner, self.rootfs).map_err(|error| match error {
            StageError::Invalid(problem) => failure(self.copy, &format!("would fail: {problem}")).hint(
                "use numeric IDs, such as 65532:65532, or add the names to the image's /etc/passwd and /etc/group",
            ),
            StageError::Unsupported(reason) => {
                failure(self.copy, &format!("is not supported by the embedded engine: {reason}"))
                    .hint("use numeric IDs for the owner, or build with Docker: `--engine buildx`")
            }
        })?;
        Ok(())
    }

    fn attributes(&self, mode: u32) -> FileAttributes {
        FileAttributes { mode, uid: self.owner.uid, gid: self.owner.gid, mtime: self.time }
    }

    fn would_fail(&self, reason: &str) -> Failure {
        failure(self.copy, &format!("would fail: {reason}"))
            .hint("use another path, or check what the base contains at this path")
    }

    /// Returns the target with symbolic links resolved.
    fn resolved_target(&self) -> Result<String, Failure> {
        self.rootfs.resolve(&self.copy.target).map_err(|reason| self.would_fail(&reason))
    }

    fn is_dir(&self, path: &str) -> bool {
        path.is_empty() || matches!(self.rootfs.get(path), Some(FsNode::Dir(_)))
    }

    /// Adds a directory to the layer unless the image already contains it.
    fn ensure_dir(&mut self, path: &str) -> Result<(), Failure> {
        if self.is_dir(path) {
            return Ok(());
        }
        if self.rootfs.get(path).is_some() {
            return Err(self.would_fail(&format!("/{path} is not a directory")));
        }
        self.add_parents(path);
        self.add_dir(path, self.attributes(0o755));
        Ok(())
    }

    /// Adds a WORKDIR instruction's directory, owned by the current USER. Leaves an existing directory unchanged.
    fn create_working_dir(&mut self) -> Result<(), Failure> {
        let path = self.resolved_target()?;
        if !self.is_dir(&path) {
            self.resolve_owner()?;
        }
        self.ensure_dir(&path)
    }

    /// Returns the destination of a source named `name`: inside the target if that is a directory, and the target
    /// itself otherwise.
    fn destination(&mut self, name: &str) -> Result<String, Failure> {
        let resolved = self.resolved_target()?;
        if self.copy.target.ends_with('/') {
            self.ensure_dir(&resolved)?;
        }
        let target = if self.is_dir(&resolved) { normalize(&format!("{resolved}/{name}")) } else { resolved };
        match self.rootfs.get(&target) {
            Some(FsNode::Dir(_)) => Err(self.would_fail(&format!("/{target} is a directory, not a file"))),
            _ => Ok(target),
        }
    }

    /// Adds a path's parent directories to the layer, keeping the attributes of existing directories.
    fn add_parents(&mut self, path: &str) {
        let parent = parent(path).to_owned();
        if parent.is_empty() {
            return;
        }
        self.add_parents(&parent);
        let attributes = match self.rootfs.get(&parent) {
            Some(FsNode::Dir(attributes)) => *attributes,
            _ => self.attributes(0o755),
        };
        self.add_dir(&parent, attributes);
    }

    fn add_dir(&mut self, path: &str, attributes: FileAttributes) {
        self.rootfs.insert(path, FsNode::Dir(attributes));
        self.entries.insert(path.to_owned(), LayerEntry { attributes, file: None, capabilities: None });
    }

    /// Adds a binary that has not been compiled yet, and returns its path in the image.
    fn copy_binary(&mut self, source: &str) -> Result<String> {
        let name = source.rsplit('/').next().unwrap_or(source);
        let target = self.destination(name)?;
        self.add_parents(&target);
        self.rootfs.insert(&target, FsNode::File(RegularFile::default()));
        let attributes = self.attributes(self.copy.mode.unwrap_or(0o755));
        let file = Some(LayerFile { path: source.into(), size: 0, sha256: String::new() });
        self.entries.insert(target.clone(), LayerEntry { attributes, file, capabilities: None });
        Ok(target)
    }

    /// Returns where libraries will be copied to, after their directory has been added to the layer.
    fn copy_libraries(&mut self) -> Result<PlannedLibraries, Failure> {
        let target = self.resolved_target()?;
        self.add_parents(&format!("{target}/library"));
        Ok(PlannedLibraries { target, attributes: self.attributes(self.copy.mode.unwrap_or(0o644)) })
    }

    fn copy_files(&mut self, context: &Utf8Path) -> Result<()> {
        for source in &self.copy.sources {
            let path = context.join(source);
            let metadata = fs_err::metadata(&path).map_err(|_| {
                failure(self.copy, &format!("copies '{source}', which is not in the build context"))
                    .hint(format!("list the build context: `find {context}`"))
            })?;
            if metadata.is_dir() {
                // An existing target directory keeps its mode, while copied subdirectories get their sources' modes.
                let target = self.resolved_target()?;
                self.ensure_dir(&target)?;
                self.copy_dir_content(&path, &target)?;
            } else {
                let target = self.destination(path.file_name().unwrap_or_default())?;
                self.copy_file(&path, &target)?;
            }
        }
        Ok(())
    }

    /// Copies the contents of a directory. Copied files replace symbolic links in the target directory instead of
    /// following them.
    fn copy_dir_content(&mut self, from: &Utf8Path, to: &str) -> Result<()> {
        let mut children = from.read_dir_utf8()?.collect::<Result<Vec<_>, _>>()?;
        children.sort_by(|one, other| one.file_name().cmp(other.file_name()));
        for child in children {
            let target = normalize(&format!("{to}/{}", child.file_name()));
            let metadata = fs_err::metadata(child.path())?;
            let is_dir = metadata.is_dir();
            if self.rootfs.get(&target).is_some_and(|existing| matches!(existing, FsNode::Dir(_)) != is_dir) {
                let problem = if is_dir { "is not a directory" } else { "is a directory, not a file" };
                return Err(self.would_fail(&format!("/{target} {problem}")).into());
            }
            if is_dir {
                self.add_parents(&target);
                let mode = self.copy.mode.unwrap_or(metadata.permissions().mode() & 0o7777);
                self.add_dir(&target, self.attributes(mode));
                self.copy_dir_content(child.path(), &target)?;
            } else {
                self.copy_file(child.path(), &target)?;
            }
        }
        Ok(())
    }

    fn copy_file(&mut self, from: &Utf8Path, to: &str) -> Result<()> {
        self.add_parents(to);
        let metadata = fs_err::metadata(from)?;
        let temp_dir = from.parent().unwrap_or(Utf8Path::new("."));
        let content = layer_scan::read_content(to, metadata.len(), fs_err::File::open(from)?, temp_dir)?;
        let attributes = self.attributes(self.copy.mode.unwrap_or(metadata.permissions().mode() & 0o7777));
        self.rootfs
            .insert(to, FsNode::File(RegularFile { attributes, size: metadata.len(), content, capabilities: None }));
        let StreamHash { sha256, size } = hash_reader(fs_err::File::open(from)?)?;
        let file = Some(LayerFile { path: from.to_owned(), size, sha256 });
        self.entries.insert(to.to_owned(), LayerEntry { attributes, file, capabilities: None });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::rootfs::FileContent;

    const TIME: u64 = 7;

    fn dir(mode: u32) -> FsNode {
        FsNode::Dir(FileAttributes { mode, uid: 1, gid: 1, mtime: 1 })
    }

    fn copy(sources: &[&str], target: &str) -> StageCopy {
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        StageCopy { sources, target: target.to_owned(), mode: None, owner: None, text: format!("COPY {target}") }
    }

    /// Plans the layers for `copies`, using the build context and base created below, and formats each layer's entries
    /// as text. Sources that start with `bin-` are binaries.
    fn plan(copies: &[StageCopy]) -> Result<Vec<Vec<String>>> {
        let context = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(context.path()).unwrap();
        fs_err::create_dir_all(root.join("data/sub")).unwrap();
        fs_err::create_dir_all(root.join("over/bin")).unwrap();
        fs_err::create_dir_all(root.join("etc")).unwrap();
        fs_err::set_permissions(root.join("data/sub"), std::fs::Permissions::from_mode(0o750)).unwrap();
        for (file, mode) in
            [("one.txt", 0o644), ("data/sub/two.txt", 0o600), ("over/bin/x", 0o644), ("etc/passwd", 0o644)]
        {
            fs_err::write(root.join(file), "new:x:70:80::/:/\n").unwrap();
            fs_err::set_permissions(root.join(file), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let mut rootfs = RootFs::default();
        for (path, node) in [
            ("usr", dir(0o755)),
            ("usr/bin", dir(0o755)),
            ("bin", FsNode::Link("usr/bin".to_owned())),
            ("root", dir(0o700)),
            ("file", FsNode::File(RegularFile::default())),
            ("etc", dir(0o755)),
            (
                "etc/passwd",
                FsNode::File(RegularFile {
                    content: FileContent::Text("bob:x:7:8::/:/\n".to_owned()),
                    ..RegularFile::default()
                }),
            ),
            ("loop", FsNode::Link("loop".to_owned())),
            ("dangling", FsNode::Link("/no/where".to_owned())),
            ("usr/bin/tool", FsNode::Link("/file".to_owned())),
        ] {
            rootfs.insert(path, node);
        }
        let pending = PendingSources { is_binary: &|source| source.starts_with("bin-"), libraries: None };
        let layers = plan_layers(copies, root, &pending, &mut rootfs, TIME)?;
        let line = |(path, entry): (&String, &LayerEntry)| {
            let FileAttributes { mode, uid, gid, mtime } = entry.attributes;
            format!("{path}{} {mode:o} {uid}:{gid} {mtime}", if entry.file.is_some() { "" } else { "/" })
        };
        Ok(layers.iter().map(|layer| layer.entries.iter().map(line).collect()).collect())
    }

    #[test]
    fn copies_follow_links_and_keep_existing_directories() {
        for (source, target, entries) in [
            ("one.txt", "/bin/x", &["usr/ 755 1:1 1", "usr/bin/ 755 1:1 1", "usr/bin/x 644 0:0 7"][..]),
            ("one.txt", "/bin", &["usr/ 755 1:1 1", "usr/bin/ 755 1:1 1", "usr/bin/one.txt 644 0:0 7"]),
            ("one.txt", "/root/new/", &["root/ 700 1:1 1", "root/new/ 755 0:0 7", "root/new/one.txt 644 0:0 7"]),
            ("data", "/root", &["root/ 700 1:1 1", "root/sub/ 750 0:0 7", "root/sub/two.txt 600 0:0 7"]),
            ("data/", "/d", &["d/ 755 0:0 7", "d/sub/ 750 0:0 7", "d/sub/two.txt 600 0:0 7"]),
            ("one.txt", "/", &["one.txt 644 0:0 7"]),
            ("one.txt", "/dangling", &["no/ 755 0:0 7", "no/where 644 0:0 7"]),
            ("one.txt", "/dangling/", &["no/ 755 0:0 7", "no/where/ 755 0:0 7", "no/where/one.txt 644 0:0 7"]),
            ("bin-x", "/dangling", &["no/ 755 0:0 7", "no/where 755 0:0 7"]),
            ("bin-x", "/bin", &["usr/ 755 1:1 1", "usr/bin/ 755 1:1 1", "usr/bin/bin-x 755 0:0 7"]),
            ("bin-x", "/bin/tool", &["file 755 0:0 7"]),
        ] {
            let layers = plan(&[copy(&[source], target)]).unwrap();
            assert_eq!(layers[0], entries, "{source} to {target}");
        }
    }

    #[test]
    fn each_binary_gets_its_own_layer() {
        let workdir = copy(&[], "/usr/bin/");
        let copies = [
            copy(&["one.txt"], "/a"),
            copy(&["one.txt"], "/b"),
            workdir.clone(),
            copy(&["bin-x"], "/bin/x"),
            copy(&["bin-y"], "/y"),
            workdir,
        ];
        let layers = plan(&copies).unwrap();
        assert_eq!(layers[0], ["a 644 0:0 7", "b 644 0:0 7"]);
        assert_eq!(layers[1], ["usr/ 755 1:1 1", "usr/bin/ 755 1:1 1", "usr/bin/x 755 0:0 7"]);
        assert_eq!(layers[2], ["y 755 0:0 7"], "an existing directory needs no layer");
        assert_eq!(layers.len(), 3);
    }

    #[test]
    fn new_files_and_directories_get_the_owner() {
        let owned = |copy: StageCopy, owner: &str| StageCopy { owner: Some(owner.to_owned()), ..copy };
        for (copies, last, entries) in [
            (vec![owned(copy(&[], "/srv/app/"), "bob")], 0, &["srv/ 755 7:8 7", "srv/app/ 755 7:8 7"][..]),
            (vec![owned(copy(&[], "/root/x/"), "5")], 0, &["root/ 700 1:1 1", "root/x/ 755 5:5 7"]),
            (vec![owned(copy(&["one.txt"], "/srv/x"), "5:6")], 0, &["srv/ 755 5:6 7", "srv/x 644 5:6 7"]),
            (vec![owned(copy(&["bin-x"], "/x"), "bob:0")], 0, &["x 755 7:0 7"]),
            // The owner is not resolved if the directory already exists.
            (vec![owned(copy(&[], "/usr/"), "nosuch"), copy(&["one.txt"], "/x")], 0, &["x 644 0:0 7"]),
            // An earlier instruction adds the user.
            (
                vec![copy(&["etc/"], "/etc"), copy(&["bin-x"], "/x"), owned(copy(&[], "/new/"), "new")],
                2,
                &["new/ 755 70:80 7"],
            ),
        ] {
            assert_eq!(plan(&copies).unwrap()[last], entries, "{copies:?}");
        }
    }

    #[test]
    fn invalid_copies_are_rejected() {
        for (copy, message) in [
            (copy(&["none"], "/x"), "copies 'none', which is not in the build context"),
            (copy(&["one.txt"], "/file/x"), "/file is not a directory"),
            (copy(&["one.txt"], "/file/"), "/file is not a directory"),
            (copy(&["one.txt"], "/bin/tool/"), "/file is not a directory"),
            (copy(&["data"], "/file"), "/file is not a directory"),
            (copy(&["over"], "/"), "/bin is not a directory"),
            (copy(&[], "/file/"), "/file is not a directory"),
            (copy(&["one.txt"], "/loop"), "/loop has too many levels of symbolic links"),
            (copy(&["bin-x"], "/loop/x"), "/loop/x has too many levels of symbolic links"),
            (
                StageCopy { owner: Some("nosuch".to_owned()), ..copy(&[], "/new/") },
                "'nosuch' is not in the image's /etc/passwd",
            ),
            (StageCopy { owner: Some("0:x".to_owned()), ..copy(&["one.txt"], "/") }, "the image has no /etc/group"),
        ] {
            let error = plan(&[copy]).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert!(!crate::error::all_hints(&error).is_empty(), "{error}");
        }
        // A file cannot be copied over an existing directory.
        for source in ["bin-x", "one.txt"] {
            let workdir = copy(&[], &format!("/new/{source}/"));
            let error = plan(&[workdir, copy(&[source], "/new")]).unwrap_err().to_string();
            assert!(error.contains(&format!("/new/{source} is a directory, not a file")), "{error}");
        }
    }
}
