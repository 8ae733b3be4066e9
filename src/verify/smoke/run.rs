//! Runs a command with a time limit, and keeps what a smoke run reports of its output.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::Result;

use crate::process::{self, Cmd, Line};
use crate::ui::Ui;

/// Maximum duration of a smoke run.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Number of lines that are shown of a failed run.
const LAST_LINES: usize = 20;

/// The outcome of trying to run a command.
#[derive(Debug)]
pub(crate) enum Attempt {
    Finished(FinishedRun),
    /// The command cannot be run here, for this reason.
    NotRun(String),
}

/// A command that ran.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    /// `None` if it was stopped at the time limit.
    pub status: Option<ExitStatus>,
    /// The first line of its standard output or, without one, of its standard error.
    pub first_line: Option<String>,
    pub last_lines: VecDeque<String>,
}

impl FinishedRun {
    /// Returns how the run ended, unless it was successful.
    pub(crate) fn failure(&self) -> Option<String> {
        let Some(status) = self.status else {
            return Some(format!("was not over after {} s", TIME_LIMIT.as_secs()));
        };
        match status.code() {
            _ if status.success() => None,
            Some(code) => Some(format!("ended with {code}")),
            None => Some(format!("was ended by {}", process::ended(status))),
        }
    }
}

/// Runs a command until it ends or reaches the time limit.
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
