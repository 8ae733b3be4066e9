//! Describes how a machine can run images.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::platform::Platform;

/// The features of a machine that smoke runs can use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SmokeHost {
    /// Platform with the highest CPU level that the processor supports. `None` on systems other than Linux.
    pub platform: Option<Platform>,
    pub docker: Option<DockerDaemon>,
    /// Platforms whose programs the kernel runs with QEMU (binfmt_misc), in any root directory.
    pub emulated: Vec<Platform>,
    /// Statically linked QEMU binaries by architecture, which can run in any root directory.
    pub qemu: BTreeMap<&'static str, PathBuf>,
    pub isolation: Option<Isolation>,
}

/// A Docker daemon that responds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DockerDaemon {
    pub platform: Platform,
    /// Whether the daemon runs on this machine, with the same kernel.
    pub is_local: bool,
}

/// A method to run a program with a directory as its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// As root, with namespaces for processes and the network.
    Namespaces,
    /// As any user, who becomes root in a user namespace.
    UserNamespace,
    /// As root, without namespaces.
    ChangeRoot,
}
