//! Renders tag templates from a version and a commit.

use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use semver::Version;

use super::Checkout;
use super::git_tags::parse_version;
use crate::error::{Class, Failure};

/// The tags of an image, in template order, and notes about skipped tags.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tags {
    pub tags: Vec<String>,
    pub notes: Vec<String>,
}

/// What the variables of tag templates stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TagSource<'a> {
    pub version: &'a Version,
    pub checkout: &'a Checkout,
    /// Git tag of the commit, leaving out tags for other packages.
    pub git_tag: Option<&'a str>,
}

/// Renders tag templates. `explicit` means that the templates come from a flag or environment variable. Explicit tags
/// are used unchanged, regardless of the version and the state of the work tree.
pub(crate) fn render(templates: &[String], explicit: bool, source: &TagSource<'_>) -> Result<Tags, Failure> {
    let TagSource { version, checkout, .. } = *source;
    let renderer = TagRenderer::new(source);
    let uncommitted = checkout.uncommitted_reason().filter(|_| !explicit);
    let pre_release = !explicit && !version.pre.is_empty();
    let mut result = Tags { tags: Vec::new(), notes: Vec::new() };
    for template in templates {
        let name = renderer.render(template)?;
        let tag = match (name.as_str(), &uncommitted) {
            ("" | "latest", _) | (_, None) => name,
            (name, Some(_)) => format!("{name}-dirty"),
        };
        match tag.as_str() {
            "" => result.notes.push(format!("skipping tag '{template}': it renders to an empty string")),
            // `uncommitted_note` reports this once for all images.
            "latest" if uncommitted.is_some() => {}
            "latest" if pre_release => result.notes.push(format!(
                "not updating tag 'latest': {version} is a pre-release (use `--tag NAME,latest` to update it)"
            )),
            _ if !is_valid(&tag) => {
                let failure = Failure::new(Class::Config, format!("'{tag}' is not a valid tag"));
                let failure = match with_hyphens(&tag) {
                    Some(valid) => failure.hint(format!("use '{valid}'")),
                    None => failure,
                };
                return Err(failure
                    .hint("use up to 128 letters, digits, '_', '.' and '-', and start with a letter, digit or '_'"));
            }
            _ if result.tags.contains(&tag) => {}
            _ => result.tags.push(tag),
        }
    }
    if result.tags.is_empty() {
        let reasons: Vec<String> = uncommitted.into_iter().chain(result.notes).collect();
        return Err(Failure::new(
            Class::Config,
            format!("no tags remain after rendering {templates:?}: {}", reasons.join("; ")),
        )
        .hint("set a tag with `--tag NAME`"));
    }
    Ok(result)
}

/// Returns the tags that match a template of immutable tags, ignoring a leading `v`. A template matches nothing if one of
/// its variables is empty.
pub(crate) fn immutable(templates: &[String], tags: &[String], source: &TagSource<'_>) -> Result<Vec<String>, Failure> {
    let renderer = TagRenderer::new(source);
    let mut immutable = Vec::new();
    for template in templates {
        let rendered = renderer.render_marked("immutable-tags", template)?;
        immutable.push(rendered.trim().to_owned());
    }
    let is_immutable = |tag: &&String| immutable.iter().any(|name| without_v(name) == without_v(tag));
    Ok(tags.iter().filter(is_immutable).cloned().collect())
}

/// Removes the `v` before a version.
fn without_v(tag: &str) -> &str {
    tag.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(tag)
}

/// Returns a note about how uncommitted changes affect the tags of all images.
pub(crate) fn uncommitted_note(checkout: &Checkout) -> Option<String> {
    let reason = checkout.uncommitted_reason()?;
    Some(format!("{reason}: tags end in '-dirty', and 'latest' is not updated (set exact tags with `--tag NAME`)"))
}

/// Reports whether a tag is a version, optionally with a leading `v`.
pub(crate) fn is_version(tag: &str, version: &Version) -> bool {
    parse_version(tag).is_some_and(|tagged| tagged == *version)
}

/// Placeholder for an empty value in rendered text. Templates cannot contain it.
const EMPTY_MARKER: &str = "\0";

/// Variables that can be empty.
const POSSIBLY_EMPTY: [&str; 5] = ["git.sha", "git.short", "git.tag", "git.branch", "pre"];

