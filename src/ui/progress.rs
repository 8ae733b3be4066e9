//! What moves on a terminal while something is under way: bars below the lines, each gone when its work is done.

use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use console::{Term, measure_text_width};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::size;

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
            let terminal = Box::new(Narrow {
                terminal: Term::stderr(),
                width,
                told: AtomicU16::new(0),
                columns: AtomicUsize::new(0),
            });
            let target = ProgressDrawTarget::term_like_with_hz(terminal, REDRAWS);
            Drawn { all: MultiProgress::with_draw_target(target), color, width }
        };
        Bars(screen.wants_bars().then(drawn))
    }

    /// Work of which there is no telling how long it takes.
    pub fn clock(&self, verb: &str) -> Bar {
        self.bar(verb, "", None, CLOCK)
    }

    /// Work of about `length` steps.
    pub fn steps(&self, verb: &str, name: &str, length: usize) -> Bar {
        self.bar(verb, name, Some(length.max(1) as u64), STEPS)
    }

    /// Work on `size` bytes.
    pub fn bytes(&self, verb: &str, name: &str, size: u64) -> Bar {
        match size {
            0..AT_ONCE => Bar::default(),
            _ => self.bar(verb, name, Some(size), BYTES),
        }
    }

    /// Writes lines above the bars.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.0 {
            Some(drawn) => drawn.all.suspend(write),
            None => write(),
        }
    }

    fn bar(&self, verb: &str, name: &str, length: Option<u64>, template: &str) -> Bar {
        let Some(Drawn { all, color, width }) = &self.0 else { return Bar::default() };
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_prefix(verb.to_owned())
            .with_message(name.to_owned())
            .with_style(style(template, *color, *width));
        let bar = all.add(bar);
        bar.enable_steady_tick(TICK);
        Bar(Some(Shown { all: all.clone(), bar, name: name.to_owned() }))
    }
}

const CLOCK: &str = "{elapsed} {wide_msg}";
const STEPS: &str = "{steps}{wide_msg}";
const BYTES: &str = "{bytes_here}{wide_msg}";
/// The verb and the blank behind it.
const BEFORE: usize = 13;

fn style(template: &str, color: bool, width: Option<u16>) -> ProgressStyle {
    let prefix = if color { "{prefix:>12.cyan.bold}" } else { "{prefix:>12}" };
    let style = ProgressStyle::with_template(&format!("{prefix} {template}"));
    // A terminal may have become narrower since the last time.
    let columns = move || usize::from(columns(&Term::stderr(), width));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let style = style.with_key("steps", move |state: &ProgressState, out: &mut dyn Write| {
        let (position, length) = (state.pos(), state.len().unwrap_or(0));
        let _ = out.write_str(&so_far(state.fraction(), &[format!("{position}/{length} ")], columns()));
    });
    style.with_key("bytes_here", move |state: &ProgressState, out: &mut dyn Write| {
        let amounts = amounts(state.pos(), state.len().unwrap_or(0), state.per_sec());
        let _ = out.write_str(&so_far(state.fraction(), &amounts, columns()));
    })
}

/// The columns that bars have of a terminal: it ends some early.
fn columns(terminal: &Term, width: Option<u16>) -> u16 {
    width.unwrap_or_else(|| terminal.size().1.saturating_sub(FOR_INTERRUPT)).max(NARROWEST)
}

/// `[====>    ] 12/34 `: the first of the amounts that leaves some columns for a name, and a gauge that is narrower than that.
fn so_far(fraction: f32, amounts: &[String], columns: usize) -> String {
    let room = columns.saturating_sub(BEFORE);
    let with_name = |amount: &&String| amount.len() + 12 <= room;
    let amount = amounts.iter().find(with_name).or(amounts.last().filter(|amount| amount.len() <= room));
    let amount = amount.map_or("", String::as_str);
    let widths = [30, 20, 10].into_iter().find(|width| width + 3 + amount.len() + width + 8 <= room);
    let Some(width) = widths else { return amount.to_owned() };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "columns")]
    let full = (fraction.clamp(0.0, 1.0) * width as f32) as usize;
    let head = if full < width { ">" } else { "" };
    format!("[{}{head}{}] {amount}", "=".repeat(full), " ".repeat(width - full - head.len()))
}

