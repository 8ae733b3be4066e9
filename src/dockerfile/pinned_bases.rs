//! Base images pinned to digests, and the labels that record them in images.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::Image;

/// Annotation key for the name of the base image (image-spec, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// A map from configured bases to pinned references (`name@sha256:…`). `scratch` is never pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PinnedBases(BTreeMap<String, String>);

impl PinnedBases {
    pub(crate) fn insert(&mut self, base: String, pinned: String) {
        self.0.insert(base, pinned);
    }

    /// Returns the pinned reference of a base, or the base as configured if it is not pinned.
    pub(crate) fn reference<'a>(&'a self, base: &'a str) -> &'a str {
        self.0.get(base).map_or(base, String::as_str)
    }

    /// Reports whether any platform of an image has a pinned base.
    pub(crate) fn used_by(&self, image: &Image) -> bool {
        image.platforms.iter().any(|platform| self.0.contains_key(&platform.base))
    }

    /// Returns copies of the images with labels that record the name and digest of each platform's base. If all
    /// platforms share a base, the annotations of the index and the manifests record it too. Does not override
    /// configured labels and annotations.
    pub(crate) fn with_base_labels(&self, images: &[Image]) -> Vec<Image> {
        images.iter().map(|image| self.label_image(image.clone())).collect()
    }

    fn label_image(&self, mut image: Image) -> Image {
        let mut bases = BTreeSet::new();
        for platform in &mut image.platforms {
            let pinned = self.0.get(&platform.base).and_then(|pinned| pinned.split_once('@'));
            bases.insert(pinned);
            if let Some((name, digest)) = pinned {
                let labels = &mut platform.container.labels;
                labels.entry(BASE_NAME.to_owned()).or_insert_with(|| name.to_owned());
                labels.entry(BASE_DIGEST.to_owned()).or_insert_with(|| digest.to_owned());
            }
        }
        if let [Some((name, digest))] = Vec::from_iter(bases)[..] {
            let index = image.has_index.then_some(&mut image.annotations);
            for annotations in index.into_iter().chain([&mut image.manifest_annotations]) {
                annotations.entry(BASE_NAME.to_owned()).or_insert_with(|| name.to_owned());
                annotations.entry(BASE_DIGEST.to_owned()).or_insert_with(|| digest.to_owned());
            }
        }
        image
    }
}
