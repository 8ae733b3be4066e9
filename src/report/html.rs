//! Renders HTML and SVG templates, escaping all values.

use anyhow::Result;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

/// Renders a template with the fields of `variables`. Fails if the template uses an unknown variable.
pub(crate) fn render(template: &str, variables: &impl Serialize) -> Result<String> {
    let mut syntax = SyntaxConfig::builder();
    let syntax = syntax.trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(false).build()?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_template("page", template)?;
    Ok(environment.get_template("page")?.render(Value::from(Serde(variables)))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::printable;

    #[test]
    fn values_are_escaped() {
        let text = printable("</title><script>&\"'\u{1b}[1m\u{0}");
        let page = render("<title>{{ text }}</title>", &serde_json::json!({ "text": text })).unwrap();
        assert!(!page.contains("<script>") && !page.contains('\u{1b}') && !page.contains('\u{0}'), "{page}");
        assert!(render("{{ unknown }}", &()).is_err());
    }
}
