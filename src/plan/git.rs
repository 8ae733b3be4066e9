//! Asks git for the commit that labels, tags and the build time come from.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::error::{Class, Failure};
use crate::process::{Cmd, find_program};

/// The commit that is checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Commit {
    /// The full object name.
    pub sha: String,
    /// Seconds since the epoch at which it was committed.
    pub time: u64,
    /// A tag of exactly this commit; the highest version where there are several.
    pub tag: Option<String>,
    /// None on a detached HEAD.
    pub branch: Option<String>,
    /// What the work tree has and the commit has not: changed files, or files that git does not ignore.
    #[serde(rename = "dirty", serialize_with = "serialize_is_not_empty")]
    #[cfg_attr(test, schemars(with = "bool", description = "The work tree has something that the commit has not."))]
    pub changes: Vec<String>,
}

/// What is checked out in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checkout {
    /// Not a git work tree, or git is not installed.
    None,
    /// A repository before its first commit.
    Unborn,
    Commit(Commit),
}

impl Commit {
    /// Returns the revision for the image's labels. It ends in `-dirty` if the work tree has uncommitted changes.
    pub(crate) fn revision(&self) -> String {
        format!("{}{}", self.sha, if self.is_dirty() { "-dirty" } else { "" })
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.changes.is_empty()
    }
}

impl Checkout {
    pub(crate) fn commit(&self) -> Option<&Commit> {
        match self {
            Checkout::Commit(commit) => Some(commit),
            Checkout::None | Checkout::Unborn => None,
        }
    }

    /// Returns a note on what images miss without a git repository.
    pub(crate) fn no_repository_note(&self) -> Option<&'static str> {
        match self {
            Checkout::None => Some(
                "this is no git repository: images name no commit, and were made in 1970 (SOURCE_DATE_EPOCH sets the time)",
            ),
            Checkout::Unborn | Checkout::Commit(_) => None,
        }
    }

    /// Returns why the sources are not those of a commit. `None` if they are, or outside of a repository.
    pub(crate) fn uncommitted_reason(&self) -> Option<String> {
        const LISTED: usize = 2;
        match self {
            Checkout::Commit(commit) if commit.is_dirty() => {
                let listed = commit.changes.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = match commit.changes.len() {
                    total if total > LISTED => format!(" and {} more", total - LISTED),
                    _ => String::new(),
                };
                Some(format!("the work tree has changes that are not committed ({listed}{more})"))
            }
            Checkout::Unborn => Some("nothing is committed yet".to_owned()),
            Checkout::Commit(_) | Checkout::None => None,
        }
    }
}

#[expect(clippy::ptr_arg, reason = "serde hands over the field")]
fn serialize_is_not_empty<S: serde::Serializer>(list: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(!list.is_empty())
}

/// Finds out what is checked out in `dir`. Changes of `ignored` files and directories below `dir`, such as the target
/// directory, do not make the work tree dirty.
pub(crate) fn checkout(dir: &Utf8Path, ignored: &[Utf8PathBuf]) -> Result<Checkout> {
    let Some(git) = find_program("git") else {
        if dir.ancestors().any(|dir| dir.join(".git").exists()) {
            let message = "this is a git repository, and there is no git to ask for its commit";
            return Err(Failure::new(Class::Config, message).hint("install it: `sudo apt install git`").into());
        }
        return Ok(Checkout::None);
    };
    let git = |args: &[&str]| Cmd::new(&git).args(["-C", dir.as_str()]).args(args).env("LC_ALL", "C").output();
    let lines = |args: &[&str]| -> Result<Vec<String>> {
        let output = git(args)?;
        let lines = output.stdout.lines().filter(|line| output.status.success() && !line.is_empty());
        Ok(lines.map(str::to_owned).collect())
    };
    let line = |args: &[&str]| -> Result<Option<String>> { Ok(lines(args)?.into_iter().next()) };
    let head = git(&["rev-parse", "--verify", "HEAD"])?;
    if !head.status.success() {
        return match head.stderr.trim() {
            message if message.contains("not a git repository") => Ok(Checkout::None),
            message if message.contains("Needed a single revision") => Ok(Checkout::Unborn),
            message => Err(git_failure(dir, message).into()),
        };
    }
    let time = line(&["show", "-s", "--format=%ct", "HEAD"])?;
    // The status of the whole repository, since a path dependency may be outside of the workspace.
    let exclude: Vec<String> =
        ignored.iter().filter_map(|path| Some(format!(":(exclude){}", path.strip_prefix(dir).ok()?))).collect();
    let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
    Ok(Checkout::Commit(Commit {
        sha: head.stdout.trim().to_owned(),
        time: time.and_then(|time| time.parse().ok()).unwrap_or_default(),
        tag: line(&["tag", "--points-at", "HEAD", "--sort=-version:refname"])?,
        branch: line(&["branch", "--show-current"])?,
        // Two letters and a space come before the path.
        changes: lines(&[&["status", "--porcelain", "--", ":/"], &exclude[..]].concat())?
            .iter()
            .map(|line| line.get(3..).unwrap_or(line).to_owned())
            .collect(),
    }))
}

/// Returns the URL of the remote `origin`.
pub(crate) fn origin(dir: &Utf8Path) -> Option<String> {
    let git = find_program("git")?;
    let origin = Cmd::new(git).args(["-C", dir.as_str(), "config", "--get", "remote.origin.url"]).read().ok()?;
    Some(origin.trim().to_owned()).filter(|origin| !origin.is_empty())
}

fn git_failure(dir: &Utf8Path, message: &str) -> Failure {
    let first_line = message.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
    let failure = Failure::new(Class::Config, format!("git does not say which commit this is: {first_line}"));
    if message.contains("dubious ownership") {
        // git names the repository, which may be a parent directory of the workspace.
        let repository = first_line.split('\'').nth(1).unwrap_or(dir.as_str());
        return failure.hint(format!("`git config --global --add safe.directory {repository}`"));
    }
    failure.hint(format!("see `git -C {dir} rev-parse HEAD`"))
}
