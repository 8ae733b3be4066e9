//! Wraps text to fit into the boxes of a graph.

use unicode_width::UnicodeWidthChar;

use crate::ui::text::display_width;

/// Wraps text into lines of at most `columns` columns. Breaks after the separators of references and lists or, if there
/// are none, after hyphens, but not inside a version. Text that needs more than `max_lines` lines is cut off with `…`.
pub(crate) fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (fitting, break_at) = fit(rest, columns);
        if lines.len() + 1 == max_lines && fitting < rest.len() {
            lines.push(cut_off(&rest[..fitting], columns));
            return lines;
        }
        let end = if fitting == rest.len() {
            fitting
        } else if break_at > 0 {
            break_at
        } else {
            // Text without separators may be broken anywhere, but each line contains at least one character.
            fitting.max(rest.chars().next().map_or(1, char::len_utf8))
        };
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines
}

/// Returns the number of bytes that fit into `columns` columns, and the best place to break the text among these bytes: 0
/// if there is none.
fn fit(text: &str, columns: usize) -> (usize, usize) {
    let (mut width, mut fitting) = (0, 0);
    let (mut after_separator, mut after_hyphen) = (0, 0);
    let mut in_version = starts_with_version(text);
    for (start, c) in text.char_indices() {
        width += c.width().unwrap_or(1);
        if width > columns {
            break;
        }
        fitting = start + c.len_utf8();
        match c {
            ' ' | '/' | ':' | ',' | '@' => after_separator = fitting,
            '-' | '_' if !in_version => after_hyphen = fitting,
            _ => continue,
        }
        in_version = starts_with_version(&text[fitting..]);
    }
    (fitting, if after_separator > 0 { after_separator } else { after_hyphen })
}

/// Reports whether text starts with a version such as `1.2.3-rc.1` or `v1.2`.
fn starts_with_version(text: &str) -> bool {
    let number = text.strip_prefix('v').unwrap_or(text);
    let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < number.len()
        && rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

fn cut_off(text: &str, columns: usize) -> String {
    let mut line = text.to_owned();
    while display_width(&line) >= columns {
        line.pop();
    }
    format!("{line}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_the_width() {
        for (text, max_lines, expected) in [
            ("short", 3, &["short"][..]),
            ("exactly-10", 3, &["exactly-10"]),
            ("two words are", 3, &["two words", "are"]),
            ("ghcr.io/you/app:1.0", 3, &["ghcr.io/", "you/app:", "1.0"]),
            ("app:v1.2.3-rc.1", 3, &["app:", "v1.2.3-rc.", "1"]),
            ("app:1.2.3-a", 3, &["app:", "1.2.3-a"]),
            ("my-app-1.2.3", 3, &["my-app-", "1.2.3"]),
            ("a-b-1.2-c-d", 3, &["a-b-", "1.2-c-d"]),
            ("long-name_of-it", 3, &["long-name_", "of-it"]),
            ("a.example.of", 3, &["a.example.", "of"]),
            ("abcdefghijklmnop", 3, &["abcdefghij", "klmnop"]),
            ("abcdefghijklmnop", 1, &["abcdefghi…"]),
            ("one two three four five six", 2, &["one two", "three fou…"]),
            // Each of these characters is two columns wide.
            ("漢字漢字漢字漢字", 3, &["漢字漢字漢", "字漢字"]),
            ("", 3, &[]),
        ] {
            let lines = wrap(text, 10, max_lines);
            assert_eq!(lines, expected, "{text}");
            assert!(lines.iter().all(|line| display_width(line) <= 10), "{lines:?}");
        }
        assert_eq!(wrap("漢字", 1, 3), ["漢", "字"], "a character wider than a line gets its own line");
    }
}
