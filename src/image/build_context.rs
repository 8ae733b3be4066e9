//! Creates build contexts in `target/multiarch/<image>/`, with binaries at `<os>/<architecture>[/<variant>]/<binary>`
//! and with fixed file modes. Build contexts are kept after the build for inspection.

use std::collections::BTreeSet;
use std::fs::{FileType, Metadata};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::ca_certificates;
use super::libraries::CopiedLibrary;
use super::scratch_rootfs::{has_timezone, write_scratch_rootfs, write_system_files};
use super::workspace_file;
use crate::compile::{Artifacts, artifact};
use crate::config::FileEntry;
use crate::dockerfile::render::{self, Dockerfile};
use crate::error::{Class, Failure};
use crate::fs::{hard_link_or_copy, set_mode, write_with_mode};
use crate::oci::digest::sha256;
use crate::oci::rootfs::ElfFile;
use crate::plan::{Image, ImagePlatform, Paths};

/// A build context on disk.
#[derive(Debug, Clone)]
pub(crate) struct StagedContext {
    pub dir: Utf8PathBuf,
    pub dockerfile: Dockerfile,
}

/// Returns the build context directory of an image.
pub(crate) fn context_dir(paths: &Paths, image: &Image) -> Utf8PathBuf {
    // Image names never contain `+`, so images `a/b` and `a-b` get different directories.
    paths.work_dir().join(image.name.replace('/', "+"))
}

/// Returns the mode that a workspace file has in the image: `0755` if it is executable, and `0644` otherwise. Returns
/// `None` if `from` is a directory or does not exist.
pub(crate) fn file_mode(root: &Utf8Path, from: &str) -> Option<String> {
    let metadata = fs_err::metadata(root.join(from)).ok().filter(std::fs::Metadata::is_file)?;
    Some(if metadata.permissions().mode() & 0o111 == 0 { "0644" } else { "0755" }.to_owned())
}

/// Checks before compilation that all files to be copied from the workspace exist and can be copied, and that CA
/// certificates can be read.
pub(crate) fn check_files(images: &[Image], paths: &Paths) -> Result<()> {
    for image in images {
        let mut checked = BTreeSet::new();
        let files = image.platforms.iter().flat_map(|platform| &platform.files);
        for file in files.filter(|file| checked.insert((&file.from, &file.mode))) {
            check_file(image, file, paths)?;
        }
        ca_certificates::bundle(image, &paths.root)?;
    }
    Ok(())
}

fn check_file(image: &Image, file: &FileEntry, paths: &Paths) -> Result<()> {
    let label = format!("image '{}': files.from '{}'", image.name, file.from);
    let failure = |problem: &str| Failure::new(Class::Config, format!("{label} {problem}"));
    let real = workspace_file::resolve(&paths.root, &file.from, &label)?;
    let root = paths.root.canonicalize_utf8().unwrap_or_else(|_| paths.root.clone());
    // The target directory may not exist yet, in which case it cannot be canonicalized.
    let target_dir = match paths.target_dir.strip_prefix(&paths.root) {
        Ok(relative) => root.join(relative),
        Err(_) => paths.target_dir.clone(),
    };
    if target_dir.starts_with(&real) {
        return Err(failure("includes the target directory")
            .hint("list only the files and directories that the image needs")
            .into());
    }
    if real.is_dir() && file.mode.is_some() {
        return Err(failure("is a directory, but `mode` applies only to single files")
            .hint("remove `mode`: files in a directory keep their executable bits")
            .into());
    }
    visit_tree(&paths.root.join(&file.from), Utf8Path::new(""), &root, &mut |_, _, _| Ok(())).context(label)
}

/// Paths that every build context contains in addition to binaries and configured files.
const COMMON_PATHS: [&str; 6] =
    ["Dockerfile", ".dockerignore", "rootfs/etc/passwd", "rootfs/etc/group", "rootfs/usr/local/bin", "rootfs/tmp"];

/// Reports whether an image's build context will contain `path`, as a file or as a directory. `root` is the workspace
/// root.
pub(crate) fn will_contain(image: &Image, root: &Utf8Path, path: &str) -> bool {
    COMMON_PATHS.iter().any(|common| is_at_or_above(path, common))
        || image.platforms.iter().any(|platform| platform_will_contain(platform, root, path))
}

fn platform_will_contain(platform: &ImagePlatform, root: &Utf8Path, path: &str) -> bool {
    let directories = render::copied_directories(platform);
    let directories = directories.iter().map(|copied| format!("{}/{}", copied.source, copied.name));
    let system_files = render::system_files(platform).into_iter().map(|file| file.source);
    if directories.chain(system_files).any(|generated| is_at_or_above(path, &generated)) {
        return true;
    }
    let zoneinfo = Utf8Path::new(render::SYSTEM_DIR).join(render::ZONEINFO);
    if let Ok(zone) = Utf8Path::new(path).strip_prefix(zoneinfo)
        && platform.timezones
    {
        return has_timezone(zone);
    }
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

/// Creates the build context of an image in `dir`, without the binaries. `root` is the workspace root.
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
        if let Some(libraries) = render::copied_libraries(platform) {
            fs_err::create_dir_all(dir.join(&libraries.source))?;
        }
        for copied in render::copied_directories(platform) {
            fs_err::create_dir_all(dir.join(&copied.source).join(&copied.name))?;
        }
    }
    let bundle = ca_certificates::bundle(image, root)?;
    let timezones = image.platforms.iter().any(|platform| platform.timezones);
    write_scratch_rootfs(&dir.join("rootfs"))?;
    write_system_files(&dir.join(render::SYSTEM_DIR), bundle.as_deref(), timezones)?;
    write_with_mode(&dir.join("Dockerfile"), dockerfile.text.as_bytes(), 0o644)?;
    write_with_mode(&dir.join(".dockerignore"), b"/oci\n", 0o644)?;
    set_modes(&dir)?;
    Ok(StagedContext { dir, dockerfile })
}

