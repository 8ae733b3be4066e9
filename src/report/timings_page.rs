//! Renders the HTML page of `--timings`: a chart with a bar for each step of a run.

use std::time::Duration;

use anyhow::Result;
use indexmap::IndexMap;
use serde::Serialize;

use super::html;
use crate::finding::printable;
use crate::oci::digest::shorten_digest;
use crate::timings::{Phase, Span};
use crate::ui::size;

/// The minimum share of the run for a step to be shown without a click, as a percentage.
const MIN_SHARE: f64 = 1.0;
/// The maximum number of ticks on the axis.
const MAX_TICKS: f64 = 8.0;
/// Maximum end of a bar that leaves enough space for a label after it, as a percentage of the chart's width.
const MAX_END_FOR_LABEL_AFTER: f64 = 80.0;
/// Minimum start of a bar that leaves enough space for a label in front of it, as a percentage of the chart's width.
const MIN_START_FOR_LABEL_BEFORE: f64 = 20.0;

impl Phase {
    /// Returns the name of the phase, which is also the CSS class of its bars.
    fn name(self) -> &'static str {
        match self {
            Phase::Prepare => "prepare",
            Phase::Base => "base",
            Phase::Cargo => "cargo",
            Phase::Binary => "binary",
            Phase::Layer => "layer",
            Phase::Layout => "layout",
            Phase::Upload => "upload",
            Phase::Verify => "verify",
            Phase::Smoke => "smoke",
            Phase::Output => "output",
            Phase::Publish => "publish",
        }
    }

    fn heading(self) -> &'static str {
        match self {
            Phase::Prepare => "Preparation",
            Phase::Base => "Bases",
            Phase::Cargo => "Cargo",
            Phase::Binary => "Binaries (time since cargo started)",
            Phase::Layer => "Layers",
            Phase::Layout => "Images",
            Phase::Upload => "Uploads",
            Phase::Verify => "Verification",
            Phase::Smoke => "Smoke runs",
            Phase::Output => "Outputs",
            Phase::Publish => "Manifests, registry checks, tags",
        }
    }
}

/// The text above the chart.
#[derive(Debug, Default)]
pub(crate) struct PageHeader {
    pub title: String,
    /// Start time, commit, platforms, and tool version.
    pub facts: Vec<String>,
    /// The error message, if the run failed.
    pub failure: Option<String>,
    pub cargo_pages: Vec<Link>,
}

/// A link to another page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    pub text: String,
    pub href: String,
}

#[derive(Serialize)]
struct Page {
    title: String,
    facts: Vec<String>,
    failure: Option<String>,
    cargo_pages: Vec<Link>,
    total: String,
    ticks: Vec<Tick>,
    phases: Vec<PhaseSummary>,
    long_steps: Chart,
    /// The steps that took only a small share of the run.
    short_steps: Chart,
}

/// A row of the table of phases.
#[derive(Serialize)]
struct PhaseSummary {
    name: &'static str,
    heading: &'static str,
    span_count: usize,
    /// The time during which at least one of the spans was running.
    took: String,
    /// `took` as a percentage of the run's duration.
    share: String,
    /// The total duration of all spans.
    sum: String,
    bytes: Option<String>,
}

/// A chart with a bar for each of its steps.
#[derive(Serialize)]
struct Chart {
    sections: Vec<PhaseSection>,
    bar_count: usize,
    /// The number of rows, including headings.
    height: usize,
}

#[derive(Serialize)]
struct Tick {
    /// Position, as a percentage of the chart's width.
    x: f64,
    label: String,
}

/// The steps of a phase in a chart.
#[derive(Serialize)]
struct PhaseSection {
    name: &'static str,
    heading: &'static str,
    bars: Vec<SpanBar>,
}

#[derive(Serialize)]
struct SpanBar {
    row: usize,
    name: String,
    /// Start, as a percentage of the chart's width.
    x: f64,
    /// Width, as a percentage of the chart's width.
    width: f64,
    label: BarLabel,
    start: String,
    end: String,
    took: String,
    bytes: Option<String>,
    note: Option<&'static str>,
}

/// The position of a bar's label.
#[derive(Debug, PartialEq, Serialize)]
struct BarLabel {
    x: f64,
    dx: i32,
    anchor: &'static str,
    class: &'static str,
}

