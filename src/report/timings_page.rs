//! Where the time of a run went, as a page: a bar for everything that was under way, beside what was under way with it. Pure.

use std::time::Duration;

use anyhow::Result;
use indexmap::IndexMap;
use serde::Serialize;

use super::html::render;
use super::shorten_digest;
use crate::finding::printable;
use crate::timings::{Phase, Span};
use crate::ui::size;

/// Ticks of the axis at most.
const TICKS: f64 = 8.0;
/// Of the chart's width: a bar that ends behind the first has its label before it, if it begins behind the second.
const LATE: f64 = 80.0;
const EARLY: f64 = 20.0;

impl Phase {
    fn word(self) -> &'static str {
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
            Phase::Binary => "Binaries: from cargo's start until each was there",
            Phase::Layer => "Layers: packed and compressed",
            Phase::Layout => "Images",
            Phase::Upload => "Uploads",
            Phase::Verify => "Verification, before a tag moves",
            Phase::Smoke => "Smoke runs",
            Phase::Output => "Outputs",
            Phase::Publish => "Manifests, proof of what is served, tags",
        }
    }
}

/// What stands above the chart.
#[derive(Debug, Default)]
pub struct PageHeader {
    pub title: String,
    /// Of what it is: when it began, of which commit, by which version.
    pub facts: Vec<String>,
    /// What it ended with, where that was an error.
    pub failure: Option<String>,
}

#[derive(Serialize)]
struct Page {
    title: String,
    facts: Vec<String>,
    failure: Option<String>,
    total: String,
    ticks: Vec<Tick>,
    phases: Vec<Group>,
    /// Rows of the whole chart.
    height: usize,
}

#[derive(Serialize)]
struct Tick {
    at: f64,
    label: String,
}

/// All spans of a phase.
#[derive(Serialize)]
struct Group {
    word: &'static str,
    heading: &'static str,
    /// The row of its heading in the chart.
    row: usize,
    number: usize,
    /// How long anything of it was under way.
    took: String,
    /// The same, of a hundred of the run.
    share: String,
    /// All of it, as if one had followed the other.
    sum: String,
    bytes: Option<String>,
    rows: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    row: usize,
    name: String,
    /// In percent of the chart's width.
    x: f64,
    width: f64,
    label: Label,
    start: String,
    end: String,
    took: String,
    bytes: Option<String>,
    note: Option<&'static str>,
}

/// The text at a bar.
#[derive(Debug, PartialEq, Serialize)]
struct Label {
    x: f64,
    dx: i32,
    anchor: &'static str,
    class: &'static str,
}

/// The page of a run that took `total`; the spans are in the order of their phases.
pub fn page(head: &PageHeader, total: Duration, spans: &[Span]) -> Result<String> {
    let mut by_phase: IndexMap<Phase, Vec<&Span>> = IndexMap::new();
    for span in spans {
        by_phase.entry(span.phase).or_default().push(span);
    }
    let names = names(spans);
    // A run of no time at all has a chart as well.
    let whole = total.max(Duration::from_nanos(1));
    let mut rows = 0;
    let mut next = || {
        rows += 1;
        rows - 1
    };
    let mut phases = Vec::new();
    for (phase, spans) in by_phase {
        let heading = next();
        let sent: u64 = spans.iter().filter_map(|span| span.bytes).sum();
        let took = covered(&spans);
        phases.push(Group {
            word: phase.word(),
            heading: phase.heading(),
            row: heading,
            number: spans.len(),
            took: seconds(took),
            share: format!("{:.0} %", percent(took, whole)),
            sum: seconds(spans.iter().map(|span| span.end.saturating_sub(span.start)).sum()),
            bytes: (sent > 0).then(|| size::format_bytes(sent)),
            rows: spans.iter().map(|span| bar(span, whole, name(span, &names), next())).collect(),
        });
    }
    let page = Page {
        title: printable(&head.title),
        facts: head.facts.iter().map(|fact| printable(fact)).collect(),
        // Of several lines.
        failure: head.failure.as_ref().map(|failure| failure.lines().map(printable).collect::<Vec<_>>().join(" ")),
        total: seconds(total),
        ticks: ticks(whole),
        height: next(),
        phases,
    };
    render(include_str!("../../templates/timings.html.j2"), &page)
}

/// What was made, by its digest.
fn names(spans: &[Span]) -> IndexMap<&str, &str> {
    let made = spans.iter().filter(|span| matches!(span.phase, Phase::Layer | Phase::Base));
    let mut names = IndexMap::new();
    for span in made {
        if let Some(digest) = &span.digest {
            names.entry(digest.as_str()).or_insert(span.name.as_str());
        }
    }
    names
}

/// A blob that is sent or read is known by what was packed into it.
fn name(span: &Span, names: &IndexMap<&str, &str>) -> String {
    let of = span.digest.as_deref().map(|digest| names.get(digest).copied().unwrap_or(shorten_digest(digest)));
    printable(&match (span.phase, of) {
        (Phase::Upload, Some(of)) => format!("{of} → {}", span.name),
        (Phase::Verify, Some(of)) => format!("{of}, {}", span.name),
        _ => span.name.clone(),
    })
}

fn bar(span: &Span, whole: Duration, name: String, row: usize) -> Row {
    let (x, end) = (percent(span.start, whole), percent(span.end, whole));
    Row {
        row,
        name,
        x,
        // A bar without any width is not drawn at all.
        width: rounded(end - x).max(0.001),
        label: label(x, end),
        start: seconds(span.start),
        end: seconds(span.end),
        took: seconds(span.end.saturating_sub(span.start)),
        bytes: span.bytes.map(size::format_bytes),
        note: span.note,
    }
}

