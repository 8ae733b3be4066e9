//! Progress bars, drawn below all other output and removed when their work finishes.

use std::fmt::Write;
use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use console::{Term, measure_text_width, truncate_str};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::size;
use super::style::{GREEN, painted};
use super::text::display_width;
use crate::secrets::mask;

/// Maximum number of redraws per second.
const REDRAW_RATE: u8 = 20;
const TICK: Duration = Duration::from_millis(100);
/// Minimum size in bytes for a transfer to get a progress bar. Smaller transfers finish too quickly.
const MIN_TRANSFER: u64 = 1 << 20;

/// The progress bars of a run, and the lines above them. The default value draws no bars and prints no status lines.
#[derive(Clone, Default)]
pub(crate) struct Bars {
    visible: Option<VisibleBars>,
    /// Whether to color status lines. `None` if they are not printed.
    status_color: Option<bool>,
}

#[derive(Clone)]
struct VisibleBars {
    multi: MultiProgress,
    color: bool,
    /// Width to use instead of the terminal's, in columns.
    width: Option<u16>,
}

/// Properties of the output that determine whether bars are drawn. The rules are the same as cargo's.
#[derive(Debug, Default)]
pub(crate) struct OutputTraits<'a> {
    pub is_quiet: bool,
    pub is_terminal: bool,
    /// Whether `TERM` is `dumb`.
    pub is_dumb: bool,
    /// Whether `CI` or `TF_BUILD` is set.
    pub is_ci: bool,
    /// Value of `CARGO_TERM_PROGRESS_WHEN`.
    pub progress_when: Option<&'a str>,
}

impl OutputTraits<'_> {
    fn shows_bars(&self) -> bool {
        match self.progress_when {
            _ if self.is_quiet => false,
            Some("always") => true,
            Some("never") => false,
            _ => self.is_terminal && !self.is_dumb && !self.is_ci,
        }
    }
}

impl Bars {
    /// Creates progress bars on stderr if the output supports them. `width` overrides the terminal's width.
    pub(crate) fn new(output: &OutputTraits<'_>, color: bool, width: Option<u16>) -> Bars {
        let visible = || {
            let terminal = Box::new(NarrowTerminal {
                terminal: Term::stderr(),
                width,
                reported_width: AtomicU16::new(0),
                cursor_column: AtomicUsize::new(0),
            });
            let target = ProgressDrawTarget::term_like_with_hz(terminal, REDRAW_RATE);
            VisibleBars { multi: MultiProgress::with_draw_target(target), color, width }
        };
        Bars { visible: output.shows_bars().then(visible), status_color: (!output.is_quiet).then_some(color) }
    }

    /// Prints a status line such as `   Compiling hello for linux/arm64`, except with `-q`.
    pub(crate) fn status(&self, verb: &str, message: &str) {
        if let Some(color) = self.status_color {
            self.line(&format!("{} {message}", painted(color, GREEN, &format!("{verb:>12}"))));
        }
    }

    /// Prints a line to stderr, without secrets. Does not wrap it, as cargo does, so that users can copy it.
    pub(super) fn line(&self, line: &str) {
        // Ignore write errors: if stderr is closed, there is nowhere to report them.
        self.suspend(|| drop(writeln!(io::stderr().lock(), "{}", mask(line))));
    }

    /// Adds a bar that shows the elapsed time, for work of unknown length.
    pub(crate) fn elapsed(&self, verb: &str) -> Bar {
        self.bar(verb, "", None, ELAPSED)
    }

    /// Reports whether bars are drawn.
    pub(crate) fn are_visible(&self) -> bool {
        self.visible.is_some()
    }

    /// Adds a bar for work that takes about `length` steps. `current` returns what is running, in at most the given
    /// number of columns. It is called whenever the bar is drawn.
    pub(crate) fn steps(
        &self,
        verb: &str,
        name: &str,
        length: usize,
        current: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Bar {
        let Some(VisibleBars { color, width, .. }) = &self.visible else { return Bar::default() };
        let (name, width) = (name.to_owned(), *width);
        let current = Arc::new(current);
        let draw = move |state: &ProgressState, out: &mut dyn Write| {
            let amount = format!("{}/{} ", state.pos(), state.len().unwrap_or(0));
            let columns = usize::from(columns(&Term::stderr(), width)).min(MAX_STEP_LINE);
            let _ = out.write_str(&step_line(state.fraction(), amount, columns, &name, &*current));
        };
        let style = style(STEPS, *color, width).with_key("steps", draw);
        self.add(verb, "", Some(length.max(1) as u64), style)
    }

    /// Adds a bar for a transfer of `size` bytes.
    pub(crate) fn bytes(&self, verb: &str, name: &str, size: u64) -> Bar {
        match size {
            0..MIN_TRANSFER => Bar::default(),
            _ => self.bar(verb, name, Some(size), BYTES),
        }
    }

    /// Hides the bars while `write` prints lines.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.visible {
            Some(bars) => bars.multi.suspend(write),
            None => write(),
        }
    }

    fn bar(&self, verb: &str, name: &str, length: Option<u64>, template: &str) -> Bar {
        let Some(VisibleBars { color, width, .. }) = &self.visible else { return Bar::default() };
        self.add(verb, name, length, style(template, *color, *width))
    }

    fn add(&self, verb: &str, name: &str, length: Option<u64>, style: ProgressStyle) -> Bar {
        let Some(VisibleBars { multi, .. }) = &self.visible else { return Bar::default() };
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_prefix(verb.to_owned())
            .with_message(name.to_owned())
            .with_style(style);
        let bar = multi.add(bar);
        bar.enable_steady_tick(TICK);
        Bar(Some(VisibleBar { multi: multi.clone(), bar, name: name.to_owned() }))
    }
}

