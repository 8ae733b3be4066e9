//! Compares the git tags of a commit with the versions of packages. A tag such as `v1.2.3` names the version of any
//! package, and `NAME-v1.2.3` or `NAME/v1.2.3` that of one package. All other tags are ignored.

use std::fmt;

use indexmap::IndexMap;
use semver::Version;

use crate::error::{Class, Failure};

/// A package to release, and the name of its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release<'a> {
    pub package: &'a str,
    pub image: &'a str,
    pub version: &'a Version,
}

/// A git tag that names a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VersionTag<'t> {
    pub tag: &'t str,
    pub version: Version,
}

/// The git tag that was compared with a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComparedTag {
    pub tag: String,
    /// Whether the tag names the release's version.
    pub matches: bool,
}

impl<'a> Release<'a> {
    /// Returns the git tag to compare with the release: a tag for its package, else one without a name. Among several,
    /// prefers one with the release's version. `packages` contains the names of all packages in the workspace.
    pub(crate) fn version_tag<'t>(&self, tags: &'t [String], packages: &[&str]) -> Option<VersionTag<'t>> {
        let own = self.preferred(self.own_tags(tags, packages));
        own.or_else(|| self.preferred(plain_tags(tags)))
    }

    /// Compares the release with the git tag for it. Returns `None` if there is no such tag.
    pub(crate) fn compare(&self, tags: &[String], packages: &[&str]) -> Option<ComparedTag> {
        let VersionTag { tag, version } = self.version_tag(tags, packages)?;
        Some(ComparedTag { tag: tag.to_owned(), matches: version == *self.version })
    }

    /// Returns the git tag for `{{git.tag}}`: the tag that a CI job runs for, else the one to compare with the release,
    /// else the first. Ignores tags for other packages.
    pub(crate) fn git_tag<'t>(
        &self,
        tags: &'t [String],
        ci_tag: Option<&'t str>,
        packages: &[&str],
    ) -> Option<&'t str> {
        let own = self.own_tags(tags, packages);
        let is_own = |tag: &str| own.iter().any(|own| own.tag == tag);
        let is_usable = |tag: &&str| is_own(tag) || !packages.iter().any(|name| version_of(tag, name).is_some());
        let version_tag = || self.version_tag(tags, packages).map(|found| found.tag);
        ci_tag.filter(is_usable).or_else(version_tag).or_else(|| tags.iter().map(String::as_str).find(is_usable))
    }

    /// Returns the tags that name this package or its image. An image's name that is also the name of another package
    /// refers to that package.
    fn own_tags<'t>(&self, tags: &'t [String], packages: &[&str]) -> Vec<VersionTag<'t>> {
        let image = (!packages.contains(&self.image)).then_some(self.image);
        let names = || [self.package].into_iter().chain(image);
        let version = |tag: &str| names().find_map(|name| version_of(tag, name));
        tags.iter().filter_map(|tag| Some(VersionTag { tag, version: version(tag)? })).collect()
    }

    fn preferred<'t>(&self, mut tags: Vec<VersionTag<'t>>) -> Option<VersionTag<'t>> {
        let index = tags.iter().position(|tag| tag.version == *self.version).unwrap_or(0);
        (index < tags.len()).then(|| tags.swap_remove(index))
    }
}

/// Returns the tags that consist only of a version.
fn plain_tags(tags: &[String]) -> Vec<VersionTag<'_>> {
    tags.iter().filter_map(|tag| Some(VersionTag { tag, version: parse_version(tag)? })).collect()
}

/// Returns the version in a tag for one package: `NAME-v1.2.3` or `NAME/v1.2.3`.
fn version_of(tag: &str, package: &str) -> Option<Version> {
    parse_version(tag.strip_prefix(package)?.strip_prefix(['-', '/'])?)
}

/// Parses a version that may start with `v`.
pub(crate) fn parse_version(text: &str) -> Option<Version> {
    Version::parse(text.strip_prefix('v').unwrap_or(text)).ok()
}

/// A git tag that matches no package version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TagMismatch<'a> {
    tag: VersionTag<'a>,
    releases: Vec<Release<'a>>,
}

/// Returns a tag that does not match: one that names a package with another version, or one without a name if no
/// release matches any tag. `packages` contains the names of all packages in the workspace.
pub(crate) fn find_mismatch<'a>(
    releases: &[Release<'a>],
    tags: &'a [String],
    packages: &[&str],
) -> Option<TagMismatch<'a>> {
    let mut has_match = false;
    for release in releases {
        let own = release.own_tags(tags, packages);
        let matches = own.iter().any(|tag| tag.version == *release.version);
        has_match |= matches;
        if let (false, Some(tag)) = (matches, release.preferred(own)) {
            return Some(TagMismatch { tag, releases: vec![*release] });
        }
    }
    let plain = plain_tags(tags);
    has_match |= plain.iter().any(|tag| releases.iter().any(|release| tag.version == *release.version));
    let tag = plain.into_iter().next().filter(|_| !has_match)?;
    Some(TagMismatch { tag, releases: releases.to_vec() })
}

