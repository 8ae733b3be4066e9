//! Verifies the signatures of Debian archives with `sqv` or `gpgv`, and Debian's keys.
//!
//! A Rust implementation of OpenPGP would add about 180 crates to this program, so one of these small programs, which
//! also verify signatures for apt, is required instead.

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Class, Failure};
use crate::host::packages;
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// The keys of the Debian archive, from the package debian-archive-keyring 2023.3+deb12u2 (Debian 11 to 13).
const DEBIAN_KEYRING: &[u8] = include_bytes!("debian-archive-keyring.gpg");

/// Keyrings of the package debian-archive-keyring, which Fedora and Alpine have as well.
const SYSTEM_KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// A program that verifies OpenPGP signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verifier {
    Sqv,
    Gpgv,
}

impl Verifier {
    /// Finds an installed program.
    pub(crate) fn find() -> Option<Verifier> {
        let is_installed = |verifier: &Verifier| find_program(verifier.program()).is_some();
        [Verifier::Sqv, Verifier::Gpgv].into_iter().find(is_installed)
    }

    fn program(self) -> &'static str {
        match self {
            Verifier::Sqv => "sqv",
            Verifier::Gpgv => "gpgv",
        }
    }
}

/// Returns the error for machines without a program that verifies signatures.
pub(crate) fn no_verifier(purpose: &str) -> Failure {
    let message = format!("{purpose} requires sqv or gpgv to verify the archive's signature, but neither is installed");
    Failure::new(Class::Toolchain, message).hint(packages::GPGV.install_hint())
}

/// Returns the keyring to verify archives with: the configured one, or else the system's, which receives updates, or
/// else the one in this program, which is written to `cache_dir`.
pub(crate) fn keyring(configured: Option<&Utf8Path>, cache_dir: &Utf8Path) -> Result<Utf8PathBuf> {
    if let Some(configured) = configured {
        if configured.is_file() {
            return Ok(configured.to_owned());
        }
        return Err(Failure::new(Class::Config, format!("debian-keyring: {configured} is not a file"))
            .hint("set debian-keyring to a file with OpenPGP keys, such as debian-archive-keyring.gpg")
            .into());
    }
    if let Some(keyring) = SYSTEM_KEYRINGS.iter().map(Utf8Path::new).find(|path| path.is_file()) {
        return Ok(keyring.to_owned());
    }
    let path = cache_dir.join("debian-archive-keyring.gpg");
    // Always written, so that a changed file is never trusted.
    crate::fs::write_atomically(&path, DEBIAN_KEYRING)?;
    Ok(path)
}

/// Fails unless `file` has a valid signature by one of the keys in `keyring`. `label` describes the file in errors.
pub(crate) fn verify(
    verifier: Verifier,
    keyring: &Utf8Path,
    file: &Utf8Path,
    signature: &Utf8Path,
    label: &str,
    ui: &Ui,
) -> Result<()> {
    let cmd = Cmd::new(verifier.program());
    let cmd = match verifier {
        Verifier::Sqv => cmd,
        Verifier::Gpgv => cmd.args(["--status-fd", "1"]),
    };
    let cmd = cmd.args(["--keyring", keyring.as_str(), signature.as_str(), file.as_str()]);
    ui.command(&cmd);
    let output = cmd.output()?;
    let is_valid = match verifier {
        Verifier::Sqv => output.status.success(),
        // gpgv's exit status is not used, because it fails if any of several signatures is by an unknown key.
        Verifier::Gpgv => has_good_signature(&output.stdout),
    };
    if is_valid {
        return Ok(());
    }
    let lines = || output.stderr.lines().map(|line| line.trim_start_matches("gpgv: ").trim());
    let reason =
        lines().find(|line| line.contains("BAD") || line.contains("No public key")).or_else(|| lines().next_back());
    Err(Failure::new(
        Class::Toolchain,
        format!("{label} has no valid signature by a key in {keyring}: {}", reason.unwrap_or("no signature found")),
    )
    .hint("if the archive is signed with other keys, set the keyring: debian-keyring = \"/path/to/keyring.gpg\"")
    .hint("otherwise, use another mirror: the file may have been tampered with")
    .into())
}

/// Reports whether gpgv's status output contains a good signature and no bad one. A signature by an expired or revoked
/// key, or with a weak hash algorithm, is not good (gnupg's doc/DETAILS).
fn has_good_signature(status: &str) -> bool {
    /// The SHA-2 family (RFC 9580, section 9.5).
    const HASHES: [&str; 3] = ["8", "9", "10"];
    let lines = || status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let is_good = |lines: &[&str]| match lines {
        [good, valid] if good.starts_with("GOODSIG ") => {
            let algorithm = valid.strip_prefix("VALIDSIG ").and_then(|valid| valid.split(' ').nth(7));
            algorithm.is_some_and(|algorithm| HASHES.contains(&algorithm))
        }
        _ => false,
    };
    let results: Vec<&str> = lines().filter(|line| line.contains("SIG ")).collect();
    let is_bad = results.iter().any(|line| line.starts_with("BADSIG ") || line.starts_with("REVKEYSIG "));
    !is_bad && results.windows(2).any(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_status_of_gpgv() {
        const NEW: &str = "[GNUPG:] NEWSIG\n";
        let good = |hash: u8| {
            format!(
                "{NEW}[GNUPG:] KEY_CONSIDERED 4CB5 0\n[GNUPG:] SIG_ID x 2026-11-29 1\n[GNUPG:] GOODSIG 78DB Debian\n\
                 [GNUPG:] VALIDSIG 4CB5 2026-11-29 1790000000 0 4 0 1 {hash} 00 B8B8\n"
            )
        };
        let unknown = format!("{NEW}[GNUPG:] ERRSIG 78DB 1 8 00 1790000000 9 4CB5\n[GNUPG:] NO_PUBKEY 78DB\n");
        let expired = "[GNUPG:] EXPKEYSIG 78DB Debian\n[GNUPG:] VALIDSIG 4CB5 2026-11-29 1 0 4 0 1 8 00 B8B8\n";
        for (status, expected) in [
            (good(8), true),
            (good(10), true),
            (format!("{unknown}{}", good(8)), true),
            (format!("{}{unknown}", good(8)), true),
            (good(2), false),
            (unknown.clone(), false),
            (expired.to_owned(), false),
            (format!("{}[GNUPG:] BADSIG 78DB Debian\n", good(8)), false),
            (String::new(), false),
        ] {
            assert_eq!(has_good_signature(&status), expected, "{status}");
        }
    }
}
