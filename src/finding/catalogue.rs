//! The catalogue of checks, by code. Titles and explanations come from docs/checks.md.

use serde::Serialize;

use super::{Code, Finding, printable};

/// Does a finding stop a publish?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Warning,
    Error,
}

/// A check.
#[derive(Debug, PartialEq, Eq)]
pub struct Check {
    /// `MA010`
    pub code: &'static str,
    pub name: &'static str,
    pub severity: Severity,
}

/// What each check is about, for people.
pub const PAGE: &str = include_str!("../../docs/checks.md");

/// How the part of a warning begins.
pub const WARNING: &str = "A warning.";

impl Check {
    /// Its part of the page, below its title.
    fn part(&self) -> &'static str {
        let title = format!("## {} {}\n", self.code, self.name);
        let part = PAGE.split_once(&title).and_then(|(_, rest)| rest.split("\n## ").next());
        part.unwrap_or_default().trim()
    }

    /// What it means, how it comes about and how to mend it: a title and paragraphs.
    pub fn explanation(&self) -> String {
        format!("{} {}\n\n{}", self.code, self.name, self.part())
    }

    /// The first sentence of that.
    pub fn summary(&self) -> String {
        let paragraph = self.part().split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let said = paragraph.strip_prefix(WARNING).unwrap_or(&paragraph).trim_start();
        said.split_once(". ").map_or(said, |(sentence, _)| sentence).trim_end_matches('.').to_owned()
    }

    /// What the check found, and what to do about it. No platform and no file yet.
    pub fn finds(&'static self, reason: impl Into<String>, fix: impl Into<String>) -> Finding {
        let (reason, fix) = (printable(&reason.into()), printable(&fix.into()));
        Finding { code: Code(self), platform: None, file: None, reason, fix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::CHECKS;

    #[test]
    fn each_check_has_its_part_of_the_page() {
        let titles: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("## MA")).map(|line| &line[3..]).collect();
        let expected: Vec<String> = CHECKS.iter().map(|check| format!("{} {}", check.code, check.name)).collect();
        assert_eq!(titles, expected);
        for check in CHECKS {
            let lines = check.part().lines().count();
            assert!(lines >= 4, "{} has nothing to say", check.code);
            assert_eq!(check.part().starts_with(WARNING), check.severity == Severity::Warning, "{}", check.code);
            let summary = check.summary();
            assert!((20..300).contains(&summary.len()) && !summary.contains('\n'), "{}: {summary}", check.code);
        }
        let introduction = PAGE.split("\n## MA").next().unwrap();
        for check in CHECKS.iter().filter(|check| check.severity == Severity::Warning) {
            assert!(introduction.contains(check.code), "{} is a warning", check.code);
        }
    }
}
