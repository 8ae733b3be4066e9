//! Where the time of a run went is written down when it ends, well or not.

use anyhow::Result;

use crate::error::{Class, Failure};
use crate::files;
use crate::plan::Plan;
use crate::report::{self, Report};
use crate::ui::Ui;

/// Does the work, and writes down where its time went where that is wanted.
pub fn timed(command: &str, plan: Plan, ui: &Ui, work: impl FnOnce(Plan, &Ui) -> Result<Report>) -> Result<Report> {
    let names: Vec<String> = plan.images.iter().map(|image| format!("{} {}", image.name, image.version)).collect();
    let dir = plan.work_dir();
    let path = dir.join("timings.html");
    if ui.timings().recorded().is_some() {
        fs_err::create_dir_all(&dir)?;
        // The file has its name from nobody.
        report::check_file(&path).map_err(|failure| {
            Failure::new(Class::Config, failure.to_string())
                .hint("have another target folder: `CARGO_TARGET_DIR=/some/folder`, or leave out `--timings`")
        })?;
    }
    let result = work(plan, ui);
    if let Some((total, spans)) = ui.timings().recorded() {
        let end = if result.is_ok() { "" } else { ", which failed" };
        let title = format!("cargo multiarch {command}: {}{end}", names.join(", "));
        let page = report::chart::page(&title, total, &spans);
        match page.and_then(|page| files::replace(&path, page.as_bytes())) {
            Ok(()) => ui.status("Timing", format!("report saved to {path}")),
            // What the run has come to is worth more.
            Err(error) => ui.warning(format!("the timing report is not saved: {error:#}")),
        }
    }
    result
}
