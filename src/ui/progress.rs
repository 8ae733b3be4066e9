//! What moves on a terminal while something is under way: bars below the lines, each gone when its work is done.

use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use console::{Term, measure_text_width, truncate_str};
use indicatif::{
    BinaryBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle, TermLike,
};

/// Times a second that bars are drawn at most.
const REDRAWS: u8 = 20;
const TICK: Duration = Duration::from_millis(100);
/// Bytes that are there before anybody has read of them.
const AT_ONCE: u64 = 1 << 20;

/// Where bars are drawn; or nowhere, which is the default.
#[derive(Clone, Default)]
pub struct Bars(Option<Drawn>);

#[derive(Clone)]
struct Drawn {
    all: MultiProgress,
    color: bool,
    /// In columns, where it is not the terminal's.
    width: Option<u16>,
}

/// What decides whether bars are drawn, as it does for cargo's own.
#[derive(Debug, Default)]
pub struct Screen<'a> {
    pub quiet: bool,
    pub terminal: bool,
    /// TERM is `dumb`.
    pub dumb: bool,
    /// It is a machine that reads: `CI` or `TF_BUILD` is set.
    pub ci: bool,
    /// `CARGO_TERM_PROGRESS_WHEN`.
    pub when: Option<&'a str>,
}

impl Screen<'_> {
    fn wants_bars(&self) -> bool {
        match self.when {
            _ if self.quiet => false,
            Some("always") => true,
            Some("never") => false,
            _ => self.terminal && !self.dumb && !self.ci,
        }
    }
}

impl Bars {
    /// Bars on stderr, where the screen wants some; `width` in columns, where it is not the terminal's.
    pub fn new(screen: &Screen<'_>, color: bool, width: Option<u16>) -> Bars {
        let drawn = || {
            let terminal = Box::new(Narrow { terminal: Term::stderr(), width, column: AtomicUsize::new(0) });
            let target = ProgressDrawTarget::term_like_with_hz(terminal, REDRAWS);
            Drawn { all: MultiProgress::with_draw_target(target), color, width }
        };
        Bars(screen.wants_bars().then(drawn))
    }

    /// Work of which there is no telling how long it takes.
    pub fn clock(&self, verb: &str) -> Bar {
        self.bar(verb, "", None, "{elapsed} {wide_msg}")
    }

    /// Work of about `length` steps.
    pub fn steps(&self, verb: &str, name: &str, length: usize) -> Bar {
        self.bar(verb, name, Some(length as u64), "{gauge}{pos}/{len} {wide_msg}")
    }

    /// Work on `size` bytes.
    pub fn bytes(&self, verb: &str, name: &str, size: u64) -> Bar {
        match size {
            0..AT_ONCE => Bar::default(),
            _ => self.bar(verb, name, Some(size), "{gauge}{amount} {wide_msg}"),
        }
    }

    /// Writes lines above the bars.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(drawn) => drawn.all.suspend(write),
            None => write(),
        }
    }

    fn bar(&self, verb: &str, name: &str, length: Option<u64>, rest: &str) -> Bar {
        let Some(Drawn { all, color, width }) = &self.0 else { return Bar::default() };
        let width = *width;
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_finish(ProgressFinish::AndClear)
            .with_prefix(verb.to_owned())
            .with_message(name.to_owned());
        let prefix = if *color { "{prefix:>12.cyan.bold}" } else { "{prefix:>12}" };
        if let Ok(style) = ProgressStyle::with_template(&format!("{prefix} {rest}")) {
            // A terminal may have become narrower since the last time.
            let columns = move || width.unwrap_or_else(|| Term::stderr().size().1);
            let style = style.with_key("gauge", move |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&gauge(state.fraction(), columns()));
            });
            bar.set_style(style.with_key("amount", move |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&amount(state.pos(), state.len().unwrap_or(0), state.per_sec(), columns()));
            }));
        }
        let bar = all.add(bar);
        bar.enable_steady_tick(TICK);
        Bar(Some(Shown { all: all.clone(), bar, name: name.to_owned() }))
    }
}

/// `[====>    ] `, where a terminal of so many columns has room for it.
fn gauge(fraction: f32, columns: u16) -> String {
    let width: usize = match columns {
        0..60 => return String::new(),
        60..80 => 10,
        80..120 => 20,
        _ => 30,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "columns")]
    let full = (fraction.clamp(0.0, 1.0) * width as f32) as usize;
    let head = if full < width { ">" } else { "" };
    format!("[{}{head}{}] ", "=".repeat(full), " ".repeat(width - full - head.len()))
}

