//! The results of smoke runs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::platform::Platform;

/// The results of an image's platforms. Empty if the image has no smoke run.
pub(crate) type SmokeResults = BTreeMap<Platform, SmokeResult>;

/// What came of running a platform's image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Smoke"))]
pub(crate) struct SmokeResult {
    #[serde(rename = "how")]
    pub method: SmokeMethod,
    /// The entrypoint and the words after it.
    pub command: Vec<String>,
    /// The first line of what it printed.
    #[serde(rename = "said")]
    pub first_line: Option<String>,
    /// Why it was not run.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "How"))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SmokeMethod {
    /// By this machine's own kernel and processor, in the unpacked image.
    Native,
    Docker,
    DockerQemu,
    /// In the unpacked image.
    Qemu,
    NotRun,
}

impl SmokeMethod {
    /// Describes the method, as in "linux/arm64 under QEMU".
    pub(crate) fn description(self) -> &'static str {
        match self {
            SmokeMethod::Native => "natively",
            SmokeMethod::Docker => "in Docker",
            SmokeMethod::DockerQemu => "in Docker, under QEMU",
            SmokeMethod::Qemu => "under QEMU",
            SmokeMethod::NotRun => "not at all",
        }
    }
}
