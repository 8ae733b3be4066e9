//! What git says of the workspace: the commit that labels, tags and the time of the build come from.

use anyhow::Result;
use camino::Utf8Path;
use serde::Serialize;

use crate::error::{Class, Failure};
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

/// The commit of the work tree that holds `dir`; none outside of git, and before the first commit.
/// What is in `ignored` (the target directory) makes no tree dirty.
pub fn commit(dir: &Utf8Path, ignored: &Utf8Path) -> Result<Option<Commit>> {
    let Some(git) = find_program("git") else { return Ok(None) };
    let git = |args: &[&str]| Cmd::new(&git).args(["-C", dir.as_str()]).args(args).env("LC_ALL", "C").output();
    let line = |args: &[&str]| -> Result<Option<String>> {
        let output = git(args)?;
        Ok(output.stdout.lines().next().map(str::to_owned).filter(|line| output.status.success() && !line.is_empty()))
    };
    let head = git(&["rev-parse", "--verify", "HEAD"])?;
    if !head.status.success() {
        let words = head.stderr.trim();
        let none = ["not a git repository", "Needed a single revision"].iter().any(|known| words.contains(known));
        return if none { Ok(None) } else { Err(refused(dir, words).into()) };
    }
    let time = line(&["show", "-s", "--format=%ct", "HEAD"])?;
    let exclude = format!(":(exclude){}", ignored.strip_prefix(dir).unwrap_or(Utf8Path::new("target")));
    Ok(Some(Commit {
        sha: head.stdout.trim().to_owned(),
        time: time.and_then(|time| time.parse().ok()).unwrap_or_default(),
        tag: line(&["tag", "--points-at", "HEAD", "--sort=-version:refname"])?,
        branch: line(&["branch", "--show-current"])?,
        dirty: line(&["status", "--porcelain", "--", ".", &exclude])?.is_some(),
    }))
}

fn refused(dir: &Utf8Path, words: &str) -> Failure {
    let first = words.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
    let failure = Failure::new(Class::Config, format!("git does not say which commit this is: {first}"));
    match words.contains("dubious ownership") {
        true => failure.hint(format!("`git config --global --add safe.directory {dir}`")),
        false => failure.hint(format!("see `git -C {dir} rev-parse HEAD`")),
    }
}
