//! Decides whether a tag moves to a new image: immutable tags keep their image, and the others never move to a lower
//! version.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use semver::Version;
use serde::Serialize;

use crate::plan::TagPermissions;

/// Whether a tag may move to another image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TagKind {
    Immutable,
    /// A tag such as `latest`, which follows the newest version.
    Rolling,
}

/// An image that a tag points to. Only the digest is set if the image's content is not needed or not available.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TagImage {
    /// Digest of the index, or of the manifest if the image has no index.
    pub digest: String,
    /// Digests of the manifests for all platforms, without attestations.
    pub manifests: BTreeSet<String>,
    /// Platforms of the image, as far as they are known.
    pub platforms: Vec<String>,
    pub version: Option<Version>,
    /// The commit in the annotations.
    pub revision: Option<String>,
}

/// What a tag points to before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagTarget {
    /// The tag does not exist.
    Nothing,
    Image(TagImage),
    /// The registry could not answer.
    Unknown,
}

impl TagTarget {
    pub(crate) fn image(&self) -> Option<&TagImage> {
        match self {
            TagTarget::Image(image) => Some(image),
            TagTarget::Nothing | TagTarget::Unknown => None,
        }
    }
}

/// What happens to a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagDecision {
    Create,
    Move,
    /// The tag already points to the image, possibly in an index with other annotations.
    Unchanged,
    /// The tag stays at an image with a higher version.
    KeepHigherVersion(ComparedVersions),
}

/// The reason why a run fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TagConflict {
    /// An immutable tag points to another image.
    OtherImage,
    /// An immutable tag may point to another image.
    Unknown,
}

/// The versions that were compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComparedVersions {
    pub published: Version,
    pub new: Version,
}

/// What happened to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum TagChange {
    Created,
    Moved,
    /// The tag already pointed to the image.
    Unchanged,
    /// The tag still points to an image with a higher version.
    Kept,
}

/// Decides what happens to a tag that points to `existing`. Fails if the tag is immutable and would have to move, or
/// may have to.
pub(crate) fn decide(
    kind: TagKind,
    existing: &TagTarget,
    new: &TagImage,
    permissions: TagPermissions,
) -> Result<TagDecision, TagConflict> {
    let existing = match existing {
        TagTarget::Nothing => return Ok(TagDecision::Create),
        TagTarget::Unknown if kind == TagKind::Immutable && !permissions.overwrite => {
            return Err(TagConflict::Unknown);
        }
        // A damaged image must not prevent a rolling tag from moving to an intact one.
        TagTarget::Unknown => return Ok(TagDecision::Move),
        TagTarget::Image(existing) => existing,
    };
    if existing.digest == new.digest {
        return Ok(TagDecision::Unchanged);
    }
    match kind {
        TagKind::Immutable if existing.manifests == new.manifests => Ok(TagDecision::Unchanged),
        TagKind::Immutable if permissions.overwrite => Ok(TagDecision::Move),
        TagKind::Immutable => Err(TagConflict::OtherImage),
        TagKind::Rolling => match (&existing.version, &new.version) {
            (Some(published), Some(version))
                if version.cmp_precedence(published) == Ordering::Less && !permissions.downgrade =>
            {
                let versions = ComparedVersions { published: published.clone(), new: version.clone() };
                Ok(TagDecision::KeepHigherVersion(versions))
            }
            _ => Ok(TagDecision::Move),
        },
    }
}

