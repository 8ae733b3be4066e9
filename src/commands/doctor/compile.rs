//! Rust, and for every target triple of the plan its standard library and then what links for it.

use anyhow::Result;
use indexmap::IndexSet;

use super::Findings;
use super::check::Check;
use super::fix::Repair;
use crate::compile::requirement::{Problem, Requirement};
use crate::compile::toolchain::{Toolchain, ToolchainCheck};
use crate::compile::{CompileRequest, std_library};
use crate::error::Failure;
use crate::plan::{BuildSettings, Plan};
use crate::platform::Platform;
use crate::process::find_program;

pub fn examine(plan: &Plan, findings: &mut Findings) -> Result<()> {
    let request =
        CompileRequest { builds: plan.unique_builds(), paths: plan.paths.clone(), options: plan.cargo.clone() };
    let ToolchainCheck { toolchain, mut problems } = match Toolchain::check(request) {
        Ok(check) => check,
        Err(error) => return Ok(findings.fail("rust", error)?),
    };
    let rust = &toolchain.facts.rust;
    findings.add(Check::ok("rust", format!("rustc {} for {}", rust.version, rust.host)));
    if find_program("cc").is_none() {
        findings.add(
            Check::warning("rust", "there is no cc, with which rustc links build scripts and proc macros")
                .fix("install a C compiler: `apt-get install gcc`"),
        );
    }
    tell(&mut problems, None, &[Requirement::LockFile, Requirement::Auditable], findings)?;
    let notes = toolchain.notes.iter().cloned().chain(toolchain.advice());
    notes.for_each(|note| findings.add(Check::note("rust", note)));
    let missing = toolchain.missing_std();
    let mut is_installable = false;
    for triple in plan.builds().map(|build| build.triple.as_str()).collect::<IndexSet<_>>() {
        let builds: IndexSet<&BuildSettings> = plan.builds().filter(|build| build.triple == triple).collect();
        let name = Platform::and_triple(triple);
        let is_told = tell(&mut problems, Some(triple), &[Requirement::Target, Requirement::Std], findings)?;
        if missing.iter().any(|missing| missing == triple) {
            match std_library::find_rustup(&[triple.to_owned()], plan.cargo.offline) {
                Ok(_) => {
                    let found = format!("{name}: missing; a publish installs it first");
                    findings.add(Check::warning("std", found).fix(format!("`rustup target add {triple}`")));
                    is_installable = true;
                }
                Err(failure) => findings.fail("std", failure)?,
            }
        } else if !is_told {
            let is_compiled = builds.iter().all(|build| build.build_std);
            let found = if is_compiled { "compiled along" } else { "installed" };
            findings.add(Check::ok("std", format!("{name}: {found}")));
        }
        tell(&mut problems, Some(triple), &[Requirement::Crates], findings)?;
        for build in builds {
            if let Some(choice) = toolchain.linkers.get(build) {
                let found = format!("{}: {}: {}", plan.name_of(build), choice.linker, choice.why);
                findings.add(Check::ok("linker", found));
            }
        }
        tell(&mut problems, Some(triple), &[Requirement::Linker], findings)?;
    }
    if is_installable {
        findings.repairs.push(Repair::Std(Box::new(toolchain)));
    }
    Ok(())
}

/// Tells what is in the way of some parts, if anything is.
fn tell(
    problems: &mut Vec<Problem>,
    triple: Option<&str>,
    parts: &[Requirement],
    findings: &mut Findings,
) -> Result<bool, Failure> {
    let is_of = |problem: &mut Problem| problem.triple.as_deref() == triple && parts.contains(&problem.requirement);
    let told: Vec<Problem> = problems.extract_if(.., is_of).collect();
    let is_any = !told.is_empty();
    for Problem { requirement, failure, .. } in told {
        findings.fail(subject(requirement), failure)?;
    }
    Ok(is_any)
}

fn subject(requirement: Requirement) -> &'static str {
    match requirement {
        Requirement::Target | Requirement::Std => "std",
        Requirement::LockFile => "workspace",
        Requirement::Crates => "crates",
        Requirement::Linker => "linker",
        Requirement::Auditable => "rust",
    }
}