impl TagMismatch<'_> {
    pub(crate) fn failure(&self) -> Failure {
        let VersionTag { tag, version } = &self.tag;
        let mut failure = Failure::new(Class::Config, self.to_string());
        if let [release, ..] = &self.releases[..] {
            let matching = tag.replace(&version.to_string(), &release.version.to_string());
            failure = failure.hint(format!("if the version is correct, tag it as well: `git tag {matching}`"));
        }
        failure
            .hint(format!(
                "if the tag is correct, set `version = \"{version}\"` in Cargo.toml, commit, and move the tag"
            ))
            .hint("to publish anyway, pass `--allow-tag-mismatch`")
    }
}

impl fmt::Display for TagMismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the commit is tagged {}, but ", self.tag.tag)?;
        let packages: IndexMap<&str, &Version> =
            self.releases.iter().map(|release| (release.package, release.version)).collect();
        if let (1, Some((package, version))) = (packages.len(), packages.first()) {
            return write!(f, "the version of {package} is {version}");
        }
        let versions: Vec<String> = packages.iter().map(|(package, version)| format!("{package} {version}")).collect();
        write!(f, "no published package has that version: {}", versions.join(", "))
    }
}

/// Moves tags that consist only of a version to the front.
pub(crate) fn sort(tags: &mut [String]) {
    tags.sort_by_key(|tag| parse_version(tag).is_none());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(list: &str) -> Vec<String> {
        list.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_matching_tag_is_enough() {
        let (one, two) = (Version::new(1, 2, 3), Version::new(2, 0, 0));
        let api = Release { package: "my-api", image: "api", version: &one };
        let web = Release { package: "web", image: "web", version: &two };
        for (releases, list, expected) in [
            (&[api][..], "", None),
            (&[api], "v1.2.3", None),
            (&[api], "1.2.3 nightly", None),
            (&[api], "nightly 2026-11 web-v9.0.0 release/v9.0.0", None),
            (&[api], "v1.2.4", Some("v1.2.4")),
            (&[api], "v2.0.0 v1.2.3", None),
            (&[api, web], "v2.0.0", None),
            (&[api, web], "v3.0.0", Some("v3.0.0")),
            (&[api], "my-api-v1.2.3", None),
            (&[api], "my-api/1.2.3", None),
            (&[api], "api-v1.2.4", Some("api-v1.2.4")),
            (&[api], "my-api-v1.2.4 my-api-v1.2.3", None),
            // A tag for a package counts more than one for all of them.
            (&[api], "my-api-v1.2.3 v2.0.0", None),
            (&[api, web], "my-api-v1.2.4 v2.0.0", Some("my-api-v1.2.4")),
            (&[api, web], "web-v2.0.0", None),
            (&[api], "my-api-v1.2.3-rc.1", Some("my-api-v1.2.3-rc.1")),
            // The image has the name of another package.
            (&[Release { image: "tool", ..api }], "tool-v3.0.0", None),
        ] {
            let tags = tags(list);
            let found = find_mismatch(releases, &tags, &["my-api", "web", "tool"]);
            assert_eq!(found.map(|mismatch| mismatch.tag.tag), expected, "{list} {releases:?}");
        }
    }

    #[test]
    fn mismatches_name_the_packages_and_a_tag_that_matches() {
        let (one, two) = (Version::new(1, 2, 3), Version::new(2, 0, 0));
        let api = Release { package: "api", image: "api", version: &one };
        let tool = Release { image: "tool", ..api };
        let web = Release { package: "web", image: "web", version: &two };
        for (releases, tag, message, matching) in [
            (&[api][..], "v1.2.4", "the commit is tagged v1.2.4, but the version of api is 1.2.3", "`git tag v1.2.3`"),
            (&[web], "web/v3.0.0", "the commit is tagged web/v3.0.0, but the version of web is 2.0.0", "web/v2.0.0`"),
            (
                &[api, tool, web],
                "3.0.0",
                "the commit is tagged 3.0.0, but no published package has that version: api 1.2.3, web 2.0.0",
                "`git tag 1.2.3`",
            ),
        ] {
            let tags = tags(tag);
            let failure = find_mismatch(releases, &tags, &[]).unwrap().failure();
            assert_eq!(failure.to_string(), message);
            assert!(failure.hints()[0].ends_with(matching), "{:?}", failure.hints());
        }
    }

    #[test]
    fn templates_use_the_tag_of_the_package() {
        let version = Version::new(1, 2, 3);
        let api = Release { package: "api", image: "api", version: &version };
        for (list, expected) in [
            ("", None),
            ("web-v2.0.0 api-v1.2.3 v9.0.0", Some("api-v1.2.3")),
            ("v2.0.0 v1.2.3", Some("v1.2.3")),
            ("nightly", Some("nightly")),
            ("nightly v2.0.0", Some("v2.0.0")),
            ("web-v2.0.0", None),
            ("web-v2.0.0 nightly", Some("nightly")),
        ] {
            assert_eq!(api.git_tag(&tags(list), None, &["api", "web"]), expected, "{list}");
        }
        for (list, ci_tag, expected) in [
            ("nightly v1.2.3", "nightly", "nightly"),
            ("web-v2.0.0 v1.2.3", "web-v2.0.0", "v1.2.3"),
            ("api-v1.2.3 v1.2.3", "api-v1.2.3", "api-v1.2.3"),
        ] {
            let found = api.git_tag(&tags(list), Some(ci_tag), &["api", "web"]).map(str::to_owned);
            assert_eq!(found.as_deref(), Some(expected), "{list} {ci_tag}");
        }
    }
}
