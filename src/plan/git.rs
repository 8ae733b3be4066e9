//! What git says of the workspace: the commit that labels, tags and the time of the build come from.

use camino::Utf8Path;
use serde::Serialize;

use crate::process::{Cmd, find_program};

/// The commit that is checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Commit {
    /// The full object name.
    pub sha: String,
    /// Seconds since the epoch at which it was committed.
    pub time: u64,
    /// A tag of exactly this commit; the highest version where there are several.
    pub tag: Option<String>,
    /// None on a detached HEAD.
    pub branch: Option<String>,
    /// The work tree has something that the commit has not: changes, or files that git does not ignore.
    pub dirty: bool,
}

/// The commit of the work tree that holds `dir`; none outside of git, or before the first commit.
pub fn commit(dir: &Utf8Path) -> Option<Commit> {
    let git = find_program("git")?;
    let read = |args: &[&str]| {
        let text = Cmd::new(&git).args(["-C", dir.as_str()]).args(args).read().ok()?;
        Some(text.trim().to_owned())
    };
    let line = |args: &[&str]| read(args)?.lines().next().map(str::to_owned).filter(|line| !line.is_empty());
    Some(Commit {
        sha: line(&["rev-parse", "HEAD"])?,
        time: line(&["show", "-s", "--format=%ct", "HEAD"])?.parse().ok()?,
        tag: line(&["tag", "--points-at", "HEAD", "--sort=-version:refname"]),
        branch: line(&["branch", "--show-current"]),
        dirty: read(&["status", "--porcelain"]).is_some_and(|status| !status.is_empty()),
    })
}
