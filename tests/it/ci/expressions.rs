//! Evaluates the subset of GitHub's expression language that the tested workflows use.

use std::collections::BTreeMap;

use serde_json::Value;

/// Returns the elements of an array, or an empty list for any other value.
pub fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Returns the entries of an object, with their expressions expanded.
pub fn expanded(map: &Value, scope: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let entries = map.as_object().into_iter().flatten();
    // Skip cache keys, which call the unsupported function `hashFiles`. The jobs run without caches anyway.
    let entries = entries.filter(|(_, value)| !text(value).contains("hashFiles("));
    entries.map(|(name, value)| (name.clone(), expand(&text(value), scope))).collect()
}

/// Expands every `${{ … }}` in a string.
pub fn expand(text: &str, scope: &Value) -> String {
    let mut parts = text.split("${{");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (expression, rest) = part.split_once("}}").unwrap();
        text + &evaluate(expression, scope) + rest
    })
}

/// Evaluates a condition, which may be enclosed in `${{ }}`.
pub fn is_true(condition: &Value, scope: &Value) -> bool {
    let Some(condition) = condition.as_str() else { return true };
    let expression = condition.trim().strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    evaluate(expression.unwrap_or(condition), scope) == "true"
}

/// Evaluates an expression. Supports `a.b`, `'word'`, `x || y`, `x == y`, `!x`, `startsWith(x, y)`, and `join(a.*.b, ' ')`.
pub fn evaluate(expression: &str, scope: &Value) -> String {
    if let Some(expression) = expression.trim().strip_prefix('!') {
        return (evaluate(expression, scope) != "true").to_string();
    }
    if let Some(arguments) = expression.trim().strip_prefix("startsWith(") {
        let (text, prefix) = arguments.strip_suffix(')').unwrap().split_once(',').unwrap();
        return evaluate(text, scope).starts_with(&evaluate(prefix, scope)).to_string();
    }
    if let Some(arguments) = expression.trim().strip_prefix("join(") {
        let (path, separator) = arguments.strip_suffix(')').unwrap().split_once(',').unwrap();
        let (objects, name) = path.split_once(".*.").unwrap();
        let values = scope[objects].as_object().unwrap().values().map(|object| object[name].as_str().unwrap());
        return values.collect::<Vec<_>>().join(&evaluate(separator, scope));
    }
    if let Some((left, right)) = expression.split_once("==") {
        return (evaluate(left, scope) == evaluate(right, scope)).to_string();
    }
    if let Some((left, right)) = expression.split_once("||") {
        let left = evaluate(left, scope);
        return if left.is_empty() { evaluate(right, scope) } else { left };
    }
    let expression = expression.trim();
    if let Some(word) = expression.strip_prefix('\'') {
        return word.strip_suffix('\'').unwrap().to_owned();
    }
    let root = expression.split('.').next().unwrap();
    assert!(scope.get(root).is_some(), "unknown context '{root}' in expression '{expression}'");
    let value = expression.split('.').fold(scope, |value, name| &value[name]);
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}
