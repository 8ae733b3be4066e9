//! Determines the floating-point ABI and the instruction set level that an ELF file requires.

use object::read::elf::{AttributesSection, FileHeader, ProgramHeader, SectionHeader};
use object::{Endianness, ReadRef, elf};

use crate::platform::FloatAbi;

/// Build attributes of a 32-bit ARM file, from its `.ARM.attributes` section (Addenda to the ABI for the Arm
/// Architecture, §3).
#[derive(Debug, Default)]
pub(crate) struct ArmAttributes {
    /// The architecture version (Tag_CPU_arch).
    cpu: Option<u64>,
    /// The calling convention for floating-point arguments (Tag_ABI_VFP_args).
    floats: Option<u64>,
}

impl ArmAttributes {
    /// Reads a file's build attributes. If the section is missing or corrupt, returns no attributes rather than an
    /// error, because the file can still be loaded.
    pub(crate) fn find<'data, Header: FileHeader<Endian = Endianness>, R: ReadRef<'data>>(
        header: &Header,
        endian: Endianness,
        bytes: R,
    ) -> ArmAttributes {
        if header.e_machine(endian) != elf::EM_ARM {
            return ArmAttributes::default();
        }
        let read = || -> object::Result<Option<ArmAttributes>> {
            let sections = header.sections(endian, bytes)?;
            let section = sections.iter().find(|section| section.sh_type(endian) == elf::SHT_ARM_ATTRIBUTES);
            let Some(section) = section else { return Ok(None) };
            let mut vendors = AttributesSection::<Header>::new(endian, section.data(endian, bytes)?)?.subsections()?;
            while let Some(vendor) = vendors.next()? {
                let mut subsections = vendor.subsubsections();
                while let Some(subsection) = subsections.next()? {
                    if vendor.vendor() == b"aeabi" && subsection.tag() == elf::Tag_File {
                        return ArmAttributes::read(subsection.attributes());
                    }
                }
            }
            Ok(None)
        };
        read().ok().flatten().unwrap_or_default()
    }

    fn read(mut attributes: object::read::elf::AttributeReader<'_>) -> object::Result<Option<ArmAttributes>> {
        let mut result = ArmAttributes::default();
        while let Some(tag) = attributes.read_tag()? {
            match tag {
                6 => result.cpu = Some(attributes.read_integer()?),
                28 => result.floats = Some(attributes.read_integer()?),
                // The value of Tag_compatibility is a number followed by a string.
                32 => drop((attributes.read_integer()?, attributes.read_string()?)),
                // CPU name tags and odd tags above 32 have string values.
                4 | 5 => drop(attributes.read_string()?),
                odd if odd > 32 && odd % 2 == 1 => drop(attributes.read_string()?),
                _ => drop(attributes.read_integer()?),
            }
        }
        Ok(Some(result))
    }
}

/// Returns the floating-point ABI of a file, if the file specifies one.
pub(crate) fn float_abi(machine: elf::Machine, flags: elf::FileFlags, attributes: &ArmAttributes) -> Option<FloatAbi> {
    match machine {
        // Linkers set one of these flags in executables (ELF for the Arm Architecture, §5.2).
        elf::EM_ARM if flags.0 & elf::EF_ARM_ABI_FLOAT_HARD != 0 => Some(FloatAbi::Hard),
        elf::EM_ARM if flags.0 & elf::EF_ARM_ABI_FLOAT_SOFT != 0 => Some(FloatAbi::Soft),
        // Older linkers do not set the flags in libraries, so fall back to the build attribute. Its value 1 means that
        // arguments are passed in VFP registers.
        elf::EM_ARM => attributes.floats.filter(|args| *args == 1).map(|_| FloatAbi::Hard),
        // RISC-V ELF psABI, "File Header".
        elf::EM_RISCV => match flags.riscv_float_abi() {
            elf::EF_RISCV_FLOAT_ABI_SINGLE => Some(FloatAbi::Single),
            elf::EF_RISCV_FLOAT_ABI_DOUBLE => Some(FloatAbi::Double),
            elf::EF_RISCV_FLOAT_ABI_QUAD => Some(FloatAbi::Quad),
            _ => Some(FloatAbi::Soft),
        },
        _ => None,
    }
}

/// Returns the instruction set level that a file requires, if the file specifies one.
pub(crate) fn cpu_level<'data, Segment: ProgramHeader<Endian = Endianness>, R: ReadRef<'data>>(
    machine: elf::Machine,
    attributes: &ArmAttributes,
    segments: &[Segment],
    endian: Endianness,
    bytes: R,
) -> Option<u8> {
    match machine {
        elf::EM_ARM => Some(match attributes.cpu? {
            0..=2 => 4,
            3..=5 => 5,
            6..=9 | 11 | 12 => 6,
            10 | 13 => 7,
            _ => 8,
        }),
        elf::EM_X86_64 => segments.iter().find_map(|segment| isa_needed(segment, endian, bytes)),
        _ => None,
    }
}

/// Returns the x86-64 level that a segment's notes require (GNU_PROPERTY_X86_ISA_1_NEEDED in x86-64 psABI, "Program
/// Property").
fn isa_needed<'data, Segment: ProgramHeader<Endian = Endianness>, R: ReadRef<'data>>(
    segment: &Segment,
    endian: Endianness,
    bytes: R,
) -> Option<u8> {
    let mut notes = segment.notes(endian, bytes).ok()??;
    while let Ok(Some(note)) = notes.next() {
        let Some(mut properties) = note.gnu_properties(endian) else { continue };
        while let Ok(Some(property)) = properties.next() {
            if property.pr_type() == elf::GNU_PROPERTY_X86_ISA_1_NEEDED {
                let levels = property.data_u32(endian).ok()? & 0b1111;
                return u8::try_from(u32::BITS - levels.leading_zeros()).ok().filter(|level| *level > 0);
            }
        }
    }
    None
}
