//! Why a crate failed to compile, and what is known about the run that it failed in.

use std::collections::BTreeMap;

use crate::compile::linker::selection::Linker;

/// A reason for a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// What the crate does or lacks: the rest of a sentence that begins with its name.
    pub reason: String,
    pub hints: Vec<String>,
}

impl Explanation {
    pub(crate) fn new(reason: impl Into<String>, hints: impl IntoIterator<Item = impl Into<String>>) -> Explanation {
        Explanation { reason: reason.into(), hints: hints.into_iter().map(Into::into).collect() }
    }
}

/// What is known about the run, apart from cargo's output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureContext<'a> {
    /// The targets that an error is about.
    pub triples: &'a [&'a str],
    /// This machine's own target.
    pub host: &'a str,
    /// The requested glibc floor.
    pub glibc: Option<&'a str>,
    /// The linker of each target.
    pub linkers: &'a BTreeMap<&'a str, &'a Linker>,
}

impl FailureContext<'_> {
    /// Advice to use zig: `None` if zig is the linker, and other advice if cargo's configuration decides.
    pub(crate) fn zig_hint(&self, advice: &str) -> Option<String> {
        let linkers: Vec<&Linker> =
            self.triples.iter().filter_map(|triple| self.linkers.get(triple).copied()).collect();
        let configured = linkers.iter().find_map(|linker| match linker {
            Linker::Configured(name) => Some(name),
            _ => None,
        });
        if let Some(name) = configured {
            return Some(format!(
                "cargo's configuration names {name}, which wins over `--linker`: without it zig or gcc is chosen"
            ));
        }
        let is_zig = !linkers.is_empty() && linkers.iter().all(|linker| **linker == Linker::Zig);
        if is_zig { None } else { Some(advice.to_owned()) }
    }
}
