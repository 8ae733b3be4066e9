//! The build context: `target/multiarch/<image>/`, laid out as `<os>/<architecture>[/<variant>]/<binary>`,
//! with fixed modes. It is kept for inspection.

use std::collections::BTreeSet;
use std::fs::{FileType, Metadata};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::compile::{Artifacts, artifact};
use crate::config::FileEntry;
use crate::dockerfile::render::{self, Dockerfile};
use crate::error::{Class, Failure};
use crate::fs::hard_link_or_copy;
use crate::plan::{Image, ImagePlatform, Paths};

/// Where the host keeps its CA certificates, as Go's crypto/x509 looks for them.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A staged context, ready to be built.
#[derive(Debug, Clone)]
pub(crate) struct StagedContext {
    pub dir: Utf8PathBuf,
    pub dockerfile: Dockerfile,
}

/// The context directory of an image.
pub(crate) fn context_dir(paths: &Paths, image: &Image) -> Utf8PathBuf {
    // No name contains `+`, so that images `a/b` and `a-b` have directories of their own.
    paths.work_dir().join(image.name.replace('/', "+"))
}

/// Returns the mode of a single file of the workspace, `0755` or `0644`; `None` for a directory or a missing file.
pub(crate) fn file_mode(root: &Utf8Path, from: &str) -> Option<String> {
    let metadata = fs_err::metadata(root.join(from)).ok().filter(std::fs::Metadata::is_file)?;
    Some(if metadata.permissions().mode() & 0o111 == 0 { "0644" } else { "0755" }.to_owned())
}

/// Checks the files that images copy from the workspace before anything is compiled.
pub(crate) fn check_files(images: &[Image], paths: &Paths) -> Result<()> {
    for image in images {
        let mut checked = BTreeSet::new();
        let files = image.platforms.iter().flat_map(|platform| &platform.files);
        for file in files.filter(|file| checked.insert((&file.from, &file.mode))) {
            check_file(image, file, paths)?;
        }
    }
    Ok(())
}

fn check_file(image: &Image, file: &FileEntry, paths: &Paths) -> Result<()> {
    let path = paths.root.join(&file.from);
    let failure = |problem: &str| {
        Failure::new(Class::Config, format!("image '{}': files.from '{}' {problem}", image.name, file.from))
    };
    let real = path.canonicalize_utf8().map_err(|_| {
        failure("does not exist").hint(format!("it is looked for at {path}, relative to the workspace's root"))
    })?;
    let root = paths.root.canonicalize_utf8().unwrap_or_else(|_| paths.root.clone());
    if !real.starts_with(&root) {
        return Err(failure("is outside of the workspace").hint(format!("copy it below {}", paths.root)).into());
    }
    // The target directory need not exist yet.
    let target_dir = match paths.target_dir.strip_prefix(&paths.root) {
        Ok(relative) => root.join(relative),
        Err(_) => paths.target_dir.clone(),
    };
    if target_dir.starts_with(&real) {
        return Err(failure("holds the target folder, where images are put together")
            .hint("name the folders and files that the image needs, one by one")
            .into());
    }
    if real.is_dir() && file.mode.is_some() {
        return Err(failure("is a folder, and `mode` is for a single file")
            .hint("take the mode out: a folder's files keep their executable bit")
            .into());
    }
    visit_tree(&path, Utf8Path::new(""), &root, &mut |_, _, _| Ok(()))
        .with_context(|| format!("image '{}': files.from '{}'", image.name, file.from))
}

/// What every context has besides binaries and files.
const COMMON_PATHS: [&str; 7] = [
    "Dockerfile",
    ".dockerignore",
    "rootfs/etc/passwd",
    "rootfs/etc/group",
    "rootfs/etc/ssl/certs/ca-certificates.crt",
    "rootfs/usr/local/bin",
    "rootfs/tmp",
];

