//! What is said where binaries are missing: which, for whom, because of what, and what to do. Pure.

use std::collections::BTreeSet;

use super::explain::{self, About, Blocks, Reason};
use super::runs::Run;
use super::short;
use crate::error::{Class, Failure};
use crate::plan::{Binary, BuildSettings, Plan};
use crate::platform::Platform;

/// The failure of a run that lacks `missing`; `said` are cargo's errors, `ended` is how it ended.
pub fn of(
    said: &Blocks,
    ended: &str,
    run: &Run,
    missing: &[(&BuildSettings, &Binary)],
    plan: &Plan,
    host: &str,
) -> Failure {
    let failed: BTreeSet<&str> = missing.iter().map(|(build, _)| build.triple.as_str()).collect();
    let failed: Vec<&str> = failed.into_iter().collect();
    let glibc = run.builds.iter().find_map(|build| build.glibc.as_deref());
    let reasons = explain::explain(said, About { triples: &failed, host, glibc });
    let because = because(said, ended, &reasons, &failed);
    let message = match missing.is_empty() {
        true => because,
        false => {
            let binaries: BTreeSet<&str> = missing.iter().map(|(_, binary)| binary.name.as_str()).collect();
            let targets: BTreeSet<String> = missing.iter().map(|(build, _)| named(build)).collect();
            let binaries = binaries.into_iter().collect::<Vec<_>>().join(", ");
            format!("{binaries} did not compile for {}: {because}", targets.into_iter().collect::<Vec<_>>().join("; "))
        }
    };
    let mut failure = Failure::new(Class::Compile, message);
    let mut hints: Vec<&str> = Vec::new();
    for hint in reasons.iter().flat_map(|reason| &reason.why.hints) {
        if !hints.contains(&hint.as_str()) {
            hints.push(hint);
            failure = failure.hint(hint.as_str());
        }
    }
    // Of cargo itself.
    if ended == "signal 9" {
        failure = failure.hint(explain::FEWER_JOBS);
    }
    failure = failure.hint(format!(
        "cargo's own message is above; for this alone run it again with `-v{}`",
        platforms_flag(plan, missing)
    ));
    let unexplained = |name: &Option<String>| reasons.iter().all(|reason| Some(&reason.name) != name.as_ref());
    match said.iter().any(|block| block.is_link() && unexplained(&block.name)) {
        true => failure.hint("another linker may do: `--linker zig` (`pip install ziglang`) or `--linker gcc`"),
        false => failure,
    }
}

/// The reasons that are known, each with its crate and, where not all that failed have it, its platform; else the
/// crates; else how cargo ended.
fn because(said: &Blocks, ended: &str, reasons: &[Reason], failed: &[&str]) -> String {
    let known = |reason: &Reason| {
        let on = match reason.triples.is_empty() || reason.triples.len() == failed.len() {
            true => String::new(),
            false => {
                format!(" ({})", reason.triples.iter().map(|it| Platform::name_for(it)).collect::<Vec<_>>().join(", "))
            }
        };
        format!("`{}`{on} {}", reason.name, reason.why.what)
    };
    let explained: Vec<String> = reasons.iter().map(known).collect();
    let others = said.crates().into_iter().filter(|name| reasons.iter().all(|reason| reason.name != *name));
    let others = others.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (explained.is_empty(), others.is_empty()) {
        (true, true) => format!("cargo ended with {ended}"),
        (true, false) => format!("in {others}"),
        (false, true) => explained.join("; "),
        (false, false) => format!("{}; and in {others}", explained.join("; ")),
    }
}

fn platforms_flag(plan: &Plan, missing: &[(&BuildSettings, &Binary)]) -> String {
    let platforms: BTreeSet<&str> = plan
        .platforms()
        .filter(|platform| missing.iter().any(|(build, _)| **build == platform.build))
        .map(|platform| platform.platform.name())
        .collect();
    platforms.into_iter().map(|platform| format!(" --platform {platform}")).collect()
}

fn named(build: &BuildSettings) -> String {
    format!("{} ({})", short(build), build.triple)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "aarch64-unknown-linux-musl";
    const AMD64: &str = "x86_64-unknown-linux-musl";

    #[test]
    fn the_reason_its_crate_and_its_platform() {
        let script = |name: &str, triple: &str, words: &str| {
            format!("error: failed to run custom build command for `{name} v1`\n  TARGET = {triple}\n  {words}\n")
        };
        let perl = "Command 'perl' not found";
        for (lines, expected) in [
            (script("ring", ARM64, "no"), "in `ring`"),
            (String::new(), "cargo ended with exit code 101"),
            (script("a", ARM64, perl), "`a` (linux/arm64) runs perl, which is not installed"),
            (script("a", ARM64, perl) + &script("a", AMD64, perl), "`a` runs perl, which is not installed"),
            (script("a", "", perl) + &script("b", ARM64, "no"), "`a` runs perl, which is not installed; and in `b`"),
        ] {
            let mut said = Blocks::default();
            lines.lines().for_each(|line| said.push(line));
            let reasons = explain::explain(&said, About { triples: &[ARM64, AMD64], host: "", glibc: None });
            assert_eq!(because(&said, "exit code 101", &reasons, &[ARM64, AMD64]), expected, "{lines}");
        }
    }
}
