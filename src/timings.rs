//! Where the time of a run goes: what was under way, from when to when, noted by whoever does it. Off, it costs nothing.

use std::fmt::Display;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::threads::lock;

/// What kind of work it was, in the order in which a run comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// What is found out and made ready before the compiler starts.
    Prepare,
    Base,
    /// A cargo process.
    Cargo,
    /// From the start of its cargo process until a binary was there.
    Binary,
    Layer,
    /// A layout, from layers or by buildx.
    Layout,
    Upload,
    Verify,
    Smoke,
    /// Copies of a layout for elsewhere.
    Output,
    Publish,
}

/// Some work, from its start to its end; both since the run began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub phase: Phase,
    pub name: String,
    pub start: Duration,
    pub end: Duration,
    pub bytes: Option<u64>,
    /// Of the blob that it made or sent.
    pub digest: Option<String>,
    pub note: Option<&'static str>,
}

/// What a run notes of its time.
#[derive(Debug, Default)]
pub struct Timings(Option<Recorder>);

#[derive(Debug)]
struct Recorder {
    began: Instant,
    spans: Mutex<Vec<Span>>,
}

impl Timings {
    /// Notes everything from now on.
    pub fn enabled() -> Timings {
        Timings(Some(Recorder { began: Instant::now(), spans: Mutex::default() }))
    }

    /// Something begins; it ends when what comes back is dropped.
    pub fn span(&self, phase: Phase, name: impl Display) -> OpenSpan<'_> {
        OpenSpan(self.0.as_ref().map(|recorder| (recorder, recorder.span(phase, recorder.began.elapsed(), name))))
    }

    /// How long the run has taken, and all that has ended, in the order of phases and starts; none where nothing is noted.
    pub fn recorded(&self) -> Option<(Duration, Vec<Span>)> {
        let recorder = self.0.as_ref()?;
        let mut spans = lock(&recorder.spans).clone();
        spans.sort_by_key(|span| (span.phase, span.start));
        Some((recorder.began.elapsed(), spans))
    }
}

impl Recorder {
    fn span(&self, phase: Phase, start: Duration, name: impl Display) -> Span {
        Span { phase, name: name.to_string(), start, end: start, bytes: None, digest: None, note: None }
    }
}

/// Work that is under way.
#[must_use = "it ends when this is dropped"]
pub struct OpenSpan<'a>(Option<(&'a Recorder, Span)>);

impl<'a> OpenSpan<'a> {
    /// Something else that began together with this.
    pub fn span_from_same_start(&self, phase: Phase, name: impl Display) -> OpenSpan<'a> {
        OpenSpan(self.0.as_ref().map(|(recorder, span)| (*recorder, recorder.span(phase, span.start, name))))
    }

    pub fn bytes(&mut self, bytes: u64) {
        self.add(|span| span.bytes = Some(bytes));
    }

    pub fn digest(&mut self, digest: impl Display) {
        self.add(|span| span.digest = Some(digest.to_string()));
    }

    pub fn note(&mut self, note: &'static str) {
        self.add(|span| span.note = Some(note));
    }

    fn add(&mut self, change: impl FnOnce(&mut Span)) {
        if let Some((_, span)) = &mut self.0 {
            change(span);
        }
    }
}

impl Drop for OpenSpan<'_> {
    fn drop(&mut self) {
        if let Some((recorder, mut span)) = self.0.take() {
            span.end = recorder.began.elapsed();
            lock(&recorder.spans).push(span);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that must not be asked for.
    struct Costly;

    impl Display for Costly {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it was written although nothing is noted")
        }
    }

    #[test]
    fn off_it_notes_nothing() {
        let timings = Timings::default();
        let mut span = timings.span(Phase::Layer, Costly);
        span.digest(Costly);
        drop(span.span_from_same_start(Phase::Layer, Costly));
        drop(span);
        assert_eq!(timings.recorded(), None);
    }

    #[test]
    fn what_overlaps_is_noted_as_it_was() {
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
        assert_eq!(names, ["cargo", "a", "layer of a"], "in the order of phases");
        let [cargo, binary, layer] = &spans[..] else { unreachable!() };
        assert_eq!((binary.start, layer.bytes, layer.note), (cargo.start, Some(7), Some("kept")));
        assert!(cargo.start <= layer.start && layer.end <= cargo.end && binary.end <= cargo.end && cargo.end <= whole);
    }
}
