//! Prints all output: messages to stderr, in cargo's format, and data to stdout.

pub(crate) mod github;
pub(crate) mod progress;
pub(crate) mod prompt;
pub(crate) mod size;
mod style;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod wrap;

pub(crate) use progress::{Bar, Bars};

use std::io::{self, IsTerminal, Write};

use anstyle::Style;
use console::Term;

use self::progress::OutputTraits;
use self::style::{CYAN, GREEN, RED, YELLOW, painted};
use crate::error::{Class, all_hints, failure_class, io_error_hint, message_with_causes};
use crate::finding::Finding;
use crate::process::Cmd;
use crate::secrets::mask_result;
use crate::timings::{Phase, Timings};

/// When to use color.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// How much to print: -1 for `-q`, 0 by default, 1 for `-v` (commands), 2 for `-vv` (all output of child processes).
pub(crate) type Verbosity = i8;

/// The meaning of a word in printed data, which determines its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Note,
    Warning,
    Bad,
}

/// The terminal output of a run.
pub(crate) struct Ui {
    verbosity: Verbosity,
    color: bool,
    /// Whether to color stdout.
    data_color: bool,
    /// Whether to write workflow commands for a CI runner.
    annotates: bool,
    bars: Bars,
    timings: Timings,
}

impl Ui {
    pub(crate) fn new(verbosity: Verbosity, color: Color) -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let dumb = variable("TERM").is_some_and(|term| term == "dumb");
        let terminal = io::stderr().is_terminal();
        let colored = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !dumb && variable("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let when = variable("CARGO_TERM_PROGRESS_WHEN");
        let ci = ["CI", "TF_BUILD"].into_iter().any(|name| variable(name).is_some());
        let output = OutputTraits {
            is_quiet: verbosity < 0,
            is_terminal: terminal,
            is_dumb: dumb,
            is_ci: ci,
            progress_when: when.as_deref(),
        };
        let width = variable("CARGO_TERM_PROGRESS_WIDTH").and_then(|width| width.parse().ok());
        let color = colored(terminal);
        let data_color = colored(io::stdout().is_terminal());
        let annotates = github::reads_commands(variable("GITHUB_ACTIONS").as_deref(), terminal && !dumb);
        let bars = Bars::new(&output, color, width);
        Ui { verbosity, color, data_color, annotates, bars, timings: Timings::default() }
    }

    /// Replaces the timing recorder.
    pub(crate) fn with_timings(self, timings: Timings) -> Ui {
        Ui { timings, ..self }
    }

    /// Reports whether child processes should color their output.
    pub(crate) fn color(&self) -> bool {
        self.color
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.verbosity < 0
    }

    pub(crate) fn is_verbose(&self) -> bool {
        self.verbosity >= 2
    }

    /// Prints a status line such as `   Compiling hello for linux/arm64`.
    pub(crate) fn status(&self, verb: &str, message: impl AsRef<str>) {
        self.bars.status(verb, message.as_ref());
    }

    /// Prints a status line if `-v` is set.
    pub(crate) fn details(&self, verb: &str, message: impl AsRef<str>) {
        if self.verbosity >= 1 {
            self.status(verb, message);
        }
    }

    pub(crate) fn warning(&self, message: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.line(&format!("{}: {}", self.paint(YELLOW, "warning"), message.as_ref()));
        }
    }

    pub(crate) fn note(&self, message: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.line(&format!("{}: {}", self.paint(CYAN, "note"), message.as_ref()));
            if self.annotates {
                self.line(&github::note_command(message.as_ref()));
            }
        }
    }

    /// Prints a command that is about to run, if `-v` is set.
    pub(crate) fn command(&self, cmd: &Cmd) {
        self.details("Running", command_text(cmd));
    }

    /// Prints a command that `build` or `publish` would run, if `-v` is set.
    pub(crate) fn would_run(&self, cmd: &Cmd) {
        self.details("Would run", command_text(cmd));
    }

    /// Prints a line of a child process's output unchanged, even with `-q`. Callers must filter out irrelevant lines.
    pub(crate) fn child(&self, line: &str) {
        self.line(line);
    }

    /// Prints an error with its causes, followed by its hints.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let (message, mut hints) = (message_with_causes(error), all_hints(error));
        if failure_class(error) == Class::Other && hints.is_empty() {
            hints.push(io_error_hint(error).unwrap_or("run again with -v to see the commands"));
        }
        let printed = if self.annotates { github::disarm_commands(&message) } else { message.clone() };
        self.line(&format!("{}: {printed}", self.paint(RED, "error")));
        for hint in &hints {
            self.line(&format!("{}: {hint}", self.paint(CYAN, " hint")));
        }
        if self.annotates {
            self.line(&github::failure_command(&message, &hints));
        }
    }

    /// Prints a finding and its fix, such as `error[MA010]: linux/arm64: /app is for x86_64`. Skips warnings if `-q` is
    /// set.
    pub(crate) fn finding(&self, finding: &Finding) {
        if self.verbosity < 0 && !finding.is_error() {
            return;
        }
        let (style, word) = if finding.is_error() { (RED, "error") } else { (YELLOW, "warning") };
        self.line(&format!("{}: {finding}", self.paint(style, &format!("{word}[{}]", finding.code))));
        self.line(&format!("{}: {}", self.paint(CYAN, " hint"), finding.fix));
        if self.annotates {
            self.line(&github::finding_command(finding));
        }
    }

    /// Returns the recorded timings of the run.
    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Calls `work` and records how long it takes.
    pub(crate) fn timed<T>(&self, phase: Phase, name: impl std::fmt::Display, work: impl FnOnce() -> T) -> T {
        let _span = self.timings.span(phase, name);
        work()
    }

    /// Prints a line of data to stdout, without secrets.
    pub(crate) fn data(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{}", mask_result(line)).and_then(|()| out.flush()) {
            // The reader may exit early, as in `… | head -1`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// Colors a word for output on stdout, if color is enabled for stdout.
    pub(crate) fn paint_data(&self, tone: Tone, word: &str) -> String {
        let style = match tone {
            Tone::Good => GREEN,
            Tone::Note => CYAN,
            Tone::Warning => YELLOW,
            Tone::Bad => RED,
        };
        painted(self.data_color, style, word)
    }

    pub(crate) fn bars(&self) -> &Bars {
        &self.bars
    }

    /// Returns the width of the terminal that stdout is connected to, or `None` if stdout is not a terminal.
    pub(crate) fn data_width(&self) -> Option<usize> {
        io::stdout().is_terminal().then(|| Term::stdout().size().1.into())
    }

    fn paint(&self, style: Style, text: &str) -> String {
        painted(self.color, style, text)
    }

    fn line(&self, line: &str) {
        self.bars.line(line);
    }
}

/// Formats a command for a status line. A command with several environment variables takes several lines, which still
/// form one command when they are copied to a shell.
fn command_text(cmd: &Cmd) -> String {
    let lines = cmd.lines();
    let separator = if lines.len() > 2 { " \\\n             " } else { " " };
    format!("`{}`", lines.join(separator))
}
