//! The pinned version of zig, which `doctor --fix` and generated CI workflows install, and the hints that lead to it.

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;

use crate::process::Cmd;

/// The pinned version.
pub(crate) const ZIG_VERSION: Version = Version::new(0, 17, 1);

/// The package in the format of pip's requirements files, with the hashes for Linux on x86-64 and arm64.
pub(crate) const REQUIREMENT_ON_LINUX: [&str; 3] = [
    "ziglang==0.17.1 \\",
    "--hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54 \\",
    "--hash=sha256:b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e",
];

/// Further hashes, for macOS on arm64 and x86-64.
const HASHES_ON_MACOS: [&str; 2] = [
    "--hash=sha256:09953b6af7f64168b915180a42774f520f92d86ef6331b28e33915c7e1f0bb23",
    "--hash=sha256:4e0b4b9c02b8d0d220e9948010f860b62ff11d96abb39762eca5fa2ef3f7bc97",
];

/// The command that installs zig for a workspace that needs it.
pub(crate) const INSTALL_COMMAND: &str = "cargo multiarch doctor --fix";

/// The command that installs zig even if the configuration does not need it.
pub(crate) const INSTALL_COMMAND_ANYWAY: &str = "cargo multiarch doctor --fix --linker zig";

/// Returns a hint to use zig, with the command that installs it.
pub(crate) fn use_zig(advice: &str) -> String {
    format!("{advice}: `--linker zig` (to install zig, run `{INSTALL_COMMAND_ANYWAY}`)")
}

/// Returns the directory in which `doctor --fix` installs the package.
pub(crate) fn dir(cache_dir: &Utf8Path) -> Utf8PathBuf {
    cache_dir.join(format!("ziglang-{ZIG_VERSION}"))
}

/// Returns the path at which `doctor --fix` installs zig.
pub(crate) fn program_path(cache_dir: &Utf8Path) -> Utf8PathBuf {
    dir(cache_dir).join("ziglang/zig")
}

/// Returns a command for users that installs the same package.
pub(crate) fn install_command(cache_dir: &Utf8Path) -> Cmd {
    Cmd::new("python3")
        .args(["-m", "pip", "install", "--target", dir(cache_dir).as_str()])
        .arg(format!("ziglang=={ZIG_VERSION}"))
}

/// Returns the package in the format of pip's requirements files, with the hashes for all supported machines.
pub(crate) fn requirement() -> String {
    format!("{} \\\n{}\n", REQUIREMENT_ON_LINUX.join("\n"), HASHES_ON_MACOS.join(" \\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirement_names_the_version_and_every_hash() {
        let requirement = requirement();
        let lines: Vec<&str> = requirement.lines().collect();
        assert!(lines[0].starts_with(&format!("ziglang=={ZIG_VERSION} ")), "{requirement}");
        let (last, others) = lines.split_last().unwrap();
        assert!(others.iter().all(|line| line.ends_with(" \\")) && !last.ends_with('\\'), "{requirement}");
        assert_eq!(requirement.matches("--hash=sha256:").count(), 4);
    }
}
