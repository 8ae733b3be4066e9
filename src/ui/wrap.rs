//! Wraps text at word boundaries. Text is returned unchanged if `width` is `None`.

use super::text::display_width;

/// Minimum width of a column of wrapped text. If less space is left, the text continues at [`FALLBACK_INDENT`].
pub(crate) const MIN_COLUMN_WIDTH: usize = 24;
/// Indentation of continuation lines if the column would be too narrow.
const FALLBACK_INDENT: usize = 4;

/// Wraps text that starts at `column`, and indents the following lines to that column.
pub(crate) fn wrap_at(text: &str, column: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let indent = if column + MIN_COLUMN_WIDTH <= width { column } else { FALLBACK_INDENT.min(column) };
    let mut wrapped = String::new();
    let mut end = column;
    for (line_number, line) in text.split('\n').enumerate() {
        if line_number > 0 {
            break_line(&mut wrapped, indent);
            end = indent;
        }
        for (word_number, word) in unbreakable_words(line).into_iter().enumerate() {
            let separator = if word_number > 0 { " " } else { "" };
            let word_width = display_width(word);
            // A command that is too wide for the column is moved to a new line with a smaller indent.
            let is_too_wide = indent + word_width > width && FALLBACK_INDENT + word_width <= width;
            let indent = if is_too_wide { FALLBACK_INDENT } else { indent };
            if end > indent && end + separator.len() + word_width > width {
                break_line(&mut wrapped, indent);
                end = indent;
            } else {
                wrapped.push_str(separator);
                end += separator.len();
            }
            wrapped.push_str(word);
            end += word_width;
        }
    }
    wrapped
}

/// Appends wrapped text to a label, and indents the following lines to the end of the label.
pub(crate) fn wrap_after(label: &str, text: &str, width: Option<usize>) -> String {
    format!("{label}{}", wrap_at(text, display_width(label), width))
}

fn break_line(text: &mut String, indent: usize) {
    text.push('\n');
    text.push_str(&" ".repeat(indent));
}

/// Joins the lines of each paragraph and wraps them to `width`.
pub(crate) fn wrap_paragraphs(text: &str, width: Option<usize>) -> String {
    let wrap_paragraph = |paragraph: &str| wrap_at(&paragraph.replace('\n', " "), 0, width);
    match width {
        Some(_) => text.split("\n\n").map(wrap_paragraph).collect::<Vec<_>>().join("\n\n"),
        None => text.to_owned(),
    }
}

/// Splits a line into words. Text that users may copy is kept together: commands in backticks, inline tables in braces,
/// and `key = value`.
fn unbreakable_words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut end) = (Vec::new(), 0, None);
    for (at, c) in line.char_indices() {
        let (before, after) = (&line[..at], &line[at + c.len_utf8()..]);
        match (end, c) {
            (Some(closing), _) if c == closing => end = None,
            (Some(_), _) => {}
            (None, '`') if after.contains('`') => end = Some('`'),
            (None, '{') if after.contains('}') => end = Some('}'),
            (None, ' ') if !before.ends_with(" =") && !after.starts_with("= ") => {
                words.push(&line[start..at]);
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    words.push(&line[start..]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_lines_are_aligned_with_the_first() {
        let text = "no words are broken, and none is lost";
        for (start, width, expected) in [
            (0, None, text),
            (4, Some(41), text),
            (4, Some(40), "no words are broken, and none is\n    lost"),
            (6, Some(30), "no words are broken, and\n      none is lost"),
            // The column would be too narrow.
            (7, Some(30), "no words are broken,\n    and none is lost"),
            (29, Some(30), "\n    no words are broken, and\n    none is lost"),
            (0, Some(1), "no\nwords\nare\nbroken,\nand\nnone\nis\nlost"),
        ] {
            assert_eq!(wrap_at(text, start, width), expected, "{start} {width:?}");
        }
        let command = "`cargo multiarch doctor x`";
        let below = format!("run\n    {command}\n        there");
        assert_eq!(wrap_at(&format!("run {command} there"), 8, Some(33)), below);
        assert_eq!(
            wrap_at(&format!("a {command}"), 2, Some(27)),
            format!("a\n  {command}"),
            "a command that is too wide for any line is not broken"
        );
        assert_eq!(wrap_after("ab  ", "one two", Some(9)), format!("ab  {}", wrap_at("one two", 4, Some(9))));
        assert_eq!(wrap_at("a\n\nb  c", 2, Some(40)), "a\n  \n  b  c");
        assert_eq!(wrap_at("全角 全角 全角", 0, Some(9)), "全角 全角\n全角");
    }

    #[test]
    fn text_to_copy_is_not_broken() {
        for (text, expected) in [
            ("run `cargo multiarch doctor` and see", &["run", "`cargo multiarch doctor`", "and", "see"][..]),
            ("set libc = \"gnu\" first", &["set", "libc = \"gnu\"", "first"]),
            (
                "platform.\"linux/386\" = { libc = \"gnu\", base = \"x\" }",
                &["platform.\"linux/386\" = { libc = \"gnu\", base = \"x\" }"],
            ),
            ("add: {% include \"config\" %}", &["add:", "{% include \"config\" %}"]),
            ("a ` b { c", &["a", "`", "b", "{", "c"]),
            ("", &[""]),
        ] {
            assert_eq!(unbreakable_words(text), expected);
        }
    }

    #[test]
    fn paragraphs_are_rewrapped() {
        let text = "## title\n\none two\nthree four\n\nfive";
        assert_eq!(wrap_paragraphs(text, None), text);
        assert_eq!(wrap_paragraphs(text, Some(80)), "## title\n\none two three four\n\nfive");
        assert_eq!(wrap_paragraphs(text, Some(8)), "## title\n\none two\nthree\nfour\n\nfive");
    }
}