/// Renders the page for a run that took `total`. The spans must be sorted by phase.
pub(crate) fn render(header: &PageHeader, total: Duration, spans: &[Span]) -> Result<String> {
    // Avoid dividing by zero.
    let run = total.max(Duration::from_nanos(1));
    let names = names_by_digest(spans);
    let (long, short): (Vec<&Span>, Vec<&Span>) =
        spans.iter().partition(|span| percent(span.duration(), run) >= MIN_SHARE);
    let page = Page {
        title: printable(&header.title),
        facts: header.facts.iter().map(|fact| printable(fact)).collect(),
        failure: header.failure.as_ref().map(|failure| on_one_line(failure)),
        cargo_pages: header.cargo_pages.clone(),
        total: seconds(total),
        ticks: ticks(run),
        phases: by_phase(spans).into_iter().map(|(phase, spans)| phase_summary(phase, &spans, run)).collect(),
        long_steps: chart(long, run, &names),
        short_steps: chart(short, run, &names),
    };
    html::render(include_str!("../../templates/timings.html.j2"), &page)
}

fn on_one_line(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join(" ")
}

fn by_phase<'a>(spans: impl IntoIterator<Item = &'a Span>) -> IndexMap<Phase, Vec<&'a Span>> {
    let mut by_phase: IndexMap<Phase, Vec<&Span>> = IndexMap::new();
    for span in spans {
        by_phase.entry(span.phase).or_default().push(span);
    }
    by_phase
}

fn phase_summary(phase: Phase, spans: &[&Span], run: Duration) -> PhaseSummary {
    let bytes: u64 = spans.iter().filter_map(|span| span.bytes).sum();
    let took = time_covered(spans);
    PhaseSummary {
        name: phase.name(),
        heading: phase.heading(),
        span_count: spans.len(),
        took: seconds(took),
        share: format!("{:.0} %", percent(took, run)),
        sum: seconds(spans.iter().map(|span| span.duration()).sum()),
        bytes: (bytes > 0).then(|| size::format_bytes(bytes)),
    }
}

fn chart(spans: Vec<&Span>, run: Duration, names: &IndexMap<&str, &str>) -> Chart {
    let bar_count = spans.len();
    let mut height = 0;
    let mut sections = Vec::new();
    for (phase, spans) in by_phase(spans) {
        // The heading takes up the first row.
        let rows = height + 1..;
        height += 1 + spans.len();
        let bars = spans.into_iter().zip(rows).map(|(span, row)| bar(span, run, bar_name(span, names), row));
        sections.push(PhaseSection { name: phase.name(), heading: phase.heading(), bars: bars.collect() });
    }
    Chart { sections, bar_count, height }
}

/// Returns the names of layers and bases, keyed by digest.
fn names_by_digest(spans: &[Span]) -> IndexMap<&str, &str> {
    let mut names = IndexMap::new();
    for span in spans.iter().filter(|span| matches!(span.phase, Phase::Layer | Phase::Base)) {
        if let Some(digest) = &span.digest {
            names.entry(digest.as_str()).or_insert(span.name.as_str());
        }
    }
    names
}

/// Returns the name of a span. For uploads and verifications, the name includes the layer's name or, if that is
/// unknown, its digest.
fn bar_name(span: &Span, names: &IndexMap<&str, &str>) -> String {
    let blob = span.digest.as_deref().map(|digest| names.get(digest).copied().unwrap_or(shorten_digest(digest)));
    printable(&match (span.phase, blob) {
        (Phase::Upload, Some(blob)) => format!("{blob} → {}", span.name),
        (Phase::Verify, Some(blob)) => format!("{blob}, {}", span.name),
        _ => span.name.clone(),
    })
}

fn bar(span: &Span, run: Duration, name: String, row: usize) -> SpanBar {
    let (start, end) = (percent(span.start, run), percent(span.end, run));
    SpanBar {
        row,
        name,
        x: start,
        // Browsers do not draw bars whose width is zero.
        width: rounded(end - start).max(0.001),
        label: label(start, end),
        start: seconds(span.start),
        end: seconds(span.end),
        took: seconds(span.duration()),
        bytes: span.bytes.map(size::format_bytes),
        note: span.note,
    }
}

/// Places a label after, before or inside its bar, in that order of preference.
fn label(start: f64, end: f64) -> BarLabel {
    if end <= MAX_END_FOR_LABEL_AFTER {
        BarLabel { x: end, dx: 6, anchor: "start", class: "beside" }
    } else if start > MIN_START_FOR_LABEL_BEFORE {
        BarLabel { x: start, dx: -6, anchor: "end", class: "beside" }
    } else {
        BarLabel { x: start, dx: 6, anchor: "start", class: "inside" }
    }
}

