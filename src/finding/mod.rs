//! Findings: problems that checks found in an image.

pub(crate) mod catalogue;

pub(crate) use catalogue::*;

use std::fmt;

use serde::Serialize;

/// Replaces control characters, so that text from an image cannot inject terminal escape sequences.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// A problem that a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "FindingJson"))]
#[serde(into = "FindingJson")]
pub(crate) struct Finding {
    pub code: CheckCode,
    /// Platform as written in the index or the config. `None` if the finding is about the index itself.
    pub platform: Option<String>,
    /// Whether the health check causes the problem, rather than ENTRYPOINT or CMD.
    pub in_health_check: bool,
    /// Absolute path in the image.
    pub file: Option<String>,
    pub reason: String,
    pub fix: String,
}

impl Check {
    /// Creates a finding for this check, without a platform or a file.
    pub(crate) fn finding(&'static self, reason: impl Into<String>, fix: impl Into<String>) -> Finding {
        let (reason, fix) = (printable(&reason.into()), printable(&fix.into()));
        Finding { code: CheckCode(self), platform: None, in_health_check: false, file: None, reason, fix }
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

    /// Attributes the finding to the health check, which may come from the base image.
    #[must_use]
    pub(crate) fn in_health_check(self) -> Finding {
        let fix = format!("{}; to disable a health check of the base, set healthcheck = false", self.fix);
        Finding { in_health_check: true, fix, ..self }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.code.0.severity == Severity::Error
    }
}

/// Formats a finding on one line, such as `linux/arm64: /app is built for x86_64, expected aarch64`.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(platform) = &self.platform {
            write!(f, "{platform}: ")?;
        }
        if self.in_health_check {
            f.write_str("in HEALTHCHECK: ")?;
        }
        if let Some(file) = &self.file {
            write!(f, "{file} ")?;
        }
        f.write_str(&self.reason)
    }
}

/// The JSON form of a finding.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Written"))]
struct FindingJson {
    /// Code of the check, such as `MA010`. docs/checks.md explains each code.
    code: &'static str,
    name: &'static str,
    severity: Severity,
    /// Platform as written in the index or the config. Null if the finding is about the index itself.
    platform: Option<String>,
    /// Whether the health check causes the problem, rather than ENTRYPOINT or CMD.
    in_health_check: bool,
    /// Absolute path in the image.
    file: Option<String>,
    reason: String,
    fix: String,
}

impl From<Finding> for FindingJson {
    fn from(finding: Finding) -> FindingJson {
        let Finding { code: CheckCode(check), platform, in_health_check, file, reason, fix } = finding;
        let Check { code, name, severity, .. } = check;
        FindingJson { code, name, severity: *severity, platform, in_health_check, file, reason, fix }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced() {
        let finding = CHECKS[0].finding("is \x1b[2Jcleared", "see\nit").for_platform("linux/\x07").in_file("/a\r");
        assert_eq!(finding.to_string(), "linux/\u{fffd}: /a\u{fffd} is \u{fffd}[2Jcleared");
        assert_eq!(finding.fix, "see\u{fffd}it");
    }

    #[test]
    fn findings_name_the_health_check() {
        let finding = CHECKS[0].finding("is missing", "add it").in_file("/curl").for_platform("linux/amd64");
        let finding = finding.in_health_check();
        assert_eq!(finding.to_string(), "linux/amd64: in HEALTHCHECK: /curl is missing");
        assert_eq!(finding.fix, "add it; to disable a health check of the base, set healthcheck = false");
    }
}
