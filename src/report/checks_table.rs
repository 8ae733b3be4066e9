//! The table of all checks, printed by `verify --explain`.

use crate::finding::CHECKS;
use crate::finding::catalogue::{Check, Severity};
use crate::ui::wrap;

/// Renders all checks, one per line.
pub(crate) fn render(width: Option<usize>) -> String {
    let name_width = CHECKS.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let line = |check: &&Check| {
        let severity = if check.severity == Severity::Warning { "warning" } else { "error" };
        let start = format!("{}  {:name_width$}  {severity:7}  ", check.code, check.name);
        wrap::wrap_after(&start, check.title, width)
    };
    CHECKS.iter().map(line).collect::<Vec<_>>().join("\n")
}
