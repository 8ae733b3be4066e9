//! Extracts the error from what cargo printed to stderr.

/// The column at which cargo's status words end, as in `    Updating crates.io index`.
const STATUS_WIDTH: usize = 12;

/// Returns the error in cargo's stderr, without status lines and without warnings before the error.
pub(crate) fn message(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !is_status(line)).collect();
    let start = lines.iter().position(|line| line.starts_with("error: ")).unwrap_or(0);
    let text = lines[start..].join("\n");
    let text = text.trim();
    text.strip_prefix("error: ").unwrap_or(text).to_owned()
}

/// Reports whether a line only shows what cargo is doing: a capitalized word, right-aligned, and a description.
fn is_status(line: &str) -> bool {
    let Some((word, rest)) = line.split_at_checked(STATUS_WIDTH) else { return false };
    let verb = word.trim_start();
    word.starts_with(' ')
        && rest.starts_with(' ')
        && verb.starts_with(|c: char| c.is_ascii_uppercase())
        && verb.chars().all(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines_and_warnings_are_dropped() {
        for (stderr, expected) in [
            ("error: no such file\n", "no such file"),
            ("    Updating crates.io index\nerror: cannot update the lock file\n", "cannot update the lock file"),
            (
                "    Blocking waiting for file lock on package cache\nerror: a\n\nCaused by:\n  b",
                "a\n\nCaused by:\n  b",
            ),
            ("warning: unused manifest key\nerror: a\n  Downloaded serde v1.0.0\n", "a"),
            ("  Downloaded serde v1.0.0\n", ""),
            ("rustup: Toolchain missing", "rustup: Toolchain missing"),
        ] {
            assert_eq!(message(stderr), expected, "{stderr}");
        }
    }
}
