//! Progress bars: they are drawn below the other output, and each disappears when its work is done.

use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use console::{Term, measure_text_width};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle, TermLike};

use super::size;

/// Maximum number of redraws per second.
const REDRAW_RATE: u8 = 20;
const TICK: Duration = Duration::from_millis(100);
/// Transfers below this size are too short for a bar.
const MIN_TRANSFER: u64 = 1 << 20;

/// Progress bars. The default draws none.
#[derive(Clone, Default)]
pub(crate) struct Bars(Option<VisibleBars>);

#[derive(Clone)]
struct VisibleBars {
    multi: MultiProgress,
    color: bool,
    /// The width in columns, if it is not the terminal's.
    width: Option<u16>,
}

/// What decides whether bars are drawn, by cargo's rules.
#[derive(Debug, Default)]
pub(crate) struct OutputTraits<'a> {
    pub is_quiet: bool,
    pub is_terminal: bool,
    /// TERM is `dumb`.
    pub is_dumb: bool,
    /// `CI` or `TF_BUILD` is set.
    pub is_ci: bool,
    /// `CARGO_TERM_PROGRESS_WHEN`.
    pub progress_when: Option<&'a str>,
}

impl OutputTraits<'_> {
    fn wants_bars(&self) -> bool {
        match self.progress_when {
            _ if self.is_quiet => false,
            Some("always") => true,
            Some("never") => false,
            _ => self.is_terminal && !self.is_dumb && !self.is_ci,
        }
    }
}

impl Bars {
    /// Creates bars on stderr, if its traits ask for some. `width` overrides the terminal's.
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
        Bars(output.wants_bars().then(visible))
    }

    /// Adds a bar for work of unknown length. It shows the elapsed time.
    pub(crate) fn elapsed(&self, verb: &str) -> Bar {
        self.bar(verb, "", None, ELAPSED)
    }

    /// Adds a bar for work of about `length` steps.
    pub(crate) fn steps(&self, verb: &str, name: &str, length: usize) -> Bar {
        self.bar(verb, name, Some(length.max(1) as u64), STEPS)
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
        match &self.0 {
            Some(bars) => bars.multi.suspend(write),
            None => write(),
        }
    }

    fn bar(&self, verb: &str, name: &str, length: Option<u64>, template: &str) -> Bar {
        let Some(VisibleBars { multi, color, width }) = &self.0 else { return Bar::default() };
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden())
            .with_prefix(verb.to_owned())
            .with_message(name.to_owned())
            .with_style(style(template, *color, *width));
        let bar = multi.add(bar);
        bar.enable_steady_tick(TICK);
        Bar(Some(VisibleBar { multi: multi.clone(), bar, name: name.to_owned() }))
    }
}

const ELAPSED: &str = "{elapsed} {wide_msg}";
const STEPS: &str = "{steps}{wide_msg}";
const BYTES: &str = "{transferred}{wide_msg}";
/// The width of the verb and the space after it.
const PREFIX_WIDTH: usize = 13;

fn style(template: &str, color: bool, width: Option<u16>) -> ProgressStyle {
    let prefix = if color { "{prefix:>12.cyan.bold}" } else { "{prefix:>12}" };
    let style = ProgressStyle::with_template(&format!("{prefix} {template}"));
    // Measured on every redraw: the terminal may have been resized.
    let columns = move || usize::from(columns(&Term::stderr(), width));
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let style = style.with_key("steps", move |state: &ProgressState, out: &mut dyn Write| {
        let (position, length) = (state.pos(), state.len().unwrap_or(0));
        let _ = out.write_str(&gauge(state.fraction(), &[format!("{position}/{length} ")], columns()));
    });
    style.with_key("transferred", move |state: &ProgressState, out: &mut dyn Write| {
        let amounts = transfer_amounts(state.pos(), state.len().unwrap_or(0), state.per_sec());
        let _ = out.write_str(&gauge(state.fraction(), &amounts, columns()));
    })
}

