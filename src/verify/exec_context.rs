//! An image's root file system, as whoever starts there sees it: who that is, what may be entered and run, and where
//! programs are looked for. Pure.

use oci_spec::image::ImageConfiguration;

use crate::finding::{CLOSED_FOLDER, Finding, MISSING_WORKDIR, UNKNOWN_USER, WORKDIR_NOT_A_FOLDER};
use crate::oci::rootfs::{Attributes, File, Node, RootFs, clean};
use crate::platform::Platform;

/// Runtimes' own, for an image whose environment has none (moby, `DefaultPathEnvUnix`).
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A merged file system with the config that starts in it.
pub struct ExecContext<'a> {
    pub tree: &'a RootFs,
    pub platform: Platform,
    pub config: &'a ImageConfiguration,
    /// None where nobody can say who it is.
    pub user: Option<User>,
}

/// Who a container's process is (moby/sys, `user.GetExecUser`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// As it is written; empty for root by default.
    pub name: String,
    pub uid: u64,
    pub gid: u64,
    pub groups: Vec<u64>,
}

/// Bits of a mode, as the owner has them.
pub const READ: u32 = 0o400;
pub const EXECUTE: u32 = 0o100;

impl<'a> ExecContext<'a> {
    /// And what is wrong with its user and its working directory.
    pub fn new(
        tree: &'a RootFs,
        platform: Platform,
        config: &'a ImageConfiguration,
    ) -> (ExecContext<'a>, Vec<Finding>) {
        let mut root = ExecContext { tree, platform, config, user: None };
        let mut findings = Vec::new();
        let user = config.config().as_ref().and_then(|config| config.user().clone()).unwrap_or_default();
        match user_of(tree, &user) {
            Ok(user) => root.user = Some(user),
            Err(reason) => {
                let numbers = if user == "root" { "0:0" } else { "65532:65532" };
                let fix = format!("copy a file that has the name, or write it in numbers: user = \"{numbers}\"");
                findings.push(UNKNOWN_USER.finding(reason, fix));
            }
        }
        findings.extend(root.check_workdir());
        (root, findings)
    }

    /// The same, as somebody else sees it.
    pub fn seen_by(&self, user: Option<User>) -> ExecContext<'a> {
        ExecContext { user, ..*self }
    }

    /// Who is meant by `user[:group]`, where the image's files say.
    pub fn user_named(&self, written: &str) -> Option<User> {
        user_of(self.tree, written).ok()
    }

    fn check_workdir(&self) -> Option<Finding> {
        let not_a_folder = |dir: String| {
            WORKDIR_NOT_A_FOLDER
                .finding("is the working directory, and no folder", "name a folder: workdir = \"/\"")
                .in_file(dir)
        };
        let dir = self.workdir();
        let resolved = self.tree.resolve(&dir).ok();
        match resolved.as_deref().and_then(|path| self.tree.get(path)) {
            // It may be closed to the user: runtimes enter it as root before they turn into the user.
            Some(Node::Dir(_)) => None,
            _ if resolved.as_deref() == Some("") => None,
            Some(_) => Some(not_a_folder(dir)),
            None if resolved.is_none() => Some(not_a_folder(dir)),
            None if self.user.as_ref().is_some_and(|user| user.uid == 0) => None,
            None => Some(
                MISSING_WORKDIR
                    .finding(
                        "is the working directory, and not in the image: runtimes make it, for root",
                        "make it in the image, so that its owner is who you want: a file in it, or `WORKDIR` below `USER`",
                    )
                    .in_file(dir),
            ),
        }
    }

    /// The finding that a folder on the way to a path cannot be entered.
    pub fn closed(&self, folder: &str, to: &str) -> Finding {
        let mode = match self.tree.get(folder) {
            Some(Node::Dir(attributes)) => describe(attributes),
            _ => String::new(),
        };
        let on_the_way = if clean(to) == folder { String::new() } else { format!(", on the way to {to}") };
        CLOSED_FOLDER
            .finding(
                format!("cannot be entered by {}{on_the_way}: its mode is {mode}", self.who()),
                format!("let all enter it: `chmod a+x /{folder}` where the image is made"),
            )
            .in_file(format!("/{folder}"))
    }

    /// From the root, with a leading slash.
    pub fn workdir(&self) -> String {
        let dir = self.config.config().as_ref().and_then(|config| config.working_dir().clone()).unwrap_or_default();
        format!("/{}", clean(&dir))
    }

    /// A variable of the image's environment; of several, the last.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let config = self.config.config().as_ref()?;
        let pairs = config.env().iter().flatten().rev();
        pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The folders that programs are looked for in.
    pub fn path(&self) -> Vec<String> {
        let path = self.variable("PATH").unwrap_or(PATH);
        path.split(':').map(|folder| self.absolute(folder)).collect()
    }

    /// From the root, what is written as seen from the working directory.
    pub fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.workdir()) }
    }

    /// The regular file at a path, and where it really is.
    pub fn file(&self, path: &str) -> Option<(String, &'a File)> {
        let real = self.tree.resolve(path).ok()?;
        match self.tree.get(&real)? {
            Node::File(file) => Some((real, file)),
            _ => None,
        }
    }

    /// May the user read or execute what has these attributes?
    pub fn may(&self, attributes: &Attributes, bit: u32) -> bool {
        let Some(user) = &self.user else { return true };
        // CAP_DAC_OVERRIDE, which containers have, executes nothing that nobody may (capabilities(7)).
        if user.uid == 0 {
            return bit != EXECUTE || attributes.mode & 0o111 != 0;
        }
        let shift = match () {
            () if attributes.uid == user.uid => 0,
            () if attributes.gid == user.gid || user.groups.contains(&attributes.gid) => 3,
            () => 6,
        };
        attributes.mode & (bit >> shift) != 0
    }

    /// Does a program with these attributes run with other rights than the user's?
    pub fn gains_rights(&self, attributes: &Attributes) -> bool {
        let Some(user) = &self.user else { return false };
        (attributes.mode & 0o4000 != 0 && attributes.uid != user.uid)
            || (attributes.mode & 0o2000 != 0 && attributes.gid != user.gid)
    }

    /// The first folder on the way to a path, those of links as well, that the user cannot enter.
    pub fn closed_folder(&self, path: &str) -> Option<String> {
        if self.user.as_ref().is_none_or(|user| user.uid == 0) {
            return None;
        }
        let mut first = None;
        let mut through = |folder: &str| {
            // The root itself is the runtime's: it has other modes there than the layer says.
            let is_closed = !folder.is_empty()
                && matches!(self.tree.get(folder), Some(Node::Dir(attributes)) if !self.may(attributes, EXECUTE));
            if is_closed && first.is_none() {
                first = Some(folder.to_owned());
            }
        };
        // What leads nowhere is said elsewhere.
        let _ = self.tree.walk(path, &mut through);
        first
    }

    /// `root`, or `user 65532 (nonroot)`.
    pub fn who(&self) -> String {
        match &self.user {
            Some(user) if user.uid == 0 => "root".to_owned(),
            Some(user) if user.name.is_empty() || user.name.starts_with(|c: char| c.is_ascii_digit()) => {
                format!("user {}", user.uid)
            }
            Some(user) => format!("user {} ({})", user.uid, user.name),
            None => "its user".to_owned(),
        }
    }
}

