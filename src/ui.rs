//! The only writer to the terminal. People read stderr, in cargo's own shape; stdout carries data alone.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::error::{Class, class_of, hints_of, sentence, system_hint};
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
    terminal: bool,
    bar: Mutex<Option<ProgressBar>>,
    timings: Timings,
}

impl Ui {
    pub fn new(verbosity: Verbosity, color: Color) -> Self {
        let able = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let terminal = io::stderr().is_terminal() && able;
        let colored = |terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        };
        let data_color = colored(io::stdout().is_terminal() && able);
        Ui {
            verbosity,
            color: colored(terminal),
            data_color,
            terminal,
            bar: Mutex::new(None),
            timings: Timings::default(),
        }
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
        self.line(&format!("{}: {}", self.paint(RED, "error"), sentence(error)));
        for hint in hints_of(error) {
            self.line(&format!("{}: {hint}", self.paint(CYAN, " hint")));
        }
        if class_of(error) == Class::Other && hints_of(error).is_empty() {
            let hint = system_hint(error).unwrap_or("run again with -v to see the commands");
            self.line(&format!("{}: {hint}", self.paint(CYAN, " hint")));
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

    /// Shows a bar of about `length` steps, or a clock where there is no telling, on a terminal (elsewhere nothing) until the result is dropped.
    pub fn progress(&self, verb: &str, length: u64) -> Progress<'_> {
        if self.terminal && self.verbosity >= 0 {
            let bar = ProgressBar::with_draw_target(
                Some(length),
                ProgressDrawTarget::term_like_with_hz(Box::new(Narrow(Term::stderr())), REDRAWS),
            );
            let template = match (length, self.color) {
                (0, true) => "{prefix:>12.cyan.bold} {elapsed} {wide_msg}",
                (0, false) => "{prefix:>12} {elapsed} {wide_msg}",
                (_, true) => "{prefix:>12.cyan.bold} [{bar:24}] {pos}/{len} {wide_msg}",
                (_, false) => "{prefix:>12} [{bar:24}] {pos}/{len} {wide_msg}",
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(verb.to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            *self.bar() = Some(bar);
        }
        Progress(self)
    }

    fn bar(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        crate::threads::lock(&self.bar)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        painted(self.color, style, text)
    }

    fn line(&self, line: &str) {
        // With nowhere left to write there is nothing better to do than to go on.
        let write = || drop(writeln!(io::stderr().lock(), "{line}"));
        match &*self.bar() {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

fn painted(color: bool, style: Style, text: &str) -> String {
    match color {
        true => format!("{style}{text}{style:#}"),
        false => text.to_owned(),
    }
}

/// Times a second that a bar is drawn at most.
const REDRAWS: u8 = 20;

/// A terminal that ends some columns early. A bar leaves the cursor at its right end, where a terminal writes `^C`: in
/// the next line, and it is that line that would be cleared, if there were no room for it.
#[derive(Debug)]
struct Narrow(Term);

/// For `^C^C`.
const FOR_INTERRUPT: u16 = 5;

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        self.0.size().1.saturating_sub(FOR_INTERRUPT).max(1)
    }

    fn height(&self) -> u16 {
        self.0.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.0.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.0.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.0.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.0.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A bar that is on the screen; gone when dropped.
pub struct Progress<'a>(&'a Ui);

impl Progress<'_> {
    /// One step further, at `message`.
    pub fn step(&self, message: String) {
        if let Some(bar) = &*self.0.bar() {
            // The length is an estimate: a bar that has passed its end helps nobody.
            if bar.length().is_some_and(|length| length <= bar.position()) {
                bar.inc_length(1);
            }
            bar.inc(1);
            bar.set_message(message);
        }
    }

    /// The same place, at `message`.
    pub fn message(&self, message: String) {
        if let Some(bar) = &*self.0.bar() {
            bar.set_message(message);
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = self.0.bar().take() {
            bar.finish_and_clear();
        }
    }
}
