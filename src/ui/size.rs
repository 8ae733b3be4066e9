//! Formats sizes for humans, such as `1.2 MB`.

use bytesize::ByteSize;

/// Formats a number of bytes in decimal units, as disk vendors and registries do.
pub(crate) fn format_bytes(bytes: u64) -> String {
    ByteSize(bytes).display().si().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_units() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (534_671, "534.7 kB"),
            (1_384_120, "1.4 MB"),
            (53_043_000_000, "53.0 GB"),
        ] {
            assert_eq!(format_bytes(bytes), expected);
        }
    }
}
