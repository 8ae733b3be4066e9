//! Where and how a platform's image can be run here. Pure.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::SmokeMethod;
use crate::platform::Platform;

/// What is there to run images with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SmokeHost {
    /// What its processor runs; none where that is not Linux.
    pub host: Option<Platform>,
    pub docker: Option<Docker>,
    /// The platforms whose programs its kernel hands to QEMU, whatever the root they are in.
    pub handled: Vec<Platform>,
    /// QEMU for a single program, by the name of its architecture: a static one, which runs in any root.
    pub qemu: BTreeMap<&'static str, PathBuf>,
    pub entry: Option<Isolation>,
}

/// A Docker that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Docker {
    pub platform: Platform,
    /// It runs on this very machine, so that the kernel is ours.
    pub is_here: bool,
}

/// What lets a folder be a program's root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Root, with namespaces: processes and network of its own.
    Namespaces,
    /// Anybody, as the root of such namespaces.
    UserNamespace,
    /// Root without namespaces.
    ChangeRoot,
}

/// SmokeMethod a platform's image is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runner {
    /// `docker run`; foreign where it takes QEMU.
    Docker {
        foreign: bool,
    },
    /// In a folder that becomes its root, by the kernel; foreign where that hands it to QEMU.
    Root {
        entry: Isolation,
        foreign: bool,
    },
    /// In a folder that becomes its root, by a QEMU that is copied there.
    RootWithQemu {
        entry: Isolation,
        qemu: PathBuf,
    },
    /// By a QEMU that looks into a folder before it looks anywhere else.
    Qemu(PathBuf),
    NotRun(Reason),
}

/// Why not, and the command that would change that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub why: String,
    pub mend: String,
}

impl Runner {
    pub fn how(&self) -> SmokeMethod {
        match self {
            Runner::Docker { foreign: false } => SmokeMethod::Docker,
            Runner::Docker { foreign: true } => SmokeMethod::DockerQemu,
            Runner::Root { foreign: false, .. } => SmokeMethod::Native,
            Runner::Root { foreign: true, .. } | Runner::RootWithQemu { .. } | Runner::Qemu(_) => SmokeMethod::Qemu,
            Runner::NotRun(_) => SmokeMethod::NotRun,
        }
    }
}

impl SmokeHost {
    /// The way in which an image of one program would be run; else why it would not.
    pub fn would_run(&self, platform: Platform) -> Result<&'static str, Reason> {
        match choose(platform, true, self) {
            Runner::NotRun(reason) => Err(reason),
            way => Ok(way.how().words()),
        }
    }
}

/// Chooses for a platform; `alone` where what starts is one program, which is no script and starts no other.
pub fn choose(platform: Platform, alone: bool, machine: &SmokeHost) -> Runner {
    let runs = |of: Platform| of.compatible_platforms().any(|other| other == platform);
    let native = machine.host.is_some_and(runs);
    let handled = machine.handled.contains(&platform);
    if let Some(docker) = &machine.docker {
        if runs(docker.platform) || (docker.is_here && native) {
            return Runner::Docker { foreign: false };
        }
        // Elsewhere, or in a virtual machine, its kernel cannot be looked at from here.
        if handled || !docker.is_here {
            return Runner::Docker { foreign: true };
        }
    }
    let qemu = machine.qemu.get(platform.qemu_name());
    match (machine.entry, qemu.filter(|_| alone)) {
        (Some(entry), _) if native || handled => Runner::Root { entry, foreign: !native },
        (Some(entry), Some(qemu)) => Runner::RootWithQemu { entry, qemu: qemu.clone() },
        (None, Some(qemu)) => Runner::Qemu(qemu.clone()),
        (_, None) => Runner::NotRun(why_not(platform, native || handled, qemu.is_some())),
    }
}

