//! The catalogue of checks: codes, names and severities, none of which ever change. Titles and explanations come from
//! docs/checks.md.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::closest_match;

/// Does a finding stop a publish?
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    Warning,
    Error,
}

/// A check.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// `MA010`
    pub code: &'static str,
    pub name: &'static str,
    pub severity: Severity,
}

macro_rules! checks {
    ($($constant:ident $code:literal $name:literal $severity:ident),* $(,)?) => {
        $(pub(crate) static $constant: Check = Check { code: $code, name: $name, severity: Severity::$severity };)*
        /// All checks, sorted by code.
        pub(crate) static CHECKS: &[&Check] = &[$(&$constant),*];
    };
}

checks! {
    MISSING_PLATFORM "MA001" "missing-platform" Error,
    DUPLICATE_PLATFORM "MA002" "duplicate-platform" Error,
    PLATFORM_MISMATCH "MA003" "platform-mismatch" Error,
    NO_IMAGE "MA004" "no-image" Error,
    NESTED_INDEX "MA005" "nested-index" Error,
    UNCHECKED_PLATFORM "MA006" "unchecked-platform" Warning,
    WRONG_MACHINE "MA010" "wrong-machine" Error,
    WRONG_FLOAT_ABI "MA011" "wrong-float-abi" Error,
    CPU_LEVEL "MA012" "cpu-level" Error,
    LOADER_MISSING "MA020" "loader-missing" Error,
    LOADER_UNUSABLE "MA021" "loader-unusable" Error,
    LIBRARY_MISSING "MA030" "library-missing" Error,
    LIBRARY_MACHINE "MA031" "library-machine" Error,
    VERSION_MISSING "MA032" "version-missing" Error,
    MIXED_LIBCS "MA033" "mixed-libcs" Warning,
    NOT_EXECUTABLE "MA040" "not-executable" Error,
    NOT_A_PROGRAM "MA041" "not-a-program" Error,
    INTERPRETER_MISSING "MA042" "interpreter-missing" Error,
    CLOSED_FOLDER "MA043" "closed-folder" Error,
    NO_ENTRYPOINT "MA050" "no-entrypoint" Error,
    PROGRAM_NOT_FOUND "MA051" "program-not-found" Error,
    UNKNOWN_USER "MA052" "unknown-user" Error,
    MISSING_WORKDIR "MA053" "missing-workdir" Warning,
    WORKDIR_NOT_A_FOLDER "MA054" "workdir-not-a-folder" Error,
    WRONG_BASE "MA060" "wrong-base" Error,
    DENIED_LIBRARY "MA070" "denied-library" Error,
    NOT_STATIC "MA071" "not-static" Error,
    ROOT_USER "MA072" "root-user" Error,
    TOO_LARGE "MA073" "too-large" Error,
    MISSING_LABEL "MA074" "missing-label" Error,
    MISSING_ANNOTATION "MA075" "missing-annotation" Error,
    MISSING_BLOB "MA080" "missing-blob" Error,
    WRONG_DIGEST "MA081" "wrong-digest" Error,
    WRONG_SIZE "MA082" "wrong-size" Error,
    WRONG_DIFF_ID "MA083" "wrong-diff-id" Error,
    UNREADABLE "MA084" "unreadable" Error,
    LAYER_COUNT "MA085" "layer-count" Error,
}

/// docs/checks.md, which has a section for each check.
pub(crate) const CHECKS_PAGE: &str = include_str!("../../docs/checks.md");

/// The first words of the section of a check that only warns.
pub(crate) const WARNING_PREFIX: &str = "A warning.";

impl Check {
    /// Returns the check's section of docs/checks.md, without its heading.
    fn documentation(&self) -> &'static str {
        let title = format!("## {} {}\n", self.code, self.name);
        let section = CHECKS_PAGE.split_once(&title).and_then(|(_, rest)| rest.split("\n## ").next());
        section.unwrap_or_default().trim()
    }

    /// Explains what the check means, what causes it and how to fix it: a title and paragraphs.
    pub(crate) fn explanation(&self) -> String {
        format!("{} {}\n\n{}", self.code, self.name, self.documentation())
    }

    /// Returns the first sentence of the documentation, without its full stop.
    pub(crate) fn summary(&self) -> String {
        let paragraph = self.documentation().split("\n\n").next().unwrap_or_default().replace('\n', " ");
        let sentences = paragraph.strip_prefix(WARNING_PREFIX).unwrap_or(&paragraph).trim_start();
        sentences.split_once(". ").map_or(sentences, |(sentence, _)| sentence).trim_end_matches('.').to_owned()
    }
}

/// A check by its code, as it is typed: `MA010`, or its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Code", with = "String", extend("enum" = CheckCode::names())))]
pub(crate) struct CheckCode(pub &'static Check);

#[cfg(test)]
impl CheckCode {
    /// All that a check can be called.
    fn names() -> Vec<&'static str> {
        CHECKS.iter().flat_map(|check| [check.code, check.name]).collect()
    }
}

impl FromStr for CheckCode {
    type Err = String;

    fn from_str(text: &str) -> Result<CheckCode, String> {
        let text = text.trim();
        let found = CHECKS.iter().find(|check| check.code.eq_ignore_ascii_case(text) || check.name == text);
        found.map(|check| CheckCode(check)).ok_or_else(|| {
            let known = CHECKS.iter().flat_map(|check| [check.code, check.name]);
            match closest_match(text, known) {
                Some(near) => format!("there is no check '{text}': did you mean {near}?"),
                None => format!("there is no check '{text}': `cargo multiarch verify --explain` lists them"),
            }
        })
    }
}

impl fmt::Display for CheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_has_its_part_of_the_page() {
        let titles: Vec<&str> =
            CHECKS_PAGE.lines().filter(|line| line.starts_with("## MA")).map(|line| &line[3..]).collect();
        let expected: Vec<String> = CHECKS.iter().map(|check| format!("{} {}", check.code, check.name)).collect();
        assert_eq!(titles, expected);
        for check in CHECKS {
            let lines = check.documentation().lines().count();
            assert!(lines >= 4, "{} has nothing to say", check.code);
            assert_eq!(
                check.documentation().starts_with(WARNING_PREFIX),
                check.severity == Severity::Warning,
                "{}",
                check.code
            );
            let summary = check.summary();
            assert!((20..300).contains(&summary.len()) && !summary.contains('\n'), "{}: {summary}", check.code);
        }
        let introduction = CHECKS_PAGE.split("\n## MA").next().unwrap();
        for check in CHECKS.iter().filter(|check| check.severity == Severity::Warning) {
            assert!(introduction.contains(check.code), "{} is a warning", check.code);
        }
    }

    #[test]
    fn codes_are_ascending_and_names_are_theirs_alone() {
        assert!(CHECKS.is_sorted_by(|a, b| a.code < b.code));
        for check in CHECKS {
            assert_eq!(check.name.parse::<CheckCode>().unwrap().0.code, check.code);
            assert_eq!(check.code.to_lowercase().parse::<CheckCode>().unwrap().0.name, check.name);
        }
        assert_eq!(
            "wrong-machin".parse::<CheckCode>().unwrap_err(),
            "there is no check 'wrong-machin': did you mean wrong-machine?"
        );
    }
}
