//! Values of the configuration that an image's config takes from it, checked before a builder or a container meets them.
//! Pure.

use crate::config::Config;
use crate::config::value_syntax::{MIN_HEALTHCHECK_DURATION, SIGNALS, is_signal, parse_nanoseconds};
use crate::error::{Class, Failure};

/// Fails for the first value that Docker would not take, naming its key.
pub fn check(settings: &Config, image: &str) -> Result<(), Failure> {
    let wrong = |key: &str, value: &str| {
        Failure::new(Class::Config, format!("image '{image}': {key} '{}' is not valid", value.escape_debug()))
    };
    if let Some(signal) = settings.stop_signal.as_ref().filter(|signal| !is_signal(signal)) {
        let names = SIGNALS.iter().copied();
        return Err(wrong("stop-signal", signal)
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
        let good = |value: &str| {
            parse_nanoseconds(value).is_some_and(|length| length == 0 || length >= MIN_HEALTHCHECK_DURATION)
        };
        if let Some(value) = value.as_ref().filter(|value| !good(value)) {
            return Err(wrong(&format!("healthcheck.{key}"), value)
                .hint("write a duration of 1ms or more, as in \"30s\" or \"1m30s\""));
        }
    }
    if let Some(retries) = check.retries.filter(|retries| i32::try_from(*retries).is_err()) {
        return Err(wrong("healthcheck.retries", &retries.to_string()).hint("write a small number, as in retries = 3"));
    }
    Ok(())
}

/// The keys of an image's config that the configuration sets itself, as paths: `user`, `env.PATH`.
pub fn said(settings: &Config) -> Vec<String> {
    let keys = [
        ("entrypoint", settings.entrypoint.is_some()),
        ("cmd", settings.cmd.is_some()),
        ("expose", settings.expose.as_ref().is_some_and(|list| !list.is_empty())),
        ("volumes", settings.volumes.as_ref().is_some_and(|list| !list.is_empty())),
        ("user", settings.user.is_some()),
        ("workdir", settings.workdir.is_some()),
        ("stop-signal", settings.stop_signal.is_some()),
        ("healthcheck", settings.healthcheck.is_some()),
    ];
    let mut said: Vec<String> = settings.env.keys().map(|name| format!("env.{name}")).collect();
    said.extend(settings.labels.keys().map(|name| format!("labels.{name}")));
    said.extend(keys.into_iter().filter(|(_, set)| *set).map(|(key, _)| key.to_owned()));
    said
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