/// Renders tag templates for one version and commit.
struct TagRenderer<'a> {
    environment: Environment<'static>,
    variables: Value,
    version: &'a Version,
    checkout: &'a Checkout,
}

impl<'a> TagRenderer<'a> {
    fn new(source: &TagSource<'a>) -> TagRenderer<'a> {
        let TagSource { version, checkout, git_tag } = *source;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_formatter(|out, state, value| match value.as_str() {
            Some("") => Ok(out.write_str(EMPTY_MARKER)?),
            _ => minijinja::escape_formatter(out, state, value),
        });
        let commit = checkout.commit();
        let sha = commit.map(|commit| commit.sha.as_str()).unwrap_or_default();
        let branch = commit.and_then(|commit| commit.branch.as_deref()).unwrap_or_default();
        let variables = context! {
            // Build metadata starts with a `+`, which is not allowed in tags.
            version => sanitize(&version.to_string()),
            major => version.major,
            minor => version.minor,
            patch => version.patch,
            pre => version.pre.as_str(),
            git => context! {
                sha => sha,
                short => sha.chars().take(7).collect::<String>(),
                tag => sanitize(git_tag.unwrap_or_default()),
                branch => sanitize(branch),
            },
        };
        TagRenderer { environment, variables, version, checkout }
    }

    /// Renders a template. Fails if an empty variable leaves a gap in the tag. An entirely empty tag is not an error.
    fn render(&self, template: &str) -> Result<String, Failure> {
        let rendered = self.render_marked("tag", template)?;
        let tag = rendered.replace(EMPTY_MARKER, "");
        if rendered == tag || tag.trim().is_empty() {
            return Ok(tag.trim().to_owned());
        }
        let name = self.empty_variable(template).unwrap_or("a value");
        let reason = empty_reason(name, self.version, self.checkout);
        Err(Failure::new(Class::Config, format!("tag template '{template}': {name} is empty: {reason}"))
            .hint(format!("make it optional with `{{% if {name} %}}…{{% endif %}}`, or set the tag with `--tag NAME`")))
    }

    /// Renders a template, with [`EMPTY_MARKER`] in place of empty values. `kind` describes the template in errors.
    fn render_marked(&self, kind: &str, template: &str) -> Result<String, Failure> {
        self.environment.render_str(template, &self.variables).map_err(|error| {
            Failure::new(Class::Config, format!("{kind} template '{template}': {}", template_error(&error)))
                .hint("available variables: version, major, minor, patch, pre, git.sha, git.short, git.tag, git.branch")
        })
    }

    /// Returns the first empty variable in a template.
    fn empty_variable(&self, template: &str) -> Option<&'static str> {
        let used = self.environment.template_from_str(template).ok()?.undeclared_variables(true);
        let is_empty = |name: &&str| {
            let value = name.split('.').try_fold(self.variables.clone(), |value, part| value.get_attr(part));
            used.contains(*name) && value.is_ok_and(|value| value.as_str() == Some(""))
        };
        POSSIBLY_EMPTY.into_iter().find(is_empty)
    }
}

fn empty_reason(name: &str, version: &Version, checkout: &Checkout) -> String {
    match (name, checkout) {
        ("pre", _) => format!("{version} is not a pre-release"),
        (_, Checkout::None) => "not a git repository".to_owned(),
        (_, Checkout::Unborn) => "the repository has no commits yet".to_owned(),
        ("git.tag", _) => "the commit has no tag (in a shallow clone, run `git fetch --tags`)".to_owned(),
        ("git.branch", _) => "no branch is checked out".to_owned(),
        _ => "it has no value".to_owned(),
    }
}

/// Returns minijinja's error message without its placeholder for the template name.
fn template_error(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()))
}

/// Converts a name to a valid part of a tag, like docker/metadata-action: each run of invalid characters becomes `-`,
/// and leading dots and dashes are removed.
fn sanitize(name: &str) -> String {
    let mut sanitized = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            sanitized.push(c);
        } else if !sanitized.ends_with('-') {
            sanitized.push('-');
        }
    }
    sanitized.trim_start_matches(['.', '-']).to_owned()
}

/// Reports whether a tag is valid (distribution-spec, "Pulling manifests").
fn is_valid(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= 128 && tag.starts_with(word) && tag.chars().all(|c| word(c) || c == '.' || c == '-')
}

