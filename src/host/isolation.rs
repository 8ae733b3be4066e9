//! Runs programs with another root directory, using `unshare` from util-linux, which also isolates processes and the
//! network if the kernel permits it. Supported only on Linux.

use anyhow::Result;

use super::IS_LINUX;
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// The devices to provide in the root directory's `/dev`.
pub(crate) const DEVICES: [&str; 5] = ["null", "zero", "full", "random", "urandom"];
const NOBODY_ID: u64 = 65534;

/// A way to run a program with a given directory as its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// As root, in separate process and network namespaces.
    Namespaces,
    /// As an unprivileged user, mapped to root in a user namespace.
    UserNamespace,
    /// As root, without namespaces.
    ChangeRoot,
}

/// Returns the best kind of isolation that works on this machine, or `None` if none does.
pub(crate) fn find(ui: &Ui) -> Result<Option<Isolation>> {
    if !IS_LINUX {
        return Ok(None);
    }
    for isolation in [Isolation::Namespaces, Isolation::ChangeRoot, Isolation::UserNamespace] {
        if is_possible(isolation, ui)? {
            return Ok(Some(isolation));
        }
    }
    Ok(None)
}

impl Isolation {
    /// Returns a command that runs the program and arguments that are added to it, in a root directory and with only the
    /// variables in `env`. `user` is a user and group ID.
    pub(crate) fn command(self, root: &str, workdir: &str, user: Option<(u64, u64)>, env: &[String]) -> Cmd {
        let cmd = Cmd::new("env").args(namespace_command(self));
        let cmd = match self {
            Isolation::ChangeRoot => cmd.arg("env"),
            Isolation::Namespaces | Isolation::UserNamespace => {
                cmd.args(["sh", "-c", &mount_command_line(), "sh", root, "env"])
            }
        };
        // Use the full path of `unshare`, because the command runs with the image's PATH.
        let unshare = find_program("unshare").unwrap_or_else(|| "unshare".into());
        cmd.arg("-i").args(env).arg(unshare).args(unshare_options(root, workdir, user))
    }
}

/// Reports whether a kind of isolation works on this machine, by using it to run `true` in the machine's own root
/// directory.
fn is_possible(isolation: Isolation, ui: &Ui) -> Result<bool> {
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
