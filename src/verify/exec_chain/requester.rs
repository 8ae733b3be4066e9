//! What requests a program, which decides what is reported if the program does not exist.

use crate::finding::{Finding, INTERPRETER_MISSING, PROGRAM_NOT_FOUND};

/// What requests a program.
#[derive(Debug, Clone)]
pub(super) enum Requester {
    /// The image's config.
    Config,
    /// A program that starts another one, or a script that turns into one; its absolute path.
    Program(String),
    /// The `#!` line of a script; the script's absolute path.
    Shebang(String),
    /// A command that may not run at all, about which nothing is reported.
    Uncertain,
}

impl Requester {
    pub(super) fn is_certain(&self) -> bool {
        !matches!(self, Requester::Uncertain)
    }

    /// Returns the requester of a program that the file at `real_path` starts.
    pub(super) fn next_program(&self, real_path: &str) -> Requester {
        if self.is_certain() { Requester::Program(format!("/{real_path}")) } else { Requester::Uncertain }
    }

    /// Returns the requester of the interpreter that the script at `real_path` names.
    pub(super) fn next_shebang(&self, real_path: &str) -> Requester {
        if self.is_certain() { Requester::Shebang(format!("/{real_path}")) } else { Requester::Uncertain }
    }

    /// Returns the finding that the program does not exist, given the reason.
    pub(super) fn not_found(&self, path: &str, reason: &str) -> Option<Finding> {
        let finding = match self {
            Requester::Uncertain => return None,
            Requester::Config => PROGRAM_NOT_FOUND.finding(
                format!("{reason}, and is what the image would start"),
                "copy it there, or name what is there: entrypoint = [\"…\"]",
            ),
            Requester::Program(by) => PROGRAM_NOT_FOUND.finding(
                format!("{reason}, and is what {by} would start"),
                "copy it there, or let it start what is there",
            ),
            Requester::Shebang(by) if path.ends_with('\r') => INTERPRETER_MISSING.finding(
                format!(
                    "is not in the image: the first line of {by} ends in a carriage return, which is part of the name"
                ),
                "end its lines as Unix does: `sed -i 's/\\r$//' FILE`",
            ),
            Requester::Shebang(by) => INTERPRETER_MISSING.finding(
                format!("{reason}, and is what the first line of {by} names"),
                "take a base that has it, or write the script for one that is there",
            ),
        };
        Some(finding.in_file(path.trim_end_matches('\r')))
    }
}