/// `-rw-r----- of 0:0`, in octal: `0640, owned by 0:0`.
pub fn describe(attributes: &Attributes) -> String {
    format!("{:04o}, owned by {}:{}", attributes.mode, attributes.uid, attributes.gid)
}

fn user_of(tree: &RootFs, written: &str) -> Result<User, String> {
    let (name, group) = written.split_once(':').unwrap_or((written, ""));
    let lines = |file: &str| -> Vec<Vec<String>> {
        let text = tree.text(file).unwrap_or_default();
        text.lines().map(|line| line.trim().split(':').map(str::to_owned).collect()).collect()
    };
    let (users, groups) = (lines("etc/passwd"), lines("etc/group"));
    let field = |line: &[String], index: usize| line.get(index).and_then(|field| field.parse::<u64>().ok());
    let number = name.parse::<u64>().ok();
    let line = users.iter().find(|line| match number {
        Some(uid) => field(line, 2) == Some(uid),
        None => !name.is_empty() && line.first().is_some_and(|first| first == name),
    });
    let (uid, mut gid) = match (line, number, name) {
        (Some(line), _, _) => (field(line, 2).unwrap_or(0), field(line, 3).unwrap_or(0)),
        (None, Some(uid), _) => (uid, 0),
        (None, None, "") => (0, 0),
        (None, None, name) => {
            return Err(format!("its user is '{name}', and /etc/passwd of the image has no '{name}'"));
        }
    };
    let mut more = Vec::new();
    if group.is_empty() {
        let user = line.and_then(|line| line.first());
        let member = |line: &&Vec<String>| {
            line.get(3).is_some_and(|members| members.split(',').any(|member| Some(member) == user.map(String::as_str)))
        };
        more.extend(groups.iter().filter(member).filter_map(|line| field(line, 2)));
    } else if let Ok(number) = group.parse() {
        gid = number;
    } else {
        let line = groups.iter().find(|line| line.first().is_some_and(|first| first == group));
        gid = line
            .and_then(|line| field(line, 2))
            .ok_or_else(|| format!("its group is '{group}', and /etc/group of the image has no '{group}'"))?;
    }
    Ok(User { name: name.to_owned(), uid, gid, groups: more })
}
