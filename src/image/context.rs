//! The build context: `target/multiarch/<image>/`, laid out as `<os>/<architecture>[/<variant>]/<binary>`,
//! with fixed modes. It stays there to be looked at.

use std::collections::BTreeSet;
use std::fs::{FileType, Metadata};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::compile::{Artifacts, artifact};
use crate::dockerfile::render::{self, Dockerfile};
use crate::error::{Class, Failure};
use crate::fs::hard_link_or_copy;
use crate::plan::{Image, ImagePlatform, Plan};

/// Where the host keeps its CA certificates, as Go's crypto/x509 looks for them.
const CA_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A staged context, ready to be built.
#[derive(Debug, Clone)]
pub struct StagedContext {
    pub dir: Utf8PathBuf,
    pub dockerfile: Dockerfile,
}

/// The folder of an image.
pub fn dir(plan: &Plan, image: &Image) -> Utf8PathBuf {
    // `+` is in no name: images `a/b` and `a-b` have folders of their own.
    plan.paths.work_dir().join(image.name.replace('/', "+"))
}

/// The mode of a single file of the workspace, `0755` or `0644`; none for a folder or what is not there.
pub fn mode_of(root: &Utf8Path, from: &str) -> Option<String> {
    let metadata = fs_err::metadata(root.join(from)).ok().filter(std::fs::Metadata::is_file)?;
    Some(if metadata.permissions().mode() & 0o111 == 0 { "0644" } else { "0755" }.to_owned())
}

/// Checks what the plan wants from the workspace before anything is compiled.
pub fn check_files(plan: &Plan) -> Result<()> {
    for image in &plan.images {
        let mut checked = BTreeSet::new();
        let files = image.platforms.iter().flat_map(|platform| &platform.files);
        for file in files.filter(|file| checked.insert((&file.from, &file.mode))) {
            let path = plan.paths.root.join(&file.from);
            let wrong = |what: &str| {
                Failure::new(Class::Config, format!("image '{}': files.from '{}' {what}", image.name, file.from))
            };
            let real = path.canonicalize_utf8().map_err(|_| {
                wrong("does not exist").hint(format!("it is looked for at {path}, relative to the workspace's root"))
            })?;
            let root = plan.paths.root.canonicalize_utf8().unwrap_or_else(|_| plan.paths.root.clone());
            if !real.starts_with(&root) {
                return Err(wrong("is outside of the workspace")
                    .hint(format!("copy it below {}", plan.paths.root))
                    .into());
            }
            // The target folder need not be there yet.
            let target = plan
                .paths
                .target_dir
                .strip_prefix(&plan.paths.root)
                .map_or(plan.paths.target_dir.clone(), |it| root.join(it));
            if target.starts_with(&real) {
                return Err(wrong("holds the target folder, where images are put together")
                    .hint("name the folders and files that the image needs, one by one")
                    .into());
            }
            if real.is_dir() && file.mode.is_some() {
                return Err(wrong("is a folder, and `mode` is for a single file")
                    .hint("take the mode out: a folder's files keep their executable bit")
                    .into());
            }
            each(&path, Utf8Path::new(""), &root, &mut |_, _, _| Ok(()))
                .with_context(|| format!("image '{}': files.from '{}'", image.name, file.from))?;
        }
    }
    Ok(())
}

/// What every context has beside binaries and files.
const ITS_OWN: [&str; 7] = [
    "Dockerfile",
    ".dockerignore",
    "rootfs/etc/passwd",
    "rootfs/etc/group",
    "rootfs/etc/ssl/certs/ca-certificates.crt",
    "rootfs/usr/local/bin",
    "rootfs/tmp",
];

/// Will the context of an image have something at a path?
pub fn will_have(plan: &Plan, image: &Image, path: &str) -> bool {
    let leads_to = |there: &str| Utf8Path::new(there).starts_with(path);
    let of_platform = |platform: &ImagePlatform| {
        let files = render::copied_files(platform, &|_| None);
        let mut files = files.iter().zip(&platform.files);
        let binaries = render::copied_binaries(platform);
        binaries.iter().any(|binary| leads_to(&binary.source))
            || files.any(|(copied, file)| {
                let below = Utf8Path::new(path).strip_prefix(&copied.source);
                leads_to(&copied.source) || below.is_ok_and(|rest| plan.paths.root.join(&file.from).join(rest).exists())
            })
    };
    ITS_OWN.into_iter().any(leads_to) || image.platforms.iter().any(of_platform)
}

