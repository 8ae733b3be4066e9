//! Applies Dockerfile instructions to the `config` object of an image configuration (image-spec, config.md; Docker
//! Image Specification v1.3).

use parse_dockerfile::{Command, HealthcheckArguments};
use serde_json::{Map, Value, json};

use super::empty_command;
use super::error::StageError;
use crate::config::value_syntax::{MIN_HEALTHCHECK_DURATION, parse_nanoseconds};

/// PATH that Docker sets for images based on `scratch`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The `config` object of an image configuration while a stage is being evaluated.
pub(crate) struct StageConfig {
    config: Map<String, Value>,
    /// Whether the stage contains a CMD instruction.
    sets_cmd: bool,
}

impl StageConfig {
    /// Creates the initial configuration. `base` is the `config` of the base image, or `None` for `scratch`.
    pub(crate) fn new(base: Option<&Value>) -> StageConfig {
        let config = match base {
            Some(base) => base.as_object().cloned().unwrap_or_default(),
            None => {
                let env = json!([format!("PATH={DEFAULT_PATH}")]);
                Map::from_iter([("Env".to_owned(), env), ("WorkingDir".to_owned(), json!("/"))])
            }
        };
        StageConfig { config, sets_cmd: false }
    }

    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.config)
    }

    pub(crate) fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    pub(crate) fn workdir(&self) -> &str {
        self.config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns the configured user. `None` means root.
    pub(crate) fn user(&self) -> Option<String> {
        self.config.get("User").and_then(Value::as_str).filter(|user| !user.is_empty()).map(str::to_owned)
    }

    /// Returns the value of an environment variable.
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        let pairs = self.config.get("Env").and_then(Value::as_array).into_iter().flatten();
        let mut pairs = pairs.filter_map(|pair| pair.as_str()?.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// Sets an environment variable. An existing variable keeps its position.
    pub(crate) fn set_env(&mut self, name: &str, value: &str) {
        let pair = Value::from(format!("{name}={value}"));
        let list = self.config.entry("Env").or_insert(Value::Null);
        if !list.is_array() {
            *list = json!([]);
        }
        let Some(list) = list.as_array_mut() else { return };
        let has_name = |entry: &&mut Value| {
            let pair = entry.as_str().and_then(|entry| entry.split_once('='));
            pair.is_some_and(|(key, _)| key == name)
        };
        match list.iter_mut().find(has_name) {
            Some(entry) => *entry = pair,
            None => list.push(pair),
        }
    }

    pub(crate) fn add_label(&mut self, name: String, value: String) {
        self.add("Labels", name, value.into());
    }

    pub(crate) fn add_exposed_port(&mut self, port: String) {
        self.add("ExposedPorts", port, json!({}));
    }

    pub(crate) fn add_volume(&mut self, path: String) {
        self.add("Volumes", path, json!({}));
    }

    fn add(&mut self, key: &str, entry: String, value: Value) {
        let map = self.config.entry(key).or_insert(Value::Null);
        if !map.is_object() {
            *map = json!({});
        }
        if let Some(map) = map.as_object_mut() {
            map.insert(entry, value);
        }
    }

    pub(crate) fn set_entrypoint(&mut self, command: &Command<'_>) {
        self.set_command("Entrypoint", command);
        // Remove the base's CMD, because it contains arguments for the base's own entrypoint.
        if !self.sets_cmd {
            self.config.remove("Cmd");
        }
    }

    pub(crate) fn set_cmd(&mut self, command: &Command<'_>) {
        self.sets_cmd = true;
        self.set_command("Cmd", command);
    }

    /// Sets a command. Like BuildKit, omits an empty one.
    fn set_command(&mut self, key: &str, command: &Command<'_>) {
        let words = self.command(command);
        if words.as_array().is_some_and(Vec::is_empty) {
            self.config.remove(key);
        } else {
            self.set(key, words);
        }
    }

    fn command(&self, command: &Command<'_>) -> Value {
        match command {
            Command::Exec(words) => words.value.iter().map(|word| Value::from(word.value.as_ref())).collect(),
            Command::Shell(line) if empty_command::is_placeholder(line.value) => json!([]),
            Command::Shell(line) => {
                let shell = self.config.get("Shell").and_then(Value::as_array).cloned();
                let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                words.push(one_line(line.value).into());
                words.into()
            }
            _ => Value::Null,
        }
    }

    /// Sets the health check. `options` are the instruction's flags, without leading dashes.
    pub(crate) fn set_healthcheck(
        &mut self,
        check: &HealthcheckArguments<'_>,
        options: &[(String, String)],
    ) -> Result<(), StageError> {
        let test = match check {
            HealthcheckArguments::Cmd { arguments: Command::Exec(words), .. } => {
                ["CMD"].into_iter().chain(words.value.iter().map(|word| word.value.as_ref())).collect()
            }
            HealthcheckArguments::Cmd { arguments: Command::Shell(line), .. } => {
                json!(["CMD-SHELL", one_line(line.value)])
            }
            _ => {
                self.set("Healthcheck", json!({ "Test": ["NONE"] }));
                return Ok(());
            }
        };
        let mut value = Map::from_iter([("Test".to_owned(), test)]);
        for (name, text) in options {
            let (key, number) = match name.as_str() {
                "interval" => ("Interval", interval(text)?),
                "timeout" => ("Timeout", interval(text)?),
                "start-period" => ("StartPeriod", interval(text)?),
                "start-interval" => ("StartInterval", interval(text)?),
                "retries" => ("Retries", retries(text)?),
                other => return Err(StageError::unsupported(format!("HEALTHCHECK --{other}"))),
            };
            // Omit zero, which means the default.
            if number > 0 {
                value.insert(key.to_owned(), number.into());
            }
        }
        self.set("Healthcheck", Value::Object(value));
        Ok(())
    }
}

fn interval(text: &str) -> Result<u64, StageError> {
    match parse_nanoseconds(text) {
        _ if text.is_empty() => Ok(0),
        Some(number) if number == 0 || number >= MIN_HEALTHCHECK_DURATION => Ok(number),
        Some(_) => Err(StageError::invalid(format!("'{text}' is shorter than 1ms"))),
        None => Err(StageError::invalid(format!("'{text}' is not a valid duration"))),
    }
}

fn retries(text: &str) -> Result<u64, StageError> {
    match text.parse::<i32>().ok().and_then(|number| u64::try_from(number).ok()) {
        _ if text.is_empty() => Ok(0),
        Some(number) => Ok(number),
        None => Err(StageError::invalid(format!("'{text}' is not a valid number of retries"))),
    }
}

/// Joins the lines of a shell-form command.
fn one_line(text: &str) -> String {
    text.replace("\\\n", "")
}
