//! The ELF header fields that identify the machine a program is built for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The floating-point calling convention of a binary.
///
/// On 32-bit ARM, `Soft` or `Hard` (ELF for the Arm Architecture, §5.2). On RISC-V, the widest type that is passed in
/// floating-point registers (RISC-V ELF psABI, "File Header").
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

/// The header fields that all programs for a platform share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ElfIdentity {
    /// The `e_machine` header field.
    pub machine: u16,
    /// Address size in bits, 32 or 64.
    pub class: u8,
    pub big_endian: bool,
    /// Floating-point ABI, which is set only for 32-bit ARM and RISC-V.
    pub float_abi: Option<FloatAbi>,
}

impl ElfIdentity {
    /// Reports whether the machine, class and byte order are equal, so that the same kernels and loaders accept both
    /// files.
    pub(crate) fn same_machine(&self, other: &ElfIdentity) -> bool {
        (self.machine, self.class, self.big_endian) == (other.machine, other.class, other.big_endian)
    }
}
