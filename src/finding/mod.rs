//! What can be wrong with an image: the checks by their codes, which do not change, and what one of them found.
//! `docs/checks.md` has a part for each.

pub mod catalogue;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use self::catalogue::{Check, Severity};
use crate::error::nearest;

macro_rules! checks {
    ($($constant:ident $code:literal $name:literal $severity:ident),* $(,)?) => {
        $(pub static $constant: Check = Check { code: $code, name: $name, severity: Severity::$severity };)*
        /// All of them, by code.
        pub static CHECKS: &[&Check] = &[$(&$constant),*];
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

/// A text of an image without what would steer a terminal.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A check by its code, as it is typed: `MA010`, or its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String", extend("enum" = Code::names())))]
pub struct Code(pub &'static Check);

#[cfg(test)]
impl Code {
    /// All that a check can be called.
    fn names() -> Vec<&'static str> {
        CHECKS.iter().flat_map(|check| [check.code, check.name]).collect()
    }
}

impl FromStr for Code {
    type Err = String;

    fn from_str(text: &str) -> Result<Code, String> {
        let text = text.trim();
        let found = CHECKS.iter().find(|check| check.code.eq_ignore_ascii_case(text) || check.name == text);
        found.map(|check| Code(check)).ok_or_else(|| {
            let known = CHECKS.iter().flat_map(|check| [check.code, check.name]);
            match nearest(text, known) {
                Some(near) => format!("there is no check '{text}': did you mean {near}?"),
                None => format!("there is no check '{text}': `cargo multiarch verify --explain` lists them"),
            }
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code)
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "FindingJson"))]
#[serde(into = "FindingJson")]
pub struct Finding {
    pub code: Code,
    /// As the index or the config writes it; none for what is about the index.
    pub platform: Option<String>,
    /// From the image's root, with a leading slash.
    pub file: Option<String>,
    pub reason: String,
    pub fix: String,
}

impl Finding {
    #[must_use]
    pub fn of(self, platform: &str) -> Finding {
        Finding { platform: Some(printable(platform)), ..self }
    }

    #[must_use]
    pub fn at(self, file: impl Into<String>) -> Finding {
        Finding { file: Some(printable(&file.into())), ..self }
    }

    pub fn is_error(&self) -> bool {
        self.code.0.severity == Severity::Error
    }
}

/// `linux/arm64: /app is for x86_64, wanted aarch64`
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(platform) = &self.platform {
            write!(f, "{platform}: ")?;
        }
        if let Some(file) = &self.file {
            write!(f, "{file} ")?;
        }
        f.write_str(&self.reason)
    }
}

/// A finding as JSON has it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Written"))]
struct FindingJson {
    /// `MA010`; docs/checks.md has a part for each.
    code: &'static str,
    name: &'static str,
    severity: Severity,
    /// As the index or the config writes it; none for what is about the index.
    platform: Option<String>,
    /// From the image's root, with a leading slash.
    file: Option<String>,
    reason: String,
    fix: String,
}

impl From<Finding> for FindingJson {
    fn from(finding: Finding) -> FindingJson {
        let Finding { code: Code(check), platform, file, reason, fix } = finding;
        let Check { code, name, severity } = check;
        FindingJson { code, name, severity: *severity, platform, file, reason, fix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_says_does_not_steer_a_terminal() {
        let finding = CHECKS[0].finds("is \x1b[2Jcleared", "see\nit").of("linux/\x07").at("/a\r");
        assert_eq!(finding.to_string(), "linux/\u{fffd}: /a\u{fffd} is \u{fffd}[2Jcleared");
        assert_eq!(finding.fix, "see\u{fffd}it");
    }

    #[test]
    fn codes_are_ascending_and_names_are_theirs_alone() {
        assert!(CHECKS.is_sorted_by(|a, b| a.code < b.code));
        for check in CHECKS {
            assert_eq!(check.name.parse::<Code>().unwrap().0.code, check.code);
            assert_eq!(check.code.to_lowercase().parse::<Code>().unwrap().0.name, check.name);
        }
        assert_eq!(
            "wrong-machin".parse::<Code>().unwrap_err(),
            "there is no check 'wrong-machin': did you mean wrong-machine?"
        );
    }
}
