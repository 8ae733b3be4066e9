//! The fields of an ELF header that say which machine a program is for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a 32-bit ARM binary passes floating-point arguments in (ELF for the Arm Architecture, §5.2).
///
/// On RISC-V the widest number that goes in registers of their own (RISC-V ELF psABI, "File Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FloatAbi {
    Soft,
    Hard,
    Single,
    Double,
    Quad,
}

impl fmt::Display for FloatAbi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FloatAbi::Soft => "soft",
            FloatAbi::Hard => "hard",
            FloatAbi::Single => "single",
            FloatAbi::Double => "double",
            FloatAbi::Quad => "quad",
        })
    }
}

/// The header fields that all programs for one platform share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ElfIdentity {
    /// `e_machine`.
    pub machine: u16,
    /// Bits of an address: 32 or 64.
    pub class: u8,
    pub big_endian: bool,
    /// 32-bit ARM and RISC-V only.
    pub float_abi: Option<FloatAbi>,
}

impl ElfIdentity {
    /// Compares machine, class and byte order: whether one can run or be loaded where the other can.
    pub(crate) fn same_machine(&self, other: &ElfIdentity) -> bool {
        (self.machine, self.class, self.big_endian) == (other.machine, other.class, other.big_endian)
    }
}
