//! Loads the plan: from here on, nothing reads flags, environment or configuration files again.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::cli::{SettingsArgs, environment};
use crate::error::{Class, Failure};
use crate::fs;
use crate::plan::{self, ConfigSources, Output, Paths, Plan, PlanRequest, Workspace, check_features};
use crate::timings::Phase;
use crate::ui::Ui;

/// Resolves flags, environment and configuration files to a plan.
pub(crate) fn load_plan(args: &SettingsArgs, request: PlanRequest) -> Result<Plan> {
    environment::check_unknown_variables()?;
    let current_dir = plan::current_dir()?;
    let selection = args.selection();
    let workspace = Workspace::load(&selection, &current_dir)?;
    let sources = ConfigSources::load(&workspace, args.config())?;
    let workspace = plan::select_packages(workspace, &selection.packages, &sources)?;
    let source_date_epoch = source_date_epoch()?;
    let cache_dir = environment::cache_dir().unwrap_or_else(|| workspace.target_dir.join("cargo-multiarch"));
    // Files that this tool writes do not make the work tree dirty.
    let outputs = request.outputs.iter().map(Output::path);
    let written = request.artifacts.iter().chain(&request.written_files).map(Utf8PathBuf::as_path).chain(outputs);
    let ignored: Vec<Utf8PathBuf> =
        written.map(|path| current_dir.join(path)).chain([workspace.target_dir.clone()]).collect();
    let checkout = plan::git::checkout(&workspace.root, &ignored)?;
    let request = PlanRequest { source_date_epoch, cache_dir, ..request };
    let plan = plan::resolve(&workspace, &sources, &checkout, &request)?;
    check_features::check(&plan.unique_builds(), &workspace)?;
    Ok(plan)
}

/// SOURCE_DATE_EPOCH in seconds (reproducible-builds.org/specs/source-date-epoch). Empty is the same as unset.
fn source_date_epoch() -> Result<Option<u64>, Failure> {
    let Ok(text) = std::env::var("SOURCE_DATE_EPOCH") else { return Ok(None) };
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        Failure::new(Class::Config, format!("SOURCE_DATE_EPOCH is '{text}', wanted seconds since 1970"))
            .hint("the commit's: `SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)`")
    })
}

/// Waits until no other run of this workspace is active: it would write the same files.
pub(crate) fn lock_workspace(paths: &Paths, ui: &Ui) -> Result<std::fs::File> {
    let dir = paths.work_dir();
    fs_err::create_dir_all(&dir)?;
    let _waiting = ui.timings().span(Phase::Prepare, "waiting for other runs");
    fs::lock_file(&dir.join("+lock"), || ui.status("Blocking", format!("another run has {dir}")))
}
