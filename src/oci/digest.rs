//! SHA-256 digests of byte slices and streams.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// A writer that counts and hashes the bytes written through it.
pub(crate) struct HashingWriter<W> {
    pub to: W,
    hash: Sha256,
    pub size: u64,
}

impl<W> HashingWriter<W> {
    pub(crate) fn new(to: W) -> Self {
        HashingWriter { to, hash: Sha256::new(), size: 0 }
    }

    /// Returns the digest of all bytes written so far, as `sha256:<hex>`.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hash.clone().finalize()))
    }

    /// Returns the hash and the number of all bytes written so far.
    pub(crate) fn stream_hash(&self) -> StreamHash {
        StreamHash { sha256: hex(&self.hash.clone().finalize()), size: self.size }
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A reader that counts and hashes the bytes read through it.
pub(crate) struct HashingReader<R> {
    from: R,
    hash: Sha256,
    pub size: u64,
}

impl<R> HashingReader<R> {
    pub(crate) fn new(from: R) -> Self {
        HashingReader { from, hash: Sha256::new(), size: 0 }
    }

    /// Returns the digest of all bytes read so far, as `sha256:<hex>`.
    pub(crate) fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hash.clone().finalize()))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.size += read as u64;
        Ok(read)
    }
}

/// Returns the digest of a byte slice, as `sha256:<hex>`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// The hash and length of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamHash {
    /// The hash in hexadecimal, without the `sha256:` prefix.
    pub sha256: String,
    /// The number of bytes in the stream.
    pub size: u64,
}

/// Reads a stream to its end and hashes it.
pub(crate) fn hash_reader(mut from: impl Read) -> io::Result<StreamHash> {
    let mut sha256 = Sha256::new();
    let mut size = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(StreamHash { sha256: hex(&sha256.finalize()), size }),
            read => {
                sha256.update(&buffer[..read]);
                size += read as u64;
            }
        }
    }
}

/// Formats bytes as lowercase hexadecimal, as used in digests.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shortens the digest of a reference, as in `debian:12@sha256:0123456789ab`. Returns other references unchanged.
pub(crate) fn shorten_reference(reference: &str) -> &str {
    let Some(at) = reference.find("@sha256:") else { return reference };
    &reference[..at + 1 + shorten_digest(&reference[at + 1..]).len()]
}

/// Shortens a digest or commit hash to its first twelve hexadecimal digits, as in `sha256:0123456789ab`.
pub(crate) fn shorten_digest(digest: &str) -> &str {
    let digits = digest.find(':').map_or(0, |colon| colon + 1) + 12;
    digest.get(..digits).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_shortened_to_twelve_digits() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        for (reference, expected) in [
            (format!("debian:12@{digest}"), "debian:12@sha256:0123456789ab"),
            ("debian:12".to_owned(), "debian:12"),
            ("oci:images@long-directory-name".to_owned(), "oci:images@long-directory-name"),
            ("debian@sha256:0123".to_owned(), "debian@sha256:0123"),
        ] {
            assert_eq!(shorten_reference(&reference), expected);
        }
    }
}
