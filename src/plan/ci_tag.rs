//! Reads the git tag that a CI job runs for from the service's environment variables.

/// A git tag that a CI job runs for, and the commit that it points to, if the service sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CiTag {
    pub name: String,
    pub commit: Option<String>,
}

impl CiTag {
    /// Returns the tag if it points to the commit `head`. A job may check out another commit or repository.
    pub(crate) fn at(self, head: &str) -> Option<String> {
        self.commit.is_none_or(|commit| commit == head).then_some(self.name)
    }
}

/// Returns the git tag that a CI job runs for. Checkouts in CI may not contain it. `variable` returns the value of an
/// environment variable.
pub(crate) fn ci_tag(variable: impl Fn(&str) -> Option<String>) -> Option<CiTag> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is_tag = variable("GITHUB_REF_TYPE").as_deref() == Some("tag");
    // GitHub and Forgejo, then GitLab and Woodpecker.
    let (name, commit) = if is_tag { ("GITHUB_REF_NAME", "GITHUB_SHA") } else { ("CI_COMMIT_TAG", "CI_COMMIT_SHA") };
    Some(CiTag { name: variable(name)?, commit: variable(commit) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_jobs_for_tags_are_recognized() {
        for (variables, expected) in [
            (&[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1.2.3")][..], Some("v1.2.3")),
            (&[("GITHUB_REF_TYPE", "branch"), ("GITHUB_REF_NAME", "main")], None),
            (&[("CI_COMMIT_TAG", "v1.2.3")], Some("v1.2.3")),
            (&[("CI_COMMIT_TAG", "v1.2.3"), ("CI_COMMIT_SHA", "5ha")], Some("v1.2.3")),
            (&[("CI_COMMIT_TAG", "v1.2.3"), ("CI_COMMIT_SHA", "0ther")], None),
            (&[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1.2.3"), ("GITHUB_SHA", "0ther")], None),
            (&[("CI_COMMIT_TAG", "")], None),
            (&[], None),
        ] {
            let variable = |name: &str| {
                let found = variables.iter().find(|(variable, _)| *variable == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let tag = ci_tag(variable).and_then(|tag| tag.at("5ha"));
            assert_eq!(tag.as_deref(), expected, "{variables:?}");
        }
    }
}
