//! The one table of platforms: what Docker calls a platform, what rustc calls the target triple for it,
//! and what the ELF header of a program for it says. Nothing else in the crate knows an architecture by name.

pub mod elf_header;

pub use elf_header::{ElfIdentity, FloatAbi};

use std::fmt;
use std::str::FromStr;

use object::elf;
use serde::{Deserialize, Serialize};

use crate::error::{Class, Failure};

/// An OCI platform: `os/architecture[/variant]` (image-spec, image-index.md, `platform`).
///
/// Always in the normal form of containerd's `platforms` package: `linux/arm64`, never `linux/arm64/v8`;
/// `linux/arm/v7`, never `linux/arm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema), schemars(with = "String", description = "What Docker calls it.", extend("enum" = Platform::names())))]
#[serde(try_from = "String", into = "String")]
pub struct Platform(&'static Row);

/// The C library that a binary is linked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Libc {
    Gnu,
    Musl,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Row {
    name: &'static str,
    gnu: &'static str,
    musl: &'static str,
    /// rustc's `-C target-cpu`, where the variant is a matter of instructions and not of the triple.
    target_cpu: Option<&'static str>,
    machine: u16,
    class: u8,
    big_endian: bool,
    float_abi: Option<FloatAbi>,
    /// The suffix of QEMU's user-mode emulator, as in `qemu-aarch64`.
    qemu: &'static str,
    /// GNU's name, the prefix of Debian's cross compilers; none for ARMv6, where theirs links ARMv7's start files.
    gcc: &'static str,
    /// Debian's name of the architecture; none for ARMv6, since Debian's armhf is ARMv7's.
    debian: &'static str,
}

#[rustfmt::skip]
static TABLE: &[Row] = {
    const fn row(
        name: &'static str, gnu: &'static str, musl: &'static str, target_cpu: Option<&'static str>,
        elf: (u16, u8, bool, Option<FloatAbi>), qemu: &'static str, (gcc, debian): (&'static str, &'static str),
    ) -> Row {
        Row { name, gnu, musl, target_cpu, machine: elf.0, class: elf.1, big_endian: elf.2, float_abi: elf.3, qemu, gcc, debian }
    }
    const X86_64: (u16, u8, bool, Option<FloatAbi>) = (elf::EM_X86_64.0, 64, false, None);
    const ARM_HARD: (u16, u8, bool, Option<FloatAbi>) = (elf::EM_ARM.0, 32, false, Some(FloatAbi::Hard));
    &[
        row("linux/amd64",    "x86_64-unknown-linux-gnu",      "x86_64-unknown-linux-musl",      None,              X86_64, "x86_64", ("x86_64-linux-gnu", "amd64")),
        row("linux/amd64/v2", "x86_64-unknown-linux-gnu",      "x86_64-unknown-linux-musl",      Some("x86-64-v2"), X86_64, "x86_64", ("x86_64-linux-gnu", "amd64")),
        row("linux/amd64/v3", "x86_64-unknown-linux-gnu",      "x86_64-unknown-linux-musl",      Some("x86-64-v3"), X86_64, "x86_64", ("x86_64-linux-gnu", "amd64")),
        row("linux/386",      "i686-unknown-linux-gnu",        "i686-unknown-linux-musl",        None, (elf::EM_386.0, 32, false, None), "i386", ("i686-linux-gnu", "i386")),
        row("linux/arm64",    "aarch64-unknown-linux-gnu",     "aarch64-unknown-linux-musl",     None, (elf::EM_AARCH64.0, 64, false, None), "aarch64", ("aarch64-linux-gnu", "arm64")),
        row("linux/arm/v5",   "armv5te-unknown-linux-gnueabi", "armv5te-unknown-linux-musleabi", None, (elf::EM_ARM.0, 32, false, Some(FloatAbi::Soft)), "arm", ("arm-linux-gnueabi", "armel")),
        row("linux/arm/v6",   "arm-unknown-linux-gnueabihf",   "arm-unknown-linux-musleabihf",   None, ARM_HARD, "arm", ("", "")),
        row("linux/arm/v7",   "armv7-unknown-linux-gnueabihf", "armv7-unknown-linux-musleabihf", None, ARM_HARD, "arm", ("arm-linux-gnueabihf", "armhf")),
        row("linux/riscv64",  "riscv64gc-unknown-linux-gnu",   "riscv64gc-unknown-linux-musl",   None, (elf::EM_RISCV.0, 64, false, Some(FloatAbi::Double)), "riscv64", ("riscv64-linux-gnu", "riscv64")),
        row("linux/ppc64le",  "powerpc64le-unknown-linux-gnu", "powerpc64le-unknown-linux-musl", None, (elf::EM_PPC64.0, 64, false, None), "ppc64le", ("powerpc64le-linux-gnu", "ppc64el")),
        row("linux/s390x",    "s390x-unknown-linux-gnu",       "s390x-unknown-linux-musl",       None, (elf::EM_S390.0, 64, true, None), "s390x", ("s390x-linux-gnu", "s390x")),
        row("linux/loong64",  "loongarch64-unknown-linux-gnu", "loongarch64-unknown-linux-musl", None, (elf::EM_LOONGARCH.0, 64, false, None), "loongarch64", ("loongarch64-linux-gnu", "loong64")),
    ]
};

/// Other spellings, as containerd's `platforms.Normalize` reads them.
const ALIASES: &[(&str, &str)] = &[
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
    /// Every platform that the tool can build for, in the table's order.
    pub fn all() -> impl Iterator<Item = Platform> {
        TABLE.iter().map(Platform)
    }

    /// `linux/arm/v7`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    pub fn os(self) -> &'static str {
        self.part(0).unwrap_or_default()
    }

    pub fn architecture(self) -> &'static str {
        self.part(1).unwrap_or_default()
    }

    /// `v7` in `linux/arm/v7`; none where the normal form has none.
    pub fn variant(self) -> Option<&'static str> {
        self.part(2)
    }

    fn part(self, index: usize) -> Option<&'static str> {
        self.0.name.split('/').nth(index)
    }

    /// The target triple of the standard library for this platform and libc.
    pub fn triple(self, libc: Libc) -> &'static str {
        match libc {
            Libc::Gnu => self.0.gnu,
            Libc::Musl => self.0.musl,
        }
    }

    /// Does Rust come with a standard library for the platform and libc? Without one, rustup has nothing to install.
    pub fn has_std(self, libc: Libc) -> bool {
        !(libc == Libc::Musl && self.architecture() == "s390x")
    }

    /// rustc's `-C target-cpu` for a variant that is a matter of instructions only (`linux/amd64/v3`).
    pub fn target_cpu(self) -> Option<&'static str> {
        self.0.target_cpu
    }

    /// The variant's number, where a processor without it cannot run what was made for it: 7 in `linux/arm/v7`, and 1
    /// in plain `linux/amd64`.
    pub fn level(self) -> Option<u8> {
        match (self.architecture(), self.variant()) {
            ("amd64", None) => Some(1),
            (_, Some(variant)) => variant.strip_prefix('v')?.parse().ok(),
            _ => None,
        }
    }

    pub fn elf(self) -> ElfIdentity {
        let Row { machine, class, big_endian, float_abi, .. } = *self.0;
        ElfIdentity { machine, class, big_endian, float_abi }
    }

    /// The platforms that a target triple serves, the plain one before its variants; none for a triple not in the table.
    pub fn for_triple(triple: &str) -> impl Iterator<Item = Platform> {
        TABLE.iter().filter(move |row| row.gnu == triple || row.musl == triple).map(Platform)
    }

    /// The plain platform of a triple, by its name; the triple itself where it is not in the table.
    pub fn name_for(triple: &str) -> &str {
        match Self::for_triple(triple).next() {
            Some(platform) => platform.name(),
            None => triple,
        }
    }

    /// A triple, with its platform before it where there is one: `linux/arm64, aarch64-unknown-linux-musl`.
    pub fn and_triple(triple: &str) -> String {
        let platform = Self::for_triple(triple).next().map(|platform| format!("{platform}, "));
        format!("{}{triple}", platform.unwrap_or_default())
    }

    /// A triple of the machine that this runs on, without asking a compiler.
    pub fn host_triple() -> String {
        let architecture = match std::env::consts::ARCH {
            "riscv64" => "riscv64gc",
            "arm" => return "armv7-unknown-linux-gnueabihf".to_owned(),
            "x86" => "i686",
            "powerpc64" => "powerpc64le",
            other => other,
        };
        format!("{architecture}-unknown-linux-gnu")
    }

    /// The platforms whose programs also run here, this one first: newer variants run what older ones do.
    pub fn runs(self) -> impl Iterator<Item = Platform> {
        const OLDER: &[(&str, &str)] = &[
            ("linux/amd64/v3", "linux/amd64/v2"),
            ("linux/amd64/v2", "linux/amd64"),
            ("linux/arm/v7", "linux/arm/v6"),
            ("linux/arm/v6", "linux/arm/v5"),
        ];
        let older = |platform: &Platform| {
            let (_, name) = OLDER.iter().find(|(name, _)| *name == platform.name())?;
            TABLE.iter().find(|row| row.name == *name).map(Platform)
        };
        std::iter::successors(Some(self), older)
    }

    /// The GNU name of the triple's cross compiler: `aarch64-linux-gnu`, `aarch64-linux-musl`.
    pub fn gcc_prefix(triple: &str) -> Option<String> {
        let row = Self::for_triple(triple).next()?.0;
        let prefix = if triple == row.gnu { row.gcc.to_owned() } else { row.gcc.replace("-gnu", "-musl") };
        (!prefix.is_empty()).then_some(prefix)
    }

    /// Debian's name of the architecture, and of the folders that hold its libraries: `arm64`, `aarch64-linux-gnu`.
    pub fn debian(self) -> Option<(&'static str, String)> {
        (!self.0.debian.is_empty()).then(|| (self.0.debian, self.0.gcc.replace("i686", "i386")))
    }

    /// QEMU's name of the architecture: the binfmt_misc entry is `qemu-NAME`.
    pub fn qemu_name(self) -> &'static str {
        self.0.qemu
    }

    /// Do binaries for this platform run on a machine whose own triple is `host` without emulation?
    pub fn is_native_to(self, host: &str) -> bool {
        Self::for_triple(host).any(|native| native.elf() == self.elf())
    }

    /// `linux-armv7`: fit for the name of a Dockerfile stage, and equal to
    /// `${TARGETOS}-${TARGETARCH}${TARGETVARIANT}`.
    pub fn stage_suffix(self) -> String {
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
            let known = format!("platforms: {}", names().collect::<Vec<_>>().join(", "));
            if text.is_empty() {
                return Failure::new(Class::Config, "an empty platform").hint(known);
            }
            let with_os = if text.contains('/') { text.to_owned() } else { format!("linux/{text}") };
            let failure = Failure::new(Class::Config, format!("unknown platform '{text}'"));
            // Two letters off, in names that all begin alike, are another architecture.
            let near = names().find(|name| strsim::damerau_levenshtein(&with_os, name) <= 1);
            failure.suggest(&with_os, near).hint(known)
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

/// The table's names of ELF machines, for messages.
pub fn machine_name(machine: u16) -> String {
    match TABLE.iter().find(|row| row.machine == machine) {
        Some(row) => row.qemu.to_owned(),
        None => format!("machine {machine}"),
    }
}

#[cfg(test)]
impl Platform {
    /// All that a platform can be called.
    fn names() -> Vec<&'static str> {
        TABLE.iter().map(|row| row.name).chain(ALIASES.iter().map(|(alias, _)| *alias)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_triples_lead_back() {
        for platform in Platform::all() {
            assert_eq!(platform.name().parse::<Platform>().unwrap(), platform);
            for libc in [Libc::Gnu, Libc::Musl] {
                let triple = platform.triple(libc);
                assert!(Platform::for_triple(triple).any(|p| p == platform), "{triple}");
                assert!(Platform::for_triple(triple).all(|p| p.elf() == platform.elf()), "{triple}");
                assert!(triple.contains(if libc == Libc::Gnu { "linux-gnu" } else { "linux-musl" }));
            }
        }
    }

    #[test]
    fn every_triple_is_known_to_rustc() {
        let known = crate::process::Cmd::new("rustc").args(["--print", "target-list"]).read().unwrap();
        for platform in Platform::all() {
            for libc in [Libc::Gnu, Libc::Musl] {
                let triple = platform.triple(libc);
                assert!(known.lines().any(|line| line == triple), "{triple}");
            }
        }
    }

    #[test]
    fn elf_identities() {
        let identity = |name: &str| {
            let elf = name.parse::<Platform>().unwrap().elf();
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
    fn other_spellings_are_normalised() {
        for (alias, name) in ALIASES {
            assert_eq!(alias.parse::<Platform>().unwrap().name(), *name);
        }
    }

    #[test]
    fn a_typo_names_the_nearest() {
        let failure = "linux/arm65".parse::<Platform>().unwrap_err();
        assert_eq!(failure.to_string(), "unknown platform 'linux/arm65'");
        assert_eq!(failure.hints()[0], "did you mean 'linux/arm64'?");
        for other in ["linux/mips64le", "linux/riscv32", ""] {
            let failure = other.parse::<Platform>().unwrap_err();
            assert!(failure.hints()[0].starts_with("platforms: linux/amd64, "), "{other}: {:?}", failure.hints());
        }
    }

    #[test]
    fn newer_variants_run_what_older_ones_do() {
        let runs = |name: &str| name.parse::<Platform>().unwrap().runs().map(Platform::name).collect::<Vec<_>>();
        assert_eq!(runs("linux/amd64/v3"), ["linux/amd64/v3", "linux/amd64/v2", "linux/amd64"]);
        assert_eq!(runs("linux/arm/v6"), ["linux/arm/v6", "linux/arm/v5"]);
        assert_eq!(runs("linux/arm64"), ["linux/arm64"]);
        assert_eq!(Platform::gcc_prefix("arm-unknown-linux-gnueabihf"), None);
    }

    #[test]
    fn parts_and_stage_names() {
        let v7: Platform = "linux/arm/v7".parse().unwrap();
        assert_eq!((v7.os(), v7.architecture(), v7.variant()), ("linux", "arm", Some("v7")));
        assert_eq!(v7.stage_suffix(), "linux-armv7");
        assert_eq!(v7.debian(), Some(("armhf", "arm-linux-gnueabihf".to_owned())));
        assert_eq!("linux/arm64".parse::<Platform>().unwrap().variant(), None);
        assert_eq!(Platform::gcc_prefix("aarch64-unknown-linux-musl").as_deref(), Some("aarch64-linux-musl"));
        assert_eq!(Platform::gcc_prefix("riscv64gc-unknown-linux-gnu").as_deref(), Some("riscv64-linux-gnu"));
    }

    #[test]
    fn the_machine_has_a_platform() {
        let host = Platform::host_triple();
        assert!(Platform::for_triple(&host).next().is_some(), "{host}");
    }

    #[test]
    fn triples_are_named() {
        let musl = "aarch64-unknown-linux-musl";
        assert_eq!((Platform::name_for(musl), Platform::name_for("x-y")), ("linux/arm64", "x-y"));
        assert_eq!(Platform::and_triple(musl), "linux/arm64, aarch64-unknown-linux-musl");
        assert_eq!(Platform::and_triple("x-y"), "x-y");
    }
}
