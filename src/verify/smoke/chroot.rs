//! A program in a folder that becomes its root: without Docker, by util-linux' `unshare`, which also has its way with
//! processes and the network where the kernel lets it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use camino::Utf8Path;

use super::command::Start;
use super::method::Isolation;
use crate::oci::rootfs::{FsNode, RootFs};
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// A QEMU that is copied into a root.
const QEMU: &str = "/.multiarch-qemu";

/// Of `/dev`; the machine's others are none of an image's business.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const NOBODY: u64 = 65534;

/// Tries an entry on the machine's own root.
pub fn is_possible(entry: Isolation, ui: &Ui) -> Result<bool> {
    let is_root = rustix::process::geteuid().is_root();
    if find_program("unshare").is_none() || is_root != (entry != Isolation::UserNamespace) {
        return Ok(false);
    }
    let options = options("/", "/", (entry != Isolation::UserNamespace).then_some((NOBODY, NOBODY)));
    let inner = ["unshare".to_owned()].into_iter().chain(options).chain(["true".to_owned()]);
    let cmd = Cmd::new("env").args(namespaces(entry)).args(inner);
    ui.command(&cmd);
    Ok(cmd.output()?.status.success())
}

/// What the kernel has to say, in a root. A program may want none of it: what cannot be had is left out, and no link of the
/// image is followed.
fn mount() -> String {
    let devices = DEVICES.join(" ");
    format!(
        "root=$1; shift; [ -L \"$root/proc\" ] || mount -t proc proc \"$root/proc\" 2>/dev/null; \
         [ -L \"$root/dev\" ] || for name in {devices}; do [ -L \"$root/dev/$name\" ] || \
         mount --bind \"/dev/$name\" \"$root/dev/$name\" 2>/dev/null; done; exec \"$@\""
    )
}

/// The command that starts a program in a root.
pub fn command(root: &Utf8Path, start: &Start, entry: Isolation, qemu: bool) -> Cmd {
    let user = start.user.as_ref().filter(|_| entry != Isolation::UserNamespace).map(|user| (user.uid, user.gid));
    let cmd = Cmd::new("env").args(namespaces(entry));
    let cmd = match entry {
        Isolation::ChangeRoot => cmd.arg("env"),
        Isolation::Namespaces | Isolation::UserNamespace => {
            cmd.args(["sh", "-c", &mount(), "sh", root.as_str(), "env"])
        }
    };
    // By its path: from here on PATH is the image's.
    let unshare = find_program("unshare").unwrap_or_else(|| "unshare".into());
    let cmd = cmd.arg("-i").args(&start.env).arg(unshare).args(options(root.as_str(), &start.workdir, user));
    match qemu {
        true => cmd.args(emulated(QEMU.as_ref(), start)).arg(&start.program).args(&start.command[1..]),
        false => cmd.args(&start.command),
    }
}

/// The command that starts a program of a folder by a QEMU that takes the folder's files for the root's.
pub fn beside(root: &Utf8Path, start: &Start, qemu: &Path) -> Cmd {
    let program = root.join(start.program.trim_start_matches('/'));
    let cmd = Cmd::new("env").arg("-i").args(&start.env).args(emulated(qemu, start)).args(["-L", root.as_str()]);
    cmd.arg(program).args(&start.command[1..])
}

/// QEMU, and the name by which the program knows itself.
fn emulated(qemu: &Path, start: &Start) -> [std::ffi::OsString; 3] {
    [qemu.into(), "-0".into(), start.command[0].clone().into()]
}

fn namespaces(entry: Isolation) -> Vec<&'static str> {
    let own = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net"];
    match entry {
        Isolation::Namespaces => own.to_vec(),
        Isolation::UserNamespace => own.into_iter().chain(["--map-root-user"]).collect(),
        Isolation::ChangeRoot => Vec::new(),
    }
}

fn options(root: &str, workdir: &str, user: Option<(u64, u64)>) -> Vec<String> {
    let mut options = vec![format!("--root={root}"), format!("--wd={workdir}")];
    options.extend(user.into_iter().flat_map(|(uid, gid)| [format!("--setgid={gid}"), format!("--setuid={uid}")]));
    options.push("--".to_owned());
    options
}

/// Copies a QEMU into a root, over whatever has its name there.
pub fn install_qemu(qemu: &Path, root: &Utf8Path) -> Result<()> {
    let to = root.join(QEMU.trim_start_matches('/'));
    if to.symlink_metadata().is_ok() {
        fs_err::remove_file(&to)?;
    }
    Ok(fs_err::copy(qemu, to).map(drop)?)
}

/// Makes what a runtime makes in a root: the working directory, and the places of what the kernel has to say.
pub fn prepare_root(root: &Utf8Path, tree: &RootFs, start: &Start) -> Result<()> {
    if let Ok(workdir) = tree.resolve(&start.workdir) {
        fs_err::create_dir_all(root.join(workdir))?;
    }
    for name in ["proc", "dev"].into_iter().filter(|name| matches!(tree.get(name), None | Some(FsNode::Dir(_)))) {
        fs_err::create_dir_all(root.join(name))?;
        for device in DEVICES.iter().filter(|_| name == "dev") {
            let path = root.join("dev").join(device);
            if path.symlink_metadata().is_err() {
                fs_err::write(&path, "")?;
                fs_err::set_permissions(&path, Permissions::from_mode(0o666))?;
            }
        }
    }
    Ok(())
}
