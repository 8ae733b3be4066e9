//! Expands quotes, backslashes and variables in the words of a Dockerfile (Dockerfile reference, "Environment
//! replacement").

use std::iter::Peekable;
use std::str::Chars;

use super::error::StageError;

/// A function that looks up the value of a variable. Returns `None` if the variable is not set.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Maximum nesting depth of variables in default values.
const MAX_NESTING: usize = 50;

/// Expands a word: removes quotes and backslashes, and replaces variables.
pub(crate) fn expand(word: &str, lookup: Lookup<'_>) -> Result<String, StageError> {
    let mut chars = word.chars().peekable();
    let mut result = String::new();
    let mut double = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => double = !double,
            '\'' if !double => loop {
                match chars.next() {
                    None => return Err(StageError::invalid("unterminated quote")),
                    Some('\'') => break,
                    Some(c) => result.push(c),
                }
            },
            '\\' => match chars.next() {
                None => result.push('\\'),
                // In double quotes, a backslash escapes only special characters.
                Some(next) => {
                    if double && !['"', '$', '\\'].contains(&next) {
                        result.push('\\');
                    }
                    result.push(next);
                }
            },
            '$' => result.push_str(&expand_variable(&mut chars, lookup)?),
            c => result.push(c),
        }
    }
    if double { Err(StageError::invalid("unterminated quote")) } else { Ok(result) }
}

/// Expands a variable. `chars` is positioned after the `$`.
fn expand_variable(chars: &mut Peekable<Chars<'_>>, lookup: Lookup<'_>) -> Result<String, StageError> {
    if chars.peek() != Some(&'{') {
        let name = read_name(chars);
        return Ok(if name.is_empty() { "$".to_owned() } else { lookup(&name).unwrap_or_default() });
    }
    chars.next();
    let name = read_name(chars);
    let mut rest = String::new();
    let mut depth = 1;
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                rest.push(c);
                rest.extend(chars.next());
                continue;
            }
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('$', None) if chars.peek() == Some(&'{') => depth += 1,
            ('}', None) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return substitute(&name, &rest, lookup);
        }
        if depth > MAX_NESTING {
            return Err(StageError::invalid("variables are nested too deeply"));
        }
        rest.push(c);
    }
    Err(StageError::invalid("unterminated '${'"))
}

/// Expands `${name}`. `rest` is the text between the name and the closing brace: either empty, or an operator followed
/// by a word.
fn substitute(name: &str, rest: &str, lookup: Lookup<'_>) -> Result<String, StageError> {
    let text = || format!("'${{{name}{rest}}}'");
    if name.is_empty() {
        return Err(StageError::invalid(format!("{} has no variable name", text())));
    }
    let (colon, operation) = rest.strip_prefix(':').map_or((false, rest), |operation| (true, operation));
    let mut operation = operation.chars();
    let operator = operation.next();
    let value = || lookup(name).filter(|value| !colon || !value.is_empty());
    match operator {
        None if !colon => Ok(value().unwrap_or_default()),
        Some('-') => value().map_or_else(|| expand(operation.as_str(), lookup), Ok),
        Some('+') => value().map_or_else(|| Ok(String::new()), |_| expand(operation.as_str(), lookup)),
        Some('?' | '#' | '%' | '/') => Err(StageError::unsupported(format!("the substitution {}", text()))),
        _ => Err(StageError::invalid(format!("{} is not a valid substitution", text()))),
    }
}

fn read_name(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    name
}

/// Splits text at whitespace outside quotes. The quotes themselves are kept.
pub(crate) fn split_words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.push(String::new());
            continue;
        }
        let Some(word) = words.last_mut() else { continue };
        word.push(c);
        match (c, quote) {
            ('\\', Some('"') | None) => word.extend(chars.next()),
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Parses the name-value pairs of an ENV or LABEL instruction: either `a=1 b="2 3"`, or the legacy form, in which a
/// single name is followed by its value.
pub(crate) fn parse_pairs(text: &str, lookup: Lookup<'_>) -> Result<Vec<(String, String)>, StageError> {
    let words = split_words(text);
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (name, value) = text
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(|| StageError::invalid(format!("'{}' has no value", text.trim())))?;
        return Ok(vec![(expand(name, lookup)?, expand(value.trim(), lookup)?)]);
    }
    words
        .iter()
        .map(|word| {
            let (name, value) = word
                .split_once('=')
                .ok_or_else(|| StageError::invalid(format!("expected NAME=VALUE, found '{word}'")))?;
            Ok((expand(name, lookup)?, expand(value, lookup)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "PATH" => Some("/bin".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn expands_words() {
        for (word, expanded) in [
            ("plain", "plain"),
            (r#""a \"q\" \$x \\ y\n""#, r#"a "q" $x \ y\n"#),
            (r"a\ b\$c", "a b$c"),
            ("'$PATH \\'", "$PATH \\"),
            ("/app:$PATH", "/app:/bin"),
            ("\"${PATH}x\"$NONE", "/binx"),
            ("${EMPTY:-d$PATH}${EMPTY-d}${NONE-e}", "d/bine"),
            ("${PATH:+yes}${EMPTY:+no}${EMPTY+set}", "yesset"),
            ("cost $5 $", "cost  $"),
            (r#""${NONE:-"}"}""#, "}"),
            (r"${NONE:-{}${NONE:-\}}", "{}"),
            (r#""${NONE:-'}'}""#, "}"),
            ("${NONE:-${NONE:-x}y}", "xy"),
        ] {
            assert_eq!(expand(word, &lookup).as_deref(), Ok(expanded), "{word}");
        }
        for invalid in ["\"open", "'open", "${PATH", "${}", "${PATHé}", "${PATH:é}", "${PATH:}", "${é}", "${NONE:-'}"]
        {
            assert!(matches!(expand(invalid, &lookup), Err(StageError::Invalid(_))), "{invalid}");
        }
        for unsupported in ["${PATH#x}", "${PATH:?é}", "${PATH//a/b}"] {
            assert!(matches!(expand(unsupported, &lookup), Err(StageError::Unsupported(_))), "{unsupported}");
        }
        let deep = format!("{}x{}", "${NONE:-".repeat(100_000), "}".repeat(100_000));
        assert!(expand(&deep, &lookup).is_err());
    }

    /// Tries every word made up of at most four special tokens.
    #[test]
    fn never_panics() {
        let tokens = ["$", "${PATH", "{", "}", "\\", "'", "\"", ":", "-", "é", "PATH", " ", "=", "🦀"];
        let mut words = vec![String::new()];
        let mut from = 0;
        for _ in 0..4 {
            let longer: Vec<String> =
                words[from..].iter().flat_map(|word| tokens.map(|token| format!("{word}{token}"))).collect();
            from = words.len();
            words.extend(longer);
        }
        for word in &words {
            let _ = (expand(word, &lookup), split_words(word), parse_pairs(word, &lookup));
        }
    }

    #[test]
    fn parses_env_lines() {
        let env = |text: &str| {
            parse_pairs(text, &lookup).unwrap().into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>()
        };
        assert_eq!(env(r#"A="b c"   D=e\ f "g.h"='i j'"#), ["A=b c", "D=e f", "g.h=i j"]);
        assert_eq!(env("OLD  some value $PATH "), ["OLD=some value /bin"]);
        assert!(parse_pairs("A=1 b", &lookup).is_err());
        assert!(parse_pairs("A", &lookup).is_err());
    }
}
