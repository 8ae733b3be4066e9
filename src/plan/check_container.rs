//! Validates values for the Dockerfile and the image configuration, so that errors are reported before a builder or
//! container runtime rejects them.

use super::PlannedDirectory;
use super::check_names::check_no_credentials;
use crate::config::healthcheck::HealthcheckSetting;
use crate::config::value_syntax::{MIN_HEALTHCHECK_DURATION, SIGNALS, is_owner, is_signal, parse_nanoseconds};
use crate::config::{Config, FileEntry};
use crate::error::{Class, Failure};

/// Returns an error for the first invalid value. The error message names the key.
pub(crate) fn check(settings: &Config, image: &str) -> Result<(), Failure> {
    check_dockerfile_values(settings, image)?;
    check_config_values(settings, image)
}

/// Validates settings that Docker checks in an image configuration.
fn check_config_values(settings: &Config, image: &str) -> Result<(), Failure> {
    let invalid = |key: &str, value: &str| {
        Failure::new(Class::Config, format!("image '{image}': {key} '{}' is not valid", value.escape_debug()))
    };
    if let Some(signal) = settings.stop_signal.as_ref().filter(|signal| !is_signal(signal)) {
        let names = SIGNALS.iter().copied();
        return Err(invalid("stop-signal", signal)
            .did_you_mean(signal.to_ascii_uppercase().trim_start_matches("SIG"), names)
            .hint("use a signal name or number, such as stop-signal = \"SIGTERM\""));
    }
    // Without an entrypoint, the container runs `cmd`. A base's CMD is dropped together with its ENTRYPOINT.
    let has_no_entrypoint = settings.entrypoint.as_ref().is_some_and(Vec::is_empty);
    if has_no_entrypoint && settings.cmd.as_ref().is_none_or(Vec::is_empty) {
        let message = format!("image '{image}': entrypoint and cmd are both empty");
        return Err(Failure::new(Class::Config, message)
            .hint("set the program as the default command: cmd = [\"app\"]")
            .hint("or remove `entrypoint`, to run the binary"));
    }
    let Some(check) = settings.healthcheck.as_ref().and_then(HealthcheckSetting::command) else { return Ok(()) };
    if check.cmd.is_empty() {
        return Err(Failure::new(Class::Config, format!("image '{image}': healthcheck.cmd is empty"))
            .hint("list the program and its arguments: cmd = [\"/usr/local/bin/app\", \"health\"]"));
    }
    let durations = [("interval", &check.interval), ("timeout", &check.timeout), ("start-period", &check.start_period)];
    for (key, value) in durations {
        let is_valid = |value: &str| {
            parse_nanoseconds(value).is_some_and(|length| length == 0 || length >= MIN_HEALTHCHECK_DURATION)
        };
        if let Some(value) = value.as_ref().filter(|value| !is_valid(value)) {
            return Err(invalid(&format!("healthcheck.{key}"), value)
                .hint("use a duration of at least 1ms, such as \"30s\" or \"1m30s\""));
        }
    }
    if let Some(retries) = check.retries.filter(|retries| i32::try_from(*retries).is_err()) {
        return Err(
            invalid("healthcheck.retries", &retries.to_string()).hint("use a smaller number, such as retries = 3")
        );
    }
    Ok(())
}

/// Checks that a file entry has an absolute path in the image, an octal mode and a valid owner.
pub(crate) fn check_file_entry(file: &FileEntry, image: &str) -> Result<(), Failure> {
    check_path(&file.to, "files.to", image)?;
    file.mode.iter().try_for_each(|mode| check_mode(mode, &file.to, image))?;
    file.owner.iter().try_for_each(|owner| check_owner(owner, &file.to, image))
}

/// Checks that a directory has an absolute path in the image, an octal mode and a valid owner.
pub(crate) fn check_directory(directory: &PlannedDirectory, image: &str) -> Result<(), Failure> {
    check_path(&directory.path, "directories.path", image)?;
    check_mode(&directory.mode, &directory.path, image)?;
    check_owner(&directory.owner, &directory.path, image)
}

fn check_path(path: &str, key: &str, image: &str) -> Result<(), Failure> {
    let is_normalized = |rest: &str| rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if path.strip_prefix('/').is_some_and(is_normalized) {
        return Ok(());
    }
    let example = if key == "files.to" { "to = \"/etc/app/config.toml\"" } else { "path = \"/var/lib/app\"" };
    Err(Failure::new(Class::Config, format!("image '{image}': {key} '{path}' is not a valid path in the image"))
        .hint(format!("use an absolute path without '.', '..', '//' or a trailing '/': {example}")))
}

