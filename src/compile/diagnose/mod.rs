//! Explains failed builds, based on cargo's output: which crate failed, what was missing, and how to fix it.

pub(crate) mod build_script;
pub(crate) mod cargo_errors;
pub(crate) mod explanation;
pub(crate) mod library_hints;
pub(crate) mod linking;
pub(crate) mod missing_binaries;
#[cfg(test)]
mod tests;

use self::cargo_errors::{CargoError, CargoErrors};
use self::explanation::{Explanation, FailureContext};
use super::std_library::BUILD_STD_HINT;

/// A crate that failed to compile, and the reason why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FailedCrate {
    pub name: String,
    /// The targets that the crate failed for. Empty if cargo's output does not mention any.
    pub triples: Vec<String>,
    pub explanation: Explanation,
}

/// Returns the crates whose failure can be explained, with one entry for each crate and reason.
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

/// The hint for machines with too little memory.
pub(crate) const FEWER_JOBS: &str =
    "run fewer compilers in parallel: `--jobs 1` (run `dmesg` to check whether the machine ran out of memory)";

/// Reports whether rustc could not find a 64-bit atomic type. The message depends on how the type is referenced.
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

/// Explains an error caused by the machine or the target: a full disk, too little memory, missing atomics, or a missing
/// standard library.
fn machine_or_target(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    // Linkers write to memory-mapped files, and receive SIGBUS if the disk is full.
    let full = ["No space left on device", "signal 7 [Bus error]", "(signal: 7, SIGBUS"];
    if full.iter().any(|sign| error.has(sign)) {
        return Some(Explanation::new(
            "ran out of disk space",
            ["free up disk space: find the full disk with `df -h`, or delete the target directory with `cargo clean`"],
        ));
    }
    if ["(signal: 9, SIGKILL", "signal 9 [Killed]"].iter().any(|sign| error.has(sign)) {
        return Some(Explanation::new(
            "was killed while compiling, most likely because the machine ran out of memory",
            [FEWER_JOBS],
        ));
    }
    if lacks_64_bit_atomics(error) && context.triples.iter().any(|triple| triple.starts_with("armv5te-")) {
        return Some(Explanation::new(
            "uses 64-bit atomics, which the target does not support",
            [
                "enable the crate's `portable-atomic` feature if it has one, or use a version that does not need \
                 64-bit atomics",
                "or exclude the platform: list only the others in `platforms` or `--platform`",
            ],
        ));
    }
    if error.has("error[E0463]: can't find crate for `std`") || error.has("error[E0463]: can't find crate for `core`") {
        let target = error.between("the `", "` target may not be installed").unwrap_or("…");
        return Some(Explanation::new(
            format!("cannot find the standard library for {target}"),
            [format!("install the standard library: `rustup target add {target}`"), BUILD_STD_HINT.to_owned()],
        ));
    }
    None
}
