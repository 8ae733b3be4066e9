//! The ways in which a machine can run images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::host::isolation::Isolation;
use crate::platform::Platform;

/// The machine features that smoke runs can use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SmokeHost {
    /// Platform with the highest CPU level that the processor supports. `None` on systems other than Linux.
    pub platform: Option<Platform>,
    pub docker: Option<DockerDaemon>,
    /// Platforms whose programs the kernel runs with QEMU (binfmt_misc), in any root directory.
    pub emulated: Vec<Platform>,
    /// Statically linked QEMU binaries, by architecture. They can run in any root directory.
    pub qemu: BTreeMap<&'static str, PathBuf>,
    pub isolation: Option<Isolation>,
}

/// A running Docker daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DockerDaemon {
    pub platform: Platform,
    /// Whether the daemon runs on this machine and shares its kernel.
    pub is_local: bool,
}
