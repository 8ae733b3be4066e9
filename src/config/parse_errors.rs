//! Explains errors in configuration files in TOML's terms, with the location, key, expected type, value and an example,
//! because the TOML parser's own messages mention Rust types.

use camino::Utf8Path;
use toml::de::{DeTable, DeValue};

use crate::error::{Class, Failure};

/// Converts a TOML parser error into a message with location, key and a hint.
pub(crate) fn explain_parse_error(error: &toml::de::Error, text: &str, path: &Utf8Path) -> Failure {
    let offset = error.span().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or_default();
    let location = format!("{path}:{}", before.matches('\n').count() + 1);
    let failure = |problem: String| Failure::new(Class::Config, format!("{location}: {problem}"));
    let message = error.message().lines().next().unwrap_or_default();
    // serde's messages: "unknown field `x`, expected one of `a`, `b`", "unknown variant `x`, …" and "missing field
    // `x`".
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field")
        && let Some((unknown, known)) = quoted.split_first()
    {
        return failure(format!("unknown key '{unknown}'")).did_you_mean_or_list(
            unknown,
            known.iter().copied(),
            "valid keys are",
        );
    }
    if message.starts_with("unexpected leading zero") {
        let rest = text.get(offset..).unwrap_or_default();
        let number: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "_.".contains(*c)).collect();
        return failure(format!("{number} is not a valid number: numbers in TOML cannot start with 0"))
            .hint(format!("remove the leading zero, or quote the number if it is a file mode: mode = \"{number}\""));
    }
    let Some(key) = key_at(text, offset) else { return failure(message.to_owned()) };
    match quoted.split_first() {
        Some((unknown, known)) if message.starts_with("unknown variant") => {
            let values = known.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(", ");
            failure(format!("{key}: expected one of {values}, found \"{unknown}\""))
                .did_you_mean(unknown, known.iter().copied())
        }
        Some((missing, _)) if message.starts_with("missing field") => {
            let example = if *missing == "cmd" { "[\"…\"]" } else { "\"…\"" };
            failure(format!("{key}: missing key '{missing}'")).hint(format!("add {missing} = {example}"))
        }
        _ => match message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: ")) {
            Some(rest) => {
                let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "another value"));
                let problem = format!("{key}: expected {}, found {}", describe_type(expected), describe_value(found));
                failure(problem).hint(example_hint(&key, expected, &value_text(found)))
            }
            // The TOML parser reports this for values that should be the name of an enum variant.
            None if message == "wanted string or table" => failure(format!("{key}: expected a quoted string")),
            None => match union_hint(&key) {
                Some(hint) => failure(format!("{key}: {message}")).hint(hint),
                None => failure(message.to_owned()),
            },
        },
    }
}

/// Returns a hint with an example for a key that accepts several types (`#[serde(untagged)]`). For such types, serde
/// does not report the value that it found.
fn union_hint(key: &str) -> Option<&'static str> {
    match last_name(key).0 {
        "expose" => Some("a port is a number up to 65535 with an optional protocol, as in expose = [8080, \"53/udp\"]"),
        "auditable" => Some("use auditable = true, auditable = false or auditable = \"auto\""),
        "registry" => Some("use a string or a list of strings, as in registry = \"ghcr.io/you\""),
        _ => None,
    }
}

/// Returns the last name in a key's path, without its array index, and whether it has an index.
fn last_name(key: &str) -> (&str, bool) {
    let name = key.rsplit('.').next().unwrap_or(key);
    name.split_once('[').map_or((name, false), |(name, _)| (name, true))
}

/// Returns the path of the key or value at a byte offset, relative to the configuration's top-level table.
fn key_at(text: &str, offset: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let path = key_in_table(table.get_ref(), offset)?;
    let inside = ["package.metadata.multiarch.", "workspace.metadata.multiarch."];
    Some(inside.iter().find_map(|table| path.strip_prefix(table)).unwrap_or(&path).to_owned())
}

fn key_in_table(table: &DeTable<'_>, offset: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = key.get_ref();
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let name = if plain { name.to_string() } else { format!("\"{name}\"") };
        let is_here = value.span().contains(&offset) || key.span().contains(&offset);
        match key_in_value(value.get_ref(), offset) {
            Some(index) if index.starts_with('[') => Some(format!("{name}{index}")),
            Some(key) => Some(format!("{name}.{key}")),
            None => is_here.then_some(name),
        }
    })
}

fn key_in_value(value: &DeValue<'_>, offset: usize) -> Option<String> {
    match value {
        DeValue::Table(table) => key_in_table(table, offset),
        DeValue::Array(items) => {
            items.iter().enumerate().find_map(|(index, item)| match key_in_value(item.get_ref(), offset) {
                Some(key) => Some(format!("[{index}].{key}")),
                None => item.span().contains(&offset).then(|| format!("[{index}]")),
            })
        }
        _ => None,
    }
}

