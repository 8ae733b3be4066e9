//! What was found, as a list for people and as JSON.

use anyhow::Result;
use camino::Utf8Path;
use serde_json::json;

use super::check::{self, Check, State};
use super::repair::Done;
use crate::ui::{Tone, Ui};

/// Bumped when a field changes its meaning or goes; new fields may come at any time.
const VERSION: u32 = 1;

/// A line for each check, and below it one for everything that mends it.
pub fn lines(checks: &[Check], ui: &Ui) -> Vec<String> {
    let widest = checks.iter().map(|check| check.subject.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for check in checks {
        let word = ui.in_tone(tone(check.state), &format!("{:7}", check.state.word()));
        lines.push(format!("{word}  {:widest$}  {}", check.subject, check.found));
        let below = |fix: &String| format!("{:7}  {:widest$}  {} {fix}", "", "", ui.in_tone(Tone::Note, "fix:"));
        lines.extend(check.fixes.iter().map(below));
    }
    lines
}

fn tone(state: State) -> Tone {
    match state {
        State::Ok => Tone::Good,
        State::Note => Tone::Note,
        State::Warning => Tone::Warning,
        State::Error => Tone::Bad,
    }
}

/// `workspace` is its root, where there is one.
pub fn json(workspace: Option<&Utf8Path>, checks: &[Check], fixed: &[Done]) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "version": VERSION,
        "tool": concat!("cargo-multiarch ", env!("CARGO_PKG_VERSION")),
        "workspace": workspace,
        "exit_code": check::worst(checks).map_or(0, |class| class.exit_code()),
        "checks": checks,
        "fixed": fixed,
    }))?)
}
