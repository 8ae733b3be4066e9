//! Problems found in an image. `catalogue` lists the checks that find them.

pub(crate) mod catalogue;

pub(crate) use self::catalogue::*;

use std::fmt;

use serde::Serialize;

/// A text of an image without what would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "FindingJson"))]
#[serde(into = "FindingJson")]
pub(crate) struct Finding {
    pub code: CheckCode,
    /// As the index or the config writes it; none for what is about the index.
    pub platform: Option<String>,
    /// From the image's root, with a leading slash.
    pub file: Option<String>,
    pub reason: String,
    pub fix: String,
}

impl Check {
    /// Creates a finding of this check. It concerns no platform and no file yet.
    pub(crate) fn finding(&'static self, reason: impl Into<String>, fix: impl Into<String>) -> Finding {
        let (reason, fix) = (printable(&reason.into()), printable(&fix.into()));
        Finding { code: CheckCode(self), platform: None, file: None, reason, fix }
    }
}

impl Finding {
    #[must_use]
    pub(crate) fn for_platform(self, platform: &str) -> Finding {
        Finding { platform: Some(printable(platform)), ..self }
    }

    #[must_use]
    pub(crate) fn in_file(self, file: impl Into<String>) -> Finding {
        Finding { file: Some(printable(&file.into())), ..self }
    }

    pub(crate) fn is_error(&self) -> bool {
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
        let Finding { code: CheckCode(check), platform, file, reason, fix } = finding;
        let Check { code, name, severity } = check;
        FindingJson { code, name, severity: *severity, platform, file, reason, fix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_says_does_not_steer_a_terminal() {
        let finding = CHECKS[0].finding("is \x1b[2Jcleared", "see\nit").for_platform("linux/\x07").in_file("/a\r");
        assert_eq!(finding.to_string(), "linux/\u{fffd}: /a\u{fffd} is \u{fffd}[2Jcleared");
        assert_eq!(finding.fix, "see\u{fffd}it");
    }
}
