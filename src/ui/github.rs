//! GitHub workflow commands: log lines that GitHub displays as annotations on the run.

use anstream::adapter::strip_str;

use crate::finding::Finding;

/// Reports whether the output is read by a runner that supports workflow commands. `github_actions` is the value of
/// GITHUB_ACTIONS, which Forgejo's runner also sets.
pub(crate) fn reads_commands(github_actions: Option<&str>, is_terminal: bool) -> bool {
    github_actions == Some("true") && !is_terminal
}

/// Formats a finding as a workflow command, such as `::error title=MA010 linux/arm64::/app is for x86_64`.
pub(crate) fn finding_command(finding: &Finding) -> String {
    let level = if finding.is_error() { "error" } else { "warning" };
    let title = match &finding.platform {
        Some(platform) => format!("{} {platform}", finding.code),
        None => finding.code.to_string(),
    };
    let message = match &finding.file {
        Some(file) => format!("{file} {}", finding.reason),
        None => finding.reason.clone(),
    };
    command(level, &title, &message, &[&finding.fix])
}

/// Formats an error message and its hints as a workflow command, such as `::error title=cargo multiarch::no registry to
/// push to`.
pub(crate) fn failure_command(message: &str, hints: &[&str]) -> String {
    command("error", "cargo multiarch", message, hints)
}

/// Formats a note as a workflow command, such as `::notice title=cargo multiarch::the work tree has uncommitted
/// changes`.
pub(crate) fn note_command(text: &str) -> String {
    command("notice", "cargo multiarch", text, &[])
}

/// Rewrites lines that the runner would execute as commands. Error messages can contain them when they quote the output
/// of other programs.
pub(crate) fn disarm_commands(text: &str) -> String {
    let is_command = |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
    let line =
        |line: &str| if is_command(line) { format!("| {}", line.replace("##[", "## [")) } else { line.to_owned() };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

fn command(level: &str, title: &str, message: &str, hints: &[&str]) -> String {
    let hints = hints.iter().map(|hint| format!("\nhint: {hint}")).collect::<String>();
    let message = format!("{message}{hints}");
    // GitHub does not show colors in annotations.
    let message = strip_str(&message).to_string();
    format!("::{level} title={}::{}", escaped(title).replace(':', "%3A").replace(',', "%2C"), escaped(&message))
}

/// Escapes the message of a workflow command. Titles also need `:` and `,` to be escaped.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{MISSING_WORKDIR, WRONG_MACHINE};

    #[test]
    fn quoted_commands_are_disarmed() {
        for (text, expected) in [
            ("no ::error:: here\nor there", "no ::error:: here\nor there"),
            ("output:\n ::stop-commands::x\nend", "output:\n|  ::stop-commands::x\nend"),
            ("##[group]x", "| ## [group]x"),
        ] {
            assert_eq!(disarm_commands(text), expected);
        }
    }

    #[test]
    fn findings_are_formatted_as_commands() {
        let wrong = || WRONG_MACHINE.finding("is for x86_64, expected aarch64", "replace the file");
        for (finding, expected) in [
            (
                wrong().for_platform("linux/arm64").in_file("/bin/100%"),
                "::error title=MA010 linux/arm64::/bin/100%25 is for x86_64, expected aarch64%0Ahint: replace the file",
            ),
            (wrong(), "::error title=MA010::is for x86_64, expected aarch64%0Ahint: replace the file"),
            // Platform names come from the image and may contain any character.
            (
                wrong().for_platform("a::b,c=d%"),
                "::error title=MA010 a%3A%3Ab%2Cc=d%25::is for x86_64, expected aarch64%0Ahint: replace the file",
            ),
            (
                MISSING_WORKDIR.finding("/app is missing", "create it").for_platform("linux/amd64"),
                "::warning title=MA053 linux/amd64::/app is missing%0Ahint: create it",
            ),
        ] {
            assert_eq!(finding_command(&finding), expected);
        }
    }

    #[test]
    fn failures_are_formatted_on_one_line() {
        for (message, hints, expected) in [
            ("disk is full: 100%, not 99", &[][..], "::error title=cargo multiarch::disk is full: 100%25, not 99"),
            (
                "failed\r\n::warning::no\n\x1b[1;31merror\x1b[0m: x",
                &["run `a`", "or `b`"],
                "::error title=cargo multiarch::failed%0D%0A::warning::no%0Aerror: x%0Ahint: run `a`%0Ahint: or `b`",
            ),
            ("%0A is escaped", &[], "::error title=cargo multiarch::%250A is escaped"),
        ] {
            assert_eq!(failure_command(message, hints), expected);
        }
    }

    #[test]
    fn commands_are_written_for_runners_only() {
        for (variable, is_terminal, expected) in
            [(None, false, false), (Some("true"), false, true), (Some("true"), true, false), (Some(""), false, false)]
        {
            assert_eq!(reads_commands(variable, is_terminal), expected, "{variable:?} {is_terminal}");
        }
    }
}
