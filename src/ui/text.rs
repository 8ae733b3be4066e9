//! Measures, pads and pluralizes text.

use unicode_width::UnicodeWidthStr;

/// Returns the number of columns that `text` occupies in a monospace font.
pub(crate) fn display_width(text: &str) -> usize {
    text.width()
}

/// Pads `text` with trailing spaces to `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(display_width(text))))
}

/// Formats a number with the singular or plural form of a noun: `1 error`, `2 errors`.
pub(crate) fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_occupy_two_columns() {
        assert_eq!((display_width("ab"), display_width("漢字"), display_width("")), (2, 4, 0));
        assert_eq!((pad("漢", 3), pad("abc", 2)), ("漢 ".to_owned(), "abc".to_owned()));
    }
}
