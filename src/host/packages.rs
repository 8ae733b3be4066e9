//! Commands that install the programs and libraries that hints recommend, with this machine's package manager.

use super::{Os, os};

/// A program or library, and the packages that contain it. `None` for systems without a suitable package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// The name to use if there is no command that installs it.
    name: &'static str,
    apt: Option<&'static str>,
    dnf: Option<&'static str>,
    apk: Option<&'static str>,
    /// The complete command for macOS, because Apple's command-line tools do not come from Homebrew.
    macos: Option<&'static str>,
}

const XCODE: Option<&str> = Some("xcode-select --install");

#[rustfmt::skip]
mod table {
    use super::{Tool, XCODE};

    pub(crate) const GIT: Tool = tool("git", Some("git"), Some("git"), Some("git"), XCODE);
    pub(crate) const C_COMPILER: Tool = tool("a C compiler", Some("gcc"), Some("gcc"), Some("gcc musl-dev"), XCODE);
    pub(crate) const PERL: Tool = tool("perl", Some("perl"), Some("perl"), Some("perl"), Some("brew install perl"));
    pub(crate) const MAKE: Tool = tool("make", Some("make"), Some("make"), Some("make"), XCODE);
    pub(crate) const CMAKE: Tool = tool("cmake", Some("cmake"), Some("cmake"), Some("cmake"), Some("brew install cmake"));
    pub(crate) const NASM: Tool = tool("nasm", Some("nasm"), Some("nasm"), Some("nasm"), Some("brew install nasm"));
    pub(crate) const GO: Tool = tool("go", Some("golang-go"), Some("golang"), Some("go"), Some("brew install go"));
    pub(crate) const PROTOC: Tool = tool("protoc", Some("protobuf-compiler"), Some("protobuf-compiler"), Some("protoc"), Some("brew install protobuf"));
    pub(crate) const PKG_CONFIG: Tool = tool("pkg-config", Some("pkg-config"), Some("pkgconf-pkg-config"), Some("pkgconf"), Some("brew install pkgconf"));
    pub(crate) const LIBCLANG: Tool = tool("libclang", Some("libclang-dev"), Some("clang-devel"), Some("clang-dev"), Some("brew install llvm"));
    pub(crate) const CA_CERTIFICATES: Tool = tool("CA certificates", Some("ca-certificates"), Some("ca-certificates"), Some("ca-certificates"), None);
    pub(crate) const BUILDX: Tool = tool("buildx", Some("docker-buildx-plugin"), Some("docker-buildx-plugin"), Some("docker-cli-buildx"), Some("brew install docker-buildx"));
    pub(crate) const GPGV: Tool = tool("gpgv", Some("gpgv"), Some("gnupg2"), Some("gpgv"), Some("brew install gnupg"));
    /// Alpine's packages are not used, because the names of their programs do not end with `-static`.
    pub(crate) const QEMU: Tool = tool("QEMU's static user-mode emulation", Some("qemu-user-static"), Some("qemu-user-static"), None, None);
    pub(crate) const QEMU_HANDLERS: Tool = tool("QEMU's binfmt_misc handlers", Some("qemu-user-static binfmt-support"), Some("qemu-user-static"), None, None);

    const fn tool(
        name: &'static str, apt: Option<&'static str>, dnf: Option<&'static str>, apk: Option<&'static str>, macos: Option<&'static str>,
    ) -> Tool {
        Tool { name, apt, dnf, apk, macos }
    }
}
pub(crate) use table::*;

impl Tool {
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the command that installs the tool on this machine, or `None` if there is none.
    pub(crate) fn install_command(&self) -> Option<String> {
        self.install_command_for(os())
    }

    fn install_command_for(&self, os: Os) -> Option<String> {
        let with = |manager: &str, packages: Option<&str>| Some(format!("{manager} {}", packages?));
        match os {
            Os::Mac => self.macos.map(str::to_owned),
            Os::Debian => with("apt-get install", self.apt),
            Os::Fedora => with("dnf install", self.dnf),
            Os::Alpine => with("apk add", self.apk),
            Os::OtherLinux => None,
        }
    }

    /// Returns a hint such as ``install cmake: `apt-get install cmake` ``.
    pub(crate) fn install_hint(&self) -> String {
        match self.install_command() {
            Some(command) => format!("install {}: `{command}`", self.name),
            None => format!("install {}", self.name),
        }
    }
}

/// Returns a hint for installing a cross compiler (`gcc` or `g++`) whose programs start with `prefix`, such as
/// `aarch64-linux-gnu`. `None` on systems that do not package one: Fedora's are for kernels only and have no C library.
pub(crate) fn cross_compiler_hint(compiler: &str, prefix: &str) -> Option<String> {
    cross_compiler_hint_for(os(), compiler, prefix)
}

fn cross_compiler_hint_for(os: Os, compiler: &str, prefix: &str) -> Option<String> {
    let description = if compiler == "gcc" { "cross gcc" } else { "cross compiler" };
    let package = format!("{compiler}-{}", prefix.replace('_', "-"));
    (os == Os::Debian).then(|| format!("install a {description}: `apt-get install {package}`"))
}

/// Returns a hint for installing the headers of a library for this machine. `debian` is the name of Debian's package.
pub(crate) fn library_hint(debian: &str) -> String {
    library_hint_for(os(), debian)
}

fn library_hint_for(os: Os, debian: &str) -> String {
    match os {
        Os::Debian => format!("install the Debian package: `apt-get install {debian}`"),
        _ => format!("install the library's development package (on Debian: {debian})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_package_manager_of_the_system() {
        for (tool, expected) in [
            (GIT, [Some("apt-get install git"), Some("dnf install git"), Some("apk add git"), XCODE, None]),
            (
                PKG_CONFIG,
                [
                    Some("apt-get install pkg-config"),
                    Some("dnf install pkgconf-pkg-config"),
                    Some("apk add pkgconf"),
                    Some("brew install pkgconf"),
                    None,
                ],
            ),
            (QEMU, [Some("apt-get install qemu-user-static"), Some("dnf install qemu-user-static"), None, None, None]),
        ] {
            let systems = [Os::Debian, Os::Fedora, Os::Alpine, Os::Mac, Os::OtherLinux];
            let commands = systems.map(|os| tool.install_command_for(os));
            assert_eq!(commands.each_ref().map(Option::as_deref), expected, "{}", tool.name);
        }
    }

    #[test]
    fn only_debian_packages_cross_compilers() {
        let hint = |os| cross_compiler_hint_for(os, "gcc", "x86_64-linux-gnu");
        assert_eq!(hint(Os::Debian).unwrap(), "install a cross gcc: `apt-get install gcc-x86-64-linux-gnu`");
        for os in [Os::Fedora, Os::Alpine, Os::Mac, Os::OtherLinux] {
            assert_eq!(hint(os), None, "{os:?}");
            assert!(!library_hint_for(os, "libssl-dev").contains("apt-get"), "{os:?}");
        }
    }
}
