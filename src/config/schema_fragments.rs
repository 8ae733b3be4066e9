//! JSON Schema fragments that several configuration types share.

use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use super::value_syntax::SIGNALS;

/// Pattern for durations that `value_syntax::parse_nanoseconds` accepts.
pub(crate) const DURATION: &str = r"^(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$";

/// Pattern for a registry: a host with an optional path.
pub(crate) const REGISTRY: &str = r"^(\[[0-9a-fA-F:]+\]|[^@\s/:\[]+)(:[0-9]+)?(/[^@\s/:]+)*/*$";

/// Returns a schema for names of annotations, with an optional prefix.
pub(crate) fn annotation_names() -> Value {
    json!({ "pattern": r"^((index|manifest):)?[^:=\s]+$" })
}

/// Pattern for owners that `value_syntax::is_owner` accepts.
pub(crate) const OWNER: &str = "^[A-Za-z0-9_.-]+(:[A-Za-z0-9_.-]+)?$";

/// Returns a pattern for the signals that `value_syntax::is_signal` accepts.
pub(crate) fn signal_pattern() -> String {
    let either = |letter: char| format!("[{letter}{}]", letter.to_ascii_lowercase());
    let in_any_case = |name: &str| {
        name.chars().map(|c| if c.is_ascii_uppercase() { either(c) } else { c.to_string() }).collect::<String>()
    };
    let names = SIGNALS.iter().map(|name| in_any_case(name)).collect::<Vec<_>>().join("|");
    let real_time = format!(r"{}\+(1[0-5]|[1-9])|{}-(1[0-4]|[1-9])", in_any_case("RTMIN"), in_any_case("RTMAX"));
    format!("^([1-9][0-9]*|({})?({names}|{real_time}))$", in_any_case("SIG"))
}

/// Size in bytes, as a number or as a string with a unit, such as `"50MB"`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[serde(untagged)]
pub(crate) enum Size {
    Bytes(u64),
    Text(#[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?\s*([kKmMgGtTpPeE][iI]?)?[bB]?$"))] String),
}

/// One or several Debian archives, each with suites.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[serde(untagged)]
pub(crate) enum DebianMirror {
    One(#[schemars(regex(pattern = DEBIAN_MIRROR))] String),
    Many(#[schemars(inner(regex(pattern = DEBIAN_MIRROR)))] Vec<String>),
}

/// Pattern for values that `plan::debian_mirror` accepts.
const DEBIAN_MIRROR: &str = r"^https?://[^@\s/]+(/\S*)?(\s+[A-Za-z0-9][A-Za-z0-9._/-]*)+$";

/// Removes null from a schema, since TOML has no null. Also removes defaults that only mean that a key is unset.
pub(crate) fn without_null(schema: &mut Schema) {
    let Some(schema) = schema.as_object_mut() else { return };
    if schema.get("default").is_some_and(|default| default.is_null() || *default == json!({})) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get("type") {
        let only = types.iter().find(|name| *name != "null").cloned();
        schema.insert("type".to_owned(), only.unwrap());
    }
    let null = json!({ "type": "null" });
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else { return };
    choices.retain(|choice| *choice != null);
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        schema.extend(only);
    }
}
