//! Looks up tags in registries and moves them. `tag_decision` decides which tags move.

use std::collections::{BTreeSet, HashMap};

use anyhow::Result;
use indexmap::IndexSet;
use semver::Version;

use super::tag_decision::{PublishedImage, TagDecision, TagKind, decide, is_of_other_commit};
use crate::error::{Class, Failure};
use crate::oci::digest::shorten_digest;
use crate::oci::layout::{Layout, config_platform, descriptor_platform, is_attestation};
use crate::oci::reference::{is_loopback, repository_name};
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

/// A tag, the image that it points to, and what happens to it.
#[derive(Debug)]
pub(crate) struct TagMove {
    pub tag: ImageTag,
    /// The image that the tag points to, or `None` if the tag does not exist.
    pub existing: Option<PublishedImage>,
    pub decision: TagDecision,
}

impl TagMove {
    /// Returns the platforms that the tag's current image has and `image` does not. Empty if the tag does not move.
    pub(crate) fn lost_platforms(&self, image: &Image) -> Vec<String> {
        let Some(existing) = self.existing.as_ref().filter(|_| self.decision == TagDecision::Move) else {
            return Vec::new();
        };
        let is_built = |name: &&String| image.platforms.iter().any(|built| built.platform.name() == *name);
        existing.platforms.iter().filter(|name| !is_built(name)).cloned().collect()
    }

    /// Points the tag to a layout's index, if it was decided to create or move the tag.
    pub(crate) fn execute(&self, layout: &Layout, registry: &Registry) -> Result<()> {
        match self.decision {
            TagDecision::Create | TagDecision::Move => {
                registry.put_manifest(&self.tag.reference, &layout.read(&layout.descriptor)?, &layout.descriptor)
            }
            TagDecision::Leave | TagDecision::Keep(_) | TagDecision::Conflict => Ok(()),
        }
    }
}

/// Fails if an immutable tag points to an image whose annotations name another commit. Called before anything is
/// compiled. Images without these annotations are compared only after the build.
pub(crate) fn check_revisions(images: &[Image], permissions: TagPermissions, registry: &Registry) -> Result<()> {
    if permissions.overwrite {
        return Ok(());
    }
    let immutable: Vec<ImageTag> =
        image_tags(images).into_iter().filter(|tag| tag.kind == TagKind::Immutable).collect();
    let published = parallel(&immutable, |tag| look_up(tag, None, registry))?;
    let mut conflicts = Vec::new();
    for (tag, published) in immutable.iter().zip(&published) {
        let revision = images[tag.image].tagged_annotations().get(REVISION).map(String::as_str);
        if let Some(published) = published.as_ref().filter(|published| is_of_other_commit(published, revision)) {
            let origin =
                format!("from another commit ({})", shorten_digest(published.revision.as_deref().unwrap_or_default()));
            conflicts.push(Conflict { tag, package: &images[tag.image].package, origin });
        }
    }
    check_conflicts(&conflicts)
}

/// Looks up the tags of all images, and decides which ones to move to the `new` images, in plan order. Fails if an
/// immutable tag points to another image.
pub(crate) fn decide_moves(
    images: &[Image],
    new: &[PublishedImage],
    permissions: TagPermissions,
    registry: &Registry,
) -> Result<Vec<TagMove>> {
    let tags = image_tags(images);
    let existing = parallel(&tags, |tag| look_up(tag, Some(&new[tag.image].digest), registry))?;
    let mut moves = Vec::new();
    for (tag, existing) in tags.into_iter().zip(existing) {
        let decision = decide(tag.kind, existing.as_ref(), &new[tag.image], permissions);
        moves.push(TagMove { tag, existing, decision });
    }
    let mut conflicts = Vec::new();
    for TagMove { tag, existing, decision } in &moves {
        if let (TagDecision::Conflict, Some(existing)) = (decision, existing) {
            let origin = format!("with another image ({})", shorten_digest(&existing.digest));
            conflicts.push(Conflict { tag, package: &images[tag.image].package, origin });
        }
    }
    check_conflicts(&conflicts)?;
    Ok(moves)
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

/// Returns the image that a tag points to, or `None` if the tag does not exist. The content of an image with the
/// digest `known` is not read.
fn look_up(tag: &ImageTag, known: Option<&str>, registry: &Registry) -> Result<Option<PublishedImage>> {
    let Some(digest) = registry.find_digest(&tag.reference)? else { return Ok(None) };
    let without_content = PublishedImage { digest: digest.clone(), ..PublishedImage::default() };
    if known == Some(digest.as_str()) {
        return Ok(Some(without_content));
    }
    let repository = repository_name(&tag.reference)?;
    let manifest = registry.find_manifest(&format!("{repository}@{digest}"))?;
    let Some(manifest) = manifest else { return Ok(Some(without_content)) };
    let mut image = published_image(&manifest);
    if !manifest.is_index() {
        // The tag may point to an artifact without an image config.
        let config = manifest.manifest().ok().and_then(|manifest| registry.fetch_config(&repository, &manifest).ok());
        image.platforms.extend(config.as_ref().map(config_platform));
    }
    Ok(Some(image))
}

/// Reads the facts for decisions from an index or manifest. An index or manifest that cannot be parsed has none. The
/// platform of a manifest is in its config.
fn published_image(manifest: &FetchedManifest) -> PublishedImage {
    let mut image = PublishedImage { digest: manifest.digest.clone(), ..PublishedImage::default() };
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
    image.version = annotations.get(VERSION).and_then(|version| Version::parse(version).ok());
    image.revision = annotations.remove(REVISION);
    image
}

/// Returns an image that is about to be published. `digest` is what its tags will point to, and `manifests` are the
/// digests of its platforms' manifests.
pub(crate) fn new_image(image: &Image, digest: &str, manifests: BTreeSet<String>) -> PublishedImage {
    PublishedImage {
        digest: digest.to_owned(),
        manifests,
        platforms: image.platforms.iter().map(|platform| platform.platform.name().to_owned()).collect(),
        version: image.tagged_annotations().get(VERSION).and_then(|version| Version::parse(version).ok()),
        revision: image.tagged_annotations().get(REVISION).cloned(),
    }
}

/// An immutable tag that points to another image.
struct Conflict<'a> {
    tag: &'a ImageTag,
    package: &'a str,
    /// Completes the sentence "TAG is already published …".
    origin: String,
}

fn check_conflicts(conflicts: &[Conflict<'_>]) -> Result<()> {
    let Some(first) = conflicts.first() else { return Ok(()) };
    let message = if conflicts.len() == 1 {
        format!("{} is already published {}", first.tag.reference, first.origin)
    } else {
        let published = conflicts.iter().map(|Conflict { tag, origin, .. }| format!("{} {origin}", tag.reference));
        format!("{} tags are already published: {}", conflicts.len(), published.collect::<Vec<_>>().join(", "))
    };
    let packages: IndexSet<&str> = conflicts.iter().map(|conflict| conflict.package).collect();
    let packages: Vec<&str> = packages.into_iter().collect();
    Err(Failure::new(Class::Registry, message)
        .hint(format!("release a new version: increase `version` in the Cargo.toml of {}", packages.join(", ")))
        .hint("to replace the published image, pass `--allow-overwrite`")
        .hint("if the version never changes, use other tags: tags = [\"edge\", \"{{git.short}}\"]")
        .into())
}
