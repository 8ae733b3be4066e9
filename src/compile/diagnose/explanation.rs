//! Types for explanations of build failures, and for the context that they are based on.

use std::collections::BTreeMap;

use crate::compile::linker::types::Linker;

/// The reason for a failure, with hints for fixing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    /// The reason, phrased to follow the crate's name, as in "requires cmake, which is not installed".
    pub reason: String,
    pub hints: Vec<String>,
}

impl Explanation {
    pub(crate) fn new(reason: impl Into<String>, hints: impl IntoIterator<Item = impl Into<String>>) -> Explanation {
        Explanation { reason: reason.into(), hints: hints.into_iter().map(Into::into).collect() }
    }
}

/// Information about a cargo run that is missing from its output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailureContext<'a> {
    /// The targets that an error refers to.
    pub triples: &'a [&'a str],
    /// The target triple of this machine.
    pub host: &'a str,
    /// The requested minimum glibc version.
    pub glibc: Option<&'a str>,
    /// The linker of each target.
    pub linkers: &'a BTreeMap<&'a str, &'a Linker>,
}

impl FailureContext<'_> {
    /// Returns a hint to use zig: `advice`, or a different hint if cargo's configuration sets the linker. Returns
    /// `None` if zig is already used.
    pub(crate) fn zig_hint(&self, advice: &str) -> Option<String> {
        let linkers: Vec<&Linker> =
            self.triples.iter().filter_map(|triple| self.linkers.get(triple).copied()).collect();
        let configured = linkers.iter().find_map(|linker| match linker {
            Linker::Configured(name) => Some(name),
            _ => None,
        });
        if let Some(name) = configured {
            return Some(format!(
                "to use zig or gcc, remove the linker {name} from cargo's configuration, which overrides `--linker`"
            ));
        }
        let is_zig = !linkers.is_empty() && linkers.iter().all(|linker| **linker == Linker::Zig);
        if is_zig { None } else { Some(advice.to_owned()) }
    }
}
