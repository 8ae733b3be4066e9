//! What git says of the workspace: the commit that labels, tags and the time of the build come from.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;

use crate::error::{Class, Failure};
use crate::process::{Cmd, find_program};

/// The commit that is checked out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Commit {
    /// The full object name.
    pub sha: String,
    /// Seconds since the epoch at which it was committed.
    pub time: u64,
    /// A tag of exactly this commit; the highest version where there are several.
    pub tag: Option<String>,
    /// None on a detached HEAD.
    pub branch: Option<String>,
    /// What the work tree has and the commit has not: changed files, or files that git does not ignore.
    #[serde(rename = "dirty", serialize_with = "is_any")]
    #[cfg_attr(test, schemars(with = "bool", description = "The work tree has something that the commit has not."))]
    pub changes: Vec<String>,
}

/// What is checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checkout {
    /// This is no work tree, or there is no git.
    None,
    /// A repository before its first commit.
    Unborn,
    Commit(Commit),
}

impl Commit {
    /// What the image is labelled with: nobody must look for changes in a commit that has none of them.
    pub fn revision(&self) -> String {
        format!("{}{}", self.sha, if self.is_dirty() { "-dirty" } else { "" })
    }

    pub fn is_dirty(&self) -> bool {
        !self.changes.is_empty()
    }
}

impl Checkout {
    pub fn commit(&self) -> Option<&Commit> {
        match self {
            Checkout::Commit(commit) => Some(commit),
            Checkout::None | Checkout::Unborn => None,
        }
    }

    /// What images lack without a commit: where they come from, and a time.
    pub fn unknown(&self) -> Option<&'static str> {
        match self {
            Checkout::None => Some(
                "this is no git repository: images name no commit, and were made in 1970 (SOURCE_DATE_EPOCH sets the time)",
            ),
            Checkout::Unborn | Checkout::Commit(_) => None,
        }
    }

    /// Why what is built here can be found in no commit; none where it can, and where nobody commits.
    pub fn uncommitted(&self) -> Option<String> {
        const NAMED: usize = 2;
        match self {
            Checkout::Commit(commit) if commit.is_dirty() => {
                let named = commit.changes.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = match commit.changes.len() {
                    all @ 3.. => format!(" and {} more", all - NAMED),
                    _ => String::new(),
                };
                Some(format!("the work tree has changes that are not committed ({named}{more})"))
            }
            Checkout::Unborn => Some("nothing is committed yet".to_owned()),
            Checkout::Commit(_) | Checkout::None => None,
        }
    }
}

#[expect(clippy::ptr_arg, reason = "serde hands over the field")]
fn is_any<S: serde::Serializer>(list: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(!list.is_empty())
}

/// What is checked out in the work tree that holds `dir`. What is in `ignored`, folders and files below `dir` such as the
/// target directory, makes no tree dirty.
pub fn checkout(dir: &Utf8Path, ignored: &[Utf8PathBuf]) -> Result<Checkout> {
    let Some(git) = find_program("git") else {
        return match dir.ancestors().any(|dir| dir.join(".git").exists()) {
            true => {
                Err(Failure::new(Class::Config, "this is a git repository, and there is no git to ask for its commit")
                    .hint("install it: `sudo apt install git`")
                    .into())
            }
            false => Ok(Checkout::None),
        };
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
        let words = head.stderr.trim();
        return match words {
            _ if words.contains("not a git repository") => Ok(Checkout::None),
            _ if words.contains("Needed a single revision") => Ok(Checkout::Unborn),
            _ => Err(refused(dir, words).into()),
        };
    }
    let time = line(&["show", "-s", "--format=%ct", "HEAD"])?;
    // The whole repository: a path dependency may be outside of the workspace.
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

/// Where the work tree that holds `dir` was cloned from, as far as git says.
pub fn origin(dir: &Utf8Path) -> Option<String> {
    let git = find_program("git")?;
    let origin = Cmd::new(git).args(["-C", dir.as_str(), "config", "--get", "remote.origin.url"]).read().ok()?;
    Some(origin.trim().to_owned()).filter(|origin| !origin.is_empty())
}

fn refused(dir: &Utf8Path, words: &str) -> Failure {
    let first = words.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
    let failure = Failure::new(Class::Config, format!("git does not say which commit this is: {first}"));
    match words.contains("dubious ownership") {
        true => {
            // git names the repository, of which the workspace may be a part.
            let named = first.split('\'').nth(1).unwrap_or(dir.as_str());
            failure.hint(format!("`git config --global --add safe.directory {named}`"))
        }
        false => failure.hint(format!("see `git -C {dir} rev-parse HEAD`")),
    }
}
