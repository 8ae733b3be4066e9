//! Measures, pads and pluralizes text, and formats durations.

use std::time::Duration;

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

/// Formats a number of layers, and how many of them were in a cache: `3 layers (1 from the cache)`.
pub(crate) fn count_layers(all: usize, cached: usize) -> String {
    let layers = plural(all, "layer", "layers");
    if cached == 0 { layers } else { format!("{layers} ({cached} from the cache)") }
}

/// Formats how long something has been running: `12s`, `1m 20s`, `1h 02m`.
pub(crate) fn format_elapsed(elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    if hours > 0 {
        format!("{hours}h {:02}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else {
        format!("{seconds}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_layers_are_counted() {
        assert_eq!(count_layers(1, 0), "1 layer");
        assert_eq!(count_layers(3, 1), "3 layers (1 from the cache)");
    }

    #[test]
    fn elapsed_time_has_at_most_two_units() {
        for (seconds, expected) in
            [(0, "0s"), (59, "59s"), (60, "1m 00s"), (80, "1m 20s"), (3599, "59m 59s"), (3720, "1h 02m")]
        {
            assert_eq!(format_elapsed(Duration::from_secs(seconds)), expected);
        }
    }

    #[test]
    fn wide_characters_occupy_two_columns() {
        assert_eq!((display_width("ab"), display_width("漢字"), display_width("")), (2, 4, 0));
        assert_eq!((pad("漢", 3), pad("abc", 2)), ("漢 ".to_owned(), "abc".to_owned()));
    }
}
