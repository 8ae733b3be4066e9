//! What the ELF header of a program says of its machine.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::machine_name;

/// What a 32-bit ARM binary passes floating-point arguments in (ELF for the Arm Architecture, §5.2).
///
/// On RISC-V the widest number that goes in registers of their own (RISC-V ELF psABI, "File Header").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloatAbi {
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

/// What the ELF header of a program for a platform says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ElfIdentity {
    /// `e_machine`.
    pub machine: u16,
    /// Bits of an address: 32 or 64.
    pub class: u8,
    pub big_endian: bool,
    /// 32-bit ARM and RISC-V only.
    pub float_abi: Option<FloatAbi>,
}

impl ElfIdentity {
    /// The same machine, class and byte order: may one be run or loaded where the other is?
    pub fn same_machine(&self, other: &ElfIdentity) -> bool {
        (self.machine, self.class, self.big_endian) == (other.machine, other.class, other.big_endian)
    }
}

/// `aarch64 (64-bit, little-endian)`
impl fmt::Display for ElfIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.big_endian { "big" } else { "little" };
        write!(f, "{} ({}-bit, {order}-endian)", machine_name(self.machine), self.class)
    }
}
