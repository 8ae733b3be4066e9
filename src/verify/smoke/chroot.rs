//! Runs a program without Docker, with an unpacked image as its root directory. Uses `unshare` from util-linux, which
//! also isolates processes and the network if the kernel permits it.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use camino::Utf8Path;

use super::command::SmokeCommand;
use super::host::Isolation;
use crate::oci::rootfs::{FsNode, RootFs};
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// Path of the copied QEMU binary, within the root directory.
const QEMU_PATH: &str = "/.multiarch-qemu";

/// The devices to provide in the root directory's `/dev`.
const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const NOBODY_ID: u64 = 65534;

/// Reports whether a kind of isolation works on this machine, by using it to run `true` in the machine's own root
/// directory.
pub(crate) fn is_possible(isolation: Isolation, ui: &Ui) -> Result<bool> {
    let is_root = rustix::process::geteuid().is_root();
    if find_program("unshare").is_none() || is_root != (isolation != Isolation::UserNamespace) {
        return Ok(false);
    }
    let user = if isolation == Isolation::UserNamespace { None } else { Some((NOBODY_ID, NOBODY_ID)) };
    let cmd = Cmd::new("env")
        .args(namespace_command(isolation))
        .arg("unshare")
        .args(unshare_options("/", "/", user))
        .arg("true");
    ui.command(&cmd);
    Ok(cmd.output()?.status.success())
}

/// Returns a shell command line that mounts `/proc` and devices in a root directory, then runs the remaining arguments
/// as a command. Ignores mount errors, because the program may need neither `/proc` nor devices. Does not follow links
/// in the image.
fn mount_command_line() -> String {
    let devices = DEVICES.join(" ");
    format!(
        "root=$1; shift; [ -L \"$root/proc\" ] || mount -t proc proc \"$root/proc\" 2>/dev/null; \
         [ -L \"$root/dev\" ] || for name in {devices}; do [ -L \"$root/dev/$name\" ] || \
         mount --bind \"/dev/$name\" \"$root/dev/$name\" 2>/dev/null; done; exec \"$@\""
    )
}

/// Returns a command that runs a program in a root directory, under the copied QEMU if `with_qemu` is set.
pub(crate) fn isolated_command(root: &Utf8Path, command: &SmokeCommand, isolation: Isolation, with_qemu: bool) -> Cmd {
    let user = match &command.user {
        Some(user) if isolation != Isolation::UserNamespace => Some((user.uid, user.gid)),
        _ => None,
    };
    let cmd = Cmd::new("env").args(namespace_command(isolation));
    let cmd = match isolation {
        Isolation::ChangeRoot => cmd.arg("env"),
        Isolation::Namespaces | Isolation::UserNamespace => {
            cmd.args(["sh", "-c", &mount_command_line(), "sh", root.as_str(), "env"])
        }
    };
    // Use the full path of `unshare`, because the command runs with the image's PATH.
    let unshare = find_program("unshare").unwrap_or_else(|| "unshare".into());
    let cmd =
        cmd.arg("-i").args(&command.env).arg(unshare).args(unshare_options(root.as_str(), &command.workdir, user));
    if with_qemu {
        cmd.args(qemu_command(QEMU_PATH.as_ref(), command)).arg(&command.program).args(&command.words[1..])
    } else {
        cmd.args(&command.words)
    }
}

/// Returns a command that runs a program under QEMU, which looks for files in `root` before the machine's own root.
pub(crate) fn qemu_prefix_command(root: &Utf8Path, command: &SmokeCommand, qemu: &Path) -> Cmd {
    let program = root.join(command.program.trim_start_matches('/'));
    let cmd = Cmd::new("env").arg("-i").args(&command.env).args(qemu_command(qemu, command));
    cmd.args(["-L", root.as_str()]).arg(program).args(&command.words[1..])
}

/// Returns the start of a QEMU command line: the QEMU binary, and options that set the program's `argv[0]`.
fn qemu_command(qemu: &Path, command: &SmokeCommand) -> [std::ffi::OsString; 3] {
    [qemu.into(), "-0".into(), command.words[0].clone().into()]
}

/// Returns the command that creates the namespaces for a kind of isolation. Empty if it uses no namespaces.
fn namespace_command(isolation: Isolation) -> Vec<&'static str> {
    let command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net"];
    match isolation {
        Isolation::Namespaces => command.to_vec(),
        Isolation::UserNamespace => command.into_iter().chain(["--map-root-user"]).collect(),
        Isolation::ChangeRoot => Vec::new(),
    }
}

fn unshare_options(root: &str, workdir: &str, user: Option<(u64, u64)>) -> Vec<String> {
    let mut options = vec![format!("--root={root}"), format!("--wd={workdir}")];
    if let Some((uid, gid)) = user {
        options.extend([format!("--setgid={gid}"), format!("--setuid={uid}")]);
    }
    options.push("--".to_owned());
    options
}

/// Copies a QEMU binary into a root directory, replacing any file with the same name.
pub(crate) fn install_qemu(qemu: &Path, root: &Utf8Path) -> Result<()> {
    let to = root.join(QEMU_PATH.trim_start_matches('/'));
    if to.symlink_metadata().is_ok() {
        fs_err::remove_file(&to)?;
    }
    fs_err::copy(qemu, to)?;
    Ok(())
}

/// Creates the directories and files that a container runtime would create in a root directory: the working directory,
/// and mount points for `/proc` and devices.
pub(crate) fn prepare_root(root: &Utf8Path, files: &RootFs, command: &SmokeCommand) -> Result<()> {
    if let Ok(workdir) = files.resolve(&command.workdir) {
        fs_err::create_dir_all(root.join(workdir))?;
    }
    let is_dir_or_missing = |path: &str| matches!(files.get(path), None | Some(FsNode::Dir(_)));
    if is_dir_or_missing("proc") {
        fs_err::create_dir_all(root.join("proc"))?;
    }
    if is_dir_or_missing("dev") {
        let dev = root.join("dev");
        fs_err::create_dir_all(&dev)?;
        for device in DEVICES {
            let path = dev.join(device);
            if path.symlink_metadata().is_err() {
                fs_err::write(&path, "")?;
                fs_err::set_permissions(&path, Permissions::from_mode(0o666))?;
            }
        }
    }
    Ok(())
}
