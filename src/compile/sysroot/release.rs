//! Parses `Release` files, which list the package indexes of a suite with their hashes, and checks that they are for the
//! requested suite and current (Debian repository format).

use chrono::{DateTime, Utc};

/// The parts of a `Release` file that are needed for fetching packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Release {
    names: Vec<String>,
    valid_until: Option<DateTime<Utc>>,
    pub acquires_by_hash: bool,
    /// apt's default priority of the suite's packages. Backports have a low one.
    pub priority: u32,
    files: Vec<ReleaseFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ReleaseFile {
    sha256: String,
    path: String,
}

/// A file in the suite's directory, and its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IndexFile {
    pub path: String,
    pub sha256: String,
}

impl Release {
    /// Parses a file whose signature has been verified.
    pub(crate) fn parse(text: &str) -> Release {
        let field = |name: &str| text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim()));
        let is_set = |name: &str| field(name) == Some("yes");
        let date = |text: &str| DateTime::parse_from_rfc2822(&text.replace(" UTC", " +0000")).ok();
        Release {
            names: ["Suite", "Codename"].into_iter().filter_map(field).map(str::to_owned).collect(),
            valid_until: field("Valid-Until").and_then(date).map(|date| date.to_utc()),
            acquires_by_hash: is_set("Acquire-By-Hash"),
            priority: match (is_set("NotAutomatic"), is_set("ButAutomaticUpgrades")) {
                (false, _) => 500,
                (true, true) => 100,
                (true, false) => 1,
            },
            files: files(text),
        }
    }

    /// Returns the problem if this is another suite's file, or too old. Otherwise, a mirror could hold back updates.
    pub(crate) fn problem(&self, suite: &str, now: DateTime<Utc>) -> Option<String> {
        if !self.names.iter().any(|name| name == suite) {
            return Some(format!("is for {}, not {suite}", self.names.join(" or ")));
        }
        let expired = self.valid_until.filter(|until| *until < now)?;
        Some(format!("expired on {}", expired.format("%Y-%m-%d")))
    }

    /// Returns the index of the packages in `main` for an architecture. Prefers xz, the compression that every suite has.
    pub(crate) fn packages_index(&self, architecture: &str) -> Option<IndexFile> {
        ["xz", "gz"].iter().find_map(|compression| {
            let path = format!("main/binary-{architecture}/Packages.{compression}");
            let file = self.files.iter().find(|file| file.path == path)?;
            Some(IndexFile { path, sha256: file.sha256.clone() })
        })
    }
}

impl IndexFile {
    /// Returns the path from which to download the file. Paths by hash stay valid while the archive is updated.
    pub(crate) fn download_path(&self, by_hash: bool) -> String {
        match self.path.rsplit_once('/') {
            Some((dir, _)) if by_hash => format!("{dir}/by-hash/SHA256/{}", self.sha256),
            _ => self.path.clone(),
        }
    }
}

/// Returns the files in the `SHA256` field: a line with hash, size and path for each.
fn files(text: &str) -> Vec<ReleaseFile> {
    let lines = text.lines().skip_while(|line| line.trim_end() != "SHA256:").skip(1);
    let entries = lines.take_while(|line| line.starts_with(' '));
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (sha256, path) = (words.next()?, words.nth(1)?);
        Some(ReleaseFile { sha256: sha256.to_owned(), path: path.to_owned() })
    };
    entries.filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "Origin: Debian\nSuite: stable-security\nCodename: trixie-security\n\
        Date: Sat, 28 Nov 2026 10:00:00 UTC\nValid-Until: Sat, 05 Dec 2026 10:00:00 UTC\nAcquire-By-Hash: yes\n\
        MD5Sum:\n 11 5 main/binary-arm64/Packages.xz\nSHA256:\n 22 5 main/binary-arm64/Packages\n \
        33 5 main/binary-arm64/Packages.gz\n 44 5 main/binary-arm64/Packages.xz\n 55 5 main/binary-amd64/Packages.gz\n";

    #[test]
    fn finds_the_packages_index() {
        let release = Release::parse(RELEASE);
        for (architecture, path, sha256) in
            [("arm64", "main/binary-arm64/Packages.xz", "44"), ("amd64", "main/binary-amd64/Packages.gz", "55")]
        {
            let expected = IndexFile { path: path.to_owned(), sha256: sha256.to_owned() };
            assert_eq!(release.packages_index(architecture), Some(expected));
        }
        assert_eq!(release.packages_index("riscv64"), None);
        let index = release.packages_index("arm64").unwrap();
        assert_eq!(index.download_path(true), "main/binary-arm64/by-hash/SHA256/44");
        assert_eq!(index.download_path(false), "main/binary-arm64/Packages.xz");
    }

    #[test]
    fn rejects_other_suites_and_expired_files() {
        let release = Release::parse(RELEASE);
        let at = |date: &str| DateTime::parse_from_rfc3339(date).unwrap().to_utc();
        for (suite, now, expected) in [
            ("trixie-security", "2026-12-01T00:00:00Z", None),
            ("stable-security", "2026-12-01T00:00:00Z", None),
            ("trixie-security", "2026-12-06T00:00:00Z", Some("expired on 2026-12-05")),
            ("bookworm", "2026-12-01T00:00:00Z", Some("is for stable-security or trixie-security, not bookworm")),
        ] {
            assert_eq!(release.problem(suite, at(now)).as_deref(), expected);
        }
    }

    #[test]
    fn backports_have_a_low_priority() {
        for (fields, expected) in
            [("", 500), ("NotAutomatic: yes\n", 1), ("NotAutomatic: yes\nButAutomaticUpgrades: yes\n", 100)]
        {
            assert_eq!(Release::parse(fields).priority, expected, "{fields}");
        }
    }
}
