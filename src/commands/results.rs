//! What a run leaves behind: files that it was asked for, and stdout.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::cli::{MessageFormat, ReportArgs};
use crate::error::{Class, Failure};
use crate::fs;
use crate::report::Report;
use crate::ui::Ui;

/// The files that a run writes at its end, each of which is known to be one that can be written.
pub(crate) fn output_files(reports: &ReportArgs, others: &[&Option<Utf8PathBuf>]) -> Result<Vec<Utf8PathBuf>, Failure> {
    let both = [&reports.report, &reports.checklist];
    if both.iter().all(|path| path.as_deref().is_some_and(|path| path == "-")) {
        return Err(Failure::new(Class::Config, "--report and --checklist would both be on stdout")
            .hint("name a file for one: `--checklist checklist.md`"));
    }
    let is_file = |path: &&Utf8PathBuf| *path != "-";
    let reports = both.into_iter().flatten().filter(is_file);
    let files: Vec<Utf8PathBuf> = others.iter().copied().flatten().chain(reports).cloned().collect();
    fs::check_output_files(&files)?;
    Ok(files)
}

/// Writes and prints what came of a run.
pub(crate) fn print_report(report: &Report, format: MessageFormat, reports: &ReportArgs, ui: &Ui) -> Result<()> {
    let json = || serde_json::to_string_pretty(report);
    let written = [(&reports.report, json()?), (&reports.checklist, report.checklist().trim_end().to_owned())];
    let mut is_shown = false;
    for (path, text) in &written {
        match path.as_deref() {
            Some(path) if path == "-" => {
                ui.data(text)?;
                is_shown = true;
            }
            Some(path) => fs_err::write(path, format!("{text}\n"))?,
            None => {}
        }
    }
    match format {
        _ if is_shown => Ok(()),
        MessageFormat::Human => report.references().try_for_each(|line| Ok(ui.data(&line)?)),
        MessageFormat::Json => Ok(ui.data(&json()?)?),
    }
}
