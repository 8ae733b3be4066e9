//! Builds /etc/ld.so.cache in the format of glibc 2.32 and later, as `ldconfig` does.

use std::sync::Arc;

use super::layer::Bytes;

/// Returns the cache of an amd64 image, given the names and paths of its libraries.
pub fn ld_so_cache(libraries: &[(&str, &str)]) -> Bytes {
    let mut strings = Vec::new();
    let start = 48 + 24 * libraries.len();
    let mut entries = Vec::new();
    for (name, path) in libraries {
        let mut add = |text: &str| {
            let at = (start + strings.len()) as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        // Flags: an ELF library for libc6 (3) on x86-64 (0x300).
        let numbers = [0x303, add(name), add(path), 0, 0, 0];
        entries.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    }
    let mut cache = b"glibc-ld.so.cache1.1".to_vec();
    cache.extend((libraries.len() as u32).to_le_bytes());
    cache.extend((strings.len() as u32).to_le_bytes());
    // Little-endian (2), without extensions.
    cache.extend([2, 0, 0, 0]);
    cache.extend([0; 16]);
    cache.extend(entries);
    cache.extend(strings);
    Arc::new(cache)
}
