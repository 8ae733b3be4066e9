//! Chooses how to run a platform's image on a machine.

use std::path::PathBuf;

use super::{SmokeHost, SmokeMethod};
use crate::host::isolation::Isolation;
use crate::host::{self, IS_LINUX, packages};
use crate::image::buildx::qemu;
use crate::platform::Platform;

/// A way to run a platform's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Runner {
    /// Runs the image with `docker run`.
    Docker {
        emulated: bool,
    },
    /// Runs the program directly on the kernel, with the unpacked image as its root directory.
    Isolated {
        isolation: Isolation,
        emulated: bool,
    },
    /// Runs the program with a QEMU binary that is copied into the unpacked image, which becomes QEMU's root directory.
    IsolatedQemu {
        isolation: Isolation,
        qemu: PathBuf,
    },
    /// Runs the program with a QEMU binary that looks for files in the unpacked image first.
    Qemu(PathBuf),
    NotRun(NotRunReason),
}

/// Why an image cannot be run, and a command that fixes the problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotRunReason {
    pub reason: String,
    pub fix: String,
}

impl Runner {
    pub(crate) fn method(&self) -> SmokeMethod {
        match self {
            Runner::Docker { emulated: false } => SmokeMethod::Docker,
            Runner::Docker { emulated: true } => SmokeMethod::DockerQemu,
            Runner::Isolated { emulated: false, .. } => SmokeMethod::Native,
            Runner::Isolated { emulated: true, .. } | Runner::IsolatedQemu { .. } | Runner::Qemu(_) => {
                SmokeMethod::Qemu
            }
            Runner::NotRun(_) => SmokeMethod::NotRun,
        }
    }

    /// Chooses a runner for a platform. If the image runs only a single binary (`single_program`), QEMU can run it even
    /// if the kernel does not support emulation.
    pub(crate) fn choose(platform: Platform, single_program: bool, host: &SmokeHost) -> Runner {
        let runs_on = |machine: Platform| machine.compatible_platforms().any(|runnable| runnable == platform);
        let is_native = host.platform.is_some_and(runs_on);
        let is_emulated = host.emulated.contains(&platform);
        if let Some(docker) = &host.docker {
            if runs_on(docker.platform) || (docker.is_local && is_native) {
                return Runner::Docker { emulated: false };
            }
            // A Docker daemon on another machine or in a virtual machine has its own kernel, which may support
            // emulation.
            if is_emulated || !docker.is_local {
                return Runner::Docker { emulated: true };
            }
        }
        let qemu = host.qemu.get(platform.qemu_name());
        let usable_qemu = if single_program { qemu } else { None };
        match (host.isolation, usable_qemu) {
            (Some(isolation), _) if is_native || is_emulated => Runner::Isolated { isolation, emulated: !is_native },
            (Some(isolation), Some(qemu)) => Runner::IsolatedQemu { isolation, qemu: qemu.clone() },
            (None, Some(qemu)) => Runner::Qemu(qemu.clone()),
            (_, None) => Runner::NotRun(not_run_reason(platform, is_native || is_emulated, qemu.is_some())),
        }
    }
}

