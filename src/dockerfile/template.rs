//! Finds the template line that a rendered line came from, and quotes values for use in templates.

use minijinja::value::Value;

/// A template's text, and the stage that was rendered from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateText {
    pub stage: String,
    /// Path of the template, or `template NAME` for a built-in template.
    pub name: String,
    pub text: String,
}

impl TemplateText {
    /// Returns `path:line` for a rendered line, or only the path if the line cannot be found in the template.
    pub(crate) fn locate(&self, line: &str) -> String {
        let keyword = line.split_whitespace().next();
        let numbers = |matches: &dyn Fn(&str) -> bool| -> Vec<usize> {
            self.text.lines().enumerate().filter(|(_, other)| matches(other)).map(|(number, _)| number + 1).collect()
        };
        let identical = numbers(&|other| other.trim() == line);
        let similar = numbers(&|other| keyword.is_some() && other.split_whitespace().next() == keyword);
        match (&identical[..], &similar[..]) {
            ([number, ..], _) | ([], [number]) if keyword.is_some() => format!("{}:{number}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// Quotes a word and escapes `\`, `"` and `$` in it (Dockerfile reference, "Environment replacement").
pub(crate) fn quote(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| ['\\', '"', '$'].contains(&c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

/// Formats a list of words as a JSON array, applying `change` to each word.
pub(crate) fn json(list: &Value, change: impl Fn(&str) -> String) -> Result<String, minijinja::Error> {
    let words: Vec<String> = list.try_iter()?.map(|word| change(&word.to_string())).collect();
    Ok(serde_json::Value::from(words).to_string())
}
