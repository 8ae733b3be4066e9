//! Runs a program without Docker, with an unpacked image as its root directory.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use camino::Utf8Path;

use super::command::SmokeCommand;
use crate::host::isolation::{DEVICES, Isolation};
use crate::oci::rootfs::{FsNode, RootFs};
use crate::process::Cmd;

/// Path of the copied QEMU binary, within the root directory.
const QEMU_PATH: &str = "/.multiarch-qemu";

/// Returns a command that runs a program in a root directory, under the copied QEMU if `with_qemu` is set.
pub(crate) fn isolated_command(root: &Utf8Path, command: &SmokeCommand, isolation: Isolation, with_qemu: bool) -> Cmd {
    let user = match &command.user {
        Some(user) if isolation != Isolation::UserNamespace => Some((user.uid, user.gid)),
        _ => None,
    };
    let cmd = isolation.command(root.as_str(), &command.workdir, user, &command.env);
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