/// Whether an image's context will contain `path`, as a file or directory. `root` is the workspace's.
pub(crate) fn will_contain(image: &Image, root: &Utf8Path, path: &str) -> bool {
    COMMON_PATHS.iter().any(|common| is_at_or_above(path, common))
        || image.platforms.iter().any(|platform| platform_will_contain(platform, root, path))
}

fn platform_will_contain(platform: &ImagePlatform, root: &Utf8Path, path: &str) -> bool {
    let files = render::copied_files(platform, &|_| None);
    render::copied_binaries(platform).iter().any(|binary| is_at_or_above(path, &binary.source))
        || files.iter().zip(&platform.files).any(|(copied, file)| {
            let below = Utf8Path::new(path).strip_prefix(&copied.source);
            is_at_or_above(path, &copied.source) || below.is_ok_and(|rest| root.join(&file.from).join(rest).exists())
        })
}

fn is_at_or_above(path: &str, other: &str) -> bool {
    Utf8Path::new(other).starts_with(path)
}

/// Lays out an image's context in `dir`, except for the binaries. `root` is the workspace's.
pub(crate) fn stage(image: &Image, dockerfile: Dockerfile, root: &Utf8Path, dir: Utf8PathBuf) -> Result<StagedContext> {
    if dir.exists() {
        fs_err::remove_dir_all(&dir)?;
    }
    for platform in &image.platforms {
        fs_err::create_dir_all(dir.join(platform.platform.name()))?;
        let copied = render::copied_files(platform, &|from| file_mode(root, from));
        for (file, copied) in platform.files.iter().zip(copied) {
            copy_tree(&root.join(&file.from), &dir.join(&copied.source), root)?;
        }
    }
    write_rootfs(&dir.join("rootfs"))?;
    write(&dir.join("Dockerfile"), dockerfile.text.as_bytes(), 0o644)?;
    write(&dir.join(".dockerignore"), b"/oci\n", 0o644)?;
    set_modes(&dir)?;
    Ok(StagedContext { dir, dockerfile })
}

/// Adds the binaries to a context, each checked against its platform.
pub(crate) fn stage_binaries(image: &Image, artifacts: &Artifacts, dir: &Utf8Path) -> Result<()> {
    for platform in &image.platforms {
        for (binary, copied) in platform.binaries.iter().zip(render::copied_binaries(platform)) {
            let artifact = artifacts
                .get(&(platform.build.clone(), binary.clone()))
                .with_context(|| format!("{} was not compiled for {}", binary.name, platform.platform))?;
            artifact::check_platform(&artifact.elf, platform.platform, &binary.name)?;
            check_interpreter(&platform.base, artifact.elf.interpreter.as_deref(), &binary.name)?;
            let staged = dir.join(&copied.source);
            if staged.exists() {
                let message = format!("two binaries would both be {} for {}", copied.source, platform.platform);
                let hint = "give one of them another name, or an image of its own: images.NAME = { bins = [\"…\"] }";
                return Err(Failure::new(Class::Verify, message).hint(hint).into());
            }
            hard_link_or_copy(&artifact.path, &staged)?;
        }
    }
    Ok(())
}

/// Fails for a dynamic binary on `scratch`, which has no dynamic linker.
fn check_interpreter(base: &str, interpreter: Option<&str>, name: &str) -> Result<(), Failure> {
    match interpreter {
        Some(interpreter) if base == "scratch" => {
            Err(Failure::new(Class::Verify, format!("'{name}' needs {interpreter}, which 'scratch' does not have"))
                .hint("give it a base that has that libc, such as base = \"debian:trixie-slim\", or link it statically: libc = \"musl\""))
        }
        _ => Ok(()),
    }
}

