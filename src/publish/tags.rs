//! The tags of a run, and whether they move. `tag_lookup` looks them up, `tag_decision` decides, and `tag_burst` writes
//! them.

use std::collections::BTreeSet;

use anyhow::Result;
use indexmap::IndexSet;

use super::tag_decision::{TagConflict, TagDecision, TagImage, TagKind, decide, is_from_other_commit};
use super::tag_lookup::{ExistingTag, REVISION, VERSION, look_up};
use crate::error::{Class, Failure};
use crate::oci::digest::shorten_digest;
use crate::oci::reference::is_loopback;
use crate::plan::git_tags::parse_version;
use crate::plan::{Image, TagPermissions};
use crate::registry::Registry;

/// A tag of an image in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageTag {
    /// The index of the image in the run's list of images.
    pub image: usize,
    /// The reference, as `host/name:tag`.
    pub reference: String,
    pub kind: TagKind,
}

/// A tag, what it points to, and what happens to it.
#[derive(Debug)]
pub(crate) struct TagMove {
    pub tag: ImageTag,
    pub existing: ExistingTag,
    pub decision: TagDecision,
}

impl TagMove {
    /// Returns the platforms that the tag's current image has and `image` does not. Empty if the tag does not move.
    pub(crate) fn lost_platforms(&self, image: &Image) -> Vec<String> {
        let existing = self.existing.target.image().filter(|_| self.decision == TagDecision::Move);
        let platforms = existing.map(|existing| existing.platforms.as_slice()).unwrap_or_default();
        let is_built = |name: &&String| image.platforms.iter().any(|built| built.platform.name() == *name);
        platforms.iter().filter(|name| !is_built(name)).cloned().collect()
    }

    /// Reports whether the tag is sent to the registry.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.decision, TagDecision::Create | TagDecision::Move)
    }
}

/// Returns an error for immutable tags that point to images whose annotations name another commit, or `None` if there
/// are no such tags. Called before anything is compiled. Images without these annotations are compared only after the
/// build.
pub(crate) fn find_other_revisions(images: &[Image], registry: &Registry) -> Result<Option<Failure>> {
    let immutable: Vec<ImageTag> =
        image_tags(images).into_iter().filter(|tag| tag.kind == TagKind::Immutable).collect();
    let existing = look_up(&references(&immutable), &BTreeSet::new(), registry)?;
    let mut conflicts = Vec::new();
    for (tag, existing) in immutable.into_iter().zip(&existing) {
        let revision = images[tag.image].tagged_annotations().get(REVISION).map(String::as_str);
        let published = existing.target.image();
        if let Some(published) = published.filter(|published| is_from_other_commit(published, revision)) {
            let origin = other_commit(published.revision.as_deref().unwrap_or_default(), revision.unwrap_or_default());
            conflicts.push(Conflict { tag, origin });
        }
    }
    Ok(already_published(&conflicts, images))
}

/// Describes the commit of a published image whose revision is not `revision`.
fn other_commit(published: &str, revision: &str) -> String {
    const DIRTY: &str = "-dirty";
    if revision.strip_suffix(DIRTY) == Some(published) {
        return "from this commit, and the work tree has uncommitted changes".to_owned();
    }
    if published.strip_suffix(DIRTY) == Some(revision.strip_suffix(DIRTY).unwrap_or(revision)) {
        return "from this commit with uncommitted changes".to_owned();
    }
    format!("from another commit ({})", shorten_digest(published))
}

/// Looks up the tags of all images, and decides which ones to move to the `new` images: immutable ones first, and then
/// the others, each in plan order. Fails if an immutable tag points to another image, or may do so.
pub(crate) fn decide_moves(
    images: &[Image],
    new: &[TagImage],
    permissions: TagPermissions,
    registry: &Registry,
) -> Result<Vec<TagMove>> {
    let tags = image_tags(images);
    let known = new.iter().map(|image| image.digest.clone()).collect();
    let existing = look_up(&references(&tags), &known, registry)?;
    let (mut moves, mut conflicts) = (Vec::new(), Vec::new());
    for (tag, existing) in tags.into_iter().zip(existing) {
        match decide(tag.kind, &existing.target, &new[tag.image], permissions) {
            Ok(decision) => moves.push(TagMove { tag, existing, decision }),
            Err(TagConflict::OtherImage) => {
                let published = existing.target.image();
                let digest = published.map(|published| shorten_digest(&published.digest)).unwrap_or_default();
                conflicts.push(Conflict { tag, origin: format!("with another image ({digest})") });
            }
            Err(TagConflict::Unknown) => return Err(unknown_image(&tag, &existing).into()),
        }
    }
    match already_published(&conflicts, images) {
        Some(failure) => Err(failure.into()),
        None => Ok(moves),
    }
}

