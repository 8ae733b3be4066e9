//! `--timings`: writes a page that shows how long each part of a run took, even if the run failed.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use chrono::{TimeDelta, Utc};
use indexmap::IndexSet;

use crate::error::{Class, Failure, message_with_causes};
use crate::fs;
use crate::oci::digest::shorten_digest;
use crate::plan::Plan;
use crate::report::Report;
use crate::report::timings_page::{self, Link, PageHeader};
use crate::secrets::mask_result;
use crate::timings::CargoPage;
use crate::ui::Ui;

/// The timing report for a run. Created before the run starts, and written when it ends.
pub(crate) struct TimingsPage {
    path: Utf8PathBuf,
    command: &'static str,
    images: Vec<String>,
    facts: Vec<String>,
}

impl TimingsPage {
    /// Checks in advance that the page can be written. Returns `None` unless `--timings` is set.
    pub(crate) fn prepare(command: &'static str, plan: &Plan, ui: &Ui) -> Result<Option<TimingsPage>> {
        if ui.timings().recorded().is_none() {
            return Ok(None);
        }
        let dir = plan.paths.work_dir();
        fs_err::create_dir_all(&dir)?;
        let path = dir.join("timings.html");
        fs::check_output_file(&path).map_err(|failure| {
            // Replace the hint that suggests another file name, because users cannot choose this file's name.
            Failure::new(Class::Config, failure.to_string())
                .hint("use another target directory (`CARGO_TARGET_DIR=/some/dir`), or omit `--timings`")
        })?;
        let images = plan.images.iter().map(|image| format!("{} {}", image.name, image.version)).collect();
        Ok(Some(TimingsPage { path, command, images, facts: facts(plan) }))
    }

    /// Returns links to the pages that cargo has written.
    fn cargo_pages(&self, pages: &[CargoPage]) -> Vec<Link> {
        let dir = self.path.parent().unwrap_or(&self.path);
        let written = pages.iter().filter(|page| page.path.exists());
        written.map(|page| Link { text: page.name.clone(), href: relative_url(&page.path, dir) }).collect()
    }

    /// Writes the page. Only warns on failure, because the result of the run matters more.
    pub(crate) fn write(self, result: &Result<Report>, ui: &Ui) {
        let Some((total, spans)) = ui.timings().recorded() else { return };
        let failure = result.as_ref().err().map(message_with_causes);
        let outcome = if failure.is_none() { "" } else { " (failed)" };
        let title = format!("cargo multiarch {}: {}{outcome}", self.command, self.images.join(", "));
        let started = Utc::now() - TimeDelta::from_std(total).unwrap_or_default();
        let cargo_pages = self.cargo_pages(&ui.timings().cargo_pages());
        let facts = [vec![started.format("%Y-%m-%d %H:%M:%S UTC").to_string()], self.facts].concat();
        let page = timings_page::render(&PageHeader { title, facts, failure, cargo_pages }, total, &spans);
        match page.and_then(|page| fs::write_atomically(&self.path, mask_result(&page).as_bytes())) {
            Ok(()) => ui.status("Timing", format!("report saved to {}", self.path)),
            Err(error) => ui.warning(format!("failed to save the timing report: {error:#}")),
        }
    }
}

/// Returns the URL of a file, relative to a page in `dir` if both are in the same target directory, so that the
/// directory can be moved.
fn relative_url(file: &Utf8Path, dir: &Utf8Path) -> String {
    let target_dir = dir.parent().unwrap_or(dir);
    match file.strip_prefix(target_dir) {
        Ok(relative) => format!("../{relative}"),
        Err(_) => format!("file://{file}"),
    }
}

/// Returns the facts for the page header: the commit, the platforms, and the version of this program.
fn facts(plan: &Plan) -> Vec<String> {
    let platforms: IndexSet<&str> = plan.platforms().map(|platform| platform.platform.name()).collect();
    let commit = plan.commit.as_ref().map(|commit| {
        let changes = if commit.is_dirty() { " with uncommitted changes" } else { "" };
        format!("commit {}{changes}", shorten_digest(&commit.sha))
    });
    let platforms = Vec::from_iter(platforms).join(", ");
    let tool = concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")).to_owned();
    commit.into_iter().chain([platforms, tool]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_relative_in_the_target_directory() {
        for (file, expected) in [
            ("/w/target/cargo-timings/a.html", "../cargo-timings/a.html"),
            ("/elsewhere/cargo-timings/a.html", "file:///elsewhere/cargo-timings/a.html"),
        ] {
            assert_eq!(relative_url(file.into(), "/w/target/multiarch".into()), expected);
        }
    }
}