/// Describes a value in TOML's terms. `found` is serde's description, such as ``integer `5` ``.
fn describe_value(found: &str) -> String {
    match found.split_once(' ') {
        _ if found == "sequence" => "a list".to_owned(),
        _ if found == "map" => "a table".to_owned(),
        Some(("string", text)) => format!("the string {text}"),
        Some(("boolean", _)) => value_text(found),
        Some(("integer" | "floating", _)) => format!("the number {}", value_text(found)),
        _ => found.to_owned(),
    }
}

/// Extracts the value from serde's description, without quotes.
fn value_text(found: &str) -> String {
    let quoted = |quote: char| Some(found.split_once(quote)?.1.rsplit_once(quote)?.0.to_owned());
    quoted('"').or_else(|| quoted('`')).unwrap_or_else(|| "…".to_owned())
}

const SIZE: &str = "a number and a unit";

/// Describes an expected type in TOML's terms. `expected` is serde's description.
fn describe_type(expected: &str) -> &str {
    match expected {
        "a sequence" => "a list",
        "a map" | "struct Config" => "a table",
        "struct FileEntry" => "a table with `from` and `to`",
        "a boolean" => "true or false",
        "u16" | "u32" | "u64" | "i64" => "a whole number",
        "parsable string" => SIZE,
        other => other,
    }
}

/// Splits a string that should have been a list, for the example in a hint. Commands are split like shell command
/// lines, and other values at commas.
fn list_items(name: &str, value: &str) -> Vec<String> {
    // serde prints the string in Rust's debug format, which is valid JSON except for rare escapes.
    let text = serde_json::from_str(&format!("\"{value}\"")).unwrap_or_else(|_| value.to_owned());
    let words = ["entrypoint", "cmd", "smoke"].contains(&name).then(|| shell_words::split(&text).ok());
    words.flatten().unwrap_or_else(|| text.split(',').map(|item| item.trim().to_owned()).collect())
}

