//! Checks the values that end up in a Dockerfile or in an image's config, before a builder or a container runtime rejects
//! them.

use camino::Utf8PathBuf;

use super::check_names::check_no_credentials;
use crate::config::value_syntax::{MIN_HEALTHCHECK_DURATION, SIGNALS, is_signal, parse_nanoseconds};
use crate::config::{Config, FileEntry};
use crate::error::{Class, Failure};

/// Fails for the first invalid value, naming its key.
pub(crate) fn check(settings: &Config, image: &str) -> Result<(), Failure> {
    check_dockerfile_values(settings, image)?;
    check_config_values(settings, image)
}

/// Fails for the first value that Docker does not accept in an image's config.
fn check_config_values(settings: &Config, image: &str) -> Result<(), Failure> {
    let invalid = |key: &str, value: &str| {
        Failure::new(Class::Config, format!("image '{image}': {key} '{}' is not valid", value.escape_debug()))
    };
    if let Some(signal) = settings.stop_signal.as_ref().filter(|signal| !is_signal(signal)) {
        let names = SIGNALS.iter().copied();
        return Err(invalid("stop-signal", signal)
            .did_you_mean(signal.to_ascii_uppercase().trim_start_matches("SIG"), names)
            .hint("write a signal's name or number, as in stop-signal = \"SIGTERM\""));
    }
    for (key, value) in [("entrypoint", &settings.entrypoint), ("cmd", &settings.cmd)] {
        if value.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::new(Class::Config, format!("image '{image}': {key} is an empty list"))
                .hint(format!("leave it out, or name a program and its arguments: {key} = [\"/usr/local/bin/app\"]")));
        }
    }
    let Some(check) = &settings.healthcheck else { return Ok(()) };
    if check.cmd.is_empty() {
        return Err(Failure::new(Class::Config, format!("image '{image}': healthcheck.cmd is empty"))
            .hint("name the program and its arguments, as in cmd = [\"/usr/local/bin/app\", \"health\"]"));
    }
    let durations = [("interval", &check.interval), ("timeout", &check.timeout), ("start-period", &check.start_period)];
    for (key, value) in durations {
        let is_valid = |value: &str| {
            parse_nanoseconds(value).is_some_and(|length| length == 0 || length >= MIN_HEALTHCHECK_DURATION)
        };
        if let Some(value) = value.as_ref().filter(|value| !is_valid(value)) {
            return Err(invalid(&format!("healthcheck.{key}"), value)
                .hint("write a duration of 1ms or more, as in \"30s\" or \"1m30s\""));
        }
    }
    if let Some(retries) = check.retries.filter(|retries| i32::try_from(*retries).is_err()) {
        return Err(
            invalid("healthcheck.retries", &retries.to_string()).hint("write a small number, as in retries = 3")
        );
    }
    Ok(())
}

/// Checks that a file entry has a full path in the image and an octal mode.
pub(crate) fn check_file_entry(file: &FileEntry, image: &str) -> Result<(), Failure> {
    let to = Utf8PathBuf::from(&file.to);
    if !to.is_absolute() || to.components().any(|part| part.as_str() == "..") || file.to.ends_with('/') {
        return Err(Failure::new(
            Class::Config,
            format!("image '{image}': files.to '{}' is not a full path in the image", file.to),
        )
        .hint("write it as in to = \"/etc/app/config.toml\""));
    }
    if let Some(mode) = &file.mode
        && (u32::from_str_radix(mode, 8).is_err() || mode.len() > 4)
    {
        return Err(Failure::new(Class::Config, format!("image '{image}': mode '{mode}' of {} is not octal", file.to))
            .hint("write it as in mode = \"0755\""));
    }
    Ok(())
}

/// Fails for the first value that would break a line of a Dockerfile.
fn check_dockerfile_values(settings: &Config, image: &str) -> Result<(), Failure> {
    let invalid = |key: &str, value: &str, hint: &str| {
        Err(Failure::new(Class::Config, format!("image '{image}': {key} '{}' is not valid", value.escape_debug()))
            .hint(hint))
    };
    settings.base.iter().try_for_each(|base| check_no_credentials("base", base))?;
    if let Some(base) = settings.base.as_ref().filter(|base| base.parse::<oci_spec::distribution::Reference>().is_err())
    {
        return invalid("base", base, "write it as in base = \"debian:trixie-slim\", or base = \"scratch\"");
    }
    for port in settings.expose.iter().flatten() {
        let text = port.to_string();
        let (number, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
        if number.parse::<u16>().is_err() || !matches!(protocol, "tcp" | "udp" | "sctp") {
            return invalid("expose", &text, "write it as 8080 or \"53/udp\"");
        }
    }
    let volumes = settings.volumes.iter().flatten().map(|dir| ("volumes", dir));
    for (key, dir) in volumes.chain(settings.workdir.iter().map(|dir| ("workdir", dir))) {
        if !dir.is_empty() && !dir.starts_with('/') {
            return invalid(key, dir, "write a full path in the image, such as \"/data\"");
        }
    }
    for name in settings.build_env.keys() {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
            return invalid("build-env", name, "a variable's name has letters, digits and '_'");
        }
        if ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"].contains(&name.as_str()) {
            return invalid("build-env", name, "write rustflags = [\"…\"], which hides no other flags");
        }
    }
    for name in settings.env.keys() {
        if name.is_empty() || name.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control()) {
            return invalid("env", name, "a variable's name has no spaces and no '='");
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
            return invalid(key, value, "it is one line of text");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_value_is_named_with_its_key() {
        for (config, says) in [
            ("stop-signal = 'SIGTREM'", "stop-signal 'SIGTREM' is not valid"),
            ("healthcheck = { cmd = ['a'], interval = '5x' }", "healthcheck.interval '5x' is not valid"),
            ("healthcheck = { cmd = ['a'], timeout = '1us' }", "healthcheck.timeout '1us' is not valid"),
            ("healthcheck = { cmd = ['a'], start-period = '' }", "healthcheck.start-period '' is not valid"),
            ("healthcheck = { cmd = ['a'], retries = 4000000000 }", "healthcheck.retries '4000000000' is not valid"),
            ("healthcheck = { cmd = [] }", "healthcheck.cmd is empty"),
        ] {
            let failure = check(&toml::from_str(config).unwrap(), "app").unwrap_err();
            assert_eq!(failure.to_string(), format!("image 'app': {says}"));
            assert!(!failure.hints().is_empty(), "{config}");
        }
        let good =
            "stop-signal = 'SIGINT'\nhealthcheck = { cmd = ['a'], interval = '1m30s', timeout = '0s', retries = 2 }";
        assert!(check(&toml::from_str(good).unwrap(), "app").is_ok());
    }
}