const ELAPSED: &str = "{elapsed} {wide_msg}";
const STEPS: &str = "{steps}";
const BYTES: &str = "{transferred}{wide_msg}";
/// Maximum width of a bar with steps. A longer line would wrap if the terminal becomes narrower, and then not be cleared.
const MAX_STEP_LINE: usize = 80;
/// Width of the verb and the space after it.
const PREFIX_WIDTH: usize = 13;

fn style(template: &str, color: bool, width: Option<u16>) -> ProgressStyle {
    let prefix = if color { "{prefix:>12.cyan.bold}" } else { "{prefix:>12}" };
    let style = ProgressStyle::with_template(&format!("{prefix} {template}"));
    // Measured on every redraw because the terminal may be resized.
    let columns = move || usize::from(columns(&Term::stderr(), width));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    style.with_key("transferred", move |state: &ProgressState, out: &mut dyn Write| {
        let amounts = transfer_amounts(state.pos(), state.len().unwrap_or(0), state.per_sec());
        let _ = out.write_str(&gauge(state.fraction(), &amounts, columns()));
    })
}

/// Returns the number of columns that bars may use. A few columns at the terminal's right edge are reserved for `^C`.
fn columns(terminal: &Term, width: Option<u16>) -> u16 {
    width.unwrap_or_else(|| terminal.size().1.saturating_sub(INTERRUPT_WIDTH)).max(MIN_WIDTH)
}

