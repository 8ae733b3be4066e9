//! What was found, as a list for people and as JSON.

use anyhow::Result;
use camino::Utf8Path;
use serde_json::json;

use super::check::{self, Check, State};
use super::fix::Done;
use crate::ui::{Tone, Ui, wrap};

/// Bumped when a field changes its meaning or goes; new fields may come at any time.
const VERSION: u32 = 1;

/// The columns of the longest state.
const STATE: usize = 7;

/// A line for each check, and below it one for everything that mends it.
pub fn lines(checks: &[Check], ui: &Ui) -> Vec<String> {
    const FIX: &str = "fix:";
    let widest = checks.iter().map(|check| check.subject.len()).max().unwrap_or(0);
    let start = STATE + 2 + widest + 2;
    let wrapped = |text: &str, start| wrap::hanging(text, start, ui.data_width());
    let mut lines = Vec::new();
    for check in checks {
        let word = ui.in_tone(tone(check.state), &format!("{:STATE$}", check.state.word()));
        lines.push(format!("{word}  {:widest$}  {}", check.subject, wrapped(&check.found, start)));
        let fix = ui.in_tone(Tone::Note, FIX);
        let below = |text: &String| format!("{:start$}{fix} {}", "", wrapped(text, start + FIX.len() + 1));
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
