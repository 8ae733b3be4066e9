//! The results of smoke runs.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::platform::Platform;

/// The smoke run results of an image, by platform. Empty if no smoke run is configured.
pub(crate) type SmokeResults = BTreeMap<Platform, SmokeResult>;

/// The result of a smoke run on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Smoke"))]
pub(crate) struct SmokeResult {
    #[serde(rename = "how")]
    pub method: SmokeMethod,
    /// Entrypoint with its arguments.
    pub command: Vec<String>,
    /// First line of the output.
    #[serde(rename = "said")]
    pub first_line: Option<String>,
    /// Why the platform was not run.
    pub reason: Option<String>,
}

/// How the program was run for a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "How"))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SmokeMethod {
    /// The program ran in the unpacked image, without emulation.
    Native,
    /// The image ran in Docker, without emulation.
    Docker,
    /// The image ran in Docker, emulated by QEMU.
    DockerQemu,
    /// The program ran in the unpacked image, emulated by QEMU.
    Qemu,
    /// The platform was not run.
    NotRun,
}

impl SmokeMethod {
    /// Describes the method in messages such as "Ran app --version for linux/arm64, under QEMU".
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