/// Lays out an image's context, but for the binaries.
pub fn stage(plan: &Plan, image: &Image, dockerfile: Dockerfile) -> Result<StagedContext> {
    let dir = dir(plan, image);
    if dir.exists() {
        fs_err::remove_dir_all(&dir)?;
    }
    for platform in &image.platforms {
        fs_err::create_dir_all(dir.join(platform.platform.name()))?;
        for (file, copied) in
            platform.files.iter().zip(render::copied_files(platform, &|from| mode_of(&plan.paths.root, from)))
        {
            copy_tree(&plan.paths.root.join(&file.from), &dir.join(&copied.source), &plan.paths.root)?;
        }
    }
    root_files(&dir.join("rootfs"))?;
    write(&dir.join("Dockerfile"), dockerfile.text.as_bytes(), 0o644)?;
    write(&dir.join(".dockerignore"), b"/oci\n", 0o644)?;
    set_modes(&dir)?;
    Ok(StagedContext { dir, dockerfile })
}

/// Adds the binaries, each checked against its platform.
pub fn stage_binaries(image: &Image, artifacts: &Artifacts, dir: &Utf8Path) -> Result<()> {
    for platform in &image.platforms {
        for (binary, copied) in platform.binaries.iter().zip(render::copied_binaries(platform)) {
            let artifact = artifacts
                .get(&(platform.build.clone(), binary.clone()))
                .with_context(|| format!("{} was not compiled for {}", binary.name, platform.platform))?;
            artifact::check_platform(&artifact.elf, platform.platform, &binary.name)?;
            check_scratch(&platform.base, artifact.elf.interpreter.as_deref(), &binary.name)?;
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

/// A dynamic binary cannot start where there is no dynamic linker.
fn check_scratch(base: &str, interpreter: Option<&str>, name: &str) -> Result<(), Failure> {
    match interpreter {
        Some(interpreter) if base == "scratch" => {
            Err(Failure::new(Class::Verify, format!("'{name}' needs {interpreter}, which 'scratch' does not have"))
                .hint("give it a base that has that libc, such as base = \"debian:trixie-slim\", or link it statically: libc = \"musl\""))
        }
        _ => Ok(()),
    }
}

/// What programs expect of a root file system, for images that begin with nothing.
fn root_files(dir: &Utf8Path) -> Result<()> {
    let passwd = "root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
    let group = "root:x:0:\nnonroot:x:65532:\n";
    write(&dir.join("etc/passwd"), passwd.as_bytes(), 0o644)?;
    write(&dir.join("etc/group"), group.as_bytes(), 0o644)?;
    if let Some(bundle) = CA_BUNDLES.iter().map(Utf8Path::new).find(|path| path.is_file()) {
        write(&dir.join("etc/ssl/certs/ca-certificates.crt"), &fs_err::read(bundle)?, 0o644)?;
    }
    for (folder, mode) in [("usr/local/bin", 0o755), ("tmp", 0o1777)] {
        fs_err::create_dir_all(dir.join(folder))?;
        set_mode(&dir.join(folder), mode)?;
    }
    Ok(())
}

fn copy_tree(from: &Utf8Path, to: &Utf8Path, root: &Utf8Path) -> Result<()> {
    each(from, to, &root.canonicalize_utf8()?, &mut |from, to, metadata| match metadata.is_dir() {
        true => Ok(fs_err::create_dir_all(to)?),
        false => copy(from, to, if metadata.permissions().mode() & 0o111 != 0 { 0o755 } else { 0o644 }),
    })
}

type Visit<'a> = &'a mut dyn FnMut(&Utf8Path, &Utf8Path, &Metadata) -> Result<()>;

/// Visits a file, or a folder and all below it, and where each goes to; links count as what they lead to.
fn each(from: &Utf8Path, to: &Utf8Path, root: &Utf8Path, visit: Visit<'_>) -> Result<()> {
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
        return each(&real, to, root, visit);
    }
    if let Some(what) = special(metadata.file_type()) {
        return Err(Failure::new(Class::Config, format!("{from} is {what}, which no image can have"))
            .hint("move it elsewhere, or name the folders and files that the image needs, one by one")
            .into());
    }
    visit(from, to, &metadata)?;
    if metadata.is_dir() {
        for entry in from.read_dir_utf8()? {
            let entry = entry?;
            each(entry.path(), &to.join(entry.file_name()), root, visit)?;
        }
    }
    Ok(())
}

/// What is no file, folder or link: to open it is to wait for somebody at its other end.
fn special(kind: FileType) -> Option<&'static str> {
    let kinds = [
        (kind.is_fifo(), "a named pipe"),
        (kind.is_socket(), "a socket"),
        (kind.is_block_device() || kind.is_char_device(), "a device"),
    ];
    kinds.iter().find(|(is, _)| *is).map(|(_, name)| *name)
}

fn copy(from: &Utf8Path, to: &Utf8Path, mode: u32) -> Result<()> {
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

/// Folders get 0755 whatever the umask, but for `tmp`. Times stay as they are: BuildKit takes a file of the same size
/// and time for the one that it has seen, and both engines give the image times of their own.
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
