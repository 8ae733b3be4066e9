//! Handles empty commands, such as `ENTRYPOINT []`, which Docker accepts but `parse_dockerfile` rejects.

/// The last character of a placeholder. No Dockerfile contains this control character.
const END: char = '\u{1a}';

/// Replaces empty commands in a Dockerfile with placeholders: shell commands of the same length, so that the positions of
/// all other instructions stay the same.
pub(crate) fn insert_placeholders(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| if is_empty_command(line) { line.replace(']', &END.to_string()) } else { line.to_owned() })
        .collect()
}

/// Reports whether a shell command is the placeholder of an empty command.
pub(crate) fn is_placeholder(command: &str) -> bool {
    command.starts_with('[') && command.ends_with(END)
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
    fn replaces_only_empty_commands() {
        for (line, is_empty) in [
            ("ENTRYPOINT []\n", true),
            ("cmd  [ ]", true),
            ("CMD [\"a\"]", false),
            ("SHELL []", false),
            ("CMD", false),
            ("CMD [", false),
        ] {
            let text = insert_placeholders(line);
            assert_eq!((text.len(), text != line), (line.len(), is_empty), "{line}");
            let command = text.split_once(' ').map(|(_, command)| command.trim()).unwrap_or_default();
            assert_eq!(is_placeholder(command), is_empty, "{line}");
        }
    }
}