/// Adds an image's binaries to its build context, checking that each one matches its platform.
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
                let message = format!("two binaries would be copied to {} for {}", copied.source, platform.platform);
                let hint = "rename one of them, or build a separate image for it: images.NAME = { bins = [\"…\"] }";
                return Err(Failure::new(Class::Verify, message).hint(hint).into());
            }
            hard_link_or_copy(&artifact.path, &staged)?;
        }
    }
    Ok(())
}

/// Content of the files that stand in for binaries in a trial build. It starts like an ELF file, so that layer scans
/// record its hash, by which the copies in the image are found.
const PLACEHOLDER: &[u8] = b"\x7fELF placeholder of cargo multiarch";

/// Reports whether a program is the placeholder for a binary.
pub(crate) fn is_placeholder(program: &ElfFile) -> bool {
    sha256(PLACEHOLDER).strip_prefix("sha256:") == Some(program.sha256.as_str())
}

/// Adds placeholders for an image's binaries to its build context, and removes them when dropped.
pub(crate) struct StagedPlaceholders(Vec<Utf8PathBuf>);

impl StagedPlaceholders {
    pub(crate) fn write(image: &Image, dir: &Utf8Path) -> Result<StagedPlaceholders> {
        let mut staged = StagedPlaceholders(Vec::new());
        for binary in render::staged_binaries(image) {
            let path = dir.join(binary);
            write_with_mode(&path, PLACEHOLDER, 0o755)?;
            staged.0.push(path);
        }
        Ok(staged)
    }
}

impl Drop for StagedPlaceholders {
    fn drop(&mut self) {
        for path in &self.0 {
            // A file that remains makes `stage_binaries` fail, so the error is not lost.
            let _ = fs_err::remove_file(path);
        }
    }
}

/// Adds libraries to an image's build context.
pub(crate) fn stage_libraries(platform: &ImagePlatform, libraries: &[CopiedLibrary], dir: &Utf8Path) -> Result<()> {
    let Some(copied) = render::copied_libraries(platform) else { return Ok(()) };
    for library in libraries {
        copy_file(&library.path, &dir.join(&copied.source).join(&library.name), 0o644)?;
    }
    Ok(())
}

/// Fails if a dynamically linked binary is added to an image based on `scratch`, which has no dynamic loader.
fn check_interpreter(base: &str, interpreter: Option<&str>, name: &str) -> Result<(), Failure> {
    match interpreter {
        Some(interpreter) if base == "scratch" => Err(Failure::new(
            Class::Verify,
            format!("'{name}' needs {interpreter}, which 'scratch' does not contain"),
        )
        .hint(
            "use a base with this loader, such as base = \"debian:trixie-slim\", or link statically: libc = \"musl\"",
        )),
        _ => Ok(()),
    }
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

/// Calls `visit` with the source and destination paths of `from` and everything below it. Follows symbolic links, but
/// fails if one points outside `root`.
fn visit_tree(from: &Utf8Path, to: &Utf8Path, root: &Utf8Path, visit: Visit<'_>) -> Result<()> {
    let metadata = fs_err::symlink_metadata(from)?;
    if metadata.is_symlink() {
        let real = from.canonicalize_utf8().with_context(|| format!("{from} is a broken symbolic link"))?;
        if !real.starts_with(root) {
            return Err(Failure::new(
                Class::Config,
                format!("{from} is a symbolic link to {real}, which is outside the workspace"),
            )
            .hint("copy the file into the workspace")
            .into());
        }
        if from.starts_with(&real) {
            return Err(Failure::new(
                Class::Config,
                format!("{from} is a symbolic link to {real}, which contains the link"),
            )
            .hint("list only the files and directories that the image needs")
            .into());
        }
        return visit_tree(&real, to, root, visit);
    }
    if let Some(kind) = special_file(metadata.file_type()) {
        return Err(Failure::new(Class::Config, format!("{from} is {kind}, which cannot be copied into an image"))
            .hint("move it to another directory, or list only the files and directories that the image needs")
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

/// Returns a description of a special file, such as a named pipe, or `None` for any other file. Special files cannot be
/// copied, because opening one may block.
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

/// Sets the mode of all directories except `tmp` to 0755, regardless of the umask. Keeps modification times, because
/// BuildKit detects changed files by their size and modification time. These times do not end up in the image, because
/// both engines override them.
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
