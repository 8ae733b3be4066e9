//! Reports which binaries a failed cargo process did not produce, for which platforms, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitStatus;

use super::cargo_errors::CargoErrors;
use super::explanation::FailureContext;
use super::{FEWER_JOBS, FailedCrate, explain};
use crate::compile::cargo_command::CargoRun;
use crate::compile::linker::types::Linker;
use crate::compile::zig_package::use_zig;
use crate::error::{Class, Failure};
use crate::plan::{Binary, Build};
use crate::process::{ended, was_killed};

/// A cargo process that failed or did not produce all binaries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedRun<'a> {
    pub errors: &'a CargoErrors,
    pub status: ExitStatus,
    /// The target triple of this machine.
    pub host: &'a str,
    pub run: &'a CargoRun,
    pub missing: &'a [MissingBinary<'a>],
}

/// A requested binary that cargo did not produce.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MissingBinary<'a> {
    pub build: &'a Build,
    pub binary: &'a Binary,
    pub linker: Option<&'a Linker>,
}

impl MissingBinary<'_> {
    fn triple(&self) -> &str {
        &self.build.settings.triple
    }
}

impl FailedRun<'_> {
    pub(crate) fn into_failure(self) -> Failure {
        let failed: BTreeMap<&str, String> =
            self.missing.iter().map(|missing| (missing.triple(), missing.build.name())).collect();
        let triples: Vec<&str> = failed.keys().copied().collect();
        let linkers = self.missing.iter().filter_map(|missing| Some((missing.triple(), missing.linker?))).collect();
        let context =
            FailureContext { triples: &triples, host: self.host, glibc: self.glibc_floor(), linkers: &linkers };
        let explained = explain(self.errors, context);
        let reason = reason(self.errors, &ended(self.status), &explained, &failed);
        let mut failure = Failure::new(Class::Compile, self.message(&failed, &reason));
        for hint in self.hints(&explained, context) {
            failure = failure.hint(hint);
        }
        failure
    }

    fn glibc_floor(&self) -> Option<&str> {
        let with_floor = self.run.builds.iter().filter(|build| build.settings.glibc.is_some());
        with_floor.min().and_then(|build| build.settings.glibc.as_deref())
    }

    fn message(&self, failed: &BTreeMap<&str, String>, reason: &str) -> String {
        if self.missing.is_empty() {
            return reason.to_owned();
        }
        let binaries: BTreeSet<&str> = self.missing.iter().map(|missing| missing.binary.name.as_str()).collect();
        let binaries = binaries.into_iter().collect::<Vec<_>>().join(", ");
        let mut targets: Vec<String> =
            failed.iter().map(|(triple, platforms)| format!("{platforms} ({triple})")).collect();
        targets.sort_unstable();
        format!("failed to compile {binaries} for {}: {reason}", targets.join("; "))
    }

    fn hints(&self, explained: &[FailedCrate], context: FailureContext<'_>) -> Vec<String> {
        let mut hints: Vec<String> = Vec::new();
        for hint in explained.iter().flat_map(|failed| &failed.explanation.hints) {
            if !hints.contains(hint) {
                hints.push(hint.clone());
            }
        }
        if was_killed(self.status) {
            hints.push(FEWER_JOBS.to_owned());
        }
        hints.push(format!("see cargo's output above, or run the command again with `-v{}`", self.platform_flags()));
        let is_explained = |name: &Option<String>| explained.iter().any(|failed| Some(&failed.name) == name.as_ref());
        if self.errors.iter().any(|error| error.is_link() && !is_explained(&error.name)) {
            let hint = context.zig_hint(&use_zig("try `--linker gcc`, or zig"));
            hints.push(hint.unwrap_or_else(|| "try another linker: `--linker gcc`".to_owned()));
        }
        hints
    }

    fn platform_flags(&self) -> String {
        let platforms: BTreeSet<&str> =
            self.missing.iter().flat_map(|missing| &missing.build.platforms).map(|platform| platform.name()).collect();
        platforms.into_iter().map(|platform| format!(" --platform {platform}")).collect()
    }
}

/// Describes why cargo failed. Lists the explained crates first, each with its platforms unless it failed for all of
/// them, and then the other failed crates. If cargo named no crate, describes the exit status instead. `failed` maps
/// triples to platform names.
fn reason(errors: &CargoErrors, ended: &str, explained: &[FailedCrate], failed: &BTreeMap<&str, String>) -> String {
    let describe = |FailedCrate { name, triples, explanation }: &FailedCrate| {
        if triples.is_empty() || triples.len() == failed.len() {
            return format!("`{name}` {}", explanation.reason);
        }
        let platforms = triples.iter().map(|triple| failed.get(triple.as_str()).unwrap_or(triple).as_str());
        format!("`{name}` ({}) {}", platforms.collect::<Vec<_>>().join(", "), explanation.reason)
    };
    let known = explained.iter().map(describe).collect::<Vec<_>>().join("; ");
    let others = errors.crates().into_iter().filter(|name| explained.iter().all(|failed| failed.name != *name));
    let others = others.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match (known.is_empty(), others.is_empty()) {
        (true, true) => format!("cargo failed with {ended}"),
        (true, false) => format!("error in {others}"),
        (false, true) => known,
        (false, false) => format!("{known}; error in {others}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARM64: &str = "aarch64-unknown-linux-musl";
    const AMD64: &str = "x86_64-unknown-linux-musl";

    #[test]
    fn reason_names_the_crate_and_its_platforms() {
        let failed = BTreeMap::from([(ARM64, "linux/arm64".to_owned()), (AMD64, "linux/amd64/v3".to_owned())]);
        let script = |name: &str, triple: &str, message: &str| {
            format!("error: failed to run custom build command for `{name} v1`\n  TARGET = {triple}\n  {message}\n")
        };
        let perl = "Command 'perl' not found";
        for (lines, expected) in [
            (script("ring", ARM64, "no"), "error in `ring`"),
            (String::new(), "cargo failed with exit code 101"),
            (script("a", ARM64, perl), "`a` (linux/arm64) requires perl, which is not installed"),
            (script("a", AMD64, perl), "`a` (linux/amd64/v3) requires perl, which is not installed"),
            (script("a", ARM64, perl) + &script("a", AMD64, perl), "`a` requires perl, which is not installed"),
            (
                script("a", "", perl) + &script("b", ARM64, "no"),
                "`a` requires perl, which is not installed; error in `b`",
            ),
        ] {
            let mut errors = CargoErrors::default();
            lines.lines().for_each(|line| errors.push(line));
            let linkers = BTreeMap::new();
            let context = FailureContext { triples: &[ARM64, AMD64], host: "", glibc: None, linkers: &linkers };
            let explained = explain(&errors, context);
            assert_eq!(reason(&errors, "exit code 101", &explained, &failed), expected, "{lines}");
        }
    }
}
