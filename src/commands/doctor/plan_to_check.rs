//! Loads the plan to check. If there is no usable workspace, creates a plan from flags and defaults, which is enough to
//! check the machine.

use anyhow::Result;
use camino::Utf8Path;

use super::check_result::CheckResult;
use super::results::Results;
use crate::cli::DoctorArgs;
use crate::commands::load_plan::load_plan;
use crate::config::Config;
use crate::error::{Class, Failure};
use crate::host::cache_dir::cache_dir;
use crate::plan::{self, Checkout, ConfigSources, Plan, PlanRequest, Workspace};
use crate::platform::Libc;

/// The outcome of loading the plan to check.
pub(crate) enum LoadedPlan {
    /// The plan that `publish` would run.
    Workspace(Plan),
    /// A plan from flags and defaults, because there is no workspace or its plan has an error.
    MachineOnly(Plan),
    /// No plan, because the flags are invalid.
    Invalid,
}

/// Loads the plan, and reports the state of the workspace.
pub(crate) fn plan_to_check(args: &DoctorArgs, results: &mut Results) -> Result<LoadedPlan> {
    let request = args.overwrite.add_to(args.smoke.add_to(args.settings.request()));
    let current_dir = plan::current_dir()?;
    let has_manifest = current_dir.ancestors().any(|dir| dir.join("Cargo.toml").is_file());
    let has_workspace = has_manifest || args.settings.selection().manifest_path.is_some();
    if has_workspace {
        match load_plan(&args.settings, request.clone()) {
            Ok(plan) => {
                report_workspace(&plan, results);
                return Ok(LoadedPlan::Workspace(plan));
            }
            Err(error) => results.add_error("workspace", error)?,
        }
    } else {
        report_missing_workspace(args, results)?;
    }
    match resolve_without_workspace(args, &current_dir, request) {
        Ok(plan) => Ok(LoadedPlan::MachineOnly(plan)),
        Err(failure) => {
            // If there is a workspace, the error has already been reported above.
            if !has_workspace {
                results.add_error("workspace", failure)?;
            }
            Ok(LoadedPlan::Invalid)
        }
    }
}

fn report_workspace(plan: &Plan, results: &mut Results) {
    let images: Vec<&str> = plan.images.iter().map(|image| image.name.as_str()).collect();
    results.add(CheckResult::ok("workspace", format!("{}: {}", plan.paths.root, images.join(", "))));
    for note in &plan.notes {
        results.add(CheckResult::note("workspace", note));
    }
}

fn report_missing_workspace(args: &DoctorArgs, results: &mut Results) -> Result<(), Failure> {
    if !args.settings.selection().packages.is_empty() {
        let failure = Failure::new(Class::Config, "--package requires a workspace, but no Cargo.toml was found");
        results.add_error(
            "workspace",
            failure.hint("run the command in a workspace, or pass `--manifest-path DIR/Cargo.toml`"),
        )?;
    }
    let message = "no Cargo.toml found: checking only this machine and whether the given registries respond; push \
                   access, base images and templates are not checked";
    results.add(CheckResult::note("workspace", message));
    Ok(())
}

/// Creates a plan from only the flags that affect the machine checks.
fn resolve_without_workspace(args: &DoctorArgs, current_dir: &Utf8Path, request: PlanRequest) -> Result<Plan, Failure> {
    let flags = args.settings.config();
    let needs_base = flags.libc == Some(Libc::Gnu) && flags.base.is_none();
    let command_line = Config {
        registry: flags.registry,
        insecure_registries: flags.insecure_registries,
        platforms: flags.platforms,
        base: if needs_base { Some("debian:trixie-slim".to_owned()) } else { flags.base },
        libc: flags.libc,
        linker: flags.linker,
        glibc: flags.glibc,
        engine: flags.engine,
        builder: flags.builder,
        locked: Some(false),
        ..Config::default()
    };
    let cache_dir = cache_dir().unwrap_or_else(|| current_dir.join("target/cargo-multiarch"));
    let sources = ConfigSources { command_line, ..ConfigSources::default() };
    let request = PlanRequest { cache_dir, ..request };
    plan::resolve(&Workspace::placeholder(current_dir), &sources, &Checkout::None, &request)
}
