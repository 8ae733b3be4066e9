//! Runs a smoke command with a time limit, and keeps the first and last lines of its output.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;

use crate::process::{self, Cmd, Line};
use crate::ui::Ui;

/// Maximum duration of a smoke run.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Number of output lines to show when a run fails.
const LAST_LINES: usize = 20;

/// The outcome of trying to run a command.
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
