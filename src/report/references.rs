//! The image references of a report: the lines on stdout, and the files of `--refs-file` and `--digests-file`.

use anyhow::Result;
use camino::Utf8Path;

use super::build_report::{ImageReport, Report};

impl Report {
    /// Returns one line per image: `repository:tag@sha256:…` with its first repository, or with its bare name if it is not
    /// pushed. Images that are only loaded have no digest: a single platform of them has another one.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        self.images.iter().map(|image| {
            let repository = image.repositories.first().unwrap_or(&image.name);
            if self.only_loaded { image.tagged(repository) } else { image.pinned(repository) }
        })
    }

    /// Writes the references of every repository to `refs`, and their digests to `digests` in the format of `sha256sum`.
    pub(crate) fn write_files(&self, refs: Option<&Utf8Path>, digests: Option<&Utf8Path>) -> Result<()> {
        let (mut reference_lines, mut digest_lines) = (String::new(), String::new());
        for image in &self.images {
            for repository in &image.repositories {
                reference_lines.push_str(&format!("{}\n", image.pinned(repository)));
                digest_lines.push_str(&format!("{}  {repository}\n", image.digest.trim_start_matches("sha256:")));
            }
        }
        if let Some(path) = refs {
            fs_err::write(path, reference_lines)?;
        }
        if let Some(path) = digests {
            fs_err::write(path, digest_lines)?;
        }
        Ok(())
    }
}

impl ImageReport {
    fn tagged(&self, repository: &str) -> String {
        format!("{repository}:{}", self.tags.first().map_or("latest", String::as_str))
    }

    fn pinned(&self, repository: &str) -> String {
        format!("{}@{}", self.tagged(repository), self.digest)
    }
}
