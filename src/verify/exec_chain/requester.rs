//! Tracks what starts a program, so that the finding about a missing program can name the file that needs it.

use crate::finding::{Finding, INTERPRETER_MISSING, PROGRAM_NOT_FOUND};

/// What starts a program: the image's config, another program, or a script.
#[derive(Debug, Clone)]
pub(super) enum Requester {
    /// ENTRYPOINT or CMD in the image's config.
    Config,
    /// The health check in the image's config.
    HealthCheck,
    /// Another program or a script, identified by its absolute path.
    Program(String),
    /// The `#!` line of the script at this absolute path.
    Shebang(String),
    /// A command that may not run at all. Problems with it are not reported.
    Uncertain,
}

impl Requester {
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self, Requester::Uncertain)
    }

    /// Returns the requester for programs that the file at `real_path` starts.
    pub(super) fn next_program(&self, real_path: &str) -> Requester {
        if self.is_certain() { Requester::Program(format!("/{real_path}")) } else { Requester::Uncertain }
    }

    /// Returns the requester for the interpreter of the script at `real_path`.
    pub(super) fn next_shebang(&self, real_path: &str) -> Requester {
        if self.is_certain() { Requester::Shebang(format!("/{real_path}")) } else { Requester::Uncertain }
    }

    /// Creates the finding about a missing program. `reason` says what is wrong with its path, such as that it does not
    /// exist.
    pub(super) fn not_found(&self, path: &str, reason: &str) -> Option<Finding> {
        let finding = match self {
            Requester::Uncertain => return None,
            Requester::Config => PROGRAM_NOT_FOUND.finding(
                format!("{reason}, but the image's ENTRYPOINT or CMD runs it"),
                "copy the program into the image, or run an existing one: entrypoint = [\"…\"]",
            ),
            Requester::HealthCheck => PROGRAM_NOT_FOUND.finding(
                reason,
                "copy the program into the image, or run an existing one: healthcheck = { cmd = [\"/usr/local/bin/app\", \"…\"] }",
            ),
            Requester::Program(parent) => PROGRAM_NOT_FOUND.finding(
                format!("{reason}, but {parent} tries to run it"),
                "copy the program into the image, or run an existing one instead",
            ),
            Requester::Shebang(script) if path.ends_with('\r') => INTERPRETER_MISSING.finding(
                format!(
                    "was not found: the first line of {script} ends with a carriage return, which becomes part of the name"
                ),
                "convert the script to Unix line endings: `sed -i 's/\\r$//' FILE`",
            ),
            Requester::Shebang(script) => INTERPRETER_MISSING.finding(
                format!("{reason}, but it is the interpreter of {script}"),
                "use a base that has the interpreter, or change the script to use one that the base contains",
            ),
        };
        Some(finding.in_file(path.trim_end_matches('\r')))
    }
}
