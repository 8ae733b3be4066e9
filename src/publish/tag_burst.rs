//! Writes the tags of a run back to back, and reads them back. If a tag cannot be written, moves the earlier ones back.

use anyhow::{Context, Result};
use oci_spec::image::Descriptor;

use super::tags::TagMove;
use crate::error::{Class, Failure, all_hints, failure_class, message_with_causes};
use crate::oci::descriptor::descriptor;
use crate::oci::digest::shorten_digest;
use crate::oci::layout::Layout;
use crate::oci::reference::repository_name;
use crate::registry::Registry;
use crate::threads::parallel;

/// What the tags of an image will point to: its index, or its only manifest.
pub(crate) struct TagContent {
    bytes: Vec<u8>,
    descriptor: Descriptor,
}

impl TagContent {
    pub(crate) fn read(layout: &Layout) -> Result<TagContent> {
        Ok(TagContent { bytes: layout.read(&layout.descriptor)?, descriptor: layout.descriptor.clone() })
    }

    fn digest(&self) -> &str {
        self.descriptor.digest().as_ref()
    }
}

/// Creates and moves tags as decided, in the given order. `contents` has an element for each image. If a
/// tag cannot be written, moves the tags before it back to their previous images, unless another run has moved them in
/// the meantime, and returns an error with a list of what happened to each tag.
pub(crate) fn write(moves: &[TagMove], contents: &[TagContent], registry: &Registry) -> Result<()> {
    let sent: Vec<&TagMove> = moves.iter().filter(|tag_move| tag_move.is_sent()).collect();
    for (position, tag_move) in sent.iter().enumerate() {
        let content = &contents[tag_move.tag.image];
        if let Err(error) = registry.put_tag(&tag_move.tag.reference, &content.bytes, &content.descriptor) {
            let (tried, not_sent) = sent.split_at(position + 1);
            let mut fates: Vec<Fate> =
                tried.iter().rev().map(|tag_move| undo(tag_move, &contents[tag_move.tag.image], registry)).collect();
            fates.reverse();
            fates.extend(not_sent.iter().map(|_| Fate::NotWritten));
            return Err(incomplete(&sent, &fates, &error));
        }
    }
    Ok(())
}

/// What became of a tag after a run failed to write all tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// The tag did not exist before. Tags are never deleted.
    Created,
    Moved,
    Restored,
    NotWritten,
    TakenByAnotherRun,
    Unknown,
}

impl Fate {
    /// All fates, in the order in which they are listed.
    const ALL: [Fate; 6] =
        [Fate::Created, Fate::Restored, Fate::Moved, Fate::TakenByAnotherRun, Fate::NotWritten, Fate::Unknown];

    const fn name(self) -> &'static str {
        match self {
            Fate::Created => "created",
            Fate::Moved => "moved and not restored",
            Fate::Restored => "restored",
            Fate::NotWritten => "not written",
            Fate::TakenByAnotherRun => "moved by another run",
            Fate::Unknown => "unknown",
        }
    }
}

/// Moves a tag back to its previous image, if it still points to the run's image. The write of the tag may have failed,
/// but even then the registry may have moved it.
fn undo(tag_move: &TagMove, content: &TagContent, registry: &Registry) -> Fate {
    let reference = &tag_move.tag.reference;
    let previous = tag_move.existing.target.image().map(|image| image.digest.as_str());
    match registry.find_digest(reference) {
        Ok(Some(digest)) if digest == content.digest() => {}
        Ok(current) if current.as_deref() == previous => return Fate::NotWritten,
        Ok(_) => return Fate::TakenByAnotherRun,
        Err(_) => return Fate::Unknown,
    }
    if previous.is_none() && tag_move.existing.problem.is_none() {
        return Fate::Created;
    }
    match restore(tag_move, registry) {
        Ok(true) => Fate::Restored,
        Ok(false) | Err(_) => Fate::Moved,
    }
}

