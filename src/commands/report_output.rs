//! Writes the reports of a run to files or stdout.

use anyhow::Result;
use camino::Utf8PathBuf;

use crate::cli::{MessageFormat, ReportArgs};
use crate::error::{Class, Failure};
use crate::fs;
use crate::report::Report;
use crate::secrets::mask_result;
use crate::ui::Ui;

/// Returns the files that the run writes at the end, and removes those of an earlier run. Fails if any of them is not
/// writable.
pub(crate) fn output_files(reports: &ReportArgs, others: &[&Option<Utf8PathBuf>]) -> Result<Vec<Utf8PathBuf>, Failure> {
    let report_paths = [&reports.report, &reports.checklist];
    if report_paths.iter().all(|path| path.as_deref().is_some_and(|path| path == "-")) {
        return Err(Failure::new(Class::Config, "--report and --checklist cannot both write to stdout")
            .hint("write one of them to a file, such as `--checklist checklist.md`"));
    }
    let is_file = |path: &&Utf8PathBuf| *path != "-";
    let reports = report_paths.into_iter().flatten().filter(is_file);
    let files: Vec<Utf8PathBuf> = others.iter().copied().flatten().chain(reports).cloned().collect();
    fs::check_output_files(&files)?;
    fs::remove_output_files(&files)?;
    Ok(files)
}

/// Writes the requested report files, and prints the result of the run to stdout.
pub(crate) fn print_report(report: &Report, format: MessageFormat, reports: &ReportArgs, ui: &Ui) -> Result<()> {
    let json = || serde_json::to_string_pretty(report);
    let outputs = [(&reports.report, json()?), (&reports.checklist, report.checklist().trim_end().to_owned())];
    let mut is_shown = false;
    for (path, text) in &outputs {
        match path.as_deref() {
            Some(path) if path == "-" => {
                ui.data(text)?;
                is_shown = true;
            }
            Some(path) => fs_err::write(path, format!("{}\n", mask_result(text)))?,
            None => {}
        }
    }
    match format {
        _ if is_shown => Ok(()),
        MessageFormat::Human => report.references().try_for_each(|line| Ok(ui.data(&line)?)),
        MessageFormat::Json => Ok(ui.data(&json()?)?),
    }
}
