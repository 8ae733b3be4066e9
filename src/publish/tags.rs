//! Looks up tags in registries and moves them. `tag_decision` decides which tags move.

use std::collections::{BTreeSet, HashMap};

use anyhow::{Context, Result};
use indexmap::IndexSet;

use super::tag_decision::{TagConflict, TagDecision, TagImage, TagKind, decide, is_from_other_commit};
use crate::error::{Class, Failure, all_hints, failure_class, message_with_causes};
use crate::oci::descriptor::descriptor;
use crate::oci::digest::shorten_digest;
use crate::oci::layout::{Layout, config_platform, descriptor_platform, is_attestation};
use crate::oci::reference::{is_loopback, repository_name};
use crate::plan::git_tags::parse_version;
use crate::plan::{Image, TagPermissions};
use crate::registry::{FetchedManifest, Registry};
use crate::threads::parallel;

const REVISION: &str = "org.opencontainers.image.revision";
const VERSION: &str = "org.opencontainers.image.version";

/// A tag of an image in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageTag {
    /// The index of the image in the run's list of images.
    pub image: usize,
    /// The reference, as `host/name:tag`.
    pub reference: String,
    pub kind: TagKind,
}

/// The image that a tag points to before the run.
#[derive(Debug)]
pub(crate) struct ExistingTag {
    pub image: TagImage,
    /// The index or manifest. `None` if it was not needed or cannot be read.
    manifest: Option<FetchedManifest>,
}

/// A tag, what it points to, and what happens to it.
#[derive(Debug)]
pub(crate) struct TagMove {
    pub tag: ImageTag,
    /// `None` if the tag does not exist.
    pub existing: Option<ExistingTag>,
    pub decision: TagDecision,
}

impl TagMove {
    /// Returns the platforms that the tag's current image has and `image` does not. Empty if the tag does not move.
    pub(crate) fn lost_platforms(&self, image: &Image) -> Vec<String> {
        let Some(existing) = self.existing.as_ref().filter(|_| self.decision == TagDecision::Move) else {
            return Vec::new();
        };
        let is_built = |name: &&String| image.platforms.iter().any(|built| built.platform.name() == *name);
        existing.image.platforms.iter().filter(|name| !is_built(name)).cloned().collect()
    }

    /// Reports whether the tag is sent to the registry.
    pub(crate) fn is_sent(&self) -> bool {
        matches!(self.decision, TagDecision::Create | TagDecision::Move)
    }

    /// Points the tag to a layout's index, if it was decided to create or move the tag.
    pub(crate) fn execute(&self, layout: &Layout, registry: &Registry) -> Result<()> {
        if !self.is_sent() {
            return Ok(());
        }
        registry.put_manifest(&self.tag.reference, &layout.read(&layout.descriptor)?, &layout.descriptor)
    }

    /// Points the tag to its previous image again.
    fn restore(&self, registry: &Registry) -> Result<()> {
        let existing = self.existing.as_ref().and_then(|existing| existing.manifest.as_ref());
        let manifest = existing.context("its previous manifest cannot be read")?;
        let media_type = manifest.media_type.as_str();
        let descriptor = descriptor(media_type, &manifest.digest, manifest.bytes.len() as u64)?;
        registry.put_manifest(&self.tag.reference, &manifest.bytes, &descriptor)
    }
}

/// Moves tags back to their previous images, because `error` occurred after they were moved. Returns the error with a
/// list of the tags that were sent to registries. `sent` contains them in the order in which they were sent.
pub(crate) fn restore(sent: &[&TagMove], error: anyhow::Error, registry: &Registry) -> anyhow::Error {
    let (mut created, mut restored, mut moved) = (Vec::new(), Vec::new(), Vec::new());
    let mut commands = Vec::new();
    for tag_move in sent.iter().rev() {
        let reference = tag_move.tag.reference.as_str();
        let Some(existing) = &tag_move.existing else {
            created.push(reference);
            continue;
        };
        if tag_move.restore(registry).is_ok() {
            restored.push(reference);
        } else {
            moved.push(reference);
            let repository = repository_name(reference).unwrap_or_default();
            let digest = &existing.image.digest;
            commands.push(format!("`docker buildx imagetools create -t {reference} {repository}@{digest}`"));
        }
    }
    let outcomes = [("created", created), ("restored", restored), ("moved and not restored", moved)];
    let outcomes = outcomes.iter().filter(|(_, references)| !references.is_empty());
    let outcomes: Vec<String> =
        outcomes.map(|(name, references)| format!("{name}: {}", references.join(", "))).collect();
    if outcomes.is_empty() {
        return error;
    }
    let cause = message_with_causes(&error);
    let message = format!("only some tags were published ({}): {cause}", outcomes.join("; "));
    let hints = all_hints(&error).into_iter().map(str::to_owned);
    let hints = hints.chain(commands.iter().map(|command| format!("restore the tag: {command}")));
    hints.fold(Failure::new(failure_class(&error), message), Failure::hint).into()
}

