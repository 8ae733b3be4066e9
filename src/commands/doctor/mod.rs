//! `cargo multiarch doctor`: checks that this machine has everything that `publish` needs, and suggests fixes. Runs the
//! same checks as `publish`, but does not stop at the first problem.

pub(crate) mod check_result;
pub(crate) mod engine;
pub(crate) mod fix;
pub(crate) mod machine;
pub(crate) mod output;
pub(crate) mod plan_to_check;
pub(crate) mod registries;
pub(crate) mod results;
pub(crate) mod toolchain;
pub(crate) mod verdict;

use anyhow::Result;
use camino::Utf8PathBuf;

use self::check_result::CheckState;
use self::fix::{Fix, FixResult};
use self::plan_to_check::{LoadedPlan, plan_to_check};
use self::results::Results;
use crate::cli::{DoctorArgs, MessageFormat};
use crate::config::Config;
use crate::error::Failure;
use crate::ui::Ui;
use crate::ui::text::plural;

/// Runs `cargo multiarch doctor`.
pub(crate) fn run(args: &DoctorArgs, ui: &Ui) -> Result<()> {
    let mut diagnosis = diagnose(args, ui)?;
    let mut fixed = Vec::new();
    if args.fix {
        for fix in std::mem::take(&mut diagnosis.results.fixes) {
            fixed.push(fix.apply(ui)?);
        }
        if !fixed.is_empty() {
            diagnosis = diagnose(args, ui)?;
        }
    }
    let Diagnosis { workspace, results, verdict } = diagnosis;
    match args.output.message_format {
        MessageFormat::Human => {
            for line in output::render_list(&results.checks, ui) {
                ui.data(&line)?;
            }
        }
        MessageFormat::Json => ui.data(&output::to_json(workspace.as_deref(), &results.checks, &fixed)?)?,
    }
    fail_on_errors(&results, &fixed, args.output.message_format)?;
    if let Some(verdict) = verdict {
        ui.status("Ready", verdict);
    }
    Ok(())
}

/// The results of all checks.
struct Diagnosis {
    /// The workspace root. `None` if the plan of the workspace could not be loaded.
    workspace: Option<Utf8PathBuf>,
    results: Results,
    /// The last line of output if nothing failed. `None` without a plan.
    verdict: Option<String>,
}

/// Runs all checks, without applying any fixes.
fn diagnose(args: &DoctorArgs, ui: &Ui) -> Result<Diagnosis> {
    let mut results = Results::default();
    let (plan, is_workspace) = match plan_to_check(args, &mut results)? {
        LoadedPlan::Workspace(plan) => (plan, true),
        LoadedPlan::MachineOnly(plan) => (plan, false),
        LoadedPlan::Invalid => return Ok(Diagnosis { workspace: None, results, verdict: None }),
    };
    ui.status("Checking", "the toolchain");
    toolchain::check(&plan, &mut results)?;
    ui.status("Checking", "Docker and QEMU");
    engine::check(&plan, &mut results, ui)?;
    if is_workspace {
        ui.status("Checking", "registries");
        registries::check(&plan, args.access.limit(), &mut results, ui)?;
        results.add(machine::disk_space("target directory", &plan.paths.target_dir, "CARGO_TARGET_DIR"));
    } else if plan.images.iter().any(|image| !image.repositories.is_empty()) {
        ui.status("Checking", "registries");
        registries::ping_all(&plan, args.access.limit(), &mut results, ui)?;
    }
    results.add(machine::disk_space("cache directory", &plan.paths.cache_dir, "XDG_CACHE_HOME"));
    let has_options = args.settings.config() != Config::default();
    let verdict = Some(verdict::verdict(&plan, is_workspace, has_options, results.count(CheckState::Warning)));
    Ok(Diagnosis { workspace: is_workspace.then_some(plan.paths.root), results, verdict })
}

/// Returns an error if any check or fix failed. It has the class of the error that `publish` would report first or, if
/// only fixes failed, of the first failed fix.
fn fail_on_errors(results: &Results, fixed: &[FixResult], format: MessageFormat) -> Result<(), Failure> {
    let failed_fix = fixed.iter().find_map(|fix| fix.error_class);
    let Some(class) = check_result::first_error_class(&results.checks).or(failed_fix) else { return Ok(()) };
    let mut counts = plural(results.count(CheckState::Error), "error", "errors");
    let warnings = results.count(CheckState::Warning);
    if warnings > 0 {
        counts.push_str(&format!(" and {}", plural(warnings, "warning", "warnings")));
    }
    let failure = Failure::new(class, format!("doctor found {counts}")).hint(match format {
        MessageFormat::Human => "fixes are listed under each problem",
        MessageFormat::Json => "fixes are listed in the `fixes` field of each problem",
    });
    if results.fixes.is_empty() || !fixed.is_empty() {
        return Err(failure);
    }
    let commands: Vec<String> = results.fixes.iter().map(Fix::command).map(|command| format!("`{command}`")).collect();
    Err(failure.hint(format!("run `cargo multiarch doctor --fix` to apply these fixes: {}", commands.join(", "))))
}
