//! Measures and counts text.

use unicode_width::UnicodeWidthStr;

/// Returns the columns that a text takes in a terminal or another monospace font.
pub(crate) fn display_width(text: &str) -> usize {
    text.width()
}

/// Appends spaces until a text takes `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(display_width(text))))
}

/// `1 error`, `2 errors`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!((display_width("ab"), display_width("漢字"), display_width("")), (2, 4, 0));
        assert_eq!((pad("漢", 3), pad("abc", 2)), ("漢 ".to_owned(), "abc".to_owned()));
    }
}
