//! A layout's content, by digest: blobs, then manifests, then the index (distribution-spec, "Pushing manifests").
//! No tag moves here. Where several images or registries belong to one run, all of them get their content before the
//! first tag moves anywhere.

use std::collections::BTreeSet;
use std::io::Read;

use anyhow::Result;
use futures_util::stream;
use oci_client::errors::OciDistributionError;
use oci_spec::image::Descriptor;

use super::registry::Registry;
use crate::image::layout::Layout;

/// Bytes that are in memory at a time.
const CHUNK: usize = 1024 * 1024;

/// Sends everything in a layout that a repository lacks.
pub fn upload(layout: &Layout, repository: &str, registry: &Registry) -> Result<()> {
    let mut sent = BTreeSet::new();
    for entry in layout.index.manifests() {
        let manifest = layout.read(entry)?;
        let parsed: oci_spec::image::ImageManifest = serde_json::from_slice(&manifest)?;
        for blob in parsed.layers().iter().chain([parsed.config()]) {
            if sent.insert(blob.digest().to_string()) {
                registry.upload_blob(repository, blob, || chunks(layout, blob))?;
            }
        }
        registry.put_manifest(&format!("{repository}@{}", entry.digest()), &manifest, entry)?;
    }
    let index = layout.read(&layout.descriptor)?;
    registry.put_manifest(&format!("{repository}@{}", layout.descriptor.digest()), &index, &layout.descriptor)
}

/// The bytes of a blob, read as they are sent.
fn chunks(
    layout: &Layout,
    blob: &Descriptor,
) -> Result<impl stream::Stream<Item = Result<bytes::Bytes, OciDistributionError>> + Send + 'static> {
    let mut file = layout.open_blob(blob)?;
    let next = move || {
        let mut chunk = Vec::new();
        match Read::by_ref(&mut file).take(CHUNK as u64).read_to_end(&mut chunk) {
            Ok(0) => None,
            Ok(_) => Some(Ok(bytes::Bytes::from(chunk))),
            Err(error) => Some(Err(error.into())),
        }
    };
    Ok(stream::iter(std::iter::from_fn(next)))
}