/// Renders a gauge such as `[====>    ] 12/34 `, using the first of `amounts` that leaves room for a name. If the gauge
/// itself does not fit, renders only the amount.
fn gauge(fraction: f32, amounts: &[String], columns: usize) -> String {
    let room = columns.saturating_sub(PREFIX_WIDTH);
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

/// Renders a gauge, the name of the work, and what is currently running.
fn step_line(fraction: f32, amount: String, columns: usize, name: &str, current: &dyn Fn(usize) -> String) -> String {
    let gauge = gauge(fraction, &[amount], columns);
    let room = columns.saturating_sub(PREFIX_WIDTH + gauge.len());
    let current = current(room.saturating_sub(display_width(name) + 1));
    let text = format!("{name} {current}");
    format!("{gauge}{}", truncate_str(text.trim_end(), room, "…"))
}

/// Formats the progress of a transfer in a long form, `12.0 MB/48.0 MB 3.1 MB/s `, and a short form, `25% `.
fn transfer_amounts(position: u64, length: u64, per_second: f64) -> [String; 2] {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
    let rate = per_second as u64;
    [
        format!("{}/{} {}/s ", size::format_bytes(position), size::format_bytes(length), size::format_bytes(rate)),
        format!("{}% ", position.saturating_mul(100).checked_div(length).unwrap_or(0).min(100)),
    ]
}

/// A progress bar that is removed when this value is dropped. The default value is invisible.
#[derive(Default)]
pub(crate) struct Bar(Option<VisibleBar>);

struct VisibleBar {
    multi: MultiProgress,
    bar: ProgressBar,
    name: String,
}

impl Bar {
    /// Advances the bar by one step.
    pub(crate) fn step(&self) {
        if let Some(VisibleBar { bar, .. }) = &self.0 {
            // The length is only an estimate, so extend it to keep the bar from filling up before the work is done.
            if bar.length().is_some_and(|length| length <= bar.position() + 1) {
                bar.inc_length(1);
            }
            bar.inc(1);
        }
    }

    /// Advances the bar by the given number of bytes.
    pub(crate) fn advance(&self, bytes: usize) {
        if let Some(VisibleBar { bar, .. }) = &self.0 {
            bar.inc(bytes as u64);
        }
    }

    /// Shows `message` without advancing the bar.
    pub(crate) fn message(&self, message: &str) {
        if let Some(VisibleBar { bar, name, .. }) = &self.0 {
            bar.set_message(format!("{name} {message}").trim_start().to_owned());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(VisibleBar { multi, bar, .. }) = self.0.take() {
            bar.finish_and_clear();
            multi.remove(&bar);
        }
    }
}

/// A terminal that reports a few columns fewer than it has, to reserve space for `^C`. When the user presses Ctrl-C,
/// the terminal prints `^C` at the end of the bar. If `^C` wrapped to the next line, indicatif would clear that line
/// instead of the bar.
///
/// Bars are written without the trailing spaces that pad their lines. When the window shrinks, terminals wrap lines
/// that no longer fit, including trailing spaces, and indicatif does not clear the additional lines. The text of a bar
/// can still wrap if the window shrinks below its width. Such lines are not cleared, because on terminals that truncate
/// lines instead of wrapping them, clearing would erase output above the bars.
#[derive(Debug)]
struct NarrowTerminal {
    terminal: Term,
    /// Width to use instead of the terminal's, in columns.
    width: Option<u16>,
    /// The width last reported to indicatif, which uses it to count lines.
    reported_width: AtomicU16,
    /// Width of the bar on the cursor's line, or 0 if there is none. If nonzero, the next bar is written on a new line.
    cursor_column: AtomicUsize,
}

/// Control sequence that erases from the cursor to the end of the line (ECMA-48, EL).
const CLEAR_REST: &str = "\x1b[K";
/// Columns reserved for `^C^C`.
const INTERRUPT_WIDTH: u16 = 5;
/// Minimum width of a bar in columns, just enough for the verb.
const MIN_WIDTH: u16 = 14;

impl TermLike for NarrowTerminal {
    fn width(&self) -> u16 {
        let width = columns(&self.terminal, self.width);
        self.reported_width.store(width, Ordering::Relaxed);
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
        self.cursor_column.store(0, Ordering::Relaxed);
        self.terminal.write_line(line)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let bar = text.trim_end();
        let before = self.cursor_column.load(Ordering::Relaxed);
        if bar.is_empty() {
            // If the terminal has shrunk below the width of the bar, indicatif counts the bar as more than one line.
            let is_longer = before > self.reported_width.load(Ordering::Relaxed).into();
            return if is_longer { self.terminal.write_str(text) } else { Ok(()) };
        }
        self.cursor_column.store(measure_text_width(bar), Ordering::Relaxed);
        let above = if before > 0 { "\n" } else { "" };
        self.terminal.write_str(&format!("{above}{bar}{CLEAR_REST}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.cursor_column.store(0, Ordering::Relaxed);
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
    fn bars_are_drawn_under_the_same_conditions_as_in_cargo() {
        let terminal = || OutputTraits { is_terminal: true, ..OutputTraits::default() };
        for (output, expected) in [
            (terminal(), true),
            (OutputTraits::default(), false),
            (OutputTraits { is_quiet: true, ..terminal() }, false),
            (OutputTraits { is_dumb: true, ..terminal() }, false),
            (OutputTraits { is_ci: true, ..terminal() }, false),
            (OutputTraits { progress_when: Some("auto"), is_ci: true, ..terminal() }, false),
            (OutputTraits { progress_when: Some("never"), ..terminal() }, false),
            (
                OutputTraits { progress_when: Some("always"), is_ci: true, is_dumb: true, ..OutputTraits::default() },
                true,
            ),
            (OutputTraits { progress_when: Some("always"), is_quiet: true, ..terminal() }, false),
        ] {
            assert_eq!(output.shows_bars(), expected, "{output:?}");
        }
    }

    #[test]
    fn gauges_fit_the_terminal() {
        let amounts = transfer_amounts(1_500_000, 4_000_000, 1e6);
        assert_eq!(amounts, ["1.5 MB/4.0 MB 1.0 MB/s ", "37% "]);
        let longer = transfer_amounts(151_500_000, 404_000_000, 100e6);
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
            assert_eq!(gauge(fraction, amounts, columns), expected, "{fraction} {columns}");
        }
        let longest = transfer_amounts(999_960_000_000_000, u64::MAX, 1e18);
        for columns in usize::from(MIN_WIDTH)..200 {
            for amounts in [&longest[..], &steps] {
                assert!(PREFIX_WIDTH + gauge(0.5, amounts, columns).len() <= columns, "{columns}");
            }
        }
    }

    #[test]
    fn running_work_fits_the_terminal() {
        let current = |columns: usize| if columns < 18 { "serde, +1" } else { "serde, syn, quote" }.to_owned();
        for (columns, expected) in [
            (14, "…"),
            (30, "1/2 linux/amd64 …"),
            (40, "1/2 linux/amd64 serde, +1"),
            (60, "[=====>    ] 1/2 linux/amd64 serde, syn, quote"),
        ] {
            let line = step_line(0.5, "1/2 ".to_owned(), columns, "linux/amd64", &current);
            assert_eq!(line, expected, "{columns}");
            assert!(PREFIX_WIDTH + display_width(&line) <= columns, "{columns}");
        }
        assert_eq!(step_line(0.0, "0/1 ".to_owned(), 40, "linux/amd64", &|_| String::new()), "0/1 linux/amd64");
    }

    #[test]
    fn templates_are_valid() {
        for template in [ELAPSED, STEPS, BYTES] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
