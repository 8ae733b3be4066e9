//! What a machine has to run images with. `probe` finds it out.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::platform::Platform;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SmokeHost {
    /// The newest platform that the processor runs. `None` if this is not Linux.
    pub platform: Option<Platform>,
    pub docker: Option<DockerDaemon>,
    /// The platforms whose programs the kernel passes to QEMU (binfmt_misc), in any root directory.
    pub emulated: Vec<Platform>,
    /// Static QEMU binaries, which run in any root directory, by the name of their architecture.
    pub qemu: BTreeMap<&'static str, PathBuf>,
    pub isolation: Option<Isolation>,
}

/// A Docker daemon that responds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DockerDaemon {
    pub platform: Platform,
    /// It runs on this machine, with the same kernel.
    pub is_local: bool,
}

/// How to make a directory a program's root directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Isolation {
    /// As root, with namespaces for processes and the network.
    Namespaces,
    /// As any user, who is root in such namespaces.
    UserNamespace,
    /// As root, without namespaces.
    ChangeRoot,
}
