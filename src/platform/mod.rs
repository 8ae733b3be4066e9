//! The table of supported platforms, with the Docker name, target triples and ELF header fields of each. Exceptions for
//! individual architectures are in `compile` (C compilers, known issues) and `elf` (instruction sets).

pub(crate) mod elf_header;

pub(crate) use elf_header::{ElfIdentity, FloatAbi};

use std::fmt;
use std::str::FromStr;

use object::elf;
use serde::{Deserialize, Serialize};

use crate::error::{Class, Failure};

/// An OCI platform: `os/architecture[/variant]` (image-spec, image-index.md, `platform`).
///
/// The name is always normalized as in containerd's `platforms` package: `linux/arm64`, not `linux/arm64/v8`, and
/// `linux/arm/v7`, not `linux/arm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String", description = "Platform in Docker's notation: `os/architecture[/variant]`.", extend("enum" = Platform::names())))]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Platform(&'static PlatformRow);

/// The C library that a binary is linked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Libc {
    Gnu,
    Musl,
}

/// A row of the platform table.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PlatformRow {
    name: &'static str,
    gnu_triple: &'static str,
    musl_triple: &'static str,
    /// Value of rustc's `-C target-cpu`, for variants that share a target triple with another platform.
    target_cpu: Option<&'static str>,
    elf_header: ElfIdentity,
    /// QEMU's name for the architecture, as in `qemu-aarch64`.
    qemu_name: &'static str,
    debian: Option<DebianArchitecture>,
}

/// Debian's names for an architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DebianArchitecture {
    /// Name of the architecture, such as `arm64`.
    pub name: &'static str,
    /// Directory in /usr/lib that contains the architecture's libraries, such as `aarch64-linux-gnu`.
    pub library_dir: &'static str,
    /// Prefix of the cross compilers, such as `aarch64-linux-gnu`.
    gcc_prefix: &'static str,
}

#[rustfmt::skip]
static TABLE: &[PlatformRow] = {
    const fn platform(
        name: &'static str, gnu_triple: &'static str, musl_triple: &'static str, target_cpu: Option<&'static str>,
        elf_header: ElfIdentity, qemu_name: &'static str, debian: Option<DebianArchitecture>,
    ) -> PlatformRow {
        PlatformRow { name, gnu_triple, musl_triple, target_cpu, elf_header, qemu_name, debian }
    }
    const fn elf(machine: elf::Machine, class: u8) -> ElfIdentity {
        ElfIdentity { machine: machine.0, class, big_endian: false, float_abi: None }
    }
    const fn elf_with_floats(machine: elf::Machine, class: u8, float_abi: FloatAbi) -> ElfIdentity {
        ElfIdentity { float_abi: Some(float_abi), ..elf(machine, class) }
    }
    const fn debian(name: &'static str, gcc_prefix: &'static str) -> Option<DebianArchitecture> {
        Some(DebianArchitecture { name, library_dir: gcc_prefix, gcc_prefix })
    }
    const X86_64: ElfIdentity = elf(elf::EM_X86_64, 64);
    const ARM_HARD: ElfIdentity = elf_with_floats(elf::EM_ARM, 32, FloatAbi::Hard);
    const S390X: ElfIdentity = ElfIdentity { big_endian: true, ..elf(elf::EM_S390, 64) };
    const AMD64: Option<DebianArchitecture> = debian("amd64", "x86_64-linux-gnu");
    // Debian names the cross compilers for i386 `i686-linux-gnu-*`, but the library directories `i386-linux-gnu`.
    const I386: Option<DebianArchitecture> = Some(DebianArchitecture { name: "i386", library_dir: "i386-linux-gnu", gcc_prefix: "i686-linux-gnu" });
    &[
        platform("linux/amd64",    "x86_64-unknown-linux-gnu",      "x86_64-unknown-linux-musl",      None,              X86_64, "x86_64", AMD64),
        platform("linux/amd64/v2", "x86_64-unknown-linux-gnu",      "x86_64-unknown-linux-musl",      Some("x86-64-v2"), X86_64, "x86_64", AMD64),
        platform("linux/amd64/v3", "x86_64-unknown-linux-gnu",      "x86_64-unknown-linux-musl",      Some("x86-64-v3"), X86_64, "x86_64", AMD64),
        platform("linux/386",      "i686-unknown-linux-gnu",        "i686-unknown-linux-musl",        None, elf(elf::EM_386, 32), "i386", I386),
        platform("linux/arm64",    "aarch64-unknown-linux-gnu",     "aarch64-unknown-linux-musl",     None, elf(elf::EM_AARCH64, 64), "aarch64", debian("arm64", "aarch64-linux-gnu")),
        platform("linux/arm/v5",   "armv5te-unknown-linux-gnueabi", "armv5te-unknown-linux-musleabi", None, elf_with_floats(elf::EM_ARM, 32, FloatAbi::Soft), "arm", debian("armel", "arm-linux-gnueabi")),
        // Debian's armhf cannot be used for ARMv6: its cross compiler links in startup files for ARMv7.
        platform("linux/arm/v6",   "arm-unknown-linux-gnueabihf",   "arm-unknown-linux-musleabihf",   None, ARM_HARD, "arm", None),
        platform("linux/arm/v7",   "armv7-unknown-linux-gnueabihf", "armv7-unknown-linux-musleabihf", None, ARM_HARD, "arm", debian("armhf", "arm-linux-gnueabihf")),
        platform("linux/riscv64",  "riscv64gc-unknown-linux-gnu",   "riscv64gc-unknown-linux-musl",   None, elf_with_floats(elf::EM_RISCV, 64, FloatAbi::Double), "riscv64", debian("riscv64", "riscv64-linux-gnu")),
        platform("linux/ppc64le",  "powerpc64le-unknown-linux-gnu", "powerpc64le-unknown-linux-musl", None, elf(elf::EM_PPC64, 64), "ppc64le", debian("ppc64el", "powerpc64le-linux-gnu")),
        platform("linux/s390x",    "s390x-unknown-linux-gnu",       "s390x-unknown-linux-musl",       None, S390X, "s390x", debian("s390x", "s390x-linux-gnu")),
        platform("linux/loong64",  "loongarch64-unknown-linux-gnu", "loongarch64-unknown-linux-musl", None, elf(elf::EM_LOONGARCH, 64), "loongarch64", debian("loong64", "loongarch64-linux-gnu")),
    ]
};

