//! Rust, and for every build of the plan its standard library and its linker.

use anyhow::Result;
use indexmap::IndexSet;

use super::Findings;
use super::check::Check;
use super::repair::Repair;
use crate::compile::{Part, Toolchain, stdlib, tools};
use crate::error::Failure;
use crate::plan::Plan;
use crate::platform::Platform;
use crate::process::find_program;

pub fn examine(plan: &Plan, findings: &mut Findings) -> Result<()> {
    let mut in_the_way = Vec::new();
    let mut note = |part, failure: Failure| {
        in_the_way.push((part, failure));
        Ok(())
    };
    let toolchain = match tools::probe_with(plan, &mut note) {
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
    let missing = toolchain.missing_std(plan);
    for (triple, facts) in &tools.targets {
        let compiled = plan.builds().filter(|build| build.triple == *triple).all(|build| build.build_std);
        match (compiled, facts.std) {
            (true, _) => findings.add(Check::ok("std", format!("{}: compiled along", Platform::and_triple(triple)))),
            (false, true) => findings.add(Check::ok("std", format!("{}: installed", Platform::and_triple(triple)))),
            // Told below, of all at once, or by what is in the way.
            (false, false) => {}
        }
    }
    match stdlib::installer(plan, tools) {
        Ok(None) => {}
        Ok(Some(_)) => {
            let names = missing.iter().map(|triple| Platform::and_triple(triple)).collect::<Vec<_>>().join("; ");
            let found = format!("missing for {names}; a publish installs it first");
            let repair = Repair::Std(Box::new(plan.clone()), Box::new(tools.clone()));
            findings.add(Check::warning("std", found).fix(format!("`{}`", repair.command())));
            findings.repairs.push(repair);
        }
        Err(failure) => findings.fail("std", failure)?,
    }
    for build in plan.builds().collect::<IndexSet<_>>() {
        if let Some(choice) = toolchain.choices.get(build) {
            findings.add(Check::ok("linker", format!("{}: {}: {}", plan.name_of(build), choice.linker, choice.why)));
        }
    }
    for (part, failure) in in_the_way {
        findings.fail(subject(part), failure)?;
    }
    let notes = toolchain.notes.iter().cloned().chain(toolchain.advice());
    notes.for_each(|note| findings.add(Check::note("rust", note)));
    Ok(())
}

fn subject(part: Part) -> &'static str {
    match part {
        Part::Target | Part::Std => "std",
        Part::LockFile => "workspace",
        Part::Crates => "crates",
        Part::Linker => "linker",
        Part::Auditable => "rust",
    }
}
