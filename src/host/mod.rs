//! Differences between the supported operating systems: Linux distributions and macOS. All code that is specific to
//! Linux is here, with an alternative for macOS, so that other modules do not depend on the operating system.

pub(crate) mod binfmt;
pub(crate) mod cache_dir;
pub(crate) mod docker;
pub(crate) mod isolation;
pub(crate) mod memory;
pub(crate) mod packages;

use std::sync::LazyLock;

/// Whether containers can share this machine's kernel. On macOS, they run in a virtual machine.
pub(crate) const IS_LINUX: bool = cfg!(target_os = "linux");

/// Operating systems that hints distinguish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Os {
    Mac,
    /// Debian, Ubuntu and their derivatives.
    Debian,
    /// Fedora, RHEL and their derivatives.
    Fedora,
    Alpine,
    OtherLinux,
}

/// Returns the operating system of this machine.
pub(crate) fn os() -> Os {
    static THIS_OS: LazyLock<Os> = LazyLock::new(|| {
        // Messages in unit tests must not depend on the machine. For integration tests, a variable selects the system.
        if cfg!(test) {
            return Os::Debian;
        }
        if let Ok(os_release) = std::env::var("MULTIARCH_TEST_OS_RELEASE") {
            return if os_release == "macos" { Os::Mac } else { from_os_release(&os_release) };
        }
        if cfg!(target_os = "macos") {
            return Os::Mac;
        }
        let files = ["/etc/os-release", "/usr/lib/os-release"];
        let os_release = files.iter().find_map(|file| fs_err::read_to_string(file).ok());
        from_os_release(&os_release.unwrap_or_default())
    });
    *THIS_OS
}

/// Returns the command that synchronizes the clock with a time server.
pub(crate) fn clock_command() -> &'static str {
    match os() {
        Os::Mac => "sudo systemsetup -setusingnetworktime on",
        Os::Alpine => "sudo rc-service chronyd restart",
        Os::Debian | Os::Fedora | Os::OtherLinux => "sudo timedatectl set-ntp true",
    }
}

/// Returns the distribution that an os-release file describes (os-release(5)).
fn from_os_release(os_release: &str) -> Os {
    let value = |name: &str| os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let ids = [value("ID"), value("ID_LIKE")].into_iter().flatten();
    let mut ids = ids.flat_map(|ids| ids.trim_matches(['"', '\'']).split_whitespace());
    let family = |id: &str| match id {
        "debian" | "ubuntu" => Some(Os::Debian),
        "fedora" | "rhel" | "centos" => Some(Os::Fedora),
        "alpine" => Some(Os::Alpine),
        _ => None,
    };
    ids.find_map(family).unwrap_or(Os::OtherLinux)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_os_release() {
        for (os_release, expected) in [
            ("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\n", Os::Debian),
            ("ID=ubuntu\nID_LIKE=debian\n", Os::Debian),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Os::Debian),
            ("NAME=\"Fedora Linux\"\nID=fedora\nVARIANT_ID=container\n", Os::Fedora),
            ("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", Os::Fedora),
            ("ID=\"amzn\"\nID_LIKE=\"fedora\"\n", Os::Fedora),
            ("NAME=\"Alpine Linux\"\nID=alpine\n", Os::Alpine),
            ("ID='alpine'\n", Os::Alpine),
            ("ID=arch\n", Os::OtherLinux),
            ("ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n", Os::OtherLinux),
            ("", Os::OtherLinux),
        ] {
            assert_eq!(from_os_release(os_release), expected, "{os_release}");
        }
    }
}
