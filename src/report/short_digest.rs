//! Shortens digests and commit hashes.

/// Shortens a digest or commit hash to its first twelve hexadecimal digits, as in `sha256:0123456789ab`.
pub(crate) fn shorten_digest(digest: &str) -> &str {
    let digits = digest.find(':').map_or(0, |colon| colon + 1) + 12;
    digest.get(..digits).unwrap_or(digest)
}
