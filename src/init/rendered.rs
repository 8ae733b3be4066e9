//! Renders this command's own templates. Their delimiters are `<% %>` and `<< >>`: TOML and YAML have the usual ones in
//! what is to be written. Pure.

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

pub fn render(template: &str, variables: &impl Serialize) -> Result<String> {
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
    environment.add_filter("key", |name: String| toml_edit::Key::new(name).to_string());
    environment.add_template("template", template)?;
    Ok(environment.get_template("template")?.render(Value::from(Serde(variables)))?)
}
