//! The result of a single check: its severity, a message, and ways to fix the problem.

use serde::Serialize;

use crate::error::{Class, all_hints, failure_class, message_with_causes};

/// The severity of a check result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CheckState {
    Ok,
    /// Information that requires no action.
    Note,
    /// A problem that does not stop `publish`, or that `publish` fixes automatically.
    Warning,
    /// A problem that makes `publish` fail.
    Error,
}

impl CheckState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            CheckState::Ok => "ok",
            CheckState::Note => "note",
            CheckState::Warning => "warning",
            CheckState::Error => "error",
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct CheckResult {
    /// The checked component, such as `linker`, `buildx` or `registry`.
    pub subject: &'static str,
    pub state: CheckState,
    #[serde(rename = "found")]
    pub message: String,
    /// Alternative ways to fix the problem, most of them commands.
    pub fixes: Vec<String>,
    /// The class of the error. Meaningful only if the state is `Error`.
    #[serde(skip)]
    class: Class,
}

impl CheckResult {
    fn new(subject: &'static str, state: CheckState, message: String) -> CheckResult {
        CheckResult { subject, state, message, fixes: Vec::new(), class: Class::Other }
    }

    pub(crate) fn ok(subject: &'static str, message: impl Into<String>) -> CheckResult {
        CheckResult::new(subject, CheckState::Ok, message.into())
    }

    pub(crate) fn note(subject: &'static str, message: impl Into<String>) -> CheckResult {
        CheckResult::new(subject, CheckState::Note, message.into())
    }

    pub(crate) fn warning(subject: &'static str, message: impl Into<String>) -> CheckResult {
        CheckResult::new(subject, CheckState::Warning, message.into())
    }

    /// Creates a result for an error that would make `publish` fail.
    pub(crate) fn error(subject: &'static str, error: &anyhow::Error) -> CheckResult {
        let fixes = all_hints(error).into_iter().map(str::to_owned).collect();
        CheckResult {
            fixes,
            class: failure_class(error),
            ..CheckResult::new(subject, CheckState::Error, message_with_causes(error))
        }
    }

    #[must_use]
    pub(crate) fn with_state(self, state: CheckState) -> CheckResult {
        CheckResult { state, ..self }
    }

    #[must_use]
    pub(crate) fn with_fix(mut self, fix: impl Into<String>) -> CheckResult {
        self.fixes.push(fix.into());
        self
    }
}

/// Returns the class of the error that `publish` would report first, or `None` if no check failed.
pub(crate) fn first_error_class(results: &[CheckResult]) -> Option<Class> {
    const ORDER: [Class; 5] = [Class::Config, Class::Engine, Class::Toolchain, Class::Compile, Class::Registry];
    let position = |class: &Class| ORDER.iter().position(|other| other == class).unwrap_or(ORDER.len());
    let errors = results.iter().filter(|result| result.state == CheckState::Error);
    errors.map(|result| result.class).min_by_key(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    #[test]
    fn returns_the_class_of_the_error_that_publish_reports_first() {
        let error = |class| CheckResult::error("x", &Failure::new(class, "broken").hint("fix it").into());
        let ok = || CheckResult::ok("x", "fine");
        assert_eq!(first_error_class(&[ok(), error(Class::Engine).with_state(CheckState::Warning)]), None);
        let errors = [ok(), error(Class::Other), error(Class::Registry), error(Class::Toolchain)];
        assert_eq!(first_error_class(&errors), Some(Class::Toolchain));
        assert_eq!(first_error_class(&[error(Class::Other)]), Some(Class::Other));
        assert_eq!(error(Class::Engine).fixes, ["fix it"]);
    }
}
