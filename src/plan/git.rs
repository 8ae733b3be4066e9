//! Reads the current commit from git. Image labels, tags and timestamps are derived from it.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexSet;
use serde::Serialize;

use super::ci_tag::CiTag;
use super::git_tags;
use crate::error::{Class, Failure};
use crate::host::packages;
use crate::process::{Cmd, find_program};

/// The commit that HEAD points to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Commit {
    /// Full commit hash.
    pub sha: String,
    /// Commit time, in seconds since the Unix epoch.
    pub time: u64,
    /// Tag that points to the commit. If there are several, the one that a CI job runs for, else the one with the
    /// highest version.
    pub tag: Option<String>,
    /// All tags that point to the commit, in the same order.
    pub tags: Vec<String>,
    /// The tag that a CI job runs for, if it points to the commit.
    #[serde(skip)]
    pub ci_tag: Option<String>,
    /// Checked-out branch. `None` if HEAD is detached.
    pub branch: Option<String>,
    /// Paths with uncommitted changes, including untracked files that are not ignored.
    #[serde(rename = "dirty", serialize_with = "serialize_is_not_empty")]
    #[cfg_attr(test, schemars(with = "bool", description = "Whether the work tree has uncommitted changes."))]
    pub changes: Vec<String>,
}

/// The state of a git checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Checkout {
    /// The directory is not in a git work tree.
    None,
    /// A repository without commits.
    Unborn,
    Commit(Commit),
}

impl Commit {
    /// Returns the revision for image labels. It ends with `-dirty` if the work tree has uncommitted changes.
    pub(crate) fn revision(&self) -> String {
        format!("{}{}", self.sha, if self.is_dirty() { "-dirty" } else { "" })
    }

    pub(crate) fn is_dirty(&self) -> bool {
        !self.changes.is_empty()
    }
}

impl Checkout {
    /// Returns the tags that point to the commit.
    pub(crate) fn git_tags(&self) -> &[String] {
        self.commit().map_or(&[], |commit| &commit.tags)
    }

    pub(crate) fn commit(&self) -> Option<&Commit> {
        match self {
            Checkout::Commit(commit) => Some(commit),
            Checkout::None | Checkout::Unborn => None,
        }
    }

    /// Returns a note about how a missing git repository affects images.
    pub(crate) fn no_repository_note(&self) -> Option<&'static str> {
        match self {
            Checkout::None => Some(
                "not a git repository: images get no revision label, and are dated 1970-01-01 (set SOURCE_DATE_EPOCH for \
                 another date)",
            ),
            Checkout::Unborn | Checkout::Commit(_) => None,
        }
    }

    /// Returns the reason why the sources do not match a commit. Returns `None` if they match, or if there is no
    /// repository.
    pub(crate) fn uncommitted_reason(&self) -> Option<String> {
        const LISTED: usize = 2;
        match self {
            Checkout::Commit(commit) if commit.is_dirty() => {
                let listed = commit.changes.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = match commit.changes.len() {
                    total if total > LISTED => format!(" and {} more", total - LISTED),
                    _ => String::new(),
                };
                Some(format!("the work tree has uncommitted changes ({listed}{more})"))
            }
            Checkout::Unborn => Some("the repository has no commits yet".to_owned()),
            Checkout::Commit(_) | Checkout::None => None,
        }
    }
}

#[expect(clippy::ptr_arg, reason = "serde passes a reference to the field")]
fn serialize_is_not_empty<S: serde::Serializer>(list: &Vec<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(!list.is_empty())
}

/// Returns the state of the git checkout in `dir`. Changes to `ignored` paths below `dir`, such as the target
/// directory, do not make the work tree dirty. `ci_tag` is the tag that a CI job runs for. Shallow clones may lack it.
pub(crate) fn checkout(dir: &Utf8Path, ignored: &[Utf8PathBuf], ci_tag: Option<CiTag>) -> Result<Checkout> {
    let Some(git) = find_program("git") else {
        if dir.ancestors().any(|dir| dir.join(".git").exists()) {
            let message = "git is not installed, but it is required to read this repository's commit";
            return Err(Failure::new(Class::Config, message).hint(packages::GIT.install_hint()).into());
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
    // Check the whole repository, because path dependencies may be outside the workspace.
    let exclude: Vec<String> =
        ignored.iter().filter_map(|path| Some(format!(":(exclude){}", path.strip_prefix(dir).ok()?))).collect();
    let exclude: Vec<&str> = exclude.iter().map(String::as_str).collect();
    let mut tags = lines(&["tag", "--points-at", "HEAD", "--sort=-version:refname"])?;
    git_tags::sort(&mut tags);
    let sha = head.stdout.trim().to_owned();
    let ci_tag = ci_tag.and_then(|tag| tag.at(&sha));
    let tags: IndexSet<String> = ci_tag.iter().cloned().chain(tags).collect();
    Ok(Checkout::Commit(Commit {
        sha,
        time: time.and_then(|time| time.parse().ok()).unwrap_or_default(),
        tag: tags.first().cloned(),
        tags: tags.into_iter().collect(),
        ci_tag,
        branch: line(&["branch", "--show-current"])?,
        // Skip the two status letters and the space before the path.
        changes: lines(&[&["status", "--porcelain", "--", ":/"], &exclude[..]].concat())?
            .iter()
            .map(|line| line.get(3..).unwrap_or(line).to_owned())
            .collect(),
    }))
}

/// Returns the URL of the `origin` remote.
pub(crate) fn origin(dir: &Utf8Path) -> Option<String> {
    let git = find_program("git")?;
    let origin = Cmd::new(git).args(["-C", dir.as_str(), "config", "--get", "remote.origin.url"]).read().ok()?;
    Some(origin.trim().to_owned()).filter(|origin| !origin.is_empty())
}

/// Returns the default branch of the `origin` remote, if git knows it.
pub(crate) fn default_branch(dir: &Utf8Path) -> Option<String> {
    let git = find_program("git")?;
    let args = ["-C", dir.as_str(), "symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"];
    let head = Cmd::new(git).args(args).read().ok()?;
    head.trim().strip_prefix("origin/").map(str::to_owned)
}

fn git_failure(dir: &Utf8Path, message: &str) -> Failure {
    let first_line = message.lines().next().unwrap_or_default().trim_start_matches("fatal: ");
    let failure = Failure::new(Class::Config, format!("failed to read the current commit: {first_line}"));
    if message.contains("dubious ownership") {
        // The message contains the path of the repository, which may be a parent directory of the workspace.
        let repository = first_line.split('\'').nth(1).unwrap_or(dir.as_str());
        return failure.hint(format!("trust the repository: `git config --global --add safe.directory {repository}`"));
    }
    failure.hint(format!("run `git -C {dir} rev-parse HEAD` to reproduce the error"))
}