/// Behind the bar, before it where there is no room, or in it where there is none either.
fn label(start: f64, end: f64) -> Label {
    match (end > LATE, start > EARLY) {
        (false, _) => Label { x: end, dx: 6, anchor: "start", class: "beside" },
        (true, true) => Label { x: start, dx: -6, anchor: "end", class: "beside" },
        (true, false) => Label { x: start, dx: 6, anchor: "start", class: "inside" },
    }
}

/// How long at least one of them was under way.
fn covered(spans: &[&Span]) -> Duration {
    let mut spans: Vec<(Duration, Duration)> = spans.iter().map(|span| (span.start, span.end)).collect();
    spans.sort_unstable();
    let mut until = Duration::ZERO;
    let mut covered = Duration::ZERO;
    for (start, end) in spans {
        covered += end.saturating_sub(start.max(until));
        until = until.max(end);
    }
    covered
}

/// Round numbers of seconds, a few of them.
fn ticks(whole: Duration) -> Vec<Tick> {
    let whole = whole.as_secs_f64();
    let rough = whole / TICKS;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let tick = |number: u32| {
        let at = f64::from(number) * step;
        Tick { at: rounded(at / whole * 100.0), label: format!("{at:.decimals$} s") }
    };
    (0..).map(tick).take_while(|tick| tick.at <= 100.0).collect()
}

fn percent(part: Duration, whole: Duration) -> f64 {
    rounded(part.as_secs_f64() / whole.as_secs_f64() * 100.0)
}

/// No more digits than a screen has pixels.
fn rounded(percent: f64) -> f64 {
    (percent * 1000.0).round() / 1000.0
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs_f64() {
        short if short < 0.1 => format!("{:.0} ms", short * 1000.0),
        long => format!("{long:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(phase: Phase, name: &str, start: u64, end: u64) -> Span {
        let [start, end] = [start, end].map(Duration::from_millis);
        Span { phase, name: name.to_owned(), start, end, bytes: None, digest: None, note: None }
    }

    fn render(total: u64, spans: &[Span]) -> String {
        let head = PageHeader {
            title: "a <run>".to_owned(),
            facts: vec!["on a <day>".to_owned()],
            failure: Some("it is <full>\nof \u{1b}[31mred".to_owned()),
        };
        page(&head, Duration::from_millis(total), spans).unwrap()
    }

    /// The bars: where each begins and how wide it is, in percent.
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
    fn a_bar_for_each_where_it_was() {
        let spans = [
            span(Phase::Cargo, "cargo build", 1000, 9000),
            span(Phase::Layer, "linux/amd64 app: app", 4000, 6000),
            span(Phase::Layer, "linux/arm64 app: app", 5000, 10000),
        ];
        let page = render(10000, &spans);
        let found = bars(&page);
        let found: Vec<(&str, f64, f64)> = found.iter().map(|(name, x, width)| (name.as_str(), *x, *width)).collect();
        let expected = [
            ("cargo build: 8.00 s, from 1.00 s to 9.00 s", 10.0, 80.0),
            ("linux/amd64 app: app: 2.00 s, from 4.00 s to 6.00 s", 40.0, 20.0),
            ("linux/arm64 app: app: 5.00 s, from 5.00 s to 10.00 s", 50.0, 50.0),
        ];
        assert_eq!(found, expected, "{page}");
        for said in ["a &lt;run&gt;", "on a &lt;day&gt;", "it is &lt;full&gt; of \u{fffd}[31mred"] {
            assert!(page.contains(said), "{said} in {page}");
        }
        assert!(!page.contains("class=\"idle\""), "{page}");
        for total in [
            "<td>6.00 s</td><td>60 %</td><td class=\"wide\">7.00 s</td>",
            "<td>8.00 s</td><td>80 %</td><td class=\"wide\">8.00 s</td>",
        ] {
            assert!(page.contains(total), "{total} in {page}");
        }
    }

    #[test]
    fn an_upload_is_known_by_what_is_in_it() {
        let digest = |digit: &str| Some(format!("sha256:{}", digit.repeat(64)));
        let layer = Span { digest: digest("a"), ..span(Phase::Layer, "linux/amd64 app: app", 0, 1) };
        let sent =
            |digit| Span { digest: digest(digit), bytes: Some(2048), ..span(Phase::Upload, "r.example/app", 1, 2) };
        let found = bars(&render(2, &[layer, sent("a"), sent("b")]));
        assert_eq!(found[1].0, "linux/amd64 app: app → r.example/app: 1 ms, from 1 ms to 2 ms, 2.0 kB");
        assert_eq!(found[2].0, "sha256:bbbbbbbbbbbb → r.example/app: 1 ms, from 1 ms to 2 ms, 2.0 kB");
    }

    #[test]
    fn nothing_breaks_a_page() {
        assert_eq!(bars(&render(0, &[])), []);
        let odd = "<b>&\"'\u{1b}[31m漢字";
        let found = bars(&render(0, &[span(Phase::Upload, odd, 0, 0)]));
        assert_eq!(found, [("<b>&\"'\u{fffd}[31m漢字: 0 ms, from 0 ms to 0 ms".to_owned(), 0.0, 0.001)]);
    }

    #[test]
    fn what_overlaps_is_counted_once() {
        for (spans, expected) in
            [(&[][..], 0), (&[(0, 10), (20, 30)], 20), (&[(0, 10), (5, 15), (6, 7)], 15), (&[(20, 30), (0, 25)], 30)]
        {
            let spans: Vec<Span> = spans.iter().map(|(start, end)| span(Phase::Layer, "", *start, *end)).collect();
            assert_eq!(covered(&spans.iter().collect::<Vec<_>>()).as_millis(), expected);
        }
    }

    #[test]
    fn the_axis_has_round_numbers() {
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
            assert!(ticks.iter().all(|tick| tick.at <= 100.0));
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