/// Writes what programs expect of a root file system, for images from `scratch`.
fn write_rootfs(dir: &Utf8Path) -> Result<()> {
    let passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    let group = "root:x:0:\nnonroot:x:65532:\n";
    write(&dir.join("etc/passwd"), passwd.as_bytes(), 0o644)?;
    write(&dir.join("etc/group"), group.as_bytes(), 0o644)?;
    if let Some(bundle) = CA_BUNDLES.iter().map(Utf8Path::new).find(|path| path.is_file()) {
        write(&dir.join("etc/ssl/certs/ca-certificates.crt"), &fs_err::read(bundle)?, 0o644)?;
    }
    for (name, mode) in [("usr/local/bin", 0o755), ("tmp", 0o1777)] {
        fs_err::create_dir_all(dir.join(name))?;
        set_mode(&dir.join(name), mode)?;
    }
    Ok(())
}

fn copy_tree(from: &Utf8Path, to: &Utf8Path, root: &Utf8Path) -> Result<()> {
    visit_tree(from, to, &root.canonicalize_utf8()?, &mut |from, to, metadata| {
        if metadata.is_dir() {
            return Ok(fs_err::create_dir_all(to)?);
        }
        copy_file(from, to, if metadata.permissions().mode() & 0o111 != 0 { 0o755 } else { 0o644 })
    })
}

type Visit<'a> = &'a mut dyn FnMut(&Utf8Path, &Utf8Path, &Metadata) -> Result<()>;

/// Visits a file, or a directory and everything below it, each with its destination. Links are followed, but not out of
/// `root`.
fn visit_tree(from: &Utf8Path, to: &Utf8Path, root: &Utf8Path, visit: Visit<'_>) -> Result<()> {
    let metadata = fs_err::symlink_metadata(from)?;
    if metadata.is_symlink() {
        let real = from.canonicalize_utf8().with_context(|| format!("{from} is a link to nothing"))?;
        if !real.starts_with(root) {
            return Err(Failure::new(Class::Config, format!("{from} is a link to {real}, outside of the workspace"))
                .hint("copy the file into the workspace")
                .into());
        }
        if from.starts_with(&real) {
            return Err(Failure::new(Class::Config, format!("{from} is a link to {real}, a folder that holds it"))
                .hint("name the folders and files that the image needs, one by one")
                .into());
        }
        return visit_tree(&real, to, root, visit);
    }
    if let Some(kind) = special_file(metadata.file_type()) {
        return Err(Failure::new(Class::Config, format!("{from} is {kind}, which no image can have"))
            .hint("move it elsewhere, or name the folders and files that the image needs, one by one")
            .into());
    }
    visit(from, to, &metadata)?;
    if metadata.is_dir() {
        for entry in from.read_dir_utf8()? {
            let entry = entry?;
            visit_tree(entry.path(), &to.join(entry.file_name()), root, visit)?;
        }
    }
    Ok(())
}

/// Returns what kind of special file a file is. Opening one may block.
fn special_file(file_type: FileType) -> Option<&'static str> {
    if file_type.is_fifo() {
        Some("a named pipe")
    } else if file_type.is_socket() {
        Some("a socket")
    } else if file_type.is_block_device() || file_type.is_char_device() {
        Some("a device")
    } else {
        None
    }
}

fn copy_file(from: &Utf8Path, to: &Utf8Path, mode: u32) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::copy(from, to)?;
    set_mode(to, mode)
}

fn write(path: &Utf8Path, bytes: &[u8], mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent)?;
    }
    fs_err::write(path, bytes)?;
    set_mode(path, mode)
}

fn set_mode(path: &Utf8Path, mode: u32) -> Result<()> {
    Ok(fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

/// Sets the mode of every directory but `tmp` to 0755, whatever the umask. Times stay as they are: BuildKit takes a file
/// of the same size and time for the one that it has seen, and both engines set the times in the image.
fn set_modes(dir: &Utf8Path) -> Result<()> {
    for entry in dir.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            set_modes(entry.path())?;
        }
    }
    let sticky = fs_err::metadata(dir)?.permissions().mode() & 0o1000 != 0;
    if sticky { Ok(()) } else { set_mode(dir, 0o755) }
}
