//! Base images pinned to digests, and the labels that record them in images.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

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

    /// Returns copies of the images with labels and annotations that record the name and digest of each platform's base.
    /// The index has these annotations only if all platforms share a base. Does not override configured labels and
    /// annotations.
    pub(crate) fn with_base_labels(&self, images: &[Image]) -> Vec<Image> {
        images.iter().map(|image| self.label_image(image.clone())).collect()
    }

    fn label_image(&self, mut image: Image) -> Image {
        let mut bases = BTreeSet::new();
        for platform in &mut image.platforms {
            let pinned = self.0.get(&platform.base).and_then(|pinned| pinned.split_once('@'));
            bases.insert(pinned);
            if let Some(base) = pinned {
                record_base(&mut platform.container.labels, base);
            }
        }
        if let [Some(base)] = Vec::from_iter(bases)[..] {
            if image.has_index {
                record_base(&mut image.annotations, base);
            }
            record_base(&mut image.manifest_annotations, base);
            return image;
        }
        for platform in &mut image.platforms {
            if let Some(base) = self.0.get(&platform.base).and_then(|pinned| pinned.split_once('@')) {
                record_base(&mut platform.annotations, base);
                platform.annotations.retain(|name, _| !image.manifest_annotations.contains_key(name));
            }
        }
        image
    }
}

fn record_base(values: &mut IndexMap<String, String>, (name, digest): (&str, &str)) {
    values.entry(BASE_NAME.to_owned()).or_insert_with(|| name.to_owned());
    values.entry(BASE_DIGEST.to_owned()).or_insert_with(|| digest.to_owned());
}
