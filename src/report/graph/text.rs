//! Breaks text in a picture into lines.

use unicode_width::UnicodeWidthChar;

use crate::ui::text::display_width;

/// Breaks a text into lines of at most `columns`, preferably after a separator. A text that needs more than `max_lines`
/// is cut off with `…`.
pub(crate) fn wrap(text: &str, columns: usize, max_lines: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (fitting, after_separator) = fit(rest, columns);
        if lines.len() + 1 == max_lines && fitting < rest.len() {
            lines.push(cut_off(&rest[..fitting], columns));
            return lines;
        }
        let end = if fitting == rest.len() {
            fitting
        } else if after_separator > 0 {
            after_separator
        } else {
            // A part that is longer than a line is broken anywhere, but never before its first character.
            fitting.max(rest.chars().next().map_or(1, char::len_utf8))
        };
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines
}

/// Returns how many bytes of a text fit into `columns`, and how many of these end with a separator.
fn fit(text: &str, columns: usize) -> (usize, usize) {
    let (mut width, mut fitting, mut after_separator) = (0, 0, 0);
    for (start, c) in text.char_indices() {
        width += c.width().unwrap_or(1);
        if width > columns {
            break;
        }
        fitting = start + c.len_utf8();
        if matches!(c, ' ' | '/' | ':' | ',' | '-' | '_' | '.' | '@') {
            after_separator = fitting;
        }
    }
    (fitting, after_separator)
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
    fn lines_are_no_longer_than_they_may_be() {
        for (text, most, expected) in [
            ("short", 3, &["short"][..]),
            ("exactly-10", 3, &["exactly-10"]),
            ("two words are", 3, &["two words", "are"]),
            ("ghcr.io/you/app:1.0", 3, &["ghcr.io/", "you/app:1.", "0"]),
            ("abcdefghijklmnop", 3, &["abcdefghij", "klmnop"]),
            ("abcdefghijklmnop", 1, &["abcdefghi…"]),
            ("one two three four five six", 2, &["one two", "three fou…"]),
            // Each takes two columns.
            ("漢字漢字漢字漢字", 3, &["漢字漢字漢", "字漢字"]),
            ("", 3, &[]),
        ] {
            let lines = wrap(text, 10, most);
            assert_eq!(lines, expected, "{text}");
            assert!(lines.iter().all(|line| display_width(line) <= 10), "{lines:?}");
        }
        assert_eq!(wrap("漢字", 1, 3), ["漢", "字"], "a character that fits nowhere stands alone");
    }
}
