//! Where the time of a run went is written down when it ends, well or not.

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use indexmap::IndexSet;

use crate::error::{Class, Failure, message_with_causes};
use crate::fs;
use crate::plan::Plan;
use crate::report::timings_page::PageHeader;
use crate::report::{self, Report};
use crate::ui::Ui;

/// Does the work, and writes down where its time went where that is wanted.
pub fn timed(command: &str, plan: Plan, ui: &Ui, work: impl FnOnce(Plan, &Ui) -> Result<Report>) -> Result<Report> {
    let names: Vec<String> = plan.images.iter().map(|image| format!("{} {}", image.name, image.version)).collect();
    let mut facts = facts(&plan);
    let dir = plan.paths.work_dir();
    let path = dir.join("timings.html");
    if ui.timings().recorded().is_some() {
        fs_err::create_dir_all(&dir)?;
        // The file has its name from nobody.
        fs::check_output_file(&path).map_err(|failure| {
            Failure::new(Class::Config, failure.to_string())
                .hint("have another target folder: `CARGO_TARGET_DIR=/some/folder`, or leave out `--timings`")
        })?;
    }
    let result = work(plan, ui);
    if let Some((total, spans)) = ui.timings().recorded() {
        let failure = result.as_ref().err().map(message_with_causes);
        let end = if failure.is_none() { "" } else { ", which failed" };
        let title = format!("cargo multiarch {command}: {}{end}", names.join(", "));
        let began = Utc::now() - TimeDelta::from_std(total).unwrap_or_default();
        facts.insert(0, began.format("%Y-%m-%d %H:%M:%S UTC").to_string());
        let page = report::timings_page::page(&PageHeader { title, facts, failure }, total, &spans);
        match page.and_then(|page| fs::replace(&path, page.as_bytes())) {
            Ok(()) => ui.status("Timing", format!("report saved to {path}")),
            // What the run has come to is worth more.
            Err(error) => ui.warning(format!("the timing report is not saved: {error:#}")),
        }
    }
    result
}

/// Of what the run was: the commit, the platforms, and this program's version.
fn facts(plan: &Plan) -> Vec<String> {
    let platforms: IndexSet<&str> = plan.platforms().map(|platform| platform.platform.name()).collect();
    let commit = plan.commit.as_ref().map(|commit| {
        let dirty = if commit.is_dirty() { ", with changes" } else { "" };
        format!("commit {}{dirty}", report::shorten_digest(&commit.sha))
    });
    let rest =
        [Vec::from_iter(platforms).join(", "), concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")).to_owned()];
    commit.into_iter().chain(rest).collect()
}