fn not_run_reason(platform: Platform, kernel_can_run: bool, has_qemu: bool) -> NotRunReason {
    let start_docker = host::docker::start_command("").to_owned();
    if !IS_LINUX {
        let reason = "Docker is not running, and the host is not Linux".to_owned();
        return NotRunReason { reason, fix: start_docker };
    }
    if kernel_can_run {
        let reason = "Docker is not running, and smoke runs without Docker require root or user namespaces".to_owned();
        return NotRunReason { reason, fix: start_docker };
    }
    let architecture = platform.architecture();
    let register = qemu::install_command(&[platform]).to_string();
    if has_qemu {
        let reason =
            format!("the program may start other programs, which requires a binfmt_misc handler for {architecture}");
        return NotRunReason { reason, fix: packages::QEMU_HANDLERS.install_command().unwrap_or(register) };
    }
    let reason = format!("QEMU for {architecture} is not installed");
    NotRunReason { reason, fix: packages::QEMU.install_command().unwrap_or(register) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::smoke::host::DockerDaemon;

    fn platform(name: &str) -> Platform {
        name.parse().unwrap()
    }

    /// Parses a description of a machine: its platform, `docker:PLATFORM` for a local Docker daemon or
    /// `remote:PLATFORM` for a remote one, `emulated:PLATFORM`, `qemu:PLATFORM`, and `root`, `user` or `chroot` for the
    /// isolation.
    fn host(words: &str) -> SmokeHost {
        let mut host = SmokeHost::default();
        for word in words.split_whitespace() {
            match word.split_once(':') {
                Some(("emulated", name)) => host.emulated.push(platform(name)),
                Some(("qemu", name)) => drop(host.qemu.insert(platform(name).qemu_name(), "/usr/bin/qemu".into())),
                Some(("docker", name)) => host.docker = Some(DockerDaemon { platform: platform(name), is_local: true }),
                Some(("remote", name)) => {
                    host.docker = Some(DockerDaemon { platform: platform(name), is_local: false });
                }
                _ => match word {
                    "root" => host.isolation = Some(Isolation::Namespaces),
                    "user" => host.isolation = Some(Isolation::UserNamespace),
                    "chroot" => host.isolation = Some(Isolation::ChangeRoot),
                    name => host.platform = Some(platform(name)),
                },
            }
        }
        host
    }

    #[test]
    fn chooses_a_runner_for_each_machine() {
        let docker = |emulated| Runner::Docker { emulated };
        let isolated = |isolation, emulated| Runner::Isolated { isolation, emulated };
        let qemu = || PathBuf::from("/usr/bin/qemu");
        let (namespaces, user, chroot) = (Isolation::Namespaces, Isolation::UserNamespace, Isolation::ChangeRoot);
        for (words, target, single_program, expected) in [
            ("linux/amd64 docker:linux/amd64", "linux/amd64", true, docker(false)),
            ("linux/amd64 docker:linux/amd64 root", "linux/amd64", false, docker(false)),
            ("linux/amd64/v3 docker:linux/amd64", "linux/amd64/v3", true, docker(false)),
            ("linux/amd64 docker:linux/amd64 emulated:linux/arm64", "linux/arm64", false, docker(true)),
            ("linux/amd64 remote:linux/arm64", "linux/arm64", true, docker(false)),
            ("linux/amd64 remote:linux/arm64", "linux/riscv64", false, docker(true)),
            // The kernel does not support emulation, so a single program runs without Docker.
            (
                "linux/amd64 docker:linux/amd64 qemu:linux/arm64 root",
                "linux/arm64",
                true,
                Runner::IsolatedQemu { isolation: namespaces, qemu: qemu() },
            ),
            ("linux/amd64 root", "linux/amd64", false, isolated(namespaces, false)),
            ("linux/amd64/v3 user", "linux/amd64/v2", true, isolated(user, false)),
            ("linux/arm64 chroot", "linux/arm64", true, isolated(chroot, false)),
            ("linux/amd64 user emulated:linux/arm64", "linux/arm64", false, isolated(user, true)),
            (
                "linux/amd64 user qemu:linux/arm/v7",
                "linux/arm/v7",
                true,
                Runner::IsolatedQemu { isolation: user, qemu: qemu() },
            ),
            // QEMU is needed for a platform variant that the processor does not support.
            (
                "linux/amd64 user qemu:linux/amd64",
                "linux/amd64/v3",
                true,
                Runner::IsolatedQemu { isolation: user, qemu: qemu() },
            ),
            ("linux/amd64 qemu:linux/arm64", "linux/arm64", true, Runner::Qemu(qemu())),
            ("linux/amd64 qemu:linux/amd64", "linux/amd64", true, Runner::Qemu(qemu())),
        ] {
            assert_eq!(Runner::choose(platform(target), single_program, &host(words)), expected, "{words}: {target}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn explains_why_a_platform_cannot_run() {
        for (words, target, single_program, reason, fix) in [
            ("linux/amd64", "linux/amd64", true, "require root or user namespaces", "systemctl start docker"),
            (
                "linux/amd64 emulated:linux/arm64",
                "linux/arm64",
                true,
                "Docker is not running",
                "systemctl start docker",
            ),
            (
                "linux/amd64 root",
                "linux/arm64",
                true,
                "QEMU for arm64 is not installed",
                "apt-get install qemu-user-static",
            ),
            (
                "linux/amd64 docker:linux/amd64",
                "linux/s390x",
                true,
                "QEMU for s390x is not installed",
                "qemu-user-static",
            ),
            (
                "linux/amd64 root qemu:linux/arm64",
                "linux/arm64",
                false,
                "requires a binfmt_misc handler for arm64",
                "binfmt-support",
            ),
            (
                "linux/amd64 qemu:linux/arm64",
                "linux/arm64",
                false,
                "requires a binfmt_misc handler for arm64",
                "binfmt-support",
            ),
            ("root", "linux/amd64", true, "QEMU for amd64 is not installed", "qemu-user-static"),
        ] {
            let Runner::NotRun(not_run) = Runner::choose(platform(target), single_program, &host(words)) else {
                panic!("{words}: {target}")
            };
            assert!(not_run.reason.contains(reason) && not_run.fix.contains(fix), "{words}: {target}: {not_run:?}");
        }
    }
}