/// Returns an error for immutable tags that point to images whose annotations name another commit, or `None` if there
/// are no such tags. Called before anything is compiled. Images without these annotations are compared only after the
/// build.
pub(crate) fn find_other_revisions(images: &[Image], registry: &Registry) -> Result<Option<Failure>> {
    let immutable: Vec<ImageTag> =
        image_tags(images).into_iter().filter(|tag| tag.kind == TagKind::Immutable).collect();
    let published = parallel(&immutable, |tag| look_up(tag, None, registry))?;
    let mut conflicts = Vec::new();
    for (tag, published) in immutable.into_iter().zip(&published) {
        let revision = images[tag.image].tagged_annotations().get(REVISION).map(String::as_str);
        let published = published.as_ref().map(|existing| &existing.image);
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

/// Looks up the tags of all images, and decides which ones to move to the `new` images, in plan order. Fails if an
/// immutable tag points to another image.
pub(crate) fn decide_moves(
    images: &[Image],
    new: &[TagImage],
    permissions: TagPermissions,
    registry: &Registry,
) -> Result<Vec<TagMove>> {
    let tags = image_tags(images);
    let existing = parallel(&tags, |tag| look_up(tag, Some(&new[tag.image].digest), registry))?;
    let (mut moves, mut conflicts) = (Vec::new(), Vec::new());
    for (tag, existing) in tags.into_iter().zip(existing) {
        let published = existing.as_ref().map(|existing| &existing.image);
        match decide(tag.kind, published, &new[tag.image], permissions) {
            Ok(decision) => moves.push(TagMove { tag, existing, decision }),
            Err(TagConflict) => {
                let digest = published.map(|published| shorten_digest(&published.digest)).unwrap_or_default();
                conflicts.push(Conflict { tag, origin: format!("with another image ({digest})") });
            }
        }
    }
    match already_published(&conflicts, images) {
        Some(failure) => Err(failure.into()),
        None => Ok(moves),
    }
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

/// Returns what a tag points to, or `None` if the tag does not exist. The content of an image with the digest `known` is
/// not read.
fn look_up(tag: &ImageTag, known: Option<&str>, registry: &Registry) -> Result<Option<ExistingTag>> {
    let Some(digest) = registry.find_digest(&tag.reference)? else { return Ok(None) };
    let mut manifest = None;
    if known != Some(digest.as_str()) {
        let repository = repository_name(&tag.reference)?;
        manifest = registry.find_readable_manifest(&format!("{repository}@{digest}"))?;
    }
    let without_content = || TagImage { digest, ..TagImage::default() };
    let mut image = manifest.as_ref().map_or_else(without_content, published_image);
    if let Some(manifest) = manifest.as_ref().filter(|manifest| !manifest.is_index()) {
        let repository = repository_name(&tag.reference)?;
        // The tag may point to an artifact without an image config.
        let config = manifest.manifest().ok().and_then(|manifest| registry.fetch_config(&repository, &manifest).ok());
        image.platforms.extend(config.as_ref().map(config_platform));
    }
    Ok(Some(ExistingTag { image, manifest }))
}

/// Reads the facts for decisions from an index or manifest. An index or manifest that cannot be parsed has none. The
/// platform of a manifest is in its config.
fn published_image(manifest: &FetchedManifest) -> TagImage {
    let mut image = TagImage { digest: manifest.digest.clone(), ..TagImage::default() };
    let mut annotations = HashMap::new();
    if !manifest.is_index() {
        annotations = manifest.manifest().ok().and_then(|parsed| parsed.annotations().clone()).unwrap_or_default();
        image.manifests = BTreeSet::from([manifest.digest.clone()]);
    } else if let Ok(index) = manifest.index() {
        annotations = index.annotations().clone().unwrap_or_default();
        for entry in index.manifests().iter().filter(|entry| !is_attestation(entry)) {
            image.manifests.insert(entry.digest().to_string());
            image.platforms.extend(entry.platform().as_ref().and_then(descriptor_platform));
        }
    }
    // Other tools may write the version with a leading `v`.
    image.version = annotations.get(VERSION).and_then(|version| parse_version(version));
    image.revision = annotations.remove(REVISION);
    image
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
    fn versions_may_start_with_v() {
        for (text, expected) in [("v2.0.0", Some("2.0.0")), ("2.0.0", Some("2.0.0")), ("nightly", None)] {
            assert_eq!(parse_version(text).map(|version| version.to_string()).as_deref(), expected, "{text}");
        }
    }

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
