//! Checks the Rust toolchain, and the standard library and linker for each target triple.

use anyhow::Result;
use indexmap::IndexMap;

use super::check_result::CheckResult;
use super::fix::Fix;
use super::results::Results;
use crate::commands::prepare::compile_request;
use crate::compile::requirement::{Problem, Requirement};
use crate::compile::std_library;
use crate::compile::toolchain::{Toolchain, ToolchainCheck};
use crate::error::Failure;
use crate::plan::{Build, Plan};
use crate::platform::Platform;
use crate::process::find_program;

pub(crate) fn check(plan: &Plan, results: &mut Results) -> Result<()> {
    let (toolchain, mut problems) = match Toolchain::check(compile_request(plan)) {
        Ok(ToolchainCheck { toolchain, problems }) => (toolchain, Problems(problems)),
        Err(error) => return Ok(results.add_error("rust", error)?),
    };
    let rust = &toolchain.facts.rust;
    results.add(CheckResult::ok("rust", format!("rustc {} for {}", rust.version, rust.host)));
    if find_program("cc").is_none() {
        results.add(
            CheckResult::warning("rust", "`cc` not found; rustc needs it to link build scripts and proc macros")
                .with_fix("install a C compiler: `apt-get install gcc`"),
        );
    }
    problems.report(None, &[Requirement::LockFile, Requirement::Auditable], results)?;
    for note in toolchain.notes.iter().cloned().chain(toolchain.advice()) {
        results.add(CheckResult::note("rust", note));
    }
    let missing_std = toolchain.missing_std();
    let mut is_installable = false;
    for (triple, builds) in &builds_by_triple(plan) {
        let has_problem = problems.report(Some(triple), &[Requirement::Target, Requirement::Std], results)?;
        if missing_std.contains(triple) {
            is_installable |= check_installable(triple, plan.cargo.offline, results)?;
        } else if !has_problem {
            let is_compiled = builds.iter().all(|build| build.settings.build_std);
            let source = if is_compiled { "compiled from source (build-std)" } else { "installed" };
            results.add(CheckResult::ok("std", format!("{}: {source}", Platform::describe_triple(triple))));
        }
        let required = [Requirement::TargetCpu, Requirement::SupportedCrates, Requirement::SystemLibraries];
        problems.report(Some(triple), &required, results)?;
        for build in builds {
            if let Some(selection) = toolchain.linkers.get(&build.settings) {
                let message = format!("{}: {}: {}", build.name(), selection.linker, selection.why);
                results.add(CheckResult::ok("linker", message));
            }
        }
        problems.report(Some(triple), &[Requirement::Linker], results)?;
    }
    if toolchain.needs_zig() && !plan.cargo.offline {
        results.fixes.push(Fix::InstallZig(plan.paths.cache_dir.clone()));
    }
    if is_installable {
        results.fixes.push(Fix::InstallStd(Box::new(toolchain)));
    }
    Ok(())
}

fn builds_by_triple(plan: &Plan) -> IndexMap<String, Vec<Build>> {
    let mut by_triple: IndexMap<String, Vec<Build>> = IndexMap::new();
    for build in plan.unique_builds() {
        by_triple.entry(build.settings.triple.clone()).or_default().push(build);
    }
    by_triple
}

/// Checks whether the missing standard library for a triple can be installed, and adds the outcome to the results.
/// Returns whether it can be installed.
fn check_installable(triple: &str, is_offline: bool, results: &mut Results) -> Result<bool, Failure> {
    match std_library::find_rustup(&[triple.to_owned()], is_offline) {
        Ok(_) => {
            let message = format!("{}: missing, but `publish` will install it", Platform::describe_triple(triple));
            results.add(CheckResult::warning("std", message).with_fix(format!("`rustup target add {triple}`")));
            Ok(true)
        }
        Err(failure) => {
            results.add_error("std", failure)?;
            Ok(false)
        }
    }
}

/// Problems that have not been reported yet.
struct Problems(Vec<Problem>);

impl Problems {
    /// Moves the problems that match `triple` and `requirements` to the results. Returns whether there were any.
    fn report(
        &mut self,
        triple: Option<&str>,
        requirements: &[Requirement],
        results: &mut Results,
    ) -> Result<bool, Failure> {
        let is_reported =
            |problem: &mut Problem| problem.triple.as_deref() == triple && requirements.contains(&problem.requirement);
        let mut has_problem = false;
        for Problem { requirement, failure, .. } in self.0.extract_if(.., is_reported) {
            results.add_error(subject(requirement), failure)?;
            has_problem = true;
        }
        Ok(has_problem)
    }
}

fn subject(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Target | Requirement::Std => "std",
        Requirement::LockFile => "workspace",
        Requirement::SupportedCrates | Requirement::SystemLibraries => "crates",
        Requirement::Linker => "linker",
        Requirement::TargetCpu | Requirement::Auditable => "rust",
    }
}
