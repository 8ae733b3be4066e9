//! The catalog of checks. Codes, names and severities never change. Explanations come from docs/checks.md.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use crate::error::closest_match;

/// The severity of a finding. Errors stop `publish`, but warnings do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    Warning,
    Error,
}

impl Severity {
    fn label(self) -> &'static str {
        match self {
            Severity::Warning => "Warning",
            Severity::Error => "Error",
        }
    }
}

/// A check that `verify` runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Code of the check, such as `MA010`.
    pub code: &'static str,
    pub name: &'static str,
    pub severity: Severity,
    /// A short description of the problem that the check finds.
    pub title: &'static str,
}

macro_rules! checks {
    ($($constant:ident $code:literal $name:literal $severity:ident $title:literal),* $(,)?) => {
        $(pub(crate) static $constant: Check =
            Check { code: $code, name: $name, severity: Severity::$severity, title: $title };)*
        /// All checks, sorted by code.
        pub(crate) static CHECKS: &[&Check] = &[$(&$constant),*];
    };
}

checks! {
    MISSING_PLATFORM "MA001" "missing-platform" Error "platform missing from the index",
    DUPLICATE_PLATFORM "MA002" "duplicate-platform" Error "platform listed twice in the index",
    PLATFORM_MISMATCH "MA003" "platform-mismatch" Error "index and config disagree on the platform",
    NO_IMAGE "MA004" "no-image" Error "index is empty or contains an entry that is not an image",
    NESTED_INDEX "MA005" "nested-index" Error "index contains another index",
    UNCHECKED_PLATFORM "MA006" "unchecked-platform" Warning "unsupported platform was not checked",
    WRONG_MACHINE "MA010" "wrong-machine" Error "program built for another architecture",
    WRONG_FLOAT_ABI "MA011" "wrong-float-abi" Error "floating-point ABIs do not match",
    CPU_LEVEL "MA012" "cpu-level" Error "binary needs a newer CPU than the platform guarantees",
    LOADER_MISSING "MA020" "loader-missing" Error "dynamic loader not found",
    LOADER_UNUSABLE "MA021" "loader-unusable" Error "dynamic loader cannot be used",
    LIBRARY_MISSING "MA030" "library-missing" Error "shared library not found",
    LIBRARY_MACHINE "MA031" "library-machine" Error "shared library built for another architecture",
    VERSION_MISSING "MA032" "version-missing" Error "library is too old for the program",
    MIXED_LIBCS "MA033" "mixed-libcs" Warning "glibc and musl are mixed in one program",
    NOT_EXECUTABLE "MA040" "not-executable" Error "no permission to execute the program",
    NOT_A_PROGRAM "MA041" "not-a-program" Error "file is neither a program nor a script",
    INTERPRETER_MISSING "MA042" "interpreter-missing" Error "script interpreter not found",
    CLOSED_FOLDER "MA043" "closed-folder" Error "user cannot traverse a parent directory of the program",
    FILE_CAPABILITIES "MA044" "file-capabilities" Warning "program does not start without its capabilities",
    NO_ENTRYPOINT "MA050" "no-entrypoint" Error "image has no ENTRYPOINT or CMD",
    PROGRAM_NOT_FOUND "MA051" "program-not-found" Error "program not found in the image",
    UNKNOWN_USER "MA052" "unknown-user" Error "user or group not found in the image",
    MISSING_WORKDIR "MA053" "missing-workdir" Warning "working directory missing from the image",
    WORKDIR_NOT_A_FOLDER "MA054" "workdir-not-a-folder" Error "working directory is not a directory",
    WRONG_BASE "MA060" "wrong-base" Error "base image built for another architecture",
    DENIED_LIBRARY "MA070" "denied-library" Error "program needs a library that `deny-needed` forbids",
    NOT_STATIC "MA071" "not-static" Error "program is not statically linked",
    ROOT_USER "MA072" "root-user" Error "container runs as root",
    TOO_LARGE "MA073" "too-large" Error "image is larger than `max-size`",
    MISSING_LABEL "MA074" "missing-label" Error "required label missing or wrong",
    MISSING_ANNOTATION "MA075" "missing-annotation" Error "required annotation missing or wrong",
    MISSING_BLOB "MA080" "missing-blob" Error "manifest, config or layer missing",
    WRONG_DIGEST "MA081" "wrong-digest" Error "data does not match its digest",
    WRONG_SIZE "MA082" "wrong-size" Error "data does not match its declared size",
    WRONG_DIFF_ID "MA083" "wrong-diff-id" Error "layer does not match its diff ID",
    UNREADABLE "MA084" "unreadable" Error "image data cannot be read",
    LAYER_COUNT "MA085" "layer-count" Error "manifest and config disagree on the number of layers",
}