/// `12.0 MB/48.0 MB 3.1 MB/s `, or shorter, `25% `.
fn amounts(position: u64, length: u64, per_second: f64) -> [String; 2] {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
    let rate = per_second as u64;
    [
        format!("{}/{} {}/s ", size::format_bytes(position), size::format_bytes(length), size::format_bytes(rate)),
        format!("{}% ", position.saturating_mul(100).checked_div(length).unwrap_or(0).min(100)),
    ]
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

/// A terminal that ends some columns early. A bar leaves the cursor at its end, where a terminal writes `^C`: in the next
/// line, and it is that line that would be cleared, if there were no room for it.
///
/// Bars end with their text, and not with the blanks that fill their lines: where a window becomes narrower, the terminal
/// breaks lines that are longer than it, blanks as well, and what is broken off above stays there. That still happens to
/// the text of bars, where the window becomes narrower than it in one step. To clear it one would have to know whether
/// this terminal breaks such lines or cuts them: where it cuts, what stands above the bars would be cleared.
#[derive(Debug)]
struct Narrow {
    terminal: Term,
    /// Where it is not the terminal's own.
    width: Option<u16>,
    /// What was told last, by which indicatif counts lines.
    told: AtomicU16,
    /// Of the bar in the cursor's line: the next is for the line below, as if this one had filled its own.
    columns: AtomicUsize,
}

/// EL of ECMA-48: to the end of the line.
const CLEAR_REST: &str = "\x1b[K";
/// For `^C^C`.
const FOR_INTERRUPT: u16 = 5;
/// Enough for the verb; in less, lines break.
const NARROWEST: u16 = 14;

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        let width = columns(&self.terminal, self.width);
        self.told.store(width, Ordering::Relaxed);
        width
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
        self.columns.store(0, Ordering::Relaxed);
        self.terminal.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let bar = text.trim_end();
        let before = self.columns.load(Ordering::Relaxed);
        if bar.is_empty() {
            // A bar of when the terminal was wider takes all the lines that are counted for it.
            let is_longer = before > self.told.load(Ordering::Relaxed).into();
            return if is_longer { self.terminal.write_str(text) } else { Ok(()) };
        }
        self.columns.store(measure_text_width(bar), Ordering::Relaxed);
        let above = if before > 0 { "\n" } else { "" };
        self.terminal.write_str(&format!("{above}{bar}{CLEAR_REST}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.columns.store(0, Ordering::Relaxed);
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
    fn what_is_said_fits_the_terminal() {
        let amounts = amounts(1_500_000, 4_000_000, 1e6);
        assert_eq!(amounts, ["1.5 MB/4.0 MB 1.0 MB/s ", "37% "]);
        let longer = super::amounts(151_500_000, 404_000_000, 100e6);
        let steps = ["5/10 ".to_owned()];
        for (fraction, amounts, columns, expected) in [
            (0.5, &amounts[..], 20, "37% "),
            (0.5, &amounts, 47, "37% "),
            (0.5, &longer, 53, "[=====>    ] 37% "),
            (0.5, &amounts, 48, "1.5 MB/4.0 MB 1.0 MB/s "),
            (0.5, &amounts, 75, "[=====>    ] 1.5 MB/4.0 MB 1.0 MB/s "),
            (0.5, &steps, 17, ""),
            (0.5, &steps, 48, "5/10 "),
            (0.5, &steps, 49, "[=====>    ] 5/10 "),
            (0.0, &steps, 49, "[>         ] 5/10 "),
            (1.0, &steps, 49, "[==========] 5/10 "),
            (f32::NAN, &steps, 49, "[>         ] 5/10 "),
            (0.5, &steps, 75, "[==========>         ] 5/10 "),
            (0.5, &steps, 115, "[===============>              ] 5/10 "),
        ] {
            assert_eq!(so_far(fraction, amounts, columns), expected, "{fraction} {columns}");
        }
        let longest = super::amounts(999_960_000_000_000, u64::MAX, 1e18);
        for columns in usize::from(NARROWEST)..200 {
            for amounts in [&longest[..], &steps] {
                assert!(BEFORE + so_far(0.5, amounts, columns).len() <= columns, "{columns}");
            }
        }
    }

    #[test]
    fn templates_are_what_indicatif_takes() {
        for template in [CLOCK, STEPS, BYTES] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
