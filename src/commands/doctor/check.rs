//! One thing that was looked at, what was found, and what mends it. Pure.

use serde::Serialize;

use crate::error::{Class, all_hints, failure_class, message_with_causes};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ok,
    /// Nothing to mend.
    Note,
    /// `publish` goes on all the same, or mends it by itself.
    Warning,
    /// `publish` ends here.
    Error,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            State::Ok => "ok",
            State::Note => "note",
            State::Warning => "warning",
            State::Error => "error",
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Check {
    /// What was looked at: `linker`, `buildx`, `registry`.
    pub subject: &'static str,
    pub state: State,
    pub found: String,
    /// What mends it, with the command; several are to choose from.
    pub fixes: Vec<String>,
    /// The kind of failure that an error is.
    #[serde(skip)]
    class: Class,
}

impl Check {
    fn new(subject: &'static str, state: State, found: String) -> Check {
        Check { subject, state, found, fixes: Vec::new(), class: Class::Other }
    }

    pub fn ok(subject: &'static str, found: impl Into<String>) -> Check {
        Check::new(subject, State::Ok, found.into())
    }

    pub fn note(subject: &'static str, found: impl Into<String>) -> Check {
        Check::new(subject, State::Note, found.into())
    }

    pub fn warning(subject: &'static str, found: impl Into<String>) -> Check {
        Check::new(subject, State::Warning, found.into())
    }

    /// An error that `publish` would end with.
    pub fn failed(subject: &'static str, error: &anyhow::Error) -> Check {
        let fixes = all_hints(error).into_iter().map(str::to_owned).collect();
        Check { fixes, class: failure_class(error), ..Check::new(subject, State::Error, message_with_causes(error)) }
    }

    /// The same, not as bad.
    #[must_use]
    pub fn only(self, state: State) -> Check {
        Check { state, ..self }
    }

    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Check {
        self.fixes.push(fix.into());
        self
    }
}

/// The kind of the error that `publish` would meet first; none where it would meet none.
pub fn worst(checks: &[Check]) -> Option<Class> {
    let order = [Class::Config, Class::Engine, Class::Toolchain, Class::Compile, Class::Registry];
    let place = |class: &Class| order.iter().position(|other| other == class).unwrap_or(order.len());
    checks.iter().filter(|check| check.state == State::Error).map(|check| check.class).min_by_key(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    #[test]
    fn the_worst_is_what_publish_would_meet_first() {
        let of = |class| Check::failed("x", &Failure::new(class, "it is broken").hint("mend it").into());
        let ok = || Check::ok("x", "there");
        assert_eq!(worst(&[ok(), of(Class::Engine).only(State::Warning)]), None);
        assert_eq!(worst(&[ok(), of(Class::Other), of(Class::Registry), of(Class::Toolchain)]), Some(Class::Toolchain));
        assert_eq!(worst(&[of(Class::Other)]), Some(Class::Other));
        assert_eq!(of(Class::Engine).fixes, ["mend it"]);
    }
}
