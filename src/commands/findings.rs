//! Prints the findings from verifying images, and fails if any of them is an error.

use indexmap::IndexSet;

use crate::error::{Class, Failure};
use crate::finding::Finding;
use crate::ui::Ui;
use crate::ui::text::plural;

/// Prints the findings. Fails if any of them is an error. `names` lists the images to mention in the error message.
pub(crate) fn print_and_check<'a>(
    names: &str,
    findings: impl Iterator<Item = &'a Finding>,
    ui: &Ui,
) -> Result<(), Failure> {
    let mut errors = Vec::new();
    for finding in findings {
        ui.finding(finding);
        if finding.is_error() {
            errors.push(finding);
        }
    }
    let codes: IndexSet<&str> = errors.iter().map(|finding| finding.code.0.code).collect();
    let Some(first) = codes.first() else { return Ok(()) };
    let all = codes.iter().copied().collect::<Vec<_>>().join(",");
    Err(Failure::new(Class::Verify, format!("{names} failed {}", plural(errors.len(), "check", "checks")))
        .hint(format!("for details, run `cargo multiarch verify --explain {first}`"))
        .hint(format!("to ignore these findings, pass `--allow {all}`")))
}