/// The text of docs/checks.md, which has a section for each check.
const CHECKS_PAGE: &str = include_str!("../../docs/checks.md");

impl Check {
    /// Returns an explanation of the check: its code, name, severity, and title, followed by the text of its section in
    /// docs/checks.md.
    pub(crate) fn explanation(&self) -> String {
        let Check { code, name, severity, title } = self;
        format!("{code} {name}\n\n{}: {title}\n\n{}", severity.label(), self.documentation())
    }

    /// Returns the check's section of docs/checks.md, without its heading and title.
    fn documentation(&self) -> &'static str {
        let heading = format!("## {} {}\n\n", self.code, self.name);
        let section = CHECKS_PAGE.split_once(&heading).and_then(|(_, rest)| rest.split("\n## ").next());
        section.and_then(|section| section.split_once("\n\n")).map_or("", |(_title, paragraphs)| paragraphs.trim())
    }
}

/// A check as users refer to it: by its code, such as `MA010`, or by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(rename = "Code", with = "String", extend("enum" = CheckCode::names())))]
pub(crate) struct CheckCode(pub &'static Check);

#[cfg(test)]
impl CheckCode {
    /// Returns the codes and names of all checks.
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
                Some(closest) => format!("unknown check '{text}': did you mean {closest}?"),
                None => format!("unknown check '{text}': run `cargo multiarch verify --explain` to list all checks"),
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
    fn checks_page_has_a_section_for_each_check() {
        let sections: Vec<String> = CHECKS_PAGE
            .split("\n## ")
            .filter(|section| section.starts_with("MA"))
            .map(|section| section.lines().take(3).collect::<Vec<_>>().join("\n"))
            .collect();
        let expected: Vec<String> = CHECKS
            .iter()
            .map(|check| format!("{} {}\n\n**{}:** {}", check.code, check.name, check.severity.label(), check.title))
            .collect();
        assert_eq!(sections, expected);
    }

    #[test]
    fn every_check_is_explained() {
        for check in CHECKS {
            let paragraphs = check.documentation().split("\n\n").count();
            assert!(paragraphs >= 3, "{} has only {paragraphs} paragraphs", check.code);
        }
    }

    #[test]
    fn checks_page_lists_the_warnings() {
        let warnings = CHECKS.iter().filter(|check| check.severity == Severity::Warning);
        let codes: Vec<&str> = warnings.map(|check| check.code).collect();
        let (last, others) = codes.split_last().unwrap();
        let sentence = format!("{}, and {last} are warnings", others.join(", "));
        let introduction = CHECKS_PAGE.split("\n## ").next().unwrap().replace('\n', " ");
        assert!(introduction.contains(&sentence), "{sentence}");
    }

    #[test]
    fn titles_are_short() {
        for Check { code, title, .. } in CHECKS {
            assert!((10..=60).contains(&title.len()), "{code}: {title}");
            assert!(title.starts_with(char::is_lowercase) && !title.ends_with('.'), "{code}: {title}");
        }
    }

    #[test]
    fn codes_are_sorted_and_names_are_unique() {
        assert!(CHECKS.is_sorted_by(|a, b| a.code < b.code));
        for check in CHECKS {
            assert_eq!(check.name.parse::<CheckCode>().unwrap().0.code, check.code);
            assert_eq!(check.code.to_lowercase().parse::<CheckCode>().unwrap().0.name, check.name);
        }
    }

    #[test]
    fn suggests_the_closest_check() {
        assert_eq!(
            "wrong-machin".parse::<CheckCode>().unwrap_err(),
            "unknown check 'wrong-machin': did you mean wrong-machine?"
        );
    }
}
