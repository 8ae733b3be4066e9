//! GitHub's workflow commands: lines of a log that GitHub shows as errors and warnings of the run.

use anstream::adapter::strip_str;

use crate::finding::Finding;

/// Whether the log goes to a runner that reads such commands. `variable` is GITHUB_ACTIONS, which Forgejo's runner sets as
/// well.
pub(crate) fn reads_commands(variable: Option<&str>, terminal: bool) -> bool {
    variable == Some("true") && !terminal
}

/// `::error title=MA010 linux/arm64::/app is for x86_64`
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

/// `::error title=cargo multiarch::no registry to push to`
pub(crate) fn failure_command(message: &str, hints: &[&str]) -> String {
    command("error", "cargo multiarch", message, hints)
}

/// `::notice title=cargo multiarch::the work tree has changes`
pub(crate) fn note_command(text: &str) -> String {
    command("notice", "cargo multiarch", text, &[])
}

/// Changes a text so that the runner finds no commands in it: an error may quote the output of other programs.
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

/// Escapes a text as the runner expects. In titles, `:` and `,` are escaped as well.
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
            ("it said\n ::stop-commands::x\nand", "it said\n|  ::stop-commands::x\nand"),
            ("##[group]x", "| ## [group]x"),
        ] {
            assert_eq!(disarm_commands(text), expected);
        }
    }

    #[test]
    fn findings_as_the_runner_reads_them() {
        let wrong = || WRONG_MACHINE.finding("is for x86_64, wanted aarch64", "put another there");
        for (finding, expected) in [
            (
                wrong().for_platform("linux/arm64").in_file("/bin/100%"),
                "::error title=MA010 linux/arm64::/bin/100%25 is for x86_64, wanted aarch64%0Ahint: put another there",
            ),
            (wrong(), "::error title=MA010::is for x86_64, wanted aarch64%0Ahint: put another there"),
            // An image says what its platforms are called.
            (
                wrong().for_platform("a::b,c=d%"),
                "::error title=MA010 a%3A%3Ab%2Cc=d%25::is for x86_64, wanted aarch64%0Ahint: put another there",
            ),
            (
                MISSING_WORKDIR.finding("/app is missing", "make it").for_platform("linux/amd64"),
                "::warning title=MA053 linux/amd64::/app is missing%0Ahint: make it",
            ),
        ] {
            assert_eq!(finding_command(&finding), expected);
        }
    }

    #[test]
    fn failures_are_one_line() {
        for (sentence, hints, expected) in [
            ("it is full: 100%, not 99", &[][..], "::error title=cargo multiarch::it is full: 100%25, not 99"),
            (
                "cargo says\r\n::warning::no\n\x1b[1;31merror\x1b[0m: it",
                &["run `a`", "or `b`"],
                "::error title=cargo multiarch::cargo says%0D%0A::warning::no%0Aerror: it%0Ahint: run `a`%0Ahint: or `b`",
            ),
            ("%0A is none", &[], "::error title=cargo multiarch::%250A is none"),
        ] {
            assert_eq!(failure_command(sentence, hints), expected);
        }
    }

    #[test]
    fn commands_are_written_for_runners_only() {
        for (variable, terminal, expected) in
            [(None, false, false), (Some("true"), false, true), (Some("true"), true, false), (Some(""), false, false)]
        {
            assert_eq!(reads_commands(variable, terminal), expected, "{variable:?} {terminal}");
        }
    }
}
