//! Test images built from code. Their layers, configs, manifests and indexes can have defects.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::layer::Layer;
use crate::support::fake_registry::digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A defect in an image's manifest, config or blobs. Layer defects apply to the last layer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Defect {
    /// The config names a different platform than the index.
    ConfigPlatform(&'static str),
    MissingManifest,
    MissingConfig,
    MissingLayer,
    /// One byte of the layer was changed after its digest was computed.
    CorruptLayer,
    CorruptConfig,
    /// Only the first half of the layer is stored, but its descriptor describes the whole layer.
    TruncatedLayer,
    /// The size in the layer's descriptor is wrong.
    WrongLayerSize,
    WrongDiffId,
    /// Only the first half of the compressed stream is stored, and the descriptor matches that half.
    IncompleteStream,
    NotATar,
    LayerMediaType(&'static str),
    HalfConfig,
    HalfManifest,
    /// The config has no diff ID for the last layer.
    MissingDiffId,
}

/// An image for one platform.
#[derive(Debug, Clone)]
pub struct Image {
    pub platform: &'static str,
    layers: Vec<Layer>,
    config: Value,
    defects: Vec<Defect>,
}

impl Image {
    pub fn new(platform: &'static str) -> Image {
        let config = json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]});
        Image { platform, layers: Vec::new(), config, defects: Vec::new() }
    }

    pub fn with_platform(mut self, platform: &'static str) -> Image {
        self.platform = platform;
        self
    }

    pub fn layer(mut self, layer: impl Into<Layer>) -> Image {
        self.layers.push(layer.into());
        self
    }

    /// Sets a key of the config's `config` object.
    pub fn with(mut self, name: &str, value: Value) -> Image {
        self.config[name] = value;
        self
    }

    pub fn entrypoint(self, words: &[&str]) -> Image {
        self.with("Entrypoint", json!(words))
    }

    pub fn cmd(self, words: &[&str]) -> Image {
        self.with("Cmd", json!(words))
    }

    /// Sets the `Test` of Docker's health check.
    pub fn healthcheck(self, test: &[&str]) -> Image {
        self.with("Healthcheck", json!({"Test": test}))
    }

    pub fn user(self, user: &str) -> Image {
        self.with("User", json!(user))
    }

    /// Reports whether the image runs as a user other than root.
    pub fn has_user(&self) -> bool {
        self.config["User"].as_str().is_some_and(|user| !["", "0", "root"].contains(&user))
    }

    pub fn workdir(self, path: &str) -> Image {
        self.with("WorkingDir", json!(path))
    }

    pub fn label(self, name: &str, value: &str) -> Image {
        self.with("Labels", json!({name: value}))
    }

    /// Replaces the environment, including the default `PATH`.
    pub fn env(self, variables: &[&str]) -> Image {
        self.with("Env", json!(variables))
    }

    pub fn with_defect(mut self, defect: Defect) -> Image {
        self.defects.push(defect);
        self
    }

    fn has(&self, defect: Defect) -> bool {
        self.defects.contains(&defect)
    }

    /// Stores the blobs, and returns the manifest's descriptor as an entry for the index.
    fn store(&self, blobs: &Blobs) -> Value {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let last = number + 1 == self.layers.len();
            let mut tar = layer.tar();
            if last && self.has(Defect::NotATar) {
                tar = b"no tar ".repeat(200);
            }
            let diff_id = if last && self.has(Defect::WrongDiffId) { digest(b"another layer") } else { digest(&tar) };
            if !(last && self.has(Defect::MissingDiffId)) {
                diff_ids.push(diff_id);
            }
            let mut compressed = layer.compression.compress(&tar);
            if last && self.has(Defect::IncompleteStream) {
                compressed.truncate(compressed.len() / 2);
            }
            let mut descriptor = descriptor(&layer.compression.media_type(), &compressed);
            if last {
                self.store_layer(blobs, &mut descriptor, &compressed);
            } else {
                blobs.put(&compressed);
            }
            layers.push(descriptor);
        }
        let mut config = platform(self.platform);
        for defect in &self.defects {
            if let Defect::ConfigPlatform(name) = defect {
                config = platform(name);
            }
        }
        config["config"] = self.config.clone();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.json(&config, Defect::HalfConfig);
        let config_descriptor = descriptor(CONFIG, &config);
        if self.has(Defect::CorruptConfig) {
            blobs.put_as(&config_descriptor, &corrupted(&config));
        } else if !self.has(Defect::MissingConfig) {
            blobs.put(&config);
        }
        let manifest =
            json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config_descriptor, "layers": layers});
        let manifest = self.json(&manifest, Defect::HalfManifest);
        if !self.has(Defect::MissingManifest) {
            blobs.put(&manifest);
        }
        let mut descriptor = descriptor(MANIFEST, &manifest);
        descriptor["platform"] = platform(self.platform);
        descriptor
    }

    fn store_layer(&self, blobs: &Blobs, descriptor: &mut Value, compressed: &[u8]) {
        for defect in &self.defects {
            match defect {
                Defect::CorruptLayer => return blobs.put_as(descriptor, &corrupted(compressed)),
                Defect::TruncatedLayer => return blobs.put_as(descriptor, &compressed[..compressed.len() / 2]),
                Defect::MissingLayer => return,
                Defect::WrongLayerSize => descriptor["size"] = json!(compressed.len() + 1),
                Defect::LayerMediaType(media_type) => descriptor["mediaType"] = json!(media_type),
                _ => {}
            }
        }
        blobs.put(compressed);
    }

    /// Returns `value` as JSON, but only the first half of the text if the image has the defect `half`.
    fn json(&self, value: &Value, half: Defect) -> Vec<u8> {
        let text = value.to_string();
        if self.has(half) { text[..text.len() / 2].into() } else { text.into() }
    }
}

