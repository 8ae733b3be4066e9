//! The results of all checks, and the fixes that `--fix` can apply.

use super::check_result::{CheckResult, CheckState};
use super::fix::Fix;
use crate::error::{Class, Failure, failure_class};

/// The results collected so far, and the fixes for the problems found.
#[derive(Default)]
pub(crate) struct Results {
    /// The results of the checks, in the order in which they are printed.
    pub checks: Vec<CheckResult>,
    pub fixes: Vec<Fix>,
}

impl Results {
    pub(crate) fn add(&mut self, check: CheckResult) {
        self.checks.push(check);
    }

    /// Adds an error to the results. If the error is an interruption, returns it instead, so that the remaining checks
    /// are skipped.
    pub(crate) fn add_error(&mut self, subject: &'static str, error: impl Into<anyhow::Error>) -> Result<(), Failure> {
        let error = error.into();
        if failure_class(&error) == Class::Interrupted {
            return Err(Failure::new(Class::Interrupted, "interrupted"));
        }
        self.add(CheckResult::error(subject, &error));
        Ok(())
    }

    pub(crate) fn count(&self, state: CheckState) -> usize {
        self.checks.iter().filter(|check| check.state == state).count()
    }
}
