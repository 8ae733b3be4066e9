//! Template text, and quoting for Dockerfiles.

use minijinja::value::Value;

/// A template, and the stage that it was rendered for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateText {
    pub stage: String,
    /// A path, or `template NAME`.
    pub name: String,
    pub text: String,
}

impl TemplateText {
    /// Returns `path:line`, or the path alone if the line is not found in the template as it stands.
    pub(crate) fn locate(&self, line: &str) -> String {
        let keyword = line.split_whitespace().next();
        let numbers = |is_it: &dyn Fn(&str) -> bool| -> Vec<usize> {
            self.text.lines().enumerate().filter(|(_, other)| is_it(other)).map(|(number, _)| number + 1).collect()
        };
        let same = numbers(&|other| other.trim() == line);
        let alike = numbers(&|other| keyword.is_some() && other.split_whitespace().next() == keyword);
        match (&same[..], &alike[..]) {
            ([number, ..], _) | ([], [number]) if keyword.is_some() => format!("{}:{number}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// A word in double quotes, where `\`, `"` and `$` are special (Dockerfile reference, "Environment replacement").
pub(crate) fn quote(text: &str) -> String {
    let escaped: String =
        text.chars().flat_map(|c| ['\\', '"', '$'].contains(&c).then_some('\\').into_iter().chain([c])).collect();
    format!("\"{escaped}\"")
}

pub(crate) fn json(list: &Value, change: impl Fn(&str) -> String) -> Result<String, minijinja::Error> {
    let words: Vec<String> = list.try_iter()?.map(|word| change(&word.to_string())).collect();
    Ok(serde_json::Value::from(words).to_string())
}
