//! Renders the templates used by `init`. Their delimiters are `<% %>` and `<< >>`, because the generated TOML and YAML
//! files contain `{{ }}`.

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

pub(crate) fn render(template: &str, variables: &impl Serialize) -> Result<String> {
    let mut syntax = SyntaxConfig::builder();
    syntax.block_delimiters("<%", "%>").variable_delimiters("<<", ">>").comment_delimiters("<#", "#>");
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(syntax);
    environment.add_filter("toml", |value: Value| {
        toml::Value::try_from(value).map_or_else(|_| String::new(), |toml| toml.to_string())
    });
    environment.add_filter("yaml", |text: String| scalar(&text));
    environment.add_filter("shell", |text: String| shell_words::quote(&text).into_owned());
    environment.add_filter("key", |name: String| toml_edit::Key::new(name).to_string());
    environment.add_template("template", template)?;
    Ok(environment.get_template("template")?.render(Value::from(Serde(variables)))?)
}

/// Returns a string as a YAML scalar, quoted if necessary. A JSON string is also a valid YAML string.
pub(crate) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let keywords = ["true", "false", "null", "yes", "no", "on", "off"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(is_plain)
        && !keywords.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalar_quotes_ambiguous_strings() {
        for plain in ["server", "a/b-c.d", "ghcr.io"] {
            assert_eq!(scalar(plain), plain);
        }
        for (text, quoted) in [
            ("my server", r#""my server""#),
            ("[fd00::1]:5000", r#""[fd00::1]:5000""#),
            ("localhost:5000", r#""localhost:5000""#),
            ("Yes", r#""Yes""#),
            ("2024", r#""2024""#),
            ("a\"b", r#""a\"b""#),
            ("", r#""""#),
        ] {
            assert_eq!(scalar(text), quoted);
        }
    }
}
