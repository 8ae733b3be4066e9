//! The environment of a container's process: its user and permissions, working directory, environment variables and
//! PATH.

use oci_spec::image::ImageConfiguration;

use crate::finding::{CLOSED_FOLDER, Finding, MISSING_WORKDIR, UNKNOWN_USER, WORKDIR_NOT_A_FOLDER};
use crate::oci::rootfs::{FileAttributes, FsNode, RegularFile, RootFs, clean};
use crate::platform::Platform;

/// Default PATH that runtimes set if the image does not set one (moby, `DefaultPathEnvUnix`).
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The root file system, config and user that a container's process runs with.
pub(crate) struct ExecContext<'a> {
    pub root: &'a RootFs,
    pub platform: Platform,
    pub config: &'a ImageConfiguration,
    /// User that the process runs as. `None` if it cannot be determined.
    pub user: Option<User>,
}

/// The user of a container's process (moby/sys, `user.GetExecUser`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// User as written in the config. Empty if the config does not set one, which means root.
    pub name: String,
    pub uid: u64,
    pub gid: u64,
    pub groups: Vec<u64>,
}

/// Permission bits of a file's owner. [`ExecContext::has_permission`] shifts them for the group and for other users.
pub(crate) const READ: u32 = 0o400;
pub(crate) const EXECUTE: u32 = 0o100;

impl<'a> ExecContext<'a> {
    /// Creates the context for an image, and returns it with any findings about the user and the working directory.
    pub(crate) fn new(
        root: &'a RootFs,
        platform: Platform,
        config: &'a ImageConfiguration,
    ) -> (ExecContext<'a>, Vec<Finding>) {
        let mut context = ExecContext { root, platform, config, user: None };
        let mut findings = Vec::new();
        let user = config.config().as_ref().and_then(|config| config.user().clone()).unwrap_or_default();
        match find_user(root, &user) {
            Ok(user) => context.user = Some(user),
            Err(reason) => {
                let numbers = if user == "root" { "0:0" } else { "65532:65532" };
                let fix =
                    format!("use numeric IDs, such as user = \"{numbers}\", or add the name to that file in the image");
                findings.push(UNKNOWN_USER.finding(reason, fix));
            }
        }
        findings.extend(context.check_workdir());
        (context, findings)
    }

    /// Returns this context with a different user.
    pub(crate) fn with_user(&self, user: Option<User>) -> ExecContext<'a> {
        ExecContext { user, ..*self }
    }

    /// Looks up `user[:group]` in the image's `/etc/passwd` and `/etc/group`.
    pub(crate) fn find_user(&self, name: &str) -> Option<User> {
        find_user(self.root, name).ok()
    }

    fn check_workdir(&self) -> Option<Finding> {
        let not_a_directory = |dir: String| {
            WORKDIR_NOT_A_FOLDER
                .finding(
                    "is the working directory, but is not a directory",
                    "set workdir to an existing directory, such as \"/\"",
                )
                .in_file(dir)
        };
        let dir = self.workdir();
        let resolved = self.root.resolve(&dir).ok();
        match resolved.as_deref().and_then(|path| self.root.get(path)) {
            // Runtimes enter the working directory as root, so the user does not need access to it.
            Some(FsNode::Dir(_)) => None,
            _ if resolved.as_deref() == Some("") => None,
            Some(_) => Some(not_a_directory(dir)),
            None if resolved.is_none() => Some(not_a_directory(dir)),
            None if self.user.as_ref().is_some_and(|user| user.uid == 0) => None,
            None => Some(
                MISSING_WORKDIR
                    .finding(
                        "is the working directory, but is not in the image: the runtime will create it, owned by root",
                        "create it in the image with the correct owner: use `WORKDIR` after `USER`, or copy a file into it",
                    )
                    .in_file(dir),
            ),
        }
    }

    /// Creates the finding that the user cannot enter `dir`, a directory on the path to `target`.
    pub(crate) fn closed_directory_finding(&self, dir: &str, target: &str) -> Finding {
        let mode = match self.root.get(dir) {
            Some(FsNode::Dir(attributes)) => format_mode(attributes),
            _ => "is inaccessible".to_owned(),
        };
        let purpose = if clean(target) == dir { String::new() } else { format!(" to reach {target}") };
        CLOSED_FOLDER
            .finding(
                format!("{mode}, so {} cannot enter it{purpose}", self.user_description()),
                format!("make it accessible to all users: run `chmod a+x /{dir}` when you build the image"),
            )
            .in_file(format!("/{dir}"))
    }

    /// Returns the absolute path of the working directory.
    pub(crate) fn workdir(&self) -> String {
        let dir = self.config.config().as_ref().and_then(|config| config.working_dir().clone()).unwrap_or_default();
        format!("/{}", clean(&dir))
    }

    /// Returns the value of an environment variable in the config. If it is set more than once, the last value wins.
    pub(crate) fn env_var(&self, name: &str) -> Option<&str> {
        let config = self.config.config().as_ref()?;
        let pairs = config.env().iter().flatten().rev();
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Returns the directories in PATH as absolute paths.
    pub(crate) fn path_dirs(&self) -> Vec<String> {
        let path = self.env_var("PATH").unwrap_or(DEFAULT_PATH);
        path.split(':').map(|dir| self.absolute(dir)).collect()
    }

    /// Makes a path absolute by resolving it against the working directory.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.workdir()) }
    }

    /// Looks up a regular file, following links. Returns its real path and the file.
    pub(crate) fn file(&self, path: &str) -> Option<(String, &'a RegularFile)> {
        let real_path = self.root.resolve(path).ok()?;
        match self.root.get(&real_path)? {
            FsNode::File(file) => Some((real_path, file)),
            _ => None,
        }
    }

    /// Reports whether the user has [`READ`] or [`EXECUTE`] permission on a file.
    pub(crate) fn has_permission(&self, attributes: &FileAttributes, bit: u32) -> bool {
        let Some(user) = &self.user else { return true };
        // Root has CAP_DAC_OVERRIDE, but still needs at least one executable bit to execute a file (capabilities(7)).
        if user.uid == 0 {
            return bit != EXECUTE || attributes.mode & 0o111 != 0;
        }
        let shift = if attributes.uid == user.uid {
            0
        } else if attributes.gid == user.gid || user.groups.contains(&attributes.gid) {
            3
        } else {
            6
        };
        attributes.mode & (bit >> shift) != 0
    }

    /// Reports whether a program has privileges that its user does not have: those of another user or group, because of
    /// its set-user-ID or set-group-ID bit, or capabilities.
    pub(crate) fn gains_privileges(&self, file: &RegularFile) -> bool {
        let Some(user) = &self.user else { return false };
        let attributes = &file.attributes;
        (file.capabilities.is_some() && user.uid != 0)
            || (attributes.mode & 0o4000 != 0 && attributes.uid != user.uid)
            || (attributes.mode & 0o2000 != 0 && attributes.gid != user.gid)
    }

    /// Returns the first directory along a path that the user cannot enter, following links.
    pub(crate) fn first_closed_dir(&self, path: &str) -> Option<String> {
        if self.user.as_ref().is_none_or(|user| user.uid == 0) {
            return None;
        }
        let mut first = None;
        let mut on_dir = |dir: &str| {
            // Runtimes create the root directory themselves and ignore the mode that layers give it.
            let is_closed = !dir.is_empty()
                && matches!(self.root.get(dir), Some(FsNode::Dir(attributes)) if !self.has_permission(attributes, EXECUTE));
            if is_closed && first.is_none() {
                first = Some(dir.to_owned());
            }
        };
        // Ignore the error: it means that the path does not exist, which the caller reports.
        let _ = self.root.resolve_through(path, &mut on_dir);
        first
    }

    /// Describes the user for messages, such as `root` or `user 65532 (nonroot)`.
    pub(crate) fn user_description(&self) -> String {
        match &self.user {
            Some(user) if user.uid == 0 => "root".to_owned(),
            Some(user) if user.name.is_empty() || user.name.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("user {}", user.uid)
            }
            Some(user) => format!("user {} ({})", user.uid, user.name),
            None => "the image's user".to_owned(),
        }
    }
}

