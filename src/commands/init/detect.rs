//! Detects which system libraries each image's dependencies need, and whether they compile C code.

use std::collections::BTreeSet;

use anyhow::Result;
use cargo_metadata::MetadataCommand;

use super::lock_file::LockFile;
use crate::compile::linked_libraries::SystemLibrary;
use crate::compile::{CompileRequest, probe};
use crate::plan::{Build, CargoOptions, Image, Plan, cargo_error};
use crate::ui::Ui;

/// The system libraries that an image's dependencies need, and whether they compile C code.
pub(crate) struct NativeDependencies {
    pub libraries: BTreeSet<SystemLibrary>,
    /// Whether a build script compiles C code.
    pub compiles_c: bool,
}

impl NativeDependencies {
    /// The dependencies of an image if cargo cannot resolve them. A workflow may set up zig without needing it.
    fn unknown() -> NativeDependencies {
        NativeDependencies { libraries: BTreeSet::new(), compiles_c: true }
    }
}

/// Returns the native dependencies of each image, in plan order. Creates Cargo.lock if it is missing, except in a dry run.
/// If cargo cannot resolve the dependencies, warns and returns unknown ones.
pub(crate) fn native_dependencies(plan: &Plan, is_dry_run: bool, ui: &Ui) -> Result<Vec<NativeDependencies>> {
    let lock_file = LockFile::read(&plan.paths.root);
    let dependencies = match resolve(plan, lock_file.exists()) {
        Ok(()) => plan.images.iter().map(|image| of_image(image, plan, ui)).collect(),
        Err(reason) => {
            ui.warning(format!(
                "cannot tell which system libraries the dependencies need, because cargo cannot resolve them: {reason}"
            ));
            ui.note("after you fix this, run `cargo multiarch init --force`");
            Ok(plan.images.iter().map(|_| NativeDependencies::unknown()).collect())
        }
    };
    if is_dry_run {
        lock_file.restore()?;
    } else {
        lock_file.report(ui);
    }
    dependencies
}

/// Lets cargo resolve the dependencies, and create or update Cargo.lock if necessary. Returns the reason if that fails.
fn resolve(plan: &Plan, has_lock_file: bool) -> Result<(), String> {
    // Without --locked, cargo rewrites every file that it would format differently.
    if has_lock_file && run_metadata(plan, &["--locked"]).is_ok() {
        return Ok(());
    }
    run_metadata(plan, &[])
}

fn run_metadata(plan: &Plan, flags: &[&str]) -> Result<(), String> {
    let offline = if plan.cargo.offline { Some("--offline") } else { None };
    let flags: Vec<String> = flags.iter().copied().chain(offline).map(str::to_owned).collect();
    let mut command = MetadataCommand::new();
    command.manifest_path(&plan.paths.manifest_path).other_options(flags);
    match command.exec() {
        Ok(_) => Ok(()),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) => Err(cargo_error::message(&stderr)),
        Err(error) => Err(error.to_string()),
    }
}

fn of_image(image: &Image, plan: &Plan, ui: &Ui) -> Result<NativeDependencies> {
    // A generated configuration lists the same libraries for all platforms, so check only the first platform.
    let build = image.platforms.first().map(|first| Build {
        settings: first.build.clone(),
        copies_libraries: false,
        platforms: [first.platform].into(),
        binaries: first.binaries.iter().cloned().collect(),
    });
    let options = CargoOptions { locked: true, ..plan.cargo.clone() };
    let request = CompileRequest { builds: build.into_iter().collect(), paths: plan.paths.clone(), options };
    let summaries = probe::probe(&request)?.into_result()?.dependencies;
    Ok(match summaries.into_values().next() {
        Some(summary) => {
            NativeDependencies { compiles_c: summary.needs_c.is_some(), libraries: summary.system_libraries }
        }
        None => {
            ui.warning(format!(
                "image '{}': cannot determine native dependencies; run `cargo metadata` to see the error",
                image.name
            ));
            NativeDependencies::unknown()
        }
    })
}
