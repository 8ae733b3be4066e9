//! Rust, and for every target triple of the plan its standard library and then what links for it.

use anyhow::Result;
use indexmap::IndexSet;

use super::Findings;
use super::check::Check;
use super::fix::Repair;
use crate::compile::requirement::Requirement;
use crate::compile::toolchain::Toolchain;
use crate::compile::{probe, std_library};
use crate::error::Failure;
use crate::plan::{BuildSettings, Plan};
use crate::platform::Platform;
use crate::process::find_program;

/// What is in the way of a triple; none is of all.
struct Obstacle {
    part: Requirement,
    triple: Option<String>,
    failure: Failure,
}

pub fn examine(plan: &Plan, findings: &mut Findings) -> Result<()> {
    let mut obstacles = Vec::new();
    let mut note = |part, triple: Option<&str>, failure| {
        obstacles.push(Obstacle { part, triple: triple.map(str::to_owned), failure });
        Ok(())
    };
    let toolchain = match probe::probe_with(plan, &mut note) {
        Ok(tools) => Toolchain::choose_with(plan, tools, &mut note)?,
        Err(error) => return Ok(findings.fail("rust", error)?),
    };
    let tools = &toolchain.tools;
    findings.add(Check::ok("rust", format!("rustc {} for {}", tools.rust_version, tools.host)));
    if find_program("cc").is_none() {
        findings.add(
            Check::warning("rust", "there is no cc, with which rustc links build scripts and proc macros")
                .fix("install a C compiler: `apt-get install gcc`"),
        );
    }
    tell(&mut obstacles, None, &[Requirement::LockFile, Requirement::Auditable], findings)?;
    let notes = toolchain.notes.iter().cloned().chain(toolchain.advice());
    notes.for_each(|note| findings.add(Check::note("rust", note)));
    let missing = toolchain.missing_std(plan);
    let mut is_installable = false;
    for triple in plan.builds().map(|build| build.triple.as_str()).collect::<IndexSet<_>>() {
        let builds: IndexSet<&BuildSettings> = plan.builds().filter(|build| build.triple == triple).collect();
        let name = Platform::describe_triple(triple);
        let is_told = tell(&mut obstacles, Some(triple), &[Requirement::Target, Requirement::Std], findings)?;
        if missing.iter().any(|missing| missing == triple) {
            match std_library::rustup(&[triple.to_owned()], plan.cargo.offline) {
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
        tell(&mut obstacles, Some(triple), &[Requirement::Crates], findings)?;
        for build in builds {
            if let Some(choice) = toolchain.choices.get(build) {
                let found = format!("{}: {}: {}", plan.name_of(build), choice.linker, choice.why);
                findings.add(Check::ok("linker", found));
            }
        }
        tell(&mut obstacles, Some(triple), &[Requirement::Linker], findings)?;
    }
    if is_installable {
        findings.repairs.push(Repair::Std(Box::new(plan.clone()), Box::new(tools.clone())));
    }
    Ok(())
}

/// Tells what is in the way of some parts, if anything is.
fn tell(
    obstacles: &mut Vec<Obstacle>,
    triple: Option<&str>,
    parts: &[Requirement],
    findings: &mut Findings,
) -> Result<bool, Failure> {
    let is_of = |obstacle: &mut Obstacle| obstacle.triple.as_deref() == triple && parts.contains(&obstacle.part);
    let told: Vec<Obstacle> = obstacles.extract_if(.., is_of).collect();
    let is_any = !told.is_empty();
    told.into_iter().try_for_each(|Obstacle { part, failure, .. }| findings.fail(subject(part), failure))?;
    Ok(is_any)
}

fn subject(part: Requirement) -> &'static str {
    match part {
        Requirement::Target | Requirement::Std => "std",
        Requirement::LockFile => "workspace",
        Requirement::Crates => "crates",
        Requirement::Linker => "linker",
        Requirement::Auditable => "rust",
    }
}
