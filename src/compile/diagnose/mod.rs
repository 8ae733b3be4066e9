//! What a failed build wanted and did not have, from cargo's own words: the crate, the thing, and the line to add or the
//! package to install. Pure; knows nothing of how cargo was run.

pub mod build_script;
pub mod cargo_errors;
pub mod libraries;
pub mod linking;
pub mod missing_binaries;
#[cfg(test)]
mod tests;

pub use cargo_errors::CargoErrors;

use std::collections::BTreeMap;

use self::cargo_errors::CargoError;
use super::linker::choice::Linker;
use super::std_library::BUILD_IT;

/// One reason for a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What the crate does or lacks: the rest of a sentence that begins with its name.
    pub what: String,
    pub hints: Vec<String>,
}

fn because(what: impl Into<String>, hints: impl IntoIterator<Item = impl Into<String>>) -> Explanation {
    Explanation { what: what.into(), hints: hints.into_iter().map(Into::into).collect() }
}

/// What a failure is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The targets.
    pub triples: &'a [&'a str],
    /// This machine's own target.
    pub host: &'a str,
    /// The floor that was asked for.
    pub glibc: Option<&'a str>,
    /// What links for each target.
    pub linkers: &'a BTreeMap<&'a str, &'a Linker>,
}

impl About<'_> {
    /// Advice to take zig: none where it is what links, and other advice where cargo's configuration decides.
    pub fn by_zig(&self, advice: &str) -> Option<String> {
        let linkers: Vec<&Linker> =
            self.triples.iter().filter_map(|triple| self.linkers.get(triple).copied()).collect();
        let configured = linkers.iter().find_map(|linker| match linker {
            Linker::Configured(name) => Some(name),
            _ => None,
        });
        match configured {
            Some(name) => Some(format!(
                "cargo's configuration names {name}, which wins over `--linker`: without it zig or gcc is chosen"
            )),
            None if !linkers.is_empty() && linkers.iter().all(|linker| **linker == Linker::Zig) => None,
            None => Some(advice.to_owned()),
        }
    }
}

/// A reason, the crate that has it, and the targets it is about; none where that is not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub name: String,
    pub triples: Vec<String>,
    pub why: Explanation,
}

/// The reasons that are recognised, each once.
pub fn explain(blocks: &CargoErrors, run: About<'_>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for block in blocks.iter() {
        let said = block.triples(run.triples);
        let about = About { triples: if said.is_empty() { run.triples } else { &said }, ..run };
        let by_kind = || match block.is_script() {
            true => build_script::explain(block, &about),
            false => block.is_link().then(|| linking::explain(block, &about)).flatten(),
        };
        let Some(why) = elsewhere(block, &about).or_else(by_kind) else { continue };
        let name = block.name.clone().unwrap_or_else(|| "a crate".to_owned());
        let triples = said.iter().map(|triple| (*triple).to_owned());
        match reasons.iter_mut().find(|reason| reason.name == name && reason.why.what == why.what) {
            Some(reason) => {
                reason.triples.extend(triples);
                let new = why.hints.into_iter().filter(|hint| !reason.why.hints.contains(hint)).collect::<Vec<_>>();
                reason.why.hints.extend(new);
            }
            None => reasons.push(Reason { name, triples: triples.collect(), why }),
        }
    }
    reasons
}

/// What to do where memory is short.
pub const FEWER_JOBS: &str =
    "run fewer compilers at a time: `--jobs 1`; `dmesg` says whether the kernel killed it (out of memory)";

/// rustc's words where a module of atomics lacks one: in `use`, as a type, in a path.
fn has_atomics_of_64_bits(block: &CargoError) -> bool {
    ["AtomicU64", "AtomicI64"].iter().any(|name| {
        let lacks = [
            "no `NAME` in `sync::atomic`",
            "cannot find type `NAME` in module `atomic`",
            "could not find `NAME` in `atomic`",
        ];
        lacks.iter().any(|words| block.has(&words.replace("NAME", name)))
    })
}

/// What no linker and no build script is to blame for: memory, disk, a standard library, a target's instructions.
fn elsewhere(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    // A linker writes to a mapped file, and gets a signal where the disk is full.
    let full = ["No space left on device", "signal 7 [Bus error]", "(signal: 7, SIGBUS"];
    if full.iter().any(|sign| block.has(sign)) {
        return Some(because(
            "had no room on the disk",
            ["make room: `df -h` says where there is none, `cargo clean` makes some"],
        ));
    }
    if ["(signal: 9, SIGKILL", "signal 9 [Killed]"].iter().any(|sign| block.has(sign)) {
        return Some(because("was killed while it compiled, most likely for want of memory", [FEWER_JOBS]));
    }
    if has_atomics_of_64_bits(block) && about.triples.iter().any(|triple| triple.starts_with("armv5te-")) {
        return Some(because(
            "uses atomics of 64 bits, which the target does not have",
            [
                "take a version of the crate that does without, or its feature for `portable-atomic` where it has one",
                "or leave the platform out: `platforms`, `--platform`",
            ],
        ));
    }
    if block.has("error[E0463]: can't find crate for `std`") || block.has("error[E0463]: can't find crate for `core`") {
        let target = block.between("the `", "` target may not be installed").unwrap_or("…");
        return Some(because(
            format!("finds no standard library for {target}"),
            [format!("install it: `rustup target add {target}`"), BUILD_IT.to_owned()],
        ));
    }
    None
}
