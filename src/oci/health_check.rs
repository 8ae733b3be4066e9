//! The health check in an image config. OCI does not define it, but Docker reads it from OCI images too (Docker Image
//! Specification v1.3, `Healthcheck`).

use serde_json::Value;

/// Shell that runs a health check if the config does not set `Shell`.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Returns the program that the health check runs, with its arguments. Empty if there is no health check. `config` is
/// the `config` object of the image config.
pub(crate) fn health_check_command(config: &Value) -> Vec<String> {
    let words = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut test = words(&config["Healthcheck"]["Test"]).into_iter();
    match test.next().as_deref() {
        Some("CMD") => test.collect(),
        Some("CMD-SHELL") => {
            let shell = words(&config["Shell"]);
            let shell = if shell.is_empty() { DEFAULT_SHELL.map(str::to_owned).into() } else { shell };
            shell.into_iter().chain(test).collect()
        }
        // Docker ignores health checks of any other kind.
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn health_checks_run_a_program_or_a_shell() {
        for (config, expected) in [
            (json!({}), ""),
            (Value::Null, ""),
            (json!({ "Healthcheck": { "Test": null } }), ""),
            (json!({ "Healthcheck": { "Test": ["NONE"] } }), ""),
            (json!({ "Healthcheck": { "Test": ["HTTP", "/"] } }), ""),
            (json!({ "Healthcheck": { "Test": ["CMD", "curl", "-f"] } }), "curl -f"),
            (json!({ "Healthcheck": { "Test": ["CMD-SHELL", "curl x"] } }), "/bin/sh -c curl x"),
            (json!({ "Healthcheck": { "Test": ["CMD-SHELL", "x"] }, "Shell": ["bash", "-ec"] }), "bash -ec x"),
        ] {
            assert_eq!(health_check_command(&config).join(" "), expected, "{config}");
        }
    }
}
