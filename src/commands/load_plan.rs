//! Loads the plan from flags, environment variables and configuration files. After that, only the plan is read.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::cli::{SettingsArgs, environment};
use crate::error::{Class, Failure};
use crate::fs;
use crate::host::cache_dir::cache_dir;
use crate::plan::{self, ConfigSources, Output, Paths, Plan, PlanRequest, Workspace, check_features, ci_tag};
use crate::timings::Phase;
use crate::ui::Ui;

/// Resolves flags, environment variables and configuration files into a plan.
pub(crate) fn load_plan(args: &SettingsArgs, request: PlanRequest) -> Result<Plan> {
    environment::check_unknown_variables()?;
    let current_dir = plan::current_dir()?;
    let selection = args.selection();
    let workspace = Workspace::load(&selection, &current_dir)?;
    let sources = ConfigSources::load(&workspace, args.config())?;
    let workspace = plan::select_packages(workspace, &selection.packages, &sources)?;
    let source_date_epoch = source_date_epoch()?;
    let cache_dir = cache_dir().unwrap_or_else(|| workspace.target_dir.join("cargo-multiarch"));
    // Files written by this run must not count as uncommitted changes.
    let outputs = request.outputs.iter().map(Output::path);
    let written = request.artifacts.iter().chain(&request.written_files).map(Utf8PathBuf::as_path).chain(outputs);
    let ignored: Vec<Utf8PathBuf> =
        written.map(|path| current_dir.join(path)).chain([workspace.target_dir.clone()]).collect();
    let ci_tag = ci_tag::ci_tag(|name| std::env::var(name).ok());
    let checkout = plan::git::checkout(&workspace.root, &ignored, ci_tag)?;
    let request = PlanRequest { source_date_epoch, cache_dir, ..request };
    let plan = plan::resolve(&workspace, &sources, &checkout, &request)?;
    check_features::check(&plan.unique_builds(), &workspace)?;
    Ok(plan)
}

/// Returns the value of SOURCE_DATE_EPOCH in seconds (<https://reproducible-builds.org/specs/source-date-epoch/>). An
/// empty value is treated as unset.
fn source_date_epoch() -> Result<Option<u64>, Failure> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Failure::new(
            Class::Config,
            format!("invalid SOURCE_DATE_EPOCH '{text}': expected seconds since 1970-01-01 UTC"),
        )
        .hint("use the last commit's time: `SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`")
    })
}

/// Locks the workspace's work directory to prevent concurrent runs from writing to the same files. Waits for other runs
/// to finish.
pub(crate) fn lock_workspace(paths: &Paths, ui: &Ui) -> Result<std::fs::File> {
    let dir = paths.work_dir();
    fs_err::create_dir_all(&dir)?;
    let _waiting = ui.timings().span(Phase::Prepare, "waiting for other runs");
    fs::lock_file(&dir.join("+lock"), || {
        ui.status("Blocking", format!("waiting for another run to release its lock on {dir}"));
    })
}
