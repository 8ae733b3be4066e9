//! Renders pages and pictures: what comes from elsewhere is escaped, whatever it holds. Pure.

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;
use unicode_width::UnicodeWidthChar;

pub fn render(template: &str, variables: &impl Serialize) -> Result<String> {
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build()?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page", template)?;
    Ok(environment.get_template("page")?.render(Value::from(Serde(variables)))?)
}

/// Columns that a text takes in a font whose characters are alike.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(1)).sum()
}

/// A text in lines of so many columns, broken behind what separates its parts; of what takes more lines than that, the
/// end is left out.
pub fn wrap(text: &str, columns: usize, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut taken = 0;
        let mut fits = 0;
        let mut at_part = 0;
        for (at, c) in rest.char_indices() {
            taken += c.width().unwrap_or(1);
            if taken > columns {
                break;
            }
            fits = at + c.len_utf8();
            if matches!(c, ' ' | '/' | ':' | ',' | '-' | '_' | '.' | '@') {
                at_part = fits;
            }
        }
        if lines.len() + 1 == most && fits < rest.len() {
            let mut last: String = rest[..fits].to_owned();
            while width(&last) >= columns {
                last.pop();
            }
            lines.push(format!("{last}…"));
            return lines;
        }
        // A part that is longer than a line is broken anywhere, and never not at all.
        let end = match (fits == rest.len(), at_part) {
            (true, _) => fits,
            (false, 0) => fits.max(rest.chars().next().map_or(1, char::len_utf8)),
            (false, at_part) => at_part,
        };
        lines.push(rest[..end].trim_end().to_owned());
        rest = rest[end..].trim_start();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::printable;

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
            assert!(lines.iter().all(|line| width(line) <= 10), "{lines:?}");
        }
        assert_eq!(wrap("漢字", 1, 3), ["漢", "字"], "a character that fits nowhere stands alone");
    }

    #[test]
    fn nothing_of_a_value_is_markup() {
        let text = printable("</title><script>&\"'\u{1b}[1m\u{0}");
        let page = render("<title>{{ text }}</title>", &serde_json::json!({ "text": text })).unwrap();
        assert!(!page.contains("<script>") && !page.contains('\u{1b}') && !page.contains('\u{0}'), "{page}");
        assert!(render("{{ unknown }}", &()).is_err());
    }
}