/// Returns the error for an immutable tag that may point to another image.
fn unknown_image(tag: &ImageTag, existing: &ExistingTag) -> Failure {
    let reference = &tag.reference;
    let problem = existing.problem.as_deref().unwrap_or("the registry did not answer");
    Failure::new(Class::Registry, format!("cannot determine whether {reference} is already published: {problem}"))
        .hint(format!("inspect the tag: `docker buildx imagetools inspect {reference}`"))
        .hint("try again later, or pass `--allow-overwrite` to replace the published image")
}

fn references(tags: &[ImageTag]) -> Vec<String> {
    tags.iter().map(|tag| tag.reference.clone()).collect()
}

/// Returns the tags of all images in all their repositories, immutable ones first.
fn image_tags(images: &[Image]) -> Vec<ImageTag> {
    let mut tags = Vec::new();
    for (index, image) in images.iter().enumerate() {
        for repository in &image.repositories {
            for tag in &image.tags {
                let is_immutable = image.immutable_tags.contains(tag) && !is_loopback(repository);
                let kind = if is_immutable { TagKind::Immutable } else { TagKind::Rolling };
                tags.push(ImageTag { image: index, reference: format!("{repository}:{tag}"), kind });
            }
        }
    }
    tags.sort_by_key(|tag| tag.kind);
    tags
}

/// Returns an image that is about to be published. `digest` is what its tags will point to, and `manifests` are the
/// digests of its platforms' manifests.
pub(crate) fn new_image(image: &Image, digest: &str, manifests: BTreeSet<String>) -> TagImage {
    TagImage {
        digest: digest.to_owned(),
        manifests,
        platforms: image.platforms.iter().map(|platform| platform.platform.name().to_owned()).collect(),
        version: image.tagged_annotations().get(VERSION).and_then(|version| parse_version(version)),
        revision: image.tagged_annotations().get(REVISION).cloned(),
    }
}

/// An immutable tag that points to another image.
struct Conflict {
    tag: ImageTag,
    /// Completes the sentence "TAG is already published …".
    origin: String,
}

/// Returns an error with the ways to resolve conflicts, or `None` if there are none.
fn already_published(conflicts: &[Conflict], images: &[Image]) -> Option<Failure> {
    let first = conflicts.first()?;
    let message = if conflicts.len() == 1 {
        format!("{} is already published {}", first.tag.reference, first.origin)
    } else {
        let published = conflicts.iter().map(|Conflict { tag, origin, .. }| format!("{} {origin}", tag.reference));
        format!("{} tags are already published: {}", conflicts.len(), published.collect::<Vec<_>>().join(", "))
    };
    let packages: IndexSet<&str> =
        conflicts.iter().map(|conflict| images[conflict.tag.image].package.as_str()).collect();
    let others: IndexSet<&str> = images.iter().map(|image| image.package.as_str()).collect();
    let others: Vec<String> = others.difference(&packages).map(|package| format!("-p {package}")).collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    let mut failure = Failure::new(Class::Registry, message)
        .hint(format!("release a new version: increase `version` in the Cargo.toml of {}", packages.join(", ")));
    if !others.is_empty() {
        failure = failure.hint(format!("or publish only the others: `{}`", others.join(" ")));
    }
    Some(
        failure
            .hint("to replace the published image, pass `--allow-overwrite`")
            .hint("if the version never changes, use other tags: tags = [\"edge\", \"{{git.short}}\"]"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uncommitted_changes_are_not_another_commit() {
        const COMMIT: &str = "0123456789abcdef";
        let dirty = format!("{COMMIT}-dirty");
        for (published, revision, expected) in [
            (COMMIT, dirty.as_str(), "from this commit, and the work tree has uncommitted changes"),
            (&dirty, COMMIT, "from this commit with uncommitted changes"),
            ("fedcba9876543210", COMMIT, "from another commit (fedcba987654)"),
            ("fedcba9876543210", &dirty, "from another commit (fedcba987654)"),
        ] {
            assert_eq!(other_commit(published, revision), expected, "{published} {revision}");
        }
    }
}