/// Alternative names: the ones that containerd's `platforms.Normalize` accepts, and abbreviations of the most common
/// platforms.
const ALIASES: &[(&str, &str)] = &[
    ("amd64", "linux/amd64"),
    ("arm64", "linux/arm64"),
    ("armv7", "linux/arm/v7"),
    ("riscv64", "linux/riscv64"),
    ("linux/x86_64", "linux/amd64"),
    ("linux/amd64/v1", "linux/amd64"),
    ("linux/i386", "linux/386"),
    ("linux/aarch64", "linux/arm64"),
    ("linux/arm64/v8", "linux/arm64"),
    ("linux/arm", "linux/arm/v7"),
    ("linux/armhf", "linux/arm/v7"),
    ("linux/armel", "linux/arm/v6"),
];

impl Platform {
    /// Returns all supported platforms, in table order.
    pub(crate) fn all() -> impl Iterator<Item = Platform> {
        TABLE.iter().map(Platform)
    }

    /// Returns the normalized name, such as `linux/arm/v7`.
    pub(crate) fn name(self) -> &'static str {
        self.0.name
    }

    pub(crate) fn os(self) -> &'static str {
        self.component(0).unwrap_or_default()
    }

    pub(crate) fn architecture(self) -> &'static str {
        self.component(1).unwrap_or_default()
    }

    /// Returns the variant, such as `v7` for `linux/arm/v7`, or `None` if the normalized name has no variant.
    pub(crate) fn variant(self) -> Option<&'static str> {
        self.component(2)
    }

    fn component(self, index: usize) -> Option<&'static str> {
        self.0.name.split('/').nth(index)
    }

    /// Returns this platform's target triple for a C library.
    pub(crate) fn triple(self, libc: Libc) -> &'static str {
        match libc {
            Libc::Gnu => self.0.gnu_triple,
            Libc::Musl => self.0.musl_triple,
        }
    }

    /// Reports whether rustup provides a standard library for this platform and C library.
    pub(crate) fn has_std(self, libc: Libc) -> bool {
        !(libc == Libc::Musl && self.architecture() == "s390x")
    }

    /// Returns rustc's `-C target-cpu` for variants that share a target triple with another platform, such as
    /// `linux/amd64/v3`.
    pub(crate) fn target_cpu(self) -> Option<&'static str> {
        self.0.target_cpu
    }

    /// Returns the highest instruction set level that programs for this platform may require: 7 for `linux/arm/v7`, 1
    /// for `linux/amd64`. `None` for architectures without levels.
    pub(crate) fn cpu_level(self) -> Option<u8> {
        match (self.architecture(), self.variant()) {
            ("amd64", None) => Some(1),
            (_, Some(variant)) => variant.strip_prefix('v')?.parse().ok(),
            _ => None,
        }
    }

    /// Returns the path of glibc's dynamic loader for this platform (glibc, `sysdeps/unix/sysv/linux/*/shlib-versions`).
    pub(crate) fn glibc_loader(self) -> Option<&'static str> {
        Some(match self.0.gnu_triple {
            "x86_64-unknown-linux-gnu" => "/lib64/ld-linux-x86-64.so.2",
            "i686-unknown-linux-gnu" | "i586-unknown-linux-gnu" => "/lib/ld-linux.so.2",
            "aarch64-unknown-linux-gnu" => "/lib/ld-linux-aarch64.so.1",
            "armv7-unknown-linux-gnueabihf" | "arm-unknown-linux-gnueabihf" => "/lib/ld-linux-armhf.so.3",
            "armv5te-unknown-linux-gnueabi" | "arm-unknown-linux-gnueabi" => "/lib/ld-linux.so.3",
            "riscv64gc-unknown-linux-gnu" => "/lib/ld-linux-riscv64-lp64d.so.1",
            "powerpc64le-unknown-linux-gnu" => "/lib64/ld64.so.2",
            "s390x-unknown-linux-gnu" => "/lib/ld64.so.1",
            "loongarch64-unknown-linux-gnu" => "/lib64/ld-linux-loongarch-lp64d.so.1",
            _ => return None,
        })
    }

    /// Returns the ELF header fields of programs for this platform.
    pub(crate) fn elf_identity(self) -> ElfIdentity {
        self.0.elf_header
    }

    /// Returns the platforms that share a target triple, starting with the one without a variant.
    pub(crate) fn for_triple(triple: &str) -> impl Iterator<Item = Platform> {
        TABLE.iter().filter(move |row| row.gnu_triple == triple || row.musl_triple == triple).map(Platform)
    }

    /// Formats a triple with its platform for messages: `linux/arm64, aarch64-unknown-linux-musl`.
    pub(crate) fn describe_triple(triple: &str) -> String {
        match Self::for_triple(triple).next() {
            Some(platform) => format!("{platform}, {triple}"),
            None => triple.to_owned(),
        }
    }

    /// Returns the GNU target triple of this machine, without running a compiler.
    pub(crate) fn host_triple() -> String {
        let architecture = match std::env::consts::ARCH {
            "riscv64" => "riscv64gc",
            "arm" => return "armv7-unknown-linux-gnueabihf".to_owned(),
            "x86" => "i686",
            "powerpc64" => "powerpc64le",
            other => other,
        };
        format!("{architecture}-unknown-linux-gnu")
    }

    /// Returns this platform, followed by the others whose programs it can run: newer variants run programs for older
    /// ones.
    pub(crate) fn compatible_platforms(self) -> impl Iterator<Item = Platform> {
        const OLDER: &[(&str, &str)] = &[
            ("linux/amd64/v3", "linux/amd64/v2"),
            ("linux/amd64/v2", "linux/amd64"),
            ("linux/arm/v7", "linux/arm/v6"),
            ("linux/arm/v6", "linux/arm/v5"),
        ];
        let next_older = |platform: &Platform| {
            let (_, name) = OLDER.iter().find(|(name, _)| *name == platform.name())?;
            TABLE.iter().find(|row| row.name == *name).map(Platform)
        };
        std::iter::successors(Some(self), next_older)
    }

    /// Returns the prefix of the GCC cross compiler for a triple, such as `aarch64-linux-gnu` or `aarch64-linux-musl`.
    pub(crate) fn gcc_prefix(triple: &str) -> Option<String> {
        let row = Self::for_triple(triple).next()?.0;
        let prefix = row.debian?.gcc_prefix;
        Some(if triple == row.gnu_triple { prefix.to_owned() } else { prefix.replace("-gnu", "-musl") })
    }

    /// Returns Debian's names for the architecture, or `None` if Debian does not support it.
    pub(crate) fn debian(self) -> Option<DebianArchitecture> {
        self.0.debian
    }

    /// Returns QEMU's name for the architecture. The corresponding binfmt_misc entry is `qemu-NAME`.
    pub(crate) fn qemu_name(self) -> &'static str {
        self.0.qemu_name
    }

    /// Reports whether a machine with the triple `host` runs binaries for this platform without emulation.
    pub(crate) fn is_native_to(self, host: &str) -> bool {
        Self::for_triple(host).any(|native| native.elf_identity() == self.elf_identity())
    }

    /// Returns the suffix for Dockerfile stage names, such as `linux-armv7`. It equals
    /// `${TARGETOS}-${TARGETARCH}${TARGETVARIANT}`.
    pub(crate) fn stage_suffix(self) -> String {
        format!("{}-{}{}", self.os(), self.architecture(), self.variant().unwrap_or_default())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.name)
    }
}