/// Returns the time during which at least one of the spans was running.
fn time_covered(spans: &[&Span]) -> Duration {
    let mut intervals: Vec<(Duration, Duration)> = spans.iter().map(|span| (span.start, span.end)).collect();
    intervals.sort_unstable();
    let mut covered_until = Duration::ZERO;
    let mut covered = Duration::ZERO;
    for (start, end) in intervals {
        covered += end.saturating_sub(start.max(covered_until));
        covered_until = covered_until.max(end);
    }
    covered
}

/// Returns the ticks of the time axis, at round numbers of seconds.
fn ticks(run: Duration) -> Vec<Tick> {
    let run = run.as_secs_f64();
    let smallest_step = run / MAX_TICKS;
    let power = 10_f64.powf(smallest_step.log10().floor());
    let round_steps = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = round_steps.into_iter().find(|step| *step >= smallest_step).unwrap_or(smallest_step);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let tick = |number: u32| {
        let time = f64::from(number) * step;
        Tick { x: rounded(time / run * 100.0), label: format!("{time:.decimals$} s") }
    };
    (0..).map(tick).take_while(|tick| tick.x <= 100.0).collect()
}

fn percent(part: Duration, run: Duration) -> f64 {
    rounded(part.as_secs_f64() / run.as_secs_f64() * 100.0)
}

/// Rounds to three decimal places, which is more precise than screen pixels.
fn rounded(percent: f64) -> f64 {
    (percent * 1000.0).round() / 1000.0
}

fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 0.1 { format!("{:.0} ms", seconds * 1000.0) } else { format!("{seconds:.2} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(phase: Phase, name: &str, start: u64, end: u64) -> Span {
        let [start, end] = [start, end].map(Duration::from_millis);
        Span { phase, name: name.to_owned(), start, end, bytes: None, digest: None, note: None }
    }

    fn page(total: u64, spans: &[Span]) -> String {
        let header = PageHeader {
            title: "a <run>".to_owned(),
            facts: vec!["on a <date>".to_owned()],
            failure: Some("error in <name>\nwith \u{1b}[31mred".to_owned()),
            cargo_pages: vec![Link {
                text: "app for <platform>".to_owned(),
                href: "../cargo-timings/a.html".to_owned(),
            }],
        };
        render(&header, Duration::from_millis(total), spans).unwrap()
    }

    /// Returns the title of each bar, and its start and width as percentages of the chart's width.
    fn bars(page: &str) -> Vec<(String, f64, f64)> {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(page, options).unwrap();
        let bars = document.descendants().filter(|node| node.tag_name().name() == "rect");
        let number = |node: roxmltree::Node<'_, '_>, name| {
            node.attribute(name).unwrap().trim_end_matches('%').parse::<f64>().unwrap()
        };
        let title = |node: roxmltree::Node<'_, '_>| node.first_element_child().unwrap().text().unwrap().to_owned();
        bars.map(|bar| (title(bar), number(bar, "x"), number(bar, "width"))).collect()
    }

    #[test]
    fn bars_show_when_each_span_ran() {
        let spans = [
            span(Phase::Cargo, "cargo build", 1000, 9000),
            span(Phase::Layer, "linux/amd64 app: app", 4000, 6000),
            span(Phase::Layer, "linux/arm64 app: app", 5000, 10000),
        ];
        let page = page(10000, &spans);
        let found = bars(&page);
        let found: Vec<(&str, f64, f64)> = found.iter().map(|(name, x, width)| (name.as_str(), *x, *width)).collect();
        let expected = [
            ("cargo build: 8.00 s, from 1.00 s to 9.00 s", 10.0, 80.0),
            ("linux/amd64 app: app: 2.00 s, from 4.00 s to 6.00 s", 40.0, 20.0),
            ("linux/arm64 app: app: 5.00 s, from 5.00 s to 10.00 s", 50.0, 50.0),
        ];
        assert_eq!(found, expected, "{page}");
        for text in ["a &lt;run&gt;", "on a &lt;date&gt;", "error in &lt;name&gt; with \u{fffd}[31mred"] {
            assert!(page.contains(text), "{text} not in {page}");
        }
        assert!(!page.contains("class=\"idle\""), "{page}");
        for total in [
            "<td>6.00 s</td><td>60 %</td><td class=\"wide\">7.00 s</td>",
            "<td>8.00 s</td><td>80 %</td><td class=\"wide\">8.00 s</td>",
        ] {
            assert!(page.contains(total), "{total} not in {page}");
        }
    }

    #[test]
    fn short_steps_are_folded() {
        let short = (0..12).map(|number| span(Phase::Verify, &format!("short {number}"), number, number + 9));
        let long = [span(Phase::Cargo, "cargo build", 0, 1000), span(Phase::Verify, "long", 20, 30)];
        let page = page(1000, &long.into_iter().chain(short).collect::<Vec<_>>());
        let (shown, folded) = page.split_once("<details>").unwrap();
        assert!(folded.contains("<summary>12 steps under 1 %</summary>"), "{page}");
        for (name, is_folded) in [("cargo build", false), ("long", false), ("short 0", true), ("short 11", true)] {
            let title = format!("<div title=\"{name}\">");
            assert_eq!([shown.contains(&title), folded.contains(&title)], [!is_folded, is_folded], "{name}: {page}");
        }
        assert!(shown.contains("<td>13</td>"), "all steps are counted: {page}");
        assert_eq!(bars(&page).len(), 14);
        let one = super::tests::page(1000, &[span(Phase::Cargo, "a", 0, 1000), span(Phase::Verify, "b", 0, 1)]);
        assert!(one.contains("<summary>1 step under 1 %</summary>"), "{one}");
        assert!(!super::tests::page(10, &[span(Phase::Cargo, "a", 0, 10)]).contains("<details>"));
    }

    #[test]
    fn page_links_to_the_pages_of_cargo() {
        let page = page(10, &[]);
        let link = "<a href=\"..&#x2f;cargo-timings&#x2f;a.html\">app for &lt;platform&gt;</a>";
        assert!(page.contains(link), "{page}");
    }

    #[test]
    fn uploads_are_named_after_their_layers() {
        let digest = |digit: &str| Some(format!("sha256:{}", digit.repeat(64)));
        let layer = Span { digest: digest("a"), ..span(Phase::Layer, "linux/amd64 app: app", 0, 1) };
        let upload =
            |digit| Span { digest: digest(digit), bytes: Some(2048), ..span(Phase::Upload, "r.example/app", 1, 2) };
        let found = bars(&page(2, &[layer, upload("a"), upload("b")]));
        assert_eq!(found[1].0, "linux/amd64 app: app → r.example/app: 1 ms, from 1 ms to 2 ms, 2.0 kB");
        assert_eq!(found[2].0, "sha256:bbbbbbbbbbbb → r.example/app: 1 ms, from 1 ms to 2 ms, 2.0 kB");
    }

    #[test]
    fn page_handles_empty_runs_and_special_characters() {
        assert_eq!(bars(&page(0, &[])), []);
        let name = "<b>&\"'\u{1b}[31m漢字";
        let found = bars(&page(0, &[span(Phase::Upload, name, 0, 0)]));
        assert_eq!(found, [("<b>&\"'\u{fffd}[31m漢字: 0 ms, from 0 ms to 0 ms".to_owned(), 0.0, 0.001)]);
    }

    #[test]
    fn overlapping_spans_are_counted_once() {
        for (spans, expected) in
            [(&[][..], 0), (&[(0, 10), (20, 30)], 20), (&[(0, 10), (5, 15), (6, 7)], 15), (&[(20, 30), (0, 25)], 30)]
        {
            let spans: Vec<Span> = spans.iter().map(|(start, end)| span(Phase::Layer, "", *start, *end)).collect();
            assert_eq!(time_covered(&spans.iter().collect::<Vec<_>>()).as_millis(), expected);
        }
    }

    #[test]
    fn axis_has_round_numbers() {
        for (milliseconds, expected) in [
            (10_000, "0 s 2 s 4 s 6 s 8 s 10 s"),
            (10_100, "0 s 2 s 4 s 6 s 8 s 10 s"),
            (7_900, "0 s 1 s 2 s 3 s 4 s 5 s 6 s 7 s"),
            (450, "0.0 s 0.1 s 0.2 s 0.3 s 0.4 s"),
            (61_000, "0 s 10 s 20 s 30 s 40 s 50 s 60 s"),
            (3_600_000, "0 s 500 s 1000 s 1500 s 2000 s 2500 s 3000 s 3500 s"),
        ] {
            let ticks = ticks(Duration::from_millis(milliseconds));
            let labels: Vec<&str> = ticks.iter().map(|tick| tick.label.as_str()).collect();
            assert_eq!(labels.join(" "), expected);
            assert!(ticks.iter().all(|tick| tick.x <= 100.0));
        }
    }

    #[test]
    fn labels_stay_in_the_chart() {
        for (start, end, expected) in
            [(0.0, 10.0, "start beside"), (70.0, 100.0, "end beside"), (5.0, 95.0, "start inside")]
        {
            let label = label(start, end);
            assert_eq!(format!("{} {}", label.anchor, label.class), expected);
        }
    }
}
