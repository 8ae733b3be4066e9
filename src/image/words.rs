//! Words of a Dockerfile: quotes, backslashes and variables (Dockerfile reference, "Environment replacement"). Pure.

use std::iter::Peekable;
use std::str::Chars;

/// A value by variable name; none where it is not set.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A word as its instruction sees it: without quotes and backslashes, variables replaced.
pub fn expand(word: &str, lookup: Lookup<'_>) -> Result<String, String> {
    let mut chars = word.chars().peekable();
    let mut result = String::new();
    let mut double = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => double = !double,
            '\'' if !double => loop {
                match chars.next() {
                    None => return Err("a quote is not closed".to_owned()),
                    Some('\'') => break,
                    Some(c) => result.push(c),
                }
            },
            '\\' => match chars.next() {
                None => result.push('\\'),
                // In double quotes a backslash is itself, but before what is special there.
                Some(next) => {
                    if double && !['"', '$', '\\'].contains(&next) {
                        result.push('\\');
                    }
                    result.push(next);
                }
            },
            '$' => result.push_str(&variable(&mut chars, lookup)?),
            c => result.push(c),
        }
    }
    if double { Err("a quote is not closed".to_owned()) } else { Ok(result) }
}

/// What stands after a `$`.
fn variable(chars: &mut Peekable<Chars<'_>>, lookup: Lookup<'_>) -> Result<String, String> {
    if chars.peek() != Some(&'{') {
        let name = name(chars);
        return Ok(if name.is_empty() { "$".to_owned() } else { lookup(&name).unwrap_or_default() });
    }
    chars.next();
    let name = name(chars);
    let mut rest = String::new();
    let mut depth = 1;
    for c in chars.by_ref() {
        depth += match c {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if depth == 0 {
            break;
        }
        rest.push(c);
    }
    let value = lookup(&name);
    match (depth, rest.as_str()) {
        (0, "") if !name.is_empty() => Ok(value.unwrap_or_default()),
        (0, rest) if !name.is_empty() => {
            let (operator, word) = rest.split_at(if rest.starts_with(':') { 2.min(rest.len()) } else { 1 });
            let set = value.filter(|value| !operator.starts_with(':') || !value.is_empty());
            match operator {
                ":-" | "-" => set.map_or_else(|| expand(word, lookup), Ok),
                ":+" | "+" => set.map_or_else(|| Ok(String::new()), |_| expand(word, lookup)),
                _ => Err(format!("'${{{name}{rest}}}' is not understood")),
            }
        }
        _ => Err("'${' is not closed".to_owned()),
    }
}

fn name(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    name
}

/// Splits at spaces that are in no quotes; the words keep theirs.
pub fn split(text: &str) -> Vec<String> {
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

/// The pairs of ENV or LABEL: `a=1 b="2 3"`, or in the old form one name and the rest of the line.
pub fn pairs(text: &str, lookup: Lookup<'_>) -> Result<Vec<(String, String)>, String> {
    let words = split(text);
    if words.first().is_some_and(|first| !first.contains('=')) {
        let (name, value) = text.trim().split_once(char::is_whitespace).ok_or("a value is missing")?;
        return Ok(vec![(expand(name, lookup)?, expand(value.trim(), lookup)?)]);
    }
    words
        .iter()
        .map(|word| {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("'{word}' is not NAME=VALUE"))?;
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
    fn expansion() {
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
        ] {
            assert_eq!(expand(word, &lookup).as_deref(), Ok(expanded), "{word}");
        }
        for wrong in ["\"open", "'open", "${PATH", "${PATH#x}", "${}"] {
            assert!(expand(wrong, &lookup).is_err(), "{wrong}");
        }
    }

    #[test]
    fn env_lines() {
        let of =
            |text: &str| pairs(text, &lookup).unwrap().into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>();
        assert_eq!(of(r#"A="b c"   D=e\ f "g.h"='i j'"#), ["A=b c", "D=e f", "g.h=i j"]);
        assert_eq!(of("OLD  some value $PATH "), ["OLD=some value /bin"]);
        assert!(pairs("A=1 b", &lookup).is_err());
        assert!(pairs("A", &lookup).is_err());
    }
}