fn corrupted(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// The structure of an image's index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    Plain,
    /// The index lists an attestation for each image.
    WithAttestations,
    /// The index lists attestations, but not the images that they belong to.
    OnlyAttestations,
    /// The index lists another index, which lists the images.
    Nested,
    /// The index lists the images, and another index with the same images.
    WithNestedIndex,
    /// The index entries have no `platform`.
    NoPlatforms,
    /// The layout's `index.json` lists the manifest directly.
    NoIndex,
}

/// An image for any number of platforms, which can be written as an OCI layout.
#[derive(Debug, Clone)]
pub struct Layout {
    pub images: Vec<Image>,
    shape: Shape,
    annotations: Value,
}

impl From<Image> for Layout {
    fn from(image: Image) -> Layout {
        Layout::of([image])
    }
}

impl Layout {
    pub fn of(images: impl Into<Vec<Image>>) -> Layout {
        Layout { images: images.into(), shape: Shape::Plain, annotations: json!({}) }
    }

    pub fn shape(mut self, shape: Shape) -> Layout {
        self.shape = shape;
        self
    }

    pub fn annotation(mut self, name: &str, value: &str) -> Layout {
        self.annotations[name] = json!(value);
        self
    }

    /// Stores the blobs in `directory`, and returns the descriptor of the index.
    fn store(&self, directory: &Path) -> Value {
        let blobs = Blobs { directory: directory.join("blobs/sha256") };
        std::fs::create_dir_all(&blobs.directory).unwrap();
        let mut entries: Vec<Value> = self.images.iter().map(|image| image.store(&blobs)).collect();
        let index = |entries: &[Value]| {
            let mut index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
            if self.annotations != json!({}) {
                index["annotations"] = self.annotations.clone();
            }
            blobs.put(index.to_string().as_bytes());
            descriptor(INDEX, index.to_string().as_bytes())
        };
        match self.shape {
            Shape::Plain => {}
            Shape::WithAttestations => {
                entries.extend(entries.iter().map(|entry| attestation(&blobs, entry)).collect::<Vec<_>>());
            }
            Shape::OnlyAttestations => entries = entries.iter().map(|entry| attestation(&blobs, entry)).collect(),
            Shape::Nested => entries = vec![index(&entries)],
            Shape::WithNestedIndex => entries.push(index(&entries)),
            Shape::NoIndex => return entries.remove(0),
            Shape::NoPlatforms => {
                entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("platform")));
            }
        }
        index(&entries)
    }

    /// Writes this image to `directory` as an OCI layout.
    pub fn write(&self, directory: &Path) {
        write_layout(directory, &[self.store(directory)]);
    }
}

/// Writes several images to `directory` as one OCI layout. `docker load` uses the names of the images in the layout.
pub fn write_named<'a>(directory: &Path, layouts: impl Iterator<Item = (&'a str, &'a Layout)>) {
    let named = layouts.map(|(name, layout)| {
        let mut descriptor = layout.store(directory);
        descriptor["annotations"] = json!({"io.containerd.image.name": name});
        descriptor
    });
    write_layout(directory, &named.collect::<Vec<_>>());
}

fn write_layout(directory: &Path, descriptors: &[Value]) {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors});
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    std::fs::write(directory.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
}

/// Stores an attestation like those that buildx creates: a manifest for `unknown/unknown` that refers to `subject`.
fn attestation(blobs: &Blobs, subject: &Value) -> Value {
    let statement = b"{\"_type\":\"https://in-toto.io/Statement/v0.1\",\"subject\":[]}";
    let config = json!({"architecture": "unknown", "os": "unknown", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(statement)]}});
    let config = config.to_string();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, config.as_bytes()),
        "layers": [descriptor("application/vnd.in-toto+json", statement)]});
    let manifest = manifest.to_string();
    for blob in [statement.as_slice(), config.as_bytes(), manifest.as_bytes()] {
        blobs.put(blob);
    }
    let mut entry = descriptor(MANIFEST, manifest.as_bytes());
    entry["platform"] = json!({"architecture": "unknown", "os": "unknown"});
    entry["annotations"] =
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject["digest"]});
    entry
}

struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    fn put(&self, bytes: &[u8]) {
        self.put_as(&descriptor("", bytes), bytes);
    }

    /// Stores bytes under the digest in `descriptor`, even if they don't match it.
    fn put_as(&self, descriptor: &Value, bytes: &[u8]) {
        let path = self.directory.join(descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:"));
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// Converts a platform such as `linux/arm/v7` to its JSON form in an index or config.
fn platform(name: &str) -> Value {
    let parts: Vec<&str> = name.split('/').collect();
    let mut platform = json!({"architecture": parts[1], "os": parts[0]});
    if let Some(variant) = parts.get(2) {
        platform["variant"] = json!(variant);
    }
    platform
}
