//! The value of `healthcheck`: a command that checks whether the container is healthy, or `false`.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A health check, or none even if the base has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HealthcheckSetting {
    Off,
    Command(Healthcheck),
}

/// A health check, as in Docker's `HEALTHCHECK` instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Healthcheck {
    /// Program to run in the container, with its arguments.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub cmd: Vec<String>,
    /// Time between checks, such as `"30s"`.
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::DURATION), extend("default" = "30s")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// Time limit after which a check fails.
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::DURATION), extend("default" = "30s")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Time after the container starts during which failures are ignored.
    #[cfg_attr(test, schemars(regex(pattern = crate::config::schema_fragments::DURATION), extend("default" = "0s")))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_period: Option<String>,
    /// Number of consecutive failures after which the container is unhealthy.
    #[cfg_attr(test, schemars(extend("default" = 3)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
}

impl HealthcheckSetting {
    /// Returns the health check, or `None` if it is disabled.
    pub(crate) fn command(&self) -> Option<&Healthcheck> {
        match self {
            HealthcheckSetting::Off => None,
            HealthcheckSetting::Command(check) => Some(check),
        }
    }
}

impl Serialize for HealthcheckSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            HealthcheckSetting::Off => serializer.serialize_bool(false),
            HealthcheckSetting::Command(check) => check.serialize(serializer),
        }
    }
}

// An untagged enum would lose the errors about keys of the table.
impl<'de> Deserialize<'de> for HealthcheckSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SettingVisitor)
    }
}

struct SettingVisitor;

impl<'de> Visitor<'de> for SettingVisitor {
    type Value = HealthcheckSetting;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table with `cmd`, or false")
    }

    fn visit_bool<E: Error>(self, is_on: bool) -> Result<HealthcheckSetting, E> {
        if is_on { Err(E::invalid_value(Unexpected::Bool(true), &self)) } else { Ok(HealthcheckSetting::Off) }
    }

    fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<HealthcheckSetting, A::Error> {
        Healthcheck::deserialize(MapAccessDeserializer::new(table)).map(HealthcheckSetting::Command)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for HealthcheckSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "HealthcheckSetting".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let check = generator.subschema_for::<Healthcheck>();
        schemars::json_schema!({ "anyOf": [{ "type": "boolean", "const": false }, check] })
    }
}