/// Returns the columns of a terminal that bars may use: all but the last few.
fn columns(terminal: &Term, width: Option<u16>) -> u16 {
    width.unwrap_or_else(|| terminal.size().1.saturating_sub(INTERRUPT_WIDTH)).max(MIN_WIDTH)
}

/// Renders a gauge with the first of the amounts that leaves room for a name, `[====>    ] 12/34 `. Without room for a gauge
/// it is the amount alone.
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

/// Returns the state of a transfer in a long form, `12.0 MB/48.0 MB 3.1 MB/s `, and a short one, `25% `.
fn transfer_amounts(position: u64, length: u64, per_second: f64) -> [String; 2] {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes")]
    let rate = per_second as u64;
    [
        format!("{}/{} {}/s ", size::format_bytes(position), size::format_bytes(length), size::format_bytes(rate)),
        format!("{}% ", position.saturating_mul(100).checked_div(length).unwrap_or(0).min(100)),
    ]
}

/// A progress bar, which disappears when it is dropped. The default is not shown at all.
#[derive(Default)]
pub(crate) struct Bar(Option<VisibleBar>);

struct VisibleBar {
    multi: MultiProgress,
    bar: ProgressBar,
    name: String,
}

impl Bar {
    /// Advances by a step, and shows `message`.
    pub(crate) fn step(&self, message: &str) {
        if let Some(VisibleBar { bar, .. }) = &self.0 {
            // The length is an estimate: the bar must not be full while there is more to do.
            if bar.length().is_some_and(|length| length <= bar.position() + 1) {
                bar.inc_length(1);
            }
            bar.inc(1);
        }
        self.message(message);
    }

    /// Advances by some bytes.
    pub(crate) fn advance(&self, bytes: usize) {
        if let Some(VisibleBar { bar, .. }) = &self.0 {
            bar.inc(bytes as u64);
        }
    }

    /// Shows `message` without advancing.
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

/// A terminal that reports a few columns less than it has. A bar leaves the cursor at its end, and that is where a terminal
/// writes `^C`. Without room it would go to the next line, and that line would be cleared instead of the bar's.
///
/// Bars are written without the trailing spaces that fill their lines. When a window becomes narrower, the terminal wraps
/// longer lines, including the spaces, and the upper parts of wrapped lines are never cleared. This can still happen to the
/// text of a bar if the window becomes narrower than the text in one step. Clearing it would require to know whether the
/// terminal wraps or truncates lines: if it truncates them, the output above the bars would be cleared.
#[derive(Debug)]
struct NarrowTerminal {
    terminal: Term,
    /// The width in columns, if it is not the terminal's.
    width: Option<u16>,
    /// The width that indicatif was given last, by which it counts lines.
    reported_width: AtomicU16,
    /// The columns of the bar in the cursor's line. The next bar goes to the line below, as if this one filled its line.
    cursor_column: AtomicUsize,
}

/// EL of ECMA-48: to the end of the line.
const CLEAR_REST: &str = "\x1b[K";
/// The width of `^C^C`.
const INTERRUPT_WIDTH: u16 = 5;
/// Minimum width of a bar, enough for the verb.
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
            // A bar from before the terminal became narrower occupies all the lines that indicatif counts for it.
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
    fn bars_are_drawn_where_cargo_draws_its_own() {
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
            assert_eq!(output.wants_bars(), expected, "{output:?}");
        }
    }

    #[test]
    fn what_is_said_fits_the_terminal() {
        let amounts = transfer_amounts(1_500_000, 4_000_000, 1e6);
        assert_eq!(amounts, ["1.5 MB/4.0 MB 1.0 MB/s ", "37% "]);
        let longer = super::transfer_amounts(151_500_000, 404_000_000, 100e6);
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
        let longest = super::transfer_amounts(999_960_000_000_000, u64::MAX, 1e18);
        for columns in usize::from(MIN_WIDTH)..200 {
            for amounts in [&longest[..], &steps] {
                assert!(PREFIX_WIDTH + gauge(0.5, amounts, columns).len() <= columns, "{columns}");
            }
        }
    }

    #[test]
    fn templates_are_what_indicatif_takes() {
        for template in [ELAPSED, STEPS, BYTES] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