/// Returns the tag with hyphens instead of slashes, as in the name of a git branch, if that makes it valid.
fn with_hyphens(tag: &str) -> Option<String> {
    Some(tag.replace('/', "-")).filter(|tag| is_valid(tag))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Commit;

    fn commit(dirty: bool) -> Checkout {
        Checkout::Commit(Commit {
            sha: "0123456789abcdef0123456789abcdef01234567".into(),
            time: 7,
            branch: Some("feature/x".into()),
            changes: dirty.then(|| "src/main.rs".to_owned()).into_iter().collect(),
            ..Commit::default()
        })
    }

    fn tags(templates: &[&str], explicit: bool, version: &str, checkout: &Checkout) -> Result<Tags, Failure> {
        let templates: Vec<String> = templates.iter().map(|t| (*t).to_owned()).collect();
        let version = version.parse().unwrap();
        render(&templates, explicit, &TagSource { version: &version, checkout, git_tag: None })
    }

    #[test]
    fn renders_templates() {
        for (template, version, expected) in [
            ("{{version}}", "1.2.3", "1.2.3"),
            ("{{major}}.{{minor}}", "1.2.3", "1.2"),
            ("v{{ version }}", "1.2.3-rc.1+b5", "v1.2.3-rc.1-b5"),
            ("{{patch}}-{{pre}}", "1.2.3-rc.1", "3-rc.1"),
            ("{{git.short}}", "1.2.3", "0123456"),
            ("{{git.sha}}", "1.2.3", "0123456789abcdef0123456789abcdef01234567"),
            ("{{git.branch}}", "1.2.3", "feature-x"),
            ("{% if pre %}next{% else %}stable{% endif %}", "1.2.3", "stable"),
        ] {
            assert_eq!(tags(&[template], false, version, &commit(false)).unwrap().tags, [expected], "{template}");
        }
    }

    #[test]
    fn sanitizes_branch_and_tag_names() {
        for (name, expected) in [
            ("feature/x", "feature-x"),
            ("dependabot/cargo/a+b", "dependabot-cargo-a-b"),
            ("fix #12: ä", "fix-12-"),
            ("#12", "12"),
            ("v1.0_2-rc", "v1.0_2-rc"),
        ] {
            assert_eq!(sanitize(name), expected, "{name}");
        }
        let mut on_branch = commit(false);
        if let Checkout::Commit(commit) = &mut on_branch {
            commit.branch = Some("a+b".into());
        }
        let version = Version::new(1, 0, 0);
        let source = TagSource { version: &version, checkout: &on_branch, git_tag: Some("release/1+2") };
        let templates = ["{{git.branch}}", "{{git.tag}}"].map(str::to_owned);
        let found = render(&templates, false, &source).unwrap();
        assert_eq!(found.tags, ["a-b", "release-1-2"]);
    }

    #[test]
    fn updates_latest_for_clean_releases_and_explicit_tags() {
        let both = &["{{version}}", "latest"];
        let clean = commit(false);
        assert_eq!(tags(both, false, "1.0.0", &clean).unwrap().tags, ["1.0.0", "latest"]);
        assert_eq!(tags(both, false, "1.0.0", &Checkout::None).unwrap().tags, ["1.0.0", "latest"]);
        assert_eq!(tags(both, false, "1.0.0-rc.1", &clean).unwrap().tags, ["1.0.0-rc.1"]);
        assert_eq!(tags(both, true, "1.0.0-rc.1", &commit(true)).unwrap().tags, ["1.0.0-rc.1", "latest"]);
        assert!(tags(both, false, "1.0.0-rc.1", &clean).unwrap().notes[0].contains("pre-release"));
    }

    #[test]
    fn marks_tags_of_uncommitted_changes() {
        for (checkout, reason) in
            [(commit(true), "uncommitted changes (src/main.rs): "), (Checkout::Unborn, "no commits yet")]
        {
            let found =
                tags(&["{{version}}", "{{git.tag}}", "latest", "edge"], false, "1.0.0-rc.1", &checkout).unwrap();
            assert_eq!(found.tags, ["1.0.0-rc.1-dirty", "edge-dirty"]);
            assert!(
                found.notes[0].starts_with("skipping tag '{{git.tag}}'") && found.notes.len() == 1,
                "{:?}",
                found.notes
            );
            assert!(uncommitted_note(&checkout).unwrap().contains(reason));
            let explicit = tags(&["{{version}}", "latest"], true, "1.0.0", &checkout).unwrap();
            assert_eq!((explicit.tags, explicit.notes), (vec!["1.0.0".to_owned(), "latest".to_owned()], vec![]));
        }
        let failure = tags(&["latest"], false, "1.0.0", &commit(true)).unwrap_err();
        assert!(failure.to_string().contains("uncommitted changes"), "{failure}");
    }

    #[test]
    fn drops_empty_tags_and_fails_if_none_remain() {
        assert_eq!(tags(&["{{git.tag}}", "a", "a"], false, "1.0.0", &commit(false)).unwrap().tags, ["a"]);
        let failure = tags(&["{{git.tag}}"], false, "1.0.0", &Checkout::None).unwrap_err();
        assert!(failure.to_string().starts_with("no tags remain after rendering"), "{failure}");
    }

    #[test]
    fn immutable_tags_match_templates() {
        let version = Version::new(1, 2, 3);
        for (templates, tags, expected) in [
            (&["{{version}}"][..], &["1.2.3", "latest", "1.2"][..], &["1.2.3"][..]),
            (&["{{version}}"], &["v1.2.3", "1.2.3-dirty", "1.2.3-alpine"], &["v1.2.3"]),
            (&["{{version}}", "v{{version}}-alpine"], &["1.2.3-alpine", "1.2.3"], &["1.2.3-alpine", "1.2.3"]),
            (&["{{git.tag}}", "v{{git.tag}}"], &["v", "1.2.3"], &[]),
            (&["{{git.short}}"], &["edge", "0123456"], &["0123456"]),
            (&[], &["1.2.3"], &[]),
        ] {
            let [templates, tags] = [templates, tags].map(|list| list.iter().map(|&text| text.to_owned()));
            let (templates, tags): (Vec<String>, Vec<String>) = (templates.collect(), tags.collect());
            let source = TagSource { version: &version, checkout: &commit(false), git_tag: None };
            let found = immutable(&templates, &tags, &source).unwrap();
            assert_eq!(found, expected, "{templates:?} {tags:?}");
        }
        let source = TagSource { version: &version, checkout: &Checkout::None, git_tag: None };
        let invalid = immutable(&["{{ verison }}".to_owned()], &[], &source);
        assert!(invalid.unwrap_err().to_string().starts_with("immutable-tags template '{{ verison }}': undefined"));
    }

    #[test]
    fn names_the_empty_variable() {
        for (template, checkout, problem) in [
            ("v{{version}}-{{git.short}}", Checkout::None, "git.short is empty: not a git repository"),
            ("{{git.sha}}-x", Checkout::Unborn, "git.sha is empty: the repository has no commits yet"),
            ("{{version}}-{{git.tag}}", commit(false), "git.tag is empty: the commit has no tag"),
            ("{{version}}-{{pre}}", commit(false), "pre is empty: 1.0.0 is not a pre-release"),
        ] {
            let failure = tags(&[template], true, "1.0.0", &checkout).unwrap_err();
            assert!(failure.to_string().starts_with(&format!("tag template '{template}': {problem}")), "{failure}");
        }
        for template in ["{{version}}{% if git.tag %}-{{git.tag}}{% endif %}", "{{ git.tag or version }}"] {
            assert_eq!(tags(&[template], true, "1.0.0", &Checkout::None).unwrap().tags, ["1.0.0"], "{template}");
        }
    }

    #[test]
    fn rejects_invalid_tags() {
        for (template, message) in [
            ("a b", "'a b' is not a valid tag"),
            (".a", "'.a' is not a valid tag"),
            ("a/b", "'a/b' is not a valid tag"),
            ("{{ verison }}", "tag template '{{ verison }}': undefined value: `verison` is undefined"),
        ] {
            assert_eq!(tags(&[template], false, "1.0.0", &Checkout::None).unwrap_err().to_string(), message);
        }
        let branch = tags(&["fix/a"], false, "1.0.0", &Checkout::None).unwrap_err();
        assert_eq!(branch.hints()[0], "use 'fix-a'");
    }

    #[test]
    fn recognizes_version_tags() {
        for (tag, expected) in
            [("v1.2.3", true), ("1.2.3", true), ("app/v1.2.3", false), ("v1.2.4", false), ("nightly", false)]
        {
            assert_eq!(is_version(tag, &Version::new(1, 2, 3)), expected, "{tag}");
        }
    }
}
