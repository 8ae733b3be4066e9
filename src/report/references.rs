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
            let tagged = image.tagged(repository);
            if self.only_loaded { tagged.reference } else { tagged.pinned() }
        })
    }

    /// Writes the image reference for each repository to `refs`, and the digest to `digests` in `sha256sum` format.
    pub(crate) fn write_files(&self, refs: Option<&Utf8Path>, digests: Option<&Utf8Path>) -> Result<()> {
        let (mut reference_lines, mut digest_lines) = (String::new(), String::new());
        for image in &self.images {
            for repository in &image.repositories {
                let tagged = image.tagged(repository);
                reference_lines.push_str(&format!("{}\n", tagged.pinned()));
                digest_lines.push_str(&format!("{}  {repository}\n", tagged.digest.trim_start_matches("sha256:")));
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

/// A tag, and the digest that it points to.
struct TaggedDigest {
    /// `repository:tag`, or only the repository if no tag points to the image.
    reference: String,
    digest: String,
}

impl ImageReport {
    /// Returns the image's first tag in a repository that points to the image. A tag that was already published may
    /// point to an index with other annotations, and then has another digest.
    fn tagged(&self, repository: &str) -> TaggedDigest {
        let tag = |tag: &String| {
            let reference = format!("{repository}:{tag}");
            match self.moved.iter().find(|outcome| outcome.reference == reference) {
                Some(outcome) => outcome.published().map(|(_, digest)| digest.to_owned()),
                None => Some(self.digest.clone()),
            }
            .map(|digest| TaggedDigest { reference, digest })
        };
        let tags: Vec<TaggedDigest> = self.tags.iter().filter_map(tag).collect();
        let index = tags.iter().position(|tag| tag.digest == self.digest).unwrap_or(0);
        let untagged = || TaggedDigest { reference: repository.to_owned(), digest: self.digest.clone() };
        tags.into_iter().nth(index).unwrap_or_else(untagged)
    }
}

impl TaggedDigest {
    fn pinned(&self) -> String {
        format!("{}@{}", self.reference, self.digest)
    }
}
