//! Publishes images: checks push access, uploads blobs and manifests, and then moves tags.

pub(crate) mod push_access;
pub(crate) mod tag_burst;
pub(crate) mod tag_decision;
mod tag_lookup;
pub(crate) mod tags;
pub(crate) mod upload;
