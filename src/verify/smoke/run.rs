//! Runs a smoke command with a time limit, and keeps the first and last lines of its output.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;

use crate::process::{self, Cmd, Line};
use crate::ui::Ui;
use crate::verify::exec_context::User;

/// Maximum duration of a smoke run.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Number of output lines to show when a run fails.
const LAST_LINES: usize = 20;

/// The result of a command, or the reason that it could not be run.
#[derive(Debug)]
pub(crate) enum Attempt {
    Finished(FinishedRun),
    /// The command cannot be run on this machine, for the given reason.
    NotRun(String),
}

/// The result of a command that ran.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    /// Exit status. `None` if the command was stopped because it reached the time limit.
    pub status: Option<ExitStatus>,
    /// First line of stdout or, if stdout is empty, of stderr.
    pub first_line: Option<String>,
    /// Last lines of stdout and stderr.
    pub last_lines: VecDeque<String>,
}

impl FinishedRun {
    /// Describes how a run failed. Returns `None` if it succeeded.
    pub(crate) fn failure(&self) -> Option<String> {
        let Some(status) = self.status else {
            return Some(format!("did not exit within {} s", TIME_LIMIT.as_secs()));
        };
        match status.code() {
            _ if status.success() => None,
            Some(code) => Some(format!("exited with status {code}")),
            None => Some(format!("was killed by {}", process::ended(status))),
        }
    }

    /// Returns a hint for a failed run with these arguments. `user` is the image's user.
    pub(crate) fn failure_hint(&self, arguments: &[String], user: Option<&User>) -> String {
        let Some(status) = self.status else { return timeout_hint(arguments) };
        let output = if self.last_lines.is_empty() { "the program printed nothing" } else { "its output is above" };
        match user {
            Some(user) if user.uid != 0 && status.code().is_some() => format!(
                "{output}; the program runs as {}:{} and may be unable to write outside /tmp",
                user.uid, user.gid
            ),
            _ => {
                format!("{output}; to debug the program, load the image with `cargo multiarch build --load` and run it")
            }
        }
    }
}

/// Returns a hint for a program that did not exit in time. Suggests arguments other than those that were used.
fn timeout_hint(arguments: &[String]) -> String {
    let unused = ["--version", "--help"].into_iter().find(|example| arguments.iter().all(|used| used != example));
    let example = unused.map(|example| format!(", such as {example}")).unwrap_or_default();
    format!("the program kept running: use arguments that make it exit{example}")
}

/// Runs a command until it exits or reaches the time limit.
pub(crate) fn run_command(cmd: &Cmd, ui: &Ui) -> Result<FinishedRun> {
    ui.command(cmd);
    let (mut first_stdout, mut first_stderr, mut last_lines) = (None, None, VecDeque::new());
    let status = cmd.stream_within(TIME_LIMIT, |line| {
        let (first, line) = match line {
            Line::Stdout(line) => (&mut first_stdout, line),
            Line::Stderr(line) => (&mut first_stderr, line),
        };
        if ui.is_verbose() {
            ui.child(&line);
        }
        if !line.trim().is_empty() {
            first.get_or_insert_with(|| line.trim().to_owned());
        }
        if last_lines.len() == LAST_LINES {
            last_lines.pop_front();
        }
        last_lines.push_back(line);
    })?;
    Ok(FinishedRun { status, first_line: first_stdout.or(first_stderr), last_lines })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn hints_depend_on_how_the_run_failed() {
        let user = |uid| User { name: String::new(), uid, gid: uid, groups: Vec::new() };
        for (status, line, arguments, uid, expected) in [
            (None, None, vec!["serve"], 1000, "use arguments that make it exit, such as --version"),
            (None, None, vec!["--version"], 1000, "use arguments that make it exit, such as --help"),
            (None, None, vec!["--version", "--help"], 1000, "use arguments that make it exit"),
            (Some(3 << 8), Some("failed"), vec![], 1000, "its output is above; the program runs as 1000:1000 and may"),
            (Some(3 << 8), None, vec![], 1000, "the program printed nothing; the program runs as 1000:1000 and may"),
            (Some(3 << 8), Some("failed"), vec![], 0, "its output is above; to debug the program"),
            (Some(11), None, vec![], 1000, "the program printed nothing; to debug the program"),
        ] {
            let run = FinishedRun {
                status: status.map(ExitStatus::from_raw),
                first_line: None,
                last_lines: line.map(str::to_owned).into_iter().collect(),
            };
            let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
            let hint = run.failure_hint(&arguments, Some(&user(uid)));
            assert!(hint.contains(expected), "{hint}");
        }
    }
}
