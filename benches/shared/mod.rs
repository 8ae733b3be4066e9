//! What the benchmarks have in common.

/// The headers of a static 64-bit program of a machine (`e_machine`) and a size.
pub fn program_headers(machine: u16, size: u64) -> Vec<u8> {
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    let halves = |halves: &[u16]| halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<u8>>();
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    header.extend(halves(&[2, machine, 1, 0]));
    header.extend(words(&[0x40_0078, 64, 0]));
    header.extend(halves(&[0, 0, 64, 56, 1, 64, 0, 0]));
    header.extend(halves(&[1, 0, 5, 0]));
    header.extend(words(&[0, 0x40_0000, 0x40_0000, size, size, 4096]));
    header
}

/// Peak RSS of this process in KiB.
pub fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
