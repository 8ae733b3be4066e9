//! Creates the config, manifest, and index of an image (image-spec, config.md, manifest.md, image-index.md).

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat};
use indexmap::IndexMap;
use oci_spec::image::{Descriptor, MediaType};
use serde_json::{Map, Value, json};

use super::descriptor::Blob;
use super::layer::Layer;
use crate::platform::Platform;

/// The parts of an image for one platform.
pub(crate) struct ImageParts<'a> {
    pub platform: Platform,
    /// The image config of the base, or `null` for `scratch`.
    pub base_config: &'a Value,
    /// The layers of the base, from bottom to top.
    pub base_layers: &'a [Layer],
    /// The `config` object of the new image config.
    pub config: &'a Value,
    /// The layers to add to the base.
    pub added: &'a [AddedLayer],
    /// The annotations of the manifest.
    pub annotations: &'a IndexMap<String, String>,
    pub source_date_epoch: u64,
}

/// A layer that an image adds to its base.
pub(crate) struct AddedLayer {
    pub layer: Layer,
    /// The instructions that created the layer, for the image history.
    pub created_by: String,
}

/// The config and manifest of an image for one platform.
pub(crate) struct ImageDocuments {
    pub config: Blob,
    pub manifest: Blob,
}

/// Creates the config and manifest of an image for one platform.
pub(crate) fn image(parts: &ImageParts<'_>) -> Result<ImageDocuments> {
    let config = Blob::json(&MediaType::ImageConfig, &config(parts)?)?;
    let layers = parts.base_layers.iter().chain(parts.added.iter().map(|added| &added.layer));
    let layers: Vec<&Descriptor> = layers.map(|layer| &layer.descriptor).collect();
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.as_ref(),
        "config": config.descriptor,
        "layers": layers,
    });
    annotate(&mut manifest, parts.annotations)?;
    Ok(ImageDocuments { config, manifest: Blob::json(&MediaType::ImageManifest, &manifest)? })
}

/// Creates the image config (image-spec, config.md).
fn config(parts: &ImageParts<'_>) -> Result<Value> {
    let created = DateTime::from_timestamp(i64::try_from(parts.source_date_epoch)?, 0);
    let created = created.context("SOURCE_DATE_EPOCH is out of range")?.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut document = Map::new();
    for key in ["author", "os.version", "os.features"] {
        if let Some(value) = parts.base_config.get(key) {
            document.insert(key.to_owned(), value.clone());
        }
    }
    let inherited = |path: &str| parts.base_config.pointer(path).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut diff_ids = inherited("/rootfs/diff_ids");
    let mut history = complete_history(inherited("/history"), diff_ids.len(), &created);
    for AddedLayer { layer, created_by } in parts.added {
        diff_ids.push(layer.diff_id.as_str().into());
        history.push(json!({ "created": created, "created_by": created_by, "comment": "cargo-multiarch" }));
    }
    document.insert("created".to_owned(), created.into());
    document.insert("architecture".to_owned(), parts.platform.architecture().into());
    document.insert("os".to_owned(), parts.platform.os().into());
    if let Some(variant) = parts.platform.variant() {
        document.insert("variant".to_owned(), variant.into());
    }
    document.insert("config".to_owned(), parts.config.clone());
    document.insert("rootfs".to_owned(), json!({ "type": "layers", "diff_ids": diff_ids }));
    document.insert("history".to_owned(), history.into());
    Ok(Value::Object(document))
}

/// Completes a base's history so that it has exactly one non-empty entry for each layer (image-spec, config.md,
/// "history"). Like BuildKit, adds missing entries at the end, and marks surplus entries as empty.
fn complete_history(mut history: Vec<Value>, layers: usize, created: &str) -> Vec<Value> {
    history.retain(Value::is_object);
    let mut described = 0;
    for entry in history.iter_mut().filter(|entry| !entry["empty_layer"].as_bool().unwrap_or_default()) {
        if described < layers {
            described += 1;
        } else if let Some(entry) = entry.as_object_mut() {
            entry.insert("empty_layer".to_owned(), true.into());
        }
    }
    let missing = json!({ "created": created, "created_by": "a layer of the base", "comment": "cargo-multiarch" });
    history.extend(std::iter::repeat_n(missing, layers - described));
    history
}

/// Creates the index for the manifests of all platforms, in the given order.
pub(crate) fn index(manifests: &[(Platform, Descriptor)], annotations: &IndexMap<String, String>) -> Result<Blob> {
    let entry = |(platform, descriptor): &(Platform, Descriptor)| {
        let mut described = json!({ "architecture": platform.architecture(), "os": platform.os() });
        if let Some(variant) = platform.variant() {
            described["variant"] = variant.into();
        }
        json!({
            "mediaType": descriptor.media_type().as_ref(),
            "digest": descriptor.digest().to_string(),
            "size": descriptor.size(),
            "platform": described,
        })
    };
    let mut index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex.as_ref(),
        "manifests": manifests.iter().map(entry).collect::<Vec<_>>(),
    });
    annotate(&mut index, annotations)?;
    Blob::json(&MediaType::ImageIndex, &index)
}

fn annotate(document: &mut Value, annotations: &IndexMap<String, String>) -> Result<()> {
    if !annotations.is_empty() {
        document["annotations"] = serde_json::to_value(annotations)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_has_one_entry_for_each_base_layer() {
        let empty = json!({ "created_by": "ENV", "empty_layer": true });
        let full = json!({ "created_by": "COPY" });
        let explicit = json!({ "created_by": "ADD", "empty_layer": false });
        for (history, layers, kinds) in [
            (vec![], 0, ""),
            (vec![], 2, "LL"),
            (vec![empty.clone(), full.clone()], 1, "eL"),
            (vec![full.clone(), empty.clone()], 3, "LeLL"),
            (vec![explicit.clone(), full.clone()], 1, "Le"),
            (vec![json!(null), json!(7)], 1, "L"),
        ] {
            let completed = complete_history(history.clone(), layers, "2026-01-02T03:04:05Z");
            let kind = |entry: &Value| if entry["empty_layer"] == json!(true) { 'e' } else { 'L' };
            assert_eq!(completed.iter().map(kind).collect::<String>(), kinds, "{history:?} {layers}");
        }
    }
}
