//! `cargo multiarch build`: builds and verifies images without pushing them.

use std::sync::mpsc;

use anyhow::Result;

use super::build_images::{BuildRun, build_images};
use super::load_plan::{load_plan, lock_workspace};
use super::prepare::{LocalChecks, prepare};
use super::registry_access::RegistryAccess;
use super::report_output::{output_files, print_report};
use super::timings_page::TimingsPage;
use crate::cli::{AccessArgs, BuildArgs};
use crate::plan::{Plan, PlanRequest};
use crate::report::Report;
use crate::threads::{self, CancelToken};
use crate::timings::Phase;
use crate::ui::Ui;

/// Runs `cargo multiarch build`.
pub(crate) fn build(args: &BuildArgs, ui: &Ui) -> Result<()> {
    let written_files = output_files(&args.reports, &[])?;
    let request = args.destinations.add_to(PlanRequest { written_files, is_local: true, ..args.settings.request() });
    let request = args.smoke.add_to(request);
    let plan = ui.timed(Phase::Prepare, "configuration", || load_plan(&args.settings, request))?;
    let timings_page = TimingsPage::prepare("build", &plan, ui)?;
    let result = build_without_push(&plan, &args.access, ui);
    if let Some(page) = timings_page {
        page.write(&result, ui);
    }
    print_report(&result?, args.output.message_format, &args.reports, ui)
}

/// Builds and verifies the images of a plan without pushing them.
pub(crate) fn build_without_push(plan: &Plan, access: &AccessArgs, ui: &Ui) -> Result<Report> {
    let cancel = CancelToken::default();
    let access = RegistryAccess::open(plan, access.limit(), &cancel, ui)?;
    let registry = &access.registry;
    let preflight = LocalChecks::run(plan, ui)?;
    let _lock = lock_workspace(&plan.paths, ui)?;
    let prepared = prepare(plan, preflight, registry, ui)?;
    let output = threads::scope(&cancel, |stages| {
        // `build` does not upload anything, so the blobs that the engine sends are discarded.
        let (blobs, _) = mpsc::channel();
        build_images(plan, &prepared, &BuildRun { stages, registry, cancel: &cancel }, &blobs, ui)
    })?;
    for (image, built) in prepared.images.iter().zip(&output.images) {
        ui.status("Built", format!("{} in {}, verified", image.name, built.layout.dir));
    }
    let moved = vec![Vec::new(); output.images.len()];
    Ok(output.report(plan, &prepared, moved, plan.load))
}
