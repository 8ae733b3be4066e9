//! The `config` of an image config, as the instructions of a Dockerfile change it (image-spec, config.md; Docker Image
//! Specification v1.3 for what Docker adds to it). Pure.

use parse_dockerfile::{Command, HealthcheckArguments};
use serde_json::{Map, Value, json};

use super::error::StageError;
use crate::config::value_syntax::{SHORTEST_INTERVAL, nanoseconds};

/// Docker's PATH for images that begin with nothing.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container of the image is started with.
pub struct Container {
    config: Map<String, Value>,
    cmd_is_own: bool,
}

impl Container {
    /// The base's; none begins with nothing.
    pub fn new(base: Option<&Value>) -> Container {
        let scratch = || {
            let env = json!([format!("PATH={DEFAULT_PATH}")]);
            Map::from_iter([("Env".to_owned(), env), ("WorkingDir".to_owned(), json!("/"))])
        };
        let config = base.map_or_else(scratch, |base| base.as_object().cloned().unwrap_or_default());
        Container { config, cmd_is_own: false }
    }

    pub fn into_value(self) -> Value {
        Value::Object(self.config)
    }

    pub fn set(&mut self, key: &str, value: Value) {
        self.config.insert(key.to_owned(), value);
    }

    pub fn workdir(&self) -> &str {
        self.config.get("WorkingDir").and_then(Value::as_str).unwrap_or_default()
    }

    /// The user that is set; none is root.
    pub fn user(&self) -> Option<String> {
        self.config.get("User").and_then(Value::as_str).filter(|user| !user.is_empty()).map(str::to_owned)
    }

    /// The value of a variable.
    pub fn env(&self, name: &str) -> Option<String> {
        let pairs = self.config.get("Env").and_then(Value::as_array).into_iter().flatten();
        let mut pairs = pairs.filter_map(|pair| pair.as_str()?.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
    }

    /// Replaces a variable where it stands, or adds it.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let pair = Value::from(format!("{name}={value}"));
        let list = self.config.entry("Env").or_insert(Value::Null);
        if !list.is_array() {
            *list = json!([]);
        }
        let Some(list) = list.as_array_mut() else { return };
        let is_it = |entry: &&mut Value| {
            let pair = entry.as_str().and_then(|entry| entry.split_once('='));
            pair.is_some_and(|(key, _)| key == name)
        };
        match list.iter_mut().find(is_it) {
            Some(entry) => *entry = pair,
            None => list.push(pair),
        }
    }

    pub fn label(&mut self, name: String, value: String) {
        self.add("Labels", name, value.into());
    }

    pub fn expose(&mut self, port: String) {
        self.add("ExposedPorts", port, json!({}));
    }

    pub fn volume(&mut self, path: String) {
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

    pub fn entrypoint(&mut self, command: &Command<'_>) {
        self.set("Entrypoint", self.command(command));
        // The base's arguments are for the base's program.
        if !self.cmd_is_own {
            self.config.remove("Cmd");
        }
    }

    pub fn cmd(&mut self, command: &Command<'_>) {
        self.cmd_is_own = true;
        self.set("Cmd", self.command(command));
    }

    fn command(&self, command: &Command<'_>) -> Value {
        match command {
            Command::Exec(words) => words.value.iter().map(|word| Value::from(word.value.as_ref())).collect(),
            Command::Shell(line) => {
                let shell = self.config.get("Shell").and_then(Value::as_array).cloned();
                let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                words.push(one_line(line.value).into());
                words.into()
            }
            _ => Value::Null,
        }
    }

    /// `options` are the instruction's, without their dashes.
    pub fn healthcheck(
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
        for (name, given) in options {
            let (key, number) = match name.as_str() {
                "interval" => ("Interval", interval(given)?),
                "timeout" => ("Timeout", interval(given)?),
                "start-period" => ("StartPeriod", interval(given)?),
                "start-interval" => ("StartInterval", interval(given)?),
                "retries" => ("Retries", retries(given)?),
                other => return Err(StageError::unsupported(format!("HEALTHCHECK --{other}"))),
            };
            // Nothing is what is not said.
            if number > 0 {
                value.insert(key.to_owned(), number.into());
            }
        }
        self.set("Healthcheck", Value::Object(value));
        Ok(())
    }
}

fn interval(given: &str) -> Result<u64, StageError> {
    match nanoseconds(given) {
        _ if given.is_empty() => Ok(0),
        Some(number) if number == 0 || number >= SHORTEST_INTERVAL => Ok(number),
        Some(_) => Err(StageError::invalid(format!("'{given}' is shorter than 1ms"))),
        None => Err(StageError::invalid(format!("'{given}' is not a duration"))),
    }
}

fn retries(given: &str) -> Result<u64, StageError> {
    match given.parse::<i32>().ok().and_then(|number| u64::try_from(number).ok()) {
        _ if given.is_empty() => Ok(0),
        Some(number) => Ok(number),
        None => Err(StageError::invalid(format!("'{given}' is not a number of retries"))),
    }
}

/// A shell-form command, as one line.
fn one_line(text: &str) -> String {
    text.replace("\\\n", "")
}