/// Describes a file's mode and owner, such as `has mode 0640 and is owned by 0:0`.
pub(crate) fn format_mode(attributes: &FileAttributes) -> String {
    format!("has mode {:04o} and is owned by {}:{}", attributes.mode, attributes.uid, attributes.gid)
}

/// Looks up `user[:group]` in the image's `/etc/passwd` and `/etc/group`. Fails if a name is not found.
fn find_user(root: &RootFs, user: &str) -> Result<User, String> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let (passwd, groups) = (read_colon_table(root, "etc/passwd"), read_colon_table(root, "etc/group"));
    let number = name.parse::<u64>().ok();
    let passwd_entry = passwd.iter().find(|entry| match number {
        Some(uid) => number_at(entry, 2) == Some(uid),
        None => !name.is_empty() && entry.first().is_some_and(|first| first == name),
    });
    let (uid, primary_gid) = match (passwd_entry, number) {
        (Some(entry), _) => (number_at(entry, 2).unwrap_or(0), number_at(entry, 3).unwrap_or(0)),
        (None, Some(uid)) => (uid, 0),
        (None, None) if name.is_empty() => (0, 0),
        (None, None) => {
            return Err(format!("user '{name}' is not in the image's /etc/passwd"));
        }
    };
    if group.is_empty() {
        let groups = match passwd_entry.and_then(|entry| entry.first()) {
            Some(user) => {
                groups.iter().filter(|entry| has_member(entry, user)).filter_map(|entry| number_at(entry, 2)).collect()
            }
            None => Vec::new(),
        };
        return Ok(User { name: name.to_owned(), uid, gid: primary_gid, groups });
    }
    let gid = match group.parse() {
        Ok(gid) => gid,
        Err(_) => groups
            .iter()
            .find(|entry| entry.first().is_some_and(|first| first == group))
            .and_then(|entry| number_at(entry, 2))
            .ok_or_else(|| format!("group '{group}' is not in the image's /etc/group"))?,
    };
    Ok(User { name: name.to_owned(), uid, gid, groups: Vec::new() })
}

/// Reads a file in the format of passwd(5) or group(5), and splits each line into its fields.
fn read_colon_table(root: &RootFs, path: &str) -> Vec<Vec<String>> {
    let text = root.text(path).unwrap_or_default();
    text.lines().map(|line| line.trim().split(':').map(str::to_owned).collect()).collect()
}

fn number_at(fields: &[String], index: usize) -> Option<u64> {
    fields.get(index)?.parse().ok()
}

/// Reports whether a group(5) entry lists a user as a member.
fn has_member(group: &[String], user: &str) -> bool {
    group.get(3).is_some_and(|members| members.split(',').any(|member| member == user))
}
