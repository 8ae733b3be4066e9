//! The ways in which a machine can run images.

use std::collections::BTreeMap;
use std::path::PathBuf;

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

/// A way to run a program with a given directory as its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// As root, in separate process and network namespaces.
    Namespaces,
    /// As an unprivileged user, mapped to root in a user namespace.
    UserNamespace,
    /// As root, without namespaces.
    ChangeRoot,
}
