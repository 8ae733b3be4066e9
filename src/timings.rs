//! Records how long each part of a run takes. Recording is disabled by default, and has no cost when disabled.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

use crate::threads::lock;

/// A kind of work. The variants are in the order in which a run performs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    /// Everything before the compiler starts.
    Prepare,
    Base,
    /// A cargo process, from start to exit.
    Cargo,
    /// The compilation of a binary, from the start of its cargo process to the finished file.
    Binary,
    Layer,
    /// The creation of an OCI layout, from layers or by buildx.
    Layout,
    Upload,
    Verify,
    Smoke,
    /// Copying a layout to one of the outputs.
    Output,
    Publish,
}

/// A timed piece of work. `start` and `end` are relative to the start of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub phase: Phase,
    pub name: String,
    pub start: Duration,
    pub end: Duration,
    pub bytes: Option<u64>,
    /// Digest of the blob that was created or uploaded.
    pub digest: Option<String>,
    pub note: Option<&'static str>,
}

impl Span {
    pub(crate) fn duration(&self) -> Duration {
        self.end.saturating_sub(self.start)
    }
}

/// A recorder for the spans of a run. The default value records nothing.
#[derive(Debug, Default)]
pub(crate) struct Timings(Option<Recorder>);

#[derive(Debug)]
struct Recorder {
    started: Instant,
    spans: Mutex<Vec<Span>>,
    cargo_pages: Mutex<Vec<CargoPage>>,
}

/// A timings page that cargo has written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CargoPage {
    /// What the cargo process compiled.
    pub name: String,
    pub path: Utf8PathBuf,
}

impl Timings {
    /// Starts recording.
    pub(crate) fn enabled() -> Timings {
        Timings(Some(Recorder { started: Instant::now(), spans: Mutex::default(), cargo_pages: Mutex::default() }))
    }

    /// Starts a span, which ends when the returned value is dropped.
    pub(crate) fn span(&self, phase: Phase, name: impl Display) -> OpenSpan<'_> {
        OpenSpan(self.0.as_ref().map(|recorder| (recorder, recorder.span(phase, recorder.started.elapsed(), name))))
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Records a page that cargo has written.
    pub(crate) fn add_cargo_page(&self, page: CargoPage) {
        if let Some(recorder) = &self.0 {
            lock(&recorder.cargo_pages).push(page);
        }
    }

    pub(crate) fn cargo_pages(&self) -> Vec<CargoPage> {
        self.0.as_ref().map(|recorder| lock(&recorder.cargo_pages).clone()).unwrap_or_default()
    }

    /// Returns the time since the start of the run and all finished spans, sorted by phase and start time. Returns
    /// `None` if recording is disabled.
    pub(crate) fn recorded(&self) -> Option<(Duration, Vec<Span>)> {
        let recorder = self.0.as_ref()?;
        let mut spans = lock(&recorder.spans).clone();
        spans.sort_by_key(|span| (span.phase, span.start));
        Some((recorder.started.elapsed(), spans))
    }
}

impl Recorder {
    fn span(&self, phase: Phase, start: Duration, name: impl Display) -> Span {
        Span { phase, name: name.to_string(), start, end: start, bytes: None, digest: None, note: None }
    }
}

/// A span that is still running. Dropping it ends the span.
#[must_use = "the span ends when this is dropped"]
pub(crate) struct OpenSpan<'a>(Option<(&'a Recorder, Span)>);

impl<'a> OpenSpan<'a> {
    /// Opens a span with the same start time as this one.
    pub(crate) fn span_from_same_start(&self, phase: Phase, name: impl Display) -> OpenSpan<'a> {
        OpenSpan(self.0.as_ref().map(|(recorder, span)| (*recorder, recorder.span(phase, span.start, name))))
    }

    pub(crate) fn bytes(&mut self, bytes: u64) {
        self.update(|span| span.bytes = Some(bytes));
    }

    pub(crate) fn digest(&mut self, digest: impl Display) {
        self.update(|span| span.digest = Some(digest.to_string()));
    }

    pub(crate) fn note(&mut self, note: &'static str) {
        self.update(|span| span.note = Some(note));
    }

    fn update(&mut self, change: impl FnOnce(&mut Span)) {
        if let Some((_, span)) = &mut self.0 {
            change(span);
        }
    }
}

impl Drop for OpenSpan<'_> {
    fn drop(&mut self) {
        if let Some((recorder, mut span)) = self.0.take() {
            span.end = recorder.started.elapsed();
            lock(&recorder.spans).push(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that panics when it is formatted.
    struct MustNotBeFormatted;

    impl Display for MustNotBeFormatted {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("formatted although recording is disabled")
        }
    }

    #[test]
    fn disabled_timings_record_nothing() {
        let timings = Timings::default();
        let mut span = timings.span(Phase::Layer, MustNotBeFormatted);
        span.digest(MustNotBeFormatted);
        drop(span.span_from_same_start(Phase::Layer, MustNotBeFormatted));
        drop(span);
        timings.add_cargo_page(CargoPage { name: "app".to_owned(), path: "/t/page.html".into() });
        assert_eq!((timings.recorded(), timings.cargo_pages()), (None, Vec::new()));
    }

    #[test]
    fn overlapping_spans_are_recorded() {
        let timings = Timings::enabled();
        let cargo = timings.span(Phase::Cargo, "cargo");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut layer = timings.span(Phase::Layer, format_args!("layer of {}", "a"));
                layer.bytes(7);
                layer.note("kept");
            });
        });
        drop(cargo.span_from_same_start(Phase::Binary, "a"));
        drop(cargo);
        let (whole, spans) = timings.recorded().unwrap();
        let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["cargo", "a", "layer of a"], "spans are sorted by phase");
        let [cargo, binary, layer] = &spans[..] else { unreachable!() };
        assert_eq!((binary.start, layer.bytes, layer.note), (cargo.start, Some(7), Some("kept")));
        assert!(cargo.start <= layer.start && layer.end <= cargo.end && binary.end <= cargo.end && cargo.end <= whole);
    }
}
