//! Handles empty commands, such as `ENTRYPOINT []`, which Docker accepts but `parse_dockerfile` rejects.

/// The character that replaces the closing bracket of an empty command. No Dockerfile contains this control character.
const MARK: char = '\u{1a}';

/// Replaces empty commands in a Dockerfile with shell commands of the same length, so that it can be parsed without
/// moving anything.
pub(crate) fn mark(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| if is_empty_command(line) { line.replace(']', &MARK.to_string()) } else { line.to_owned() })
        .collect()
}

/// Reports whether a shell command stands for an empty command.
pub(crate) fn is_marked(command: &str) -> bool {
    command.starts_with('[') && command.ends_with(MARK)
}

fn is_empty_command(line: &str) -> bool {
    let Some((keyword, arguments)) = line.trim().split_once(char::is_whitespace) else { return false };
    let inner = arguments.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    ["ENTRYPOINT", "CMD"].iter().any(|known| keyword.eq_ignore_ascii_case(known))
        && inner.is_some_and(|inner| inner.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_only_empty_commands() {
        for (line, marked) in [
            ("ENTRYPOINT []\n", true),
            ("cmd  [ ]", true),
            ("CMD [\"a\"]", false),
            ("SHELL []", false),
            ("CMD", false),
            ("CMD [", false),
        ] {
            let text = mark(line);
            assert_eq!((text.len(), text != line), (line.len(), marked), "{line}");
            let command = text.split_once(' ').map(|(_, command)| command.trim()).unwrap_or_default();
            assert_eq!(is_marked(command), marked, "{line}");
        }
    }
}
