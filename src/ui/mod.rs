//! The only writer to the terminal. People read stderr, in cargo's own shape; stdout carries data alone.

pub mod github;
pub mod progress;
pub mod size;
pub mod wrap;

pub use progress::{Bar, Bars};

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use console::Term;

use self::progress::Screen;
use crate::error::{Class, all_hints, failure_class, io_error_hint, message_with_causes};
use crate::finding::Finding;
use crate::process::Cmd;
use crate::timings::{Phase, Timings};

const GREEN: Style = AnsiColor::Green.on_default().bold();
const CYAN: Style = AnsiColor::Cyan.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
const RED: Style = AnsiColor::Red.on_default().bold();

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// How much to say: -1 for `-q`, 0, 1 for `-v` (commands), 2 for `-vv` (the children's whole output).
pub type Verbosity = i8;

/// What a word of data tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Note,
    Warning,
    Bad,
}

pub struct Ui {
    verbosity: Verbosity,
    color: bool,
    /// Of what is written to stdout.
    data_color: bool,
    /// A runner shows what is wrong beside its log.
    annotates: bool,
    bars: Bars,
    timings: Timings,
}

impl Ui {
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
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
        let screen = Screen { quiet: verbosity < 0, terminal, dumb, ci, when: when.as_deref() };
        let width = variable("CARGO_TERM_PROGRESS_WIDTH").and_then(|width| width.parse().ok());
        let color = colored(terminal);
        let data_color = colored(io::stdout().is_terminal());
        let annotates = github::is_read(variable("GITHUB_ACTIONS").as_deref(), terminal && !dumb);
        let bars = Bars::new(&screen, color, width);
        Ui { verbosity, color, data_color, annotates, bars, timings: Timings::default() }
    }

    /// The same, with a place to note the run's time.
    pub fn with_timings(self, timings: Timings) -> Ui {
        Ui { timings, ..self }
    }

    /// Whether the children should colour their output.
    pub fn color(&self) -> bool {
        self.color
    }

    pub fn is_quiet(&self) -> bool {
        self.verbosity < 0
    }

    pub fn is_verbose(&self) -> bool {
        self.verbosity >= 2
    }

    /// `   Compiling hello for linux/arm64`
    pub fn status(&self, verb: &str, message: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.line(&format!("{} {}", self.paint(GREEN, &format!("{verb:>12}")), message.as_ref()));
        }
    }

    pub fn warning(&self, message: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.line(&format!("{}: {}", self.paint(YELLOW, "warning"), message.as_ref()));
        }
    }

    pub fn note(&self, message: impl AsRef<str>) {
        if self.verbosity >= 0 {
            self.line(&format!("{}: {}", self.paint(CYAN, "note"), message.as_ref()));
            if self.annotates {
                self.line(&github::of_note(message.as_ref()));
            }
        }
    }

    /// The command that is about to run, with `-v`.
    pub fn command(&self, cmd: &Cmd) {
        if self.verbosity >= 1 {
            self.status("Running", format!("`{cmd}`"));
        }
    }

    /// A command that another run would start, with `-v`.
    pub fn would_run(&self, cmd: &Cmd) {
        if self.verbosity >= 1 {
            self.status("Would run", format!("`{cmd}`"));
        }
    }

    /// A child's own line, as it wrote it; not muted by `-q`, since only what matters is handed here.
    pub fn child(&self, line: &str) {
        self.line(line);
    }

    /// An error with its causes, then its hints.
    pub fn error(&self, error: &anyhow::Error) {
        let (sentence, mut hints) = (message_with_causes(error), all_hints(error));
        if failure_class(error) == Class::Other && hints.is_empty() {
            hints.push(io_error_hint(error).unwrap_or("run again with -v to see the commands"));
        }
        let shown = if self.annotates { github::inert(&sentence) } else { sentence.clone() };
        self.line(&format!("{}: {shown}", self.paint(RED, "error")));
        for hint in &hints {
            self.line(&format!("{}: {hint}", self.paint(CYAN, " hint")));
        }
        if self.annotates {
            self.line(&github::of_failure(&sentence, &hints));
        }
    }

    /// `error[MA010]: linux/arm64: /app is for x86_64`, with what to do about it; errors are said with `-q` as well.
    pub fn finding(&self, finding: &Finding) {
        if self.verbosity < 0 && !finding.is_error() {
            return;
        }
        let (style, word) = if finding.is_error() { (RED, "error") } else { (YELLOW, "warning") };
        self.line(&format!("{}: {finding}", self.paint(style, &format!("{word}[{}]", finding.code))));
        self.line(&format!("{}: {}", self.paint(CYAN, " hint"), finding.fix));
        if self.annotates {
            self.line(&github::of_finding(finding));
        }
    }

    /// Where the time of the run is noted.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Does some work, and notes how long it took.
    pub fn timed<T>(&self, phase: Phase, name: impl std::fmt::Display, work: impl FnOnce() -> T) -> T {
        let _span = self.timings.span(phase, name);
        work()
    }

    /// A line of data on stdout.
    pub fn data(&self, line: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            // `… | head -1` has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result,
        }
    }

    /// A word of data, in the colour of what it tells.
    pub fn in_tone(&self, tone: Tone, word: &str) -> String {
        let style = match tone {
            Tone::Good => GREEN,
            Tone::Note => CYAN,
            Tone::Warning => YELLOW,
            Tone::Bad => RED,
        };
        painted(self.data_color, style, word)
    }

    /// Where bars show what is under way.
    pub fn bars(&self) -> &Bars {
        &self.bars
    }

    /// The columns that data has room in; none where nobody looks at a terminal.
    pub fn data_width(&self) -> Option<usize> {
        io::stdout().is_terminal().then(|| Term::stdout().size().1.into())
    }

    fn paint(&self, style: Style, text: &str) -> String {
        painted(self.color, style, text)
    }

    /// As long as it is, as cargo's and rustc's are: what is copied has no line feeds of ours in it.
    fn line(&self, line: &str) {
        // With nowhere left to write there is nothing better to do than to go on.
        self.bars.above(|| drop(writeln!(io::stderr().lock(), "{line}")));
    }
}

fn painted(color: bool, style: Style, text: &str) -> String {
    match color {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
    }
}
