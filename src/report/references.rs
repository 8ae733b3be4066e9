//! The image references in a report, printed to stdout and written to the files of `--refs-file` and `--digests-file`.

use anyhow::Result;
use camino::Utf8Path;

use super::Report;
use super::build_report::ImageReport;

impl Report {
    /// Returns one line per image: `repository:tag@sha256:…`, with the image's first repository, or its name if it has
    /// no repository. Omits the digest if the images were only loaded, because an image for a single platform does not
    /// have the index's digest.
    pub(crate) fn references(&self) -> impl Iterator<Item = String> {
        self.images.iter().map(|image| {
            let repository = image.repositories.first().unwrap_or(&image.name);
            if self.only_loaded { image.tagged(repository) } else { image.pinned(repository) }
        })
    }

    /// Writes the image reference for each repository to `refs`, and the digest to `digests` in `sha256sum` format.
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
    /// Returns the repository with the image's first tag, leaving out tags that do not point to the image. If there are
    /// none, returns only the repository.
    fn tagged(&self, repository: &str) -> String {
        let points_elsewhere = |reference: &str| {
            self.moved.iter().any(|outcome| outcome.reference == reference && outcome.to != self.digest)
        };
        let mut references = self.tags.iter().map(|tag| format!("{repository}:{tag}"));
        references.find(|reference| !points_elsewhere(reference)).unwrap_or_else(|| repository.to_owned())
    }

    fn pinned(&self, repository: &str) -> String {
        format!("{}@{}", self.tagged(repository), self.digest)
    }
}