impl FromStr for Platform {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == text).map_or(text, |(_, name)| name);
        TABLE.iter().find(|row| row.name == name).map(Platform).ok_or_else(|| {
            let names = || TABLE.iter().map(|row| row.name);
            let supported = format!("supported platforms: {}", names().collect::<Vec<_>>().join(", "));
            if text.is_empty() {
                return Failure::new(Class::Config, "platform name is empty").hint(supported);
            }
            let with_os = if text.contains('/') { text.to_owned() } else { format!("linux/{text}") };
            let failure = Failure::new(Class::Config, format!("unknown platform '{text}'"));
            // Allow an edit distance of only 1, because the names are short and similar: a name at a distance of 2 is
            // probably another architecture, not a typo.
            let typo_of = names().find(|name| strsim::damerau_levenshtein(&with_os, name) <= 1);
            failure.did_you_mean(&with_os, typo_of).hint(supported)
        })
    }
}

impl TryFrom<String> for Platform {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map_err(|failure: Failure| match failure.hints().first() {
            Some(hint) => format!("{failure} ({hint})"),
            None => failure.to_string(),
        })
    }
}

impl From<Platform> for String {
    fn from(platform: Platform) -> String {
        platform.name().to_owned()
    }
}

/// Formats the machine for display, for example as `aarch64 (64-bit, little-endian)`.
impl fmt::Display for ElfIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TABLE.iter().find(|row| row.elf_header.machine == self.machine) {
            Some(row) => f.write_str(row.qemu_name)?,
            None => write!(f, "machine {}", self.machine)?,
        }
        let byte_order = if self.big_endian { "big" } else { "little" };
        write!(f, " ({}-bit, {byte_order}-endian)", self.class)
    }
}