/// Points a tag to its previous image. Returns false if that image could not be read before the tag moved.
fn restore(tag_move: &TagMove, registry: &Registry) -> Result<bool> {
    let Some(manifest) = &tag_move.existing.manifest else { return Ok(false) };
    let descriptor = descriptor(&manifest.media_type, &manifest.digest, manifest.bytes.len() as u64)?;
    registry.put_tag(&tag_move.tag.reference, &manifest.bytes, &descriptor)?;
    Ok(true)
}

/// Adds to an error what became of each tag. `fates` has an element for each of the `sent` tags.
fn incomplete(sent: &[&TagMove], fates: &[Fate], error: &anyhow::Error) -> anyhow::Error {
    let cause = message_with_causes(error);
    let list = list_fates(sent.iter().map(|tag_move| tag_move.tag.reference.as_str()).zip(fates.iter().copied()));
    let has_changed = |fate: &Fate| matches!(fate, Fate::Created | Fate::Moved | Fate::Unknown);
    let message = if fates.iter().all(|fate| *fate == Fate::NotWritten) {
        format!("no tag was published: {cause}")
    } else if fates.iter().any(has_changed) {
        format!("only some tags were published ({list}): {cause}")
    } else {
        format!("no tag was published ({list}): {cause}")
    };
    let mut failure = Failure::new(failure_class(error), message);
    for hint in all_hints(error) {
        failure = failure.hint(hint);
    }
    for (tag_move, _) in sent.iter().zip(fates).filter(|(_, fate)| **fate == Fate::Moved) {
        let reference = &tag_move.tag.reference;
        if let (Some(image), Ok(repository)) = (tag_move.existing.target.image(), repository_name(reference)) {
            let digest = &image.digest;
            let command = format!("docker buildx imagetools create -t {reference} {repository}@{digest}");
            failure = failure.hint(format!("restore the tag: `{command}`"));
        }
    }
    failure.into()
}

/// Lists references by what became of them, as in `created: a, b; not written: c`.
fn list_fates<'a>(tags: impl Iterator<Item = (&'a str, Fate)>) -> String {
    let tags: Vec<(&str, Fate)> = tags.collect();
    let mut lists = Vec::new();
    for fate in Fate::ALL {
        let references: Vec<&str> =
            tags.iter().filter(|(_, tag_fate)| *tag_fate == fate).map(|(reference, _)| *reference).collect();
        if !references.is_empty() {
            lists.push(format!("{}: {}", fate.name(), references.join(", ")));
        }
    }
    lists.join("; ")
}

/// Checks that tags, given as references with digests, point to the images that the run has published. Fails if another
/// run has moved them in the meantime.
pub(crate) fn read_back(tags: &[(&str, &str)], registry: &Registry) -> Result<()> {
    let current = parallel(tags, |(reference, _)| registry.read_back_tag(reference))
        .context("all tags were written, but not all of them can be read back")?;
    let mut lost = Vec::new();
    for ((reference, expected), digest) in tags.iter().zip(current) {
        if digest != **expected {
            lost.push(format!("{reference} now points to {}", shorten_digest(&digest)));
        }
    }
    if lost.is_empty() {
        return Ok(());
    }
    let others = match tags.len() - lost.len() {
        0 => "",
        _ => "; the other tags point to the images of this run",
    };
    let message = format!("another run has moved tags after this run: {}{others}", lost.join(", "));
    Err(Failure::new(Class::Verify, message)
        .hint("decide which commit the tags should point to, and publish it again")
        .hint("allow only one run to publish at a time, for example with `concurrency` in GitHub Actions")
        .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_listed_by_what_became_of_them() {
        let tags = [("a:1", Fate::Created), ("a:2", Fate::NotWritten), ("b:1", Fate::Created), ("b:2", Fate::Restored)];
        assert_eq!(list_fates(tags.into_iter()), "created: a:1, b:1; restored: b:2; not written: a:2");
    }
}