fn check_mode(mode: &str, path: &str, image: &str) -> Result<(), Failure> {
    if u32::from_str_radix(mode, 8).is_ok() && mode.len() <= 4 {
        return Ok(());
    }
    Err(Failure::new(Class::Config, format!("image '{image}': mode '{mode}' for {path} is not a valid octal mode"))
        .hint("use up to four octal digits, such as mode = \"0755\""))
}

fn check_owner(owner: &str, path: &str, image: &str) -> Result<(), Failure> {
    if is_owner(owner) {
        return Ok(());
    }
    Err(Failure::new(Class::Config, format!("image '{image}': owner '{owner}' for {path} is not valid"))
        .hint("use a user with an optional group, by name or number: owner = \"65532:65532\""))
}

/// Validates settings that are written to the Dockerfile or passed to cargo.
fn check_dockerfile_values(settings: &Config, image: &str) -> Result<(), Failure> {
    let invalid = |key: &str, value: &str, hint: &str| {
        Err(Failure::new(Class::Config, format!("image '{image}': {key} '{}' is not valid", value.escape_debug()))
            .hint(hint))
    };
    settings.base.iter().try_for_each(|base| check_no_credentials("base", base))?;
    if let Some(base) = settings.base.as_ref().filter(|base| base.parse::<oci_spec::distribution::Reference>().is_err())
    {
        return invalid("base", base, "use an image reference, such as \"debian:trixie-slim\", or \"scratch\"");
    }
    for port in settings.expose.iter().flatten() {
        let text = port.to_string();
        let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        if number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
            return invalid("expose", &text, "use a port with an optional protocol, such as 8080 or \"53/udp\"");
        }
    }
    let volumes = settings.volumes.iter().flatten().map(|dir| ("volumes", dir));
    for (key, dir) in volumes.chain(settings.workdir.iter().map(|dir| ("workdir", dir))) {
        if !dir.is_empty() && !dir.starts_with('/') {
            return invalid(key, dir, "use an absolute path in the image, such as \"/data\"");
        }
    }
    for name in settings.build_env.keys() {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return invalid("build-env", name, "use only letters, digits and '_' in variable names");
        }
        let is_for_target = name.starts_with("CARGO_TARGET_") && name.ends_with("_RUSTFLAGS");
        if is_for_target || ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"].contains(&name.as_str()) {
            return invalid("build-env", name, "set rustflags = [\"…\"] instead, which keeps flags from other sources");
        }
    }
    for name in settings.env.keys() {
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
            return invalid("env", name, "use a variable name without whitespace or '='");
        }
    }
    let single_line_keys = [
        ("user", &settings.user),
        ("workdir", &settings.workdir),
        ("stop-signal", &settings.stop_signal),
        ("profile", &settings.profile),
    ];
    for (key, value) in single_line_keys {
        if let Some(value) = value.as_ref().filter(|value| value.is_empty() || value.contains(['\n', '\r'])) {
            return invalid(key, value, "use a non-empty value without line breaks");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_key_of_an_invalid_value() {
        for (config, message) in [
            ("stop-signal = 'SIGTREM'", "stop-signal 'SIGTREM' is not valid"),
            ("healthcheck = { cmd = ['a'], interval = '5x' }", "healthcheck.interval '5x' is not valid"),
            ("healthcheck = { cmd = ['a'], timeout = '1us' }", "healthcheck.timeout '1us' is not valid"),
            ("healthcheck = { cmd = ['a'], start-period = '' }", "healthcheck.start-period '' is not valid"),
            ("healthcheck = { cmd = ['a'], retries = 4000000000 }", "healthcheck.retries '4000000000' is not valid"),
            ("healthcheck = { cmd = [] }", "healthcheck.cmd is empty"),
            (
                "build-env = { CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS = '-g' }",
                "build-env 'CARGO_TARGET_X86_64_UNKNOWN_LINUX_MUSL_RUSTFLAGS' is not valid",
            ),
            ("entrypoint = []", "entrypoint and cmd are both empty"),
            ("entrypoint = []\ncmd = []", "entrypoint and cmd are both empty"),
        ] {
            let failure = check(&toml::from_str(config).unwrap(), "app").unwrap_err();
            assert_eq!(failure.to_string(), format!("image 'app': {message}"));
            assert!(!failure.hints().is_empty(), "{config}");
        }
        for valid in [
            "stop-signal = 'SIGINT'\nhealthcheck = { cmd = ['a'], interval = '1m30s', timeout = '0s', retries = 2 }",
            "entrypoint = []\ncmd = ['app']",
            "cmd = []",
        ] {
            assert!(check(&toml::from_str(valid).unwrap(), "app").is_ok(), "{valid}");
        }
    }
}