#[cfg(test)]
impl Platform {
    /// Returns all accepted platform names, including aliases.
    fn names() -> Vec<&'static str> {
        TABLE.iter().map(|row| row.name).chain(ALIASES.iter().map(|(alias, _)| *alias)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_triples_identify_their_platform() {
        for platform in Platform::all() {
            assert_eq!(platform.name().parse::<Platform>().unwrap(), platform);
            for libc in [Libc::Gnu, Libc::Musl] {
                let triple = platform.triple(libc);
                assert!(Platform::for_triple(triple).any(|p| p == platform), "{triple}");
                assert!(Platform::for_triple(triple).all(|p| p.elf_identity() == platform.elf_identity()), "{triple}");
                assert!(triple.contains(if libc == Libc::Gnu { "linux-gnu" } else { "linux-musl" }));
            }
        }
    }

    #[test]
    fn rustc_supports_every_triple() {
        let targets = crate::process::Cmd::new("rustc").args(["--print", "target-list"]).read().unwrap();
        for platform in Platform::all() {
            for libc in [Libc::Gnu, Libc::Musl] {
                let triple = platform.triple(libc);
                assert!(targets.lines().any(|line| line == triple), "{triple}");
            }
        }
    }

    #[test]
    fn elf_identities_match_the_elf_specifications() {
        let identity = |name: &str| {
            let elf = name.parse::<Platform>().unwrap().elf_identity();
            (elf.machine, elf.class, elf.big_endian, elf.float_abi)
        };
        assert_eq!(identity("linux/amd64/v3"), (62, 64, false, None));
        assert_eq!(identity("linux/386"), (3, 32, false, None));
        assert_eq!(identity("linux/arm64"), (183, 64, false, None));
        assert_eq!(identity("linux/arm/v5"), (40, 32, false, Some(FloatAbi::Soft)));
        assert_eq!(identity("linux/arm/v6"), (40, 32, false, Some(FloatAbi::Hard)));
        assert_eq!(identity("linux/riscv64"), (243, 64, false, Some(FloatAbi::Double)));
        assert_eq!(identity("linux/ppc64le"), (21, 64, false, None));
        assert_eq!(identity("linux/s390x"), (22, 64, true, None));
        assert_eq!(identity("linux/loong64"), (258, 64, false, None));
    }

    #[test]
    fn aliases_are_normalized() {
        for (alias, name) in ALIASES {
            assert_eq!(alias.parse::<Platform>().unwrap().name(), *name);
        }
    }

    #[test]
    fn typos_are_corrected_in_hints() {
        let failure = "linux/arm65".parse::<Platform>().unwrap_err();
        assert_eq!(failure.to_string(), "unknown platform 'linux/arm65'");
        assert_eq!(failure.hints()[0], "did you mean 'linux/arm64'?");
        for other in ["linux/mips64le", "linux/riscv32", ""] {
            let failure = other.parse::<Platform>().unwrap_err();
            assert!(
                failure.hints()[0].starts_with("supported platforms: linux/amd64, "),
                "{other}: {:?}",
                failure.hints()
            );
        }
    }

    #[test]
    fn newer_variants_run_programs_for_older_ones() {
        let runs = |name: &str| {
            name.parse::<Platform>().unwrap().compatible_platforms().map(Platform::name).collect::<Vec<_>>()
        };
        assert_eq!(runs("linux/amd64/v3"), ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"]);
        assert_eq!(runs("linux/arm/v6"), ["linux/arm/v6", "linux/arm/v5"]);
        assert_eq!(runs("linux/arm64"), ["linux/arm64"]);
        assert_eq!(Platform::gcc_prefix("arm-unknown-linux-gnueabihf"), None);
    }

    #[test]
    fn platforms_have_components_and_other_names() {
        let v7: Platform = "linux/arm/v7".parse().unwrap();
        assert_eq!((v7.os(), v7.architecture(), v7.variant()), ("linux", "arm", Some("v7")));
        assert_eq!(v7.stage_suffix(), "linux-armv7");
        let debian =
            |name: &str| name.parse::<Platform>().unwrap().debian().map(|debian| (debian.name, debian.library_dir));
        assert_eq!(debian("linux/arm/v7"), Some(("armhf", "arm-linux-gnueabihf")));
        assert_eq!(debian("linux/386"), Some(("i386", "i386-linux-gnu")));
        assert_eq!(debian("linux/arm/v6"), None);
        assert_eq!("linux/arm64".parse::<Platform>().unwrap().variant(), None);
        assert_eq!(Platform::gcc_prefix("aarch64-unknown-linux-musl").as_deref(), Some("aarch64-linux-musl"));
        assert_eq!(Platform::gcc_prefix("riscv64gc-unknown-linux-gnu").as_deref(), Some("riscv64-linux-gnu"));
    }

    #[test]
    fn host_triple_has_a_platform() {
        let host = Platform::host_triple();
        assert!(Platform::for_triple(&host).next().is_some(), "{host}");
    }

    #[test]
    fn triples_are_described_with_their_platform() {
        let musl = "aarch64-unknown-linux-musl";
        assert_eq!(Platform::describe_triple(musl), "linux/arm64, aarch64-unknown-linux-musl");
        assert_eq!(Platform::describe_triple("x-y"), "x-y");
    }
}