/// Returns a hint with an example of the expected type. The example contains the given value if possible.
fn example_hint(key: &str, expected: &str, value: &str) -> String {
    let (name, is_item) = last_name(key);
    let example = match describe_type(expected) {
        "a list" if name == "files" => "[{ from = \"…\", to = \"/…\" }]".to_owned(),
        "a list" => {
            let items = list_items(name, value).into_iter().map(|item| toml::Value::from(item).to_string());
            format!("[{}]", items.collect::<Vec<_>>().join(", "))
        }
        "a table" if name == "platform" => {
            return "did you mean 'platforms'? platform.\"os/architecture\" contains settings for a single platform"
                .to_owned();
        }
        "a table" => "{ NAME = \"…\" }".to_owned(),
        "a table with `from` and `to`" => "{ from = \"…\", to = \"/…\" }".to_owned(),
        "a table with `cmd`, or false" => "{ cmd = [\"…\"] }".to_owned(),
        "true or false" => if matches!(value, "true" | "false") { value } else { "true" }.to_owned(),
        SIZE => "\"50MB\"".to_owned(),
        "a whole number" => if value.parse::<u32>().is_ok() { value } else { "3" }.to_owned(),
        _ if name == "mode" && value.len() == 3 && value.chars().all(|c| c.is_digit(8)) => format!("\"0{value}\""),
        _ => format!("\"{value}\""),
    };
    if is_item { format!("use {name} = [{example}]") } else { format!("use {name} = {example}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn parse_errors_are_explained() {
        for (text, message, hint) in [
            ("tags = 'a'", "1: tags: expected a list, found the string \"a\"", "use tags = [\"a\"]"),
            (
                "platforms = 'linux/arm64'",
                "1: platforms: expected a list, found the string \"linux/arm64\"",
                "platforms = [\"linux/arm64\"]",
            ),
            (
                "platforms = 'linux/amd64, linux/arm64'",
                "1: platforms: expected a list, found the string \"linux/amd64, linux/arm64\"",
                "platforms = [\"linux/amd64\", \"linux/arm64\"]",
            ),
            (
                "files = [{ from = 'x', to = '/x', mode = 755 }]",
                "1: files[0].mode: expected a string, found the number 755",
                "mode = \"0755\"",
            ),
            ("\ntags = ['a',\n 5]", "3: tags[1]: expected a string, found the number 5", "tags = [\"5\"]"),
            ("base = 5", "1: base: expected a string, found the number 5", "base = \"5\""),
            ("base = ['x']", "1: base: expected a string, found a list", "base = \"…\""),
            ("libc = 5", "1: libc: expected a quoted string", ""),
            ("libc = 'glibc'", "1: libc: expected one of \"gnu\", \"musl\", found \"glibc\"", ""),
            (
                "engine = 'buildks'",
                "1: engine: expected one of \"auto\", \"buildx\", \"embedded\", found \"buildks\"",
                "did you mean 'buildx'?",
            ),
            ("locked = 'true'", "1: locked: expected true or false, found the string \"true\"", "locked = true"),
            ("auditable = 5", "1: auditable: expected true, false or \"auto\"", "auditable = \"auto\""),
            ("auditable = 'yes'", "1: auditable: expected true, false or \"auto\"", "auditable = \"auto\""),
            ("locked = 1.5", "1: locked: expected true or false, found the number 1.5", "locked = true"),
            (
                "compression-level = 'high'",
                "1: compression-level: expected a whole number, found the string \"high\"",
                "compression-level = 3",
            ),
            (
                "compression-level = -1",
                "1: compression-level: expected a whole number, found the number -1",
                "compression-level = 3",
            ),
            (
                "max-size = '50 megs'",
                "1: max-size: expected a number and a unit, found the string \"50 megs\"",
                "max-size = \"50MB\"",
            ),
            ("env = ['A=1']", "1: env: expected a table, found a list", "env = { NAME = \"…\" }"),
            ("[images.web.env]\nA = 1", "2: images.web.env.A: expected a string, found the number 1", "A = \"1\""),
            ("images = ['a']", "1: images: expected a table, found a list", "images = { "),
            ("[images]\na = 'x'", "2: images.a: expected a table, found the string \"x\"", "a = { "),
            ("[images.'a/b']\nbins = true", "2: images.\"a/b\".bins: expected a list, found true", "bins = [\"true\"]"),
            ("cmd = 'a --b'", "1: cmd: expected a list, found the string \"a --b\"", "cmd = [\"a\", \"--b\"]"),
            (
                "cmd = 'sh -c \"a b\"'",
                "1: cmd: expected a list, found the string \"sh -c \\\"a b\\\"\"",
                "cmd = [\"sh\", \"-c\", \"a b\"]",
            ),
            ("cmd = \"it's\"", "1: cmd: expected a list, found the string \"it's\"", "cmd = [\"it's\"]"),
            (
                "files = 'x'",
                "1: files: expected a list, found the string \"x\"",
                "files = [{ from = \"…\", to = \"/…\" }]",
            ),
            (
                "files = ['x']",
                "1: files[0]: expected a table with `from` and `to`, found the string \"x\"",
                "files = [{ from",
            ),
            ("files = [{ from = 'x' }]", "1: files[0]: missing key 'to'", "add to = \"…\""),
            ("files = [{ from = 'x', to = 5 }]", "1: files[0].to: expected a string, found the number 5", "to = \"5\""),
            (
                "healthcheck = 'x'",
                "1: healthcheck: expected a table with `cmd`, or false, found the string \"x\"",
                "healthcheck = { cmd = [\"…\"] }",
            ),
            (
                "healthcheck = true",
                "1: healthcheck: expected a table with `cmd`, or false, found true",
                "healthcheck = { cmd = [\"…\"] }",
            ),
            ("healthcheck = { interval = '1s' }", "1: healthcheck: missing key 'cmd'", "add cmd = [\"…\"]"),
            ("registry = 5", "1: registry: expected a string or a list of strings", "registry = \"ghcr.io/you\""),
            (
                "[images.a]\nexpose = [99999]",
                "2: images.a.expose: expected a port, such as 8080 or \"53/udp\"",
                "up to 65535",
            ),
            ("platform = ['linux/arm64']", "1: platform: expected a table, found a list", "did you mean 'platforms'?"),
            ("platforms = ['linux/arm65']", "1: unknown platform 'linux/arm65' (did you mean 'linux/arm64'?)", ""),
            ("a = 1\n[images.x", "2: unclosed table, expected `]`", ""),
            ("tags = ['a']\ntags = ['b']", "2: duplicate key", ""),
            (
                "files = [{ from = 'x', to = '/x', mode = 0755 }]",
                "1: 0755 is not a valid number: numbers in TOML cannot start with 0",
                "mode = \"0755\"",
            ),
            ("base = debian", "1: string values must be quoted, expected literal string", ""),
        ] {
            let error = toml::from_str::<Config>(text).unwrap_err();
            let failure = explain_parse_error(&error, text, "multiarch.toml".into());
            assert_eq!(failure.to_string(), format!("multiarch.toml:{message}"), "{text}: {error}");
            assert!(failure.hints().join("\n").contains(hint), "{text}: {:?}", failure.hints());
        }
    }

    #[test]
    fn key_paths_omit_the_metadata_table() {
        let text = "[package]\nname = 'a'\n[package.metadata.multiarch]\nbase = 5";
        assert_eq!(key_at(text, text.len() - 1).as_deref(), Some("base"));
        let text = "[workspace.metadata.multiarch.images.x]\nbase = 5";
        assert_eq!(key_at(text, text.len() - 1).as_deref(), Some("images.x.base"));
    }
}