fn why_not(platform: Platform, runs: bool, has_qemu: bool) -> Reason {
    let (why, mend) = match () {
        () if !cfg!(target_os = "linux") => ("no Docker answers, and this is not Linux".to_owned(), "open -a Docker"),
        () if runs => (
            "no Docker answers, and there are neither root nor user namespaces to run it without".to_owned(),
            "sudo systemctl start docker",
        ),
        () if has_qemu => (
            format!(
                "it starts one program by another, which takes QEMU for {} in the kernel (binfmt_misc)",
                platform.architecture()
            ),
            "sudo apt install qemu-user-static binfmt-support",
        ),
        () => (format!("there is no QEMU for {}", platform.architecture()), "sudo apt install qemu-user-static"),
    };
    Reason { why, mend: mend.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(name: &str) -> Platform {
        name.parse().unwrap()
    }

    /// A machine by some words: its processor, `docker` here or `remote` with its own, platforms that are `handled:`,
    /// `qemu:` of an architecture, and `root`, `user` or `chroot`.
    fn machine(words: &str) -> SmokeHost {
        let mut machine = SmokeHost::default();
        for word in words.split_whitespace() {
            match word.split_once(':') {
                Some(("handled", name)) => machine.handled.push(platform(name)),
                Some(("qemu", name)) => drop(machine.qemu.insert(platform(name).qemu_name(), "/usr/bin/qemu".into())),
                Some(("docker", name)) => machine.docker = Some(Docker { platform: platform(name), is_here: true }),
                Some(("remote", name)) => machine.docker = Some(Docker { platform: platform(name), is_here: false }),
                _ => match word {
                    "root" => machine.entry = Some(Isolation::Namespaces),
                    "user" => machine.entry = Some(Isolation::UserNamespace),
                    "chroot" => machine.entry = Some(Isolation::ChangeRoot),
                    name => machine.host = Some(platform(name)),
                },
            }
        }
        machine
    }

    #[test]
    fn ways() {
        let docker = |foreign| Runner::Docker { foreign };
        let root = |entry, foreign| Runner::Root { entry, foreign };
        let qemu = || PathBuf::from("/usr/bin/qemu");
        let (namespaces, user, chroot) = (Isolation::Namespaces, Isolation::UserNamespace, Isolation::ChangeRoot);
        for (words, wanted, alone, expected) in [
            ("linux/amd64 docker:linux/amd64", "linux/amd64", true, docker(false)),
            ("linux/amd64 docker:linux/amd64 root", "linux/amd64", false, docker(false)),
            ("linux/amd64/v3 docker:linux/amd64", "linux/amd64/v3", true, docker(false)),
            ("linux/amd64 docker:linux/amd64 handled:linux/arm64", "linux/arm64", false, docker(true)),
            ("linux/amd64 remote:linux/arm64", "linux/arm64", true, docker(false)),
            ("linux/amd64 remote:linux/arm64", "linux/riscv64", false, docker(true)),
            // The kernel has no QEMU: a single program goes without Docker.
            (
                "linux/amd64 docker:linux/amd64 qemu:linux/arm64 root",
                "linux/arm64",
                true,
                Runner::RootWithQemu { entry: namespaces, qemu: qemu() },
            ),
            ("linux/amd64 root", "linux/amd64", false, root(namespaces, false)),
            ("linux/amd64/v3 user", "linux/amd64/v2", true, root(user, false)),
            ("linux/arm64 chroot", "linux/arm64", true, root(chroot, false)),
            ("linux/amd64 user handled:linux/arm64", "linux/arm64", false, root(user, true)),
            (
                "linux/amd64 user qemu:linux/arm/v7",
                "linux/arm/v7",
                true,
                Runner::RootWithQemu { entry: user, qemu: qemu() },
            ),
            // A newer variant than the processor's is QEMU's.
            (
                "linux/amd64 user qemu:linux/amd64",
                "linux/amd64/v3",
                true,
                Runner::RootWithQemu { entry: user, qemu: qemu() },
            ),
            ("linux/amd64 qemu:linux/arm64", "linux/arm64", true, Runner::Qemu(qemu())),
            ("linux/amd64 qemu:linux/amd64", "linux/amd64", true, Runner::Qemu(qemu())),
        ] {
            assert_eq!(choose(platform(wanted), alone, &machine(words)), expected, "{words}: {wanted}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_cannot_be_run_is_not_run() {
        for (words, wanted, alone, why, mend) in [
            ("linux/amd64", "linux/amd64", true, "no Docker answers, and there are neither", "systemctl start docker"),
            ("linux/amd64 handled:linux/arm64", "linux/arm64", true, "no Docker answers", "systemctl start docker"),
            ("linux/amd64 root", "linux/arm64", true, "there is no QEMU for arm64", "apt install qemu-user-static"),
            ("linux/amd64 docker:linux/amd64", "linux/s390x", true, "there is no QEMU for s390x", "qemu-user-static"),
            (
                "linux/amd64 root qemu:linux/arm64",
                "linux/arm64",
                false,
                "QEMU for arm64 in the kernel",
                "binfmt-support",
            ),
            ("linux/amd64 qemu:linux/arm64", "linux/arm64", false, "QEMU for arm64 in the kernel", "binfmt-support"),
            ("root", "linux/amd64", true, "there is no QEMU for amd64", "qemu-user-static"),
        ] {
            let Runner::NotRun(reason) = choose(platform(wanted), alone, &machine(words)) else {
                panic!("{words}: {wanted}")
            };
            assert!(reason.why.contains(why) && reason.mend.contains(mend), "{words}: {wanted}: {reason:?}");
        }
    }
}
