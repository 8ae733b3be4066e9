//! Renders the results as a human-readable list or as JSON.

use anyhow::Result;
use camino::Utf8Path;
use serde_json::json;

use super::check_result::{self, CheckResult, CheckState};
use super::fix::FixResult;
use crate::ui::{Tone, Ui, wrap};

/// The version of the JSON format. Incremented when a field is removed or its meaning changes, but not when a field is
/// added.
const SCHEMA_VERSION: u32 = 1;

/// The width of the longest state name, `warning`.
const STATE_WIDTH: usize = 7;

/// Renders one line per check, followed by one line for each way to fix the problem.
pub(crate) fn render_list(checks: &[CheckResult], ui: &Ui) -> Vec<String> {
    const FIX: &str = "fix:";
    let subject_width = checks.iter().map(|check| check.subject.len()).max().unwrap_or(0);
    let start = STATE_WIDTH + 2 + subject_width + 2;
    let wrapped = |text: &str, start| wrap::wrap_at(text, start, ui.data_width());
    let mut lines = Vec::new();
    for check in checks {
        let state = ui.paint_data(tone(check.state), &format!("{:STATE_WIDTH$}", check.state.name()));
        lines.push(format!("{state}  {:subject_width$}  {}", check.subject, wrapped(&check.message, start)));
        for fix in &check.fixes {
            let label = ui.paint_data(Tone::Note, FIX);
            lines.push(format!("{:start$}{label} {}", "", wrapped(fix, start + FIX.len() + 1)));
        }
    }
    lines
}

fn tone(state: CheckState) -> Tone {
    match state {
        CheckState::Ok => Tone::Good,
        CheckState::Note => Tone::Note,
        CheckState::Warning => Tone::Warning,
        CheckState::Error => Tone::Bad,
    }
}

/// Renders the results as JSON. `workspace` is the workspace root, if a workspace was loaded.
pub(crate) fn to_json(workspace: Option<&Utf8Path>, checks: &[CheckResult], fixed: &[FixResult]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "version": SCHEMA_VERSION,
        "tool": concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")),
        "workspace": workspace,
        "exit_code": check_result::first_error_class(checks).map_or(0, crate::error::Class::exit_code),
        "checks": checks,
        "fixed": fixed,
    }))?)
}