/// `12.00 MiB/48.00 MiB 3.10 MiB/s`, or where that would be too long, `25%`.
fn amount(position: u64, length: u64, per_second: f64, columns: u16) -> String {
    if columns < 60 {
        return format!("{}%", position.saturating_mul(100).checked_div(length).unwrap_or(0).min(100));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
    let rate = per_second as u64;
    format!("{}/{} {}/s", BinaryBytes(position), BinaryBytes(length), BinaryBytes(rate))
}

/// A bar on the screen; gone when it is dropped. It may be one that is nowhere.
#[derive(Default)]
pub struct Bar(Option<Shown>);

struct Shown {
    all: MultiProgress,
    bar: ProgressBar,
    name: String,
}

impl Bar {
    /// One step further, at `message`.
    pub fn step(&self, message: &str) {
        if let Some(Shown { bar, .. }) = &self.0 {
            // The length is an estimate: a bar that has reached its end, while more comes, helps nobody.
            if bar.length().is_some_and(|length| length <= bar.position() + 1) {
                bar.inc_length(1);
            }
            bar.inc(1);
        }
        self.message(message);
    }

    /// So many bytes further.
    pub fn advance(&self, bytes: usize) {
        if let Some(Shown { bar, .. }) = &self.0 {
            bar.inc(bytes as u64);
        }
    }

    /// The same place, at `message`.
    pub fn message(&self, message: &str) {
        if let Some(Shown { bar, name, .. }) = &self.0 {
            bar.set_message(format!("{name} {message}").trim_start().to_owned());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(Shown { all, bar, .. }) = self.0.take() {
            bar.finish_and_clear();
            all.remove(&bar);
        }
    }
}

/// A terminal that ends some columns early. A bar leaves the cursor at its right end, where a terminal writes `^C`: in
/// the next line, and it is that line that would be cleared, if there were no room for it.
#[derive(Debug)]
struct Narrow {
    terminal: Term,
    /// Where it is not the terminal's own.
    width: Option<u16>,
    /// Where the cursor is: bars are written one after the other, as if each filled its line to the terminal's end.
    column: AtomicUsize,
}

/// For `^C^C`.
const FOR_INTERRUPT: u16 = 5;

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        self.width.unwrap_or_else(|| self.terminal.size().1.saturating_sub(FOR_INTERRUPT)).max(1)
    }

    fn height(&self) -> u16 {
        self.terminal.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_up(n)
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_left(n)
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.column.store(0, Ordering::Relaxed);
        self.terminal.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let width = usize::from(self.width());
        let mut column = if text.starts_with('\r') { 0 } else { self.column.load(Ordering::Relaxed) };
        if column >= width && !text.is_empty() {
            self.terminal.write_str("\n")?;
            column = 0;
        }
        self.column.store(column + measure_text_width(text), Ordering::Relaxed);
        self.terminal.write_str(&truncate_str(text, width.saturating_sub(column), ""))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.column.store(0, Ordering::Relaxed);
        self.terminal.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        self.terminal.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_drawn_where_cargo_draws_its_own() {
        let terminal = || Screen { terminal: true, ..Screen::default() };
        for (screen, expected) in [
            (terminal(), true),
            (Screen::default(), false),
            (Screen { quiet: true, ..terminal() }, false),
            (Screen { dumb: true, ..terminal() }, false),
            (Screen { ci: true, ..terminal() }, false),
            (Screen { when: Some("auto"), ci: true, ..terminal() }, false),
            (Screen { when: Some("never"), ..terminal() }, false),
            (Screen { when: Some("always"), ci: true, dumb: true, ..Screen::default() }, true),
            (Screen { when: Some("always"), quiet: true, ..terminal() }, false),
        ] {
            assert_eq!(screen.wants_bars(), expected, "{screen:?}");
        }
    }

    #[test]
    fn a_gauge_fits_its_terminal() {
        for (fraction, columns, expected) in [
            (0.5, 59, ""),
            (0.0, 60, "[>         ] "),
            (0.5, 79, "[=====>    ] "),
            (1.0, 60, "[==========] "),
            (2.0, 60, "[==========] "),
            (f32::NAN, 60, "[>         ] "),
        ] {
            assert_eq!(gauge(fraction, columns), expected, "{fraction} {columns}");
        }
        for (position, length, columns, expected) in
            [(0, 0, 50, "0%"), (1 << 20, 4 << 20, 50, "25%"), (3 << 19, 4 << 20, 80, "1.50 MiB/4.00 MiB 1.00 MiB/s")]
        {
            assert_eq!(amount(position, length, 1_048_576.0, columns), expected);
        }
        assert_eq!(gauge(0.99, 80).len(), 23);
        assert_eq!(gauge(0.99, 200).len(), 33);
    }
}
