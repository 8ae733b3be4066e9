//! Long lines for a terminal, broken between words: a terminal breaks them anywhere. Pure.

use unicode_width::UnicodeWidthStr;

/// Columns that make a column of their own for a text; with fewer it goes on at the left.
pub const LEAST: usize = 24;
const LEFT: usize = 4;

/// A text that begins in the column `start` and goes on below itself; as it is where there is no width.
pub fn hanging(text: &str, start: usize, width: Option<usize>) -> String {
    let Some(width) = width else { return text.to_owned() };
    let indent = if start + LEAST <= width { start } else { LEFT.min(start) };
    let (mut wrapped, mut column) = (String::new(), start);
    let mut add = |text: &str| wrapped.push_str(text);
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            add(&below(indent));
            column = indent;
        }
        for (place, word) in words(line).into_iter().enumerate() {
            let (blank, size) = (if place > 0 { " " } else { "" }, word.width());
            // A command that is longer than the column has a line of its own.
            let is_for_left = indent + size > width && LEFT + size <= width;
            let indent = if is_for_left { LEFT } else { indent };
            if column > indent && column + blank.len() + size > width {
                add(&below(indent));
                column = indent;
            } else {
                add(blank);
                column += blank.len();
            }
            add(word);
            column += size;
        }
    }
    wrapped
}

/// A text behind its head, which goes on below itself.
pub fn beside(head: &str, text: &str, width: Option<usize>) -> String {
    format!("{head}{}", hanging(text, head.width(), width))
}

fn below(indent: usize) -> String {
    format!("\n{}", " ".repeat(indent))
}

/// Paragraphs with a blank line between them, each as wide as there is room; as they are where there is no width.
pub fn paragraphs(text: &str, width: Option<usize>) -> String {
    let paragraph = |lines: &str| hanging(&lines.replace('\n', " "), 0, width);
    match width {
        Some(_) => text.split("\n\n").map(paragraph).collect::<Vec<_>>().join("\n\n"),
        None => text.to_owned(),
    }
}

/// What stays together: words, and of what is to be copied a command in backticks, a table in braces, a key and its value.
fn words(line: &str) -> Vec<&str> {
    let (mut words, mut start, mut end) = (Vec::new(), 0, None);
    for (at, c) in line.char_indices() {
        let (before, after) = (&line[..at], &line[at + c.len_utf8()..]);
        match (end, c) {
            (Some(awaited), _) if c == awaited => end = None,
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

/// `1 error`, `2 errors`.
pub fn plural(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_on_below_itself() {
        let text = "no words are broken, and none is lost";
        for (start, width, expected) in [
            (0, None, text),
            (4, Some(41), text),
            (4, Some(40), "no words are broken, and none is\n    lost"),
            (6, Some(30), "no words are broken, and\n      none is lost"),
            // There is no room for a column.
            (7, Some(30), "no words are broken,\n    and none is lost"),
            (29, Some(30), "\n    no words are broken, and\n    none is lost"),
            (0, Some(1), "no\nwords\nare\nbroken,\nand\nnone\nis\nlost"),
        ] {
            assert_eq!(hanging(text, start, width), expected, "{start} {width:?}");
        }
        let command = "`cargo multiarch doctor x`";
        let below = format!("run\n    {command}\n        there");
        assert_eq!(hanging(&format!("run {command} there"), 8, Some(33)), below);
        assert_eq!(hanging(&format!("a {command}"), 2, Some(27)), format!("a\n  {command}"), "there is no room for it");
        assert_eq!(beside("ab  ", "one two", Some(9)), format!("ab  {}", hanging("one two", 4, Some(9))));
        assert_eq!(hanging("a\n\nb  c", 2, Some(40)), "a\n  \n  b  c");
        assert_eq!(hanging("全角 全角 全角", 0, Some(9)), "全角 全角\n全角");
    }

    #[test]
    fn what_is_copied_stays_whole() {
        for (text, expected) in [
            ("run `cargo multiarch doctor` and see", &["run", "`cargo multiarch doctor`", "and", "see"][..]),
            ("set libc = \"gnu\" there", &["set", "libc = \"gnu\"", "there"]),
            (
                "platform.\"linux/386\" = { libc = \"gnu\", base = \"x\" }",
                &["platform.\"linux/386\" = { libc = \"gnu\", base = \"x\" }"],
            ),
            ("add: {% include \"config\" %}", &["add:", "{% include \"config\" %}"]),
            ("a ` b { c", &["a", "`", "b", "{", "c"]),
            ("", &[""]),
        ] {
            assert_eq!(words(text), expected);
        }
    }

    #[test]
    fn paragraphs_are_filled() {
        let text = "## title\n\none two\nthree four\n\nfive";
        assert_eq!(paragraphs(text, None), text);
        assert_eq!(paragraphs(text, Some(80)), "## title\n\none two three four\n\nfive");
        assert_eq!(paragraphs(text, Some(8)), "## title\n\none two\nthree\nfour\n\nfive");
    }
}
