//! Explains why a build failed, from cargo's own messages: the crate, what it lacks, and the line to add or the package to
//! install. Knows nothing of how cargo was run.

pub(crate) mod build_script;
pub(crate) mod cargo_errors;
pub(crate) mod explanation;
pub(crate) mod libraries;
pub(crate) mod linking;
pub(crate) mod missing_binaries;
#[cfg(test)]
mod tests;

use self::cargo_errors::{CargoError, CargoErrors};
use self::explanation::{Explanation, FailureContext};
use super::std_library::BUILD_IT;

/// A crate that failed, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedCrate {
    pub name: String,
    /// The targets that it failed for. Empty if cargo does not print them.
    pub triples: Vec<String>,
    pub explanation: Explanation,
}

/// The crates whose failure is understood, each once for every reason.
pub(crate) fn explain(errors: &CargoErrors, context: FailureContext<'_>) -> Vec<FailedCrate> {
    let mut crates: Vec<FailedCrate> = Vec::new();
    for error in errors.iter() {
        let triples = error.triples(context.triples);
        let context =
            FailureContext { triples: if triples.is_empty() { context.triples } else { &triples }, ..context };
        let Some(explanation) = explain_error(error, &context) else { continue };
        let name = error.name.clone().unwrap_or_else(|| "a crate".to_owned());
        let triples = triples.iter().map(|triple| (*triple).to_owned());
        let is_same = |other: &&mut FailedCrate| other.name == name && other.explanation.reason == explanation.reason;
        match crates.iter_mut().find(is_same) {
            Some(known) => {
                known.triples.extend(triples);
                for hint in explanation.hints {
                    if !known.explanation.hints.contains(&hint) {
                        known.explanation.hints.push(hint);
                    }
                }
            }
            None => crates.push(FailedCrate { name, triples: triples.collect(), explanation }),
        }
    }
    crates
}

fn explain_error(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    if let Some(explanation) = machine_or_target(error, context) {
        Some(explanation)
    } else if error.is_script() {
        build_script::explain(error, context)
    } else if error.is_link() {
        linking::explain(error, context)
    } else {
        None
    }
}

/// The hint for a machine that is short of memory.
pub(crate) const FEWER_JOBS: &str =
    "run fewer compilers at a time: `--jobs 1`; `dmesg` says whether the kernel killed it (out of memory)";

/// Does rustc miss 64-bit atomics: in `use`, as a type, or in a path?
fn lacks_64_bit_atomics(error: &CargoError) -> bool {
    ["AtomicU64", "AtomicI64"].iter().any(|name| {
        let messages = [
            "no `NAME` in `sync::atomic`",
            "cannot find type `NAME` in module `atomic`",
            "could not find `NAME` in `atomic`",
        ];
        messages.iter().any(|message| error.has(&message.replace("NAME", name)))
    })
}

/// Explains an error that is not about a linker or a build script: memory, disk, a standard library, a target's
/// instructions.
fn machine_or_target(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    // A linker writes to a mapped file, and gets a signal where the disk is full.
    let full = ["No space left on device", "signal 7 [Bus error]", "(signal: 7, SIGBUS"];
    if full.iter().any(|sign| error.has(sign)) {
        return Some(Explanation::new(
            "had no room on the disk",
            ["make room: `df -h` says where there is none, `cargo clean` makes some"],
        ));
    }
    if ["(signal: 9, SIGKILL", "signal 9 [Killed]"].iter().any(|sign| error.has(sign)) {
        return Some(Explanation::new("was killed while it compiled, most likely for want of memory", [FEWER_JOBS]));
    }
    if lacks_64_bit_atomics(error) && context.triples.iter().any(|triple| triple.starts_with("armv5te-")) {
        return Some(Explanation::new(
            "uses atomics of 64 bits, which the target does not have",
            [
                "take a version of the crate that does without, or its feature for `portable-atomic` where it has one",
                "or leave the platform out: `platforms`, `--platform`",
            ],
        ));
    }
    if error.has("error[E0463]: can't find crate for `std`") || error.has("error[E0463]: can't find crate for `core`") {
        let target = error.between("the `", "` target may not be installed").unwrap_or("…");
        return Some(Explanation::new(
            format!("finds no standard library for {target}"),
            [format!("install it: `rustup target add {target}`"), BUILD_IT.to_owned()],
        ));
    }
    None
}