/// Reports whether the annotations show that a published image was built from another commit than `revision`.
pub(crate) fn is_from_other_commit(existing: &TagImage, revision: Option<&str>) -> bool {
    existing.revision.as_deref().is_some_and(|published| revision.is_some_and(|revision| revision != published))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(digest: &str, manifests: &[&str], version: &str) -> TagImage {
        TagImage {
            digest: digest.to_owned(),
            manifests: manifests.iter().map(|&manifest| manifest.to_owned()).collect(),
            version: Version::parse(version).ok(),
            ..TagImage::default()
        }
    }

    #[test]
    fn tags_move_only_as_permitted() {
        use TagKind::{Immutable, Rolling};
        const NONE: TagPermissions = TagPermissions { overwrite: false, downgrade: false };
        const OVERWRITE: TagPermissions = TagPermissions { overwrite: true, ..NONE };
        const DOWNGRADE: TagPermissions = TagPermissions { downgrade: true, ..NONE };
        let new = image("new", &["amd64", "arm64"], "1.2.1");
        let same = image("new", &[], "");
        let other_annotations = image("old", &["arm64", "amd64"], "1.2.1");
        let one_platform = image("old", &["amd64"], "1.2.1");
        let [lower, equal, higher] = ["1.2.0", "1.2.1+build", "2.0.0"].map(|version| image("old", &["x"], version));
        let [pre_release, unknown] = ["1.2.1-rc.1", "nightly"].map(|version| image("old", &["x"], version));
        let versions = ComparedVersions { published: Version::new(2, 0, 0), new: Version::new(1, 2, 1) };
        let kept = Ok(TagDecision::KeepHigherVersion(versions));
        for (kind, existing, permissions, expected) in [
            (Immutable, None, NONE, Ok(TagDecision::Create)),
            (Immutable, Some(&same), NONE, Ok(TagDecision::Unchanged)),
            (Immutable, Some(&other_annotations), NONE, Ok(TagDecision::Unchanged)),
            (Immutable, Some(&other_annotations), OVERWRITE, Ok(TagDecision::Unchanged)),
            (Immutable, Some(&one_platform), NONE, Err(TagConflict::OtherImage)),
            (Immutable, Some(&one_platform), DOWNGRADE, Err(TagConflict::OtherImage)),
            (Immutable, Some(&one_platform), OVERWRITE, Ok(TagDecision::Move)),
            (Immutable, Some(&unknown), NONE, Err(TagConflict::OtherImage)),
            (Rolling, None, NONE, Ok(TagDecision::Create)),
            (Rolling, Some(&same), NONE, Ok(TagDecision::Unchanged)),
            (Rolling, Some(&other_annotations), NONE, Ok(TagDecision::Move)),
            (Rolling, Some(&lower), NONE, Ok(TagDecision::Move)),
            (Rolling, Some(&equal), NONE, Ok(TagDecision::Move)),
            (Rolling, Some(&pre_release), NONE, Ok(TagDecision::Move)),
            (Rolling, Some(&unknown), NONE, Ok(TagDecision::Move)),
            (Rolling, Some(&higher), NONE, kept.clone()),
            (Rolling, Some(&higher), OVERWRITE, kept),
            (Rolling, Some(&higher), DOWNGRADE, Ok(TagDecision::Move)),
        ] {
            let target = existing.map_or(TagTarget::Nothing, |image| TagTarget::Image(image.clone()));
            assert_eq!(decide(kind, &target, &new, permissions), expected, "{kind:?} {existing:?} {permissions:?}");
        }
        let unversioned = image("new", &["x"], "");
        assert_eq!(decide(Rolling, &TagTarget::Image(higher), &unversioned, NONE), Ok(TagDecision::Move));
        for (kind, permissions, expected) in [
            (Immutable, NONE, Err(TagConflict::Unknown)),
            (Immutable, DOWNGRADE, Err(TagConflict::Unknown)),
            (Immutable, OVERWRITE, Ok(TagDecision::Move)),
            (Rolling, NONE, Ok(TagDecision::Move)),
        ] {
            assert_eq!(decide(kind, &TagTarget::Unknown, &new, permissions), expected, "{kind:?} {permissions:?}");
        }
    }

    #[test]
    fn other_commits_are_recognized() {
        for (published, revision, expected) in [
            (Some("a"), Some("b"), true),
            (Some("a"), Some("a-dirty"), true),
            (Some("a"), Some("a"), false),
            (None, Some("b"), false),
            (Some("a"), None, false),
        ] {
            let existing = TagImage { revision: published.map(str::to_owned), ..TagImage::default() };
            assert_eq!(is_from_other_commit(&existing, revision), expected, "{published:?} {revision:?}");
        }
    }
}
