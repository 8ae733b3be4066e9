//! What is said where binaries are missing: which, for whom, because of what, and what to do. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;

use super::{About, CargoErrors, Reason};
use crate::compile::cargo_command::CargoRun;
use crate::compile::diagnose;
use crate::compile::toolchain::Toolchain;
use crate::error::{Class, Failure};
use crate::plan::{Binary, BuildSettings, Plan};
use crate::process::{ended, was_killed};

/// The failure of a run that lacks `missing`; `said` are cargo's errors, `status` is how it ended.
pub fn of(
    said: &CargoErrors,
    status: ExitStatus,
    run: &CargoRun,
    missing: &[(&BuildSettings, &Binary)],
    plan: &Plan,
    toolchain: &Toolchain,
) -> Failure {
    let failed: BTreeMap<&str, String> =
        missing.iter().map(|(build, _)| (build.triple.as_str(), plan.name_of(build))).collect();
    let triples: Vec<&str> = failed.keys().copied().collect();
    let glibc = run.builds.iter().find_map(|build| build.glibc.as_deref());
    let linkers =
        missing.iter().filter_map(|(build, _)| Some((build.triple.as_str(), &toolchain.choices.get(*build)?.linker)));
    let about = About { triples: &triples, host: &toolchain.tools.host, glibc, linkers: &linkers.collect() };
    let reasons = diagnose::explain(said, about);
    let because = because(said, &ended(status), &reasons, &failed);
    let message = match missing.is_empty() {
        true => because,
        false => {
            let binaries: BTreeSet<&str> = missing.iter().map(|(_, binary)| binary.name.as_str()).collect();
            let mut targets: Vec<String> = failed.iter().map(|(triple, name)| format!("{name} ({triple})")).collect();
            targets.sort_unstable();
            let binaries = binaries.into_iter().collect::<Vec<_>>().join(", ");
            format!("{binaries} did not compile for {}: {because}", targets.join("; "))
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
    if was_killed(status) {
        failure = failure.hint(diagnose::FEWER_JOBS);
    }
    failure = failure.hint(format!(
        "cargo's own message is above; for this alone run it again with `-v{}`",
        platforms_flag(plan, missing)
    ));
    let unexplained = |name: &Option<String>| reasons.iter().all(|reason| Some(&reason.name) != name.as_ref());
    let another = || about.by_zig("another linker may do: `--linker zig` (`pip install ziglang`) or `--linker gcc`");
    match said.iter().any(|block| block.is_link() && unexplained(&block.name)) {
        true => failure.hint(another().unwrap_or_else(|| "another linker may do: `--linker gcc`".to_owned())),
        false => failure,
    }
}

/// The reasons that are known, each with its crate and, where not all that failed have it, its platform; else the
/// crates; else how cargo ended. `failed` are the platforms by their triples.
fn because(said: &CargoErrors, ended: &str, reasons: &[Reason], failed: &BTreeMap<&str, String>) -> String {
    let known = |reason: &Reason| {
        let on = match reason.triples.is_empty() || reason.triples.len() == failed.len() {
            true => String::new(),
            false => {
                let names = reason.triples.iter().map(|triple| failed.get(triple.as_str()).unwrap_or(triple).as_str());
                format!(" ({})", names.collect::<Vec<_>>().join(", "))
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

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "aarch64-unknown-linux-musl";
    const AMD64: &str = "x86_64-unknown-linux-musl";

    #[test]
    fn the_reason_its_crate_and_its_platform() {
        let failed = BTreeMap::from([(ARM64, "linux/arm64".to_owned()), (AMD64, "linux/amd64/v3".to_owned())]);
        let script = |name: &str, triple: &str, words: &str| {
            format!("error: failed to run custom build command for `{name} v1`\n  TARGET = {triple}\n  {words}\n")
        };
        let perl = "Command 'perl' not found";
        for (lines, expected) in [
            (script("ring", ARM64, "no"), "in `ring`"),
            (String::new(), "cargo ended with exit code 101"),
            (script("a", ARM64, perl), "`a` (linux/arm64) runs perl, which is not installed"),
            (script("a", AMD64, perl), "`a` (linux/amd64/v3) runs perl, which is not installed"),
            (script("a", ARM64, perl) + &script("a", AMD64, perl), "`a` runs perl, which is not installed"),
            (script("a", "", perl) + &script("b", ARM64, "no"), "`a` runs perl, which is not installed; and in `b`"),
        ] {
            let mut said = CargoErrors::default();
            lines.lines().for_each(|line| said.push(line));
            let reasons = diagnose::explain(
                &said,
                About { triples: &[ARM64, AMD64], host: "", glibc: None, linkers: &BTreeMap::new() },
            );
            assert_eq!(because(&said, "exit code 101", &reasons, &failed), expected, "{lines}");
        }
    }
}
