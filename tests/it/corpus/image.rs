//! Images from code: a platform's layers and config, an index of them, and the lies that either may tell.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::layer::Layer;
use crate::support::fake_registry::digest;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is wrong with an image's documents and blobs; of the layers it is always the last one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lie {
    /// The config is for another platform than the index says.
    ConfigPlatform(&'static str),
    NoManifestBlob,
    NoConfigBlob,
    NoLayerBlob,
    /// The blob has another byte in its middle, and the digest from before.
    LayerByte,
    ConfigByte,
    /// The blob ends early, and the descriptor is of the whole.
    LayerCutShort,
    /// The descriptor's size is another than the blob's.
    LayerSize,
    DiffId,
    /// The stream ends early, and the descriptor is of what is left.
    CutStream,
    NotATar,
    LayerType(&'static str),
    ConfigText,
    ManifestText,
    /// The config knows nothing of the last layer.
    OneDiffIdLess,
}

/// An image of one platform.
#[derive(Debug, Clone)]
pub struct Image {
    pub platform: &'static str,
    layers: Vec<Layer>,
    config: Value,
    lies: Vec<Lie>,
}

impl Image {
    pub fn new(platform: &'static str) -> Image {
        let config = json!({"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]});
        Image { platform, layers: Vec::new(), config, lies: Vec::new() }
    }

    /// The same for another platform, by name.
    pub fn named(mut self, platform: &'static str) -> Image {
        self.platform = platform;
        self
    }

    pub fn layer(mut self, layer: impl Into<Layer>) -> Image {
        self.layers.push(layer.into());
        self
    }

    fn with(mut self, name: &str, value: Value) -> Image {
        self.config[name] = value;
        self
    }

    pub fn entrypoint(self, words: &[&str]) -> Image {
        self.with("Entrypoint", json!(words))
    }

    pub fn cmd(self, words: &[&str]) -> Image {
        self.with("Cmd", json!(words))
    }

    pub fn user(self, user: &str) -> Image {
        self.with("User", json!(user))
    }

    /// Whether it is started as another user than root.
    pub fn has_user(&self) -> bool {
        self.config["User"].as_str().is_some_and(|user| !["", "0", "root"].contains(&user))
    }

    pub fn workdir(self, path: &str) -> Image {
        self.with("WorkingDir", json!(path))
    }

    pub fn label(self, name: &str, value: &str) -> Image {
        self.with("Labels", json!({name: value}))
    }

    /// The whole environment: what is not in it is not set.
    pub fn env(self, variables: &[&str]) -> Image {
        self.with("Env", json!(variables))
    }

    pub fn lies(mut self, lie: Lie) -> Image {
        self.lies.push(lie);
        self
    }

    fn tells(&self, lie: Lie) -> bool {
        self.lies.contains(&lie)
    }

    /// Stores the blobs; the manifest's descriptor for an index.
    fn store(&self, blobs: &Blobs) -> Value {
        let mut layers = Vec::new();
        let mut diff_ids = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let last = number + 1 == self.layers.len();
            let mut tar = layer.tar();
            if last && self.tells(Lie::NotATar) {
                tar = b"no tar ".repeat(200);
            }
            let lied = if last && self.tells(Lie::DiffId) { digest(b"another layer") } else { digest(&tar) };
            if !(last && self.tells(Lie::OneDiffIdLess)) {
                diff_ids.push(lied);
            }
            let mut packed = layer.packing.pack(&tar);
            if last && self.tells(Lie::CutStream) {
                packed.truncate(packed.len() / 2);
            }
            let mut descriptor = descriptor(&layer.packing.media_type(), &packed);
            if last {
                self.spoil_layer(blobs, &mut descriptor, &packed);
            } else {
                blobs.put(&packed);
            }
            layers.push(descriptor);
        }
        let mut config = platform(self.platform);
        for lie in &self.lies {
            if let Lie::ConfigPlatform(name) = lie {
                config = platform(name);
            }
        }
        config["config"] = self.config.clone();
        config["rootfs"] = json!({"type": "layers", "diff_ids": diff_ids});
        let config = self.document(&config, Lie::ConfigText);
        let named = descriptor(CONFIG, &config);
        if self.tells(Lie::ConfigByte) {
            blobs.put_as(&named, &changed(&config));
        } else if !self.tells(Lie::NoConfigBlob) {
            blobs.put(&config);
        }
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": named, "layers": layers});
        let manifest = self.document(&manifest, Lie::ManifestText);
        if !self.tells(Lie::NoManifestBlob) {
            blobs.put(&manifest);
        }
        let mut descriptor = descriptor(MANIFEST, &manifest);
        descriptor["platform"] = platform(self.platform);
        descriptor
    }

    fn spoil_layer(&self, blobs: &Blobs, descriptor: &mut Value, packed: &[u8]) {
        for lie in &self.lies {
            match lie {
                Lie::LayerByte => return blobs.put_as(descriptor, &changed(packed)),
                Lie::LayerCutShort => return blobs.put_as(descriptor, &packed[..packed.len() / 2]),
                Lie::NoLayerBlob => return,
                Lie::LayerSize => descriptor["size"] = json!(packed.len() + 1),
                Lie::LayerType(media_type) => descriptor["mediaType"] = json!(media_type),
                _ => {}
            }
        }
        blobs.put(packed);
    }

    fn document(&self, value: &Value, spoiled: Lie) -> Vec<u8> {
        let text = value.to_string();
        if self.tells(spoiled) { text[..text.len() / 2].into() } else { text.into() }
    }
}

fn changed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    bytes
}

/// How an index is built.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    Plain,
    /// Beside each image is an attestation of how it was built.
    Attested,
    /// The attestations are there, and the images are not.
    AttestedOnly,
    /// The index has an index with the images.
    Nested,
    /// Beside the images is an index with the images.
    AlsoNested,
    /// Nobody says which platform an image is for.
    NoPlatforms,
    /// There is no index: the layout's own names the image, and its platform.
    Alone,
}

/// An image index: what a tag leads to.
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

    /// Stores the blobs below a folder; the index's descriptor.
    fn store(&self, folder: &Path) -> Value {
        let blobs = Blobs { folder: folder.join("blobs/sha256") };
        std::fs::create_dir_all(&blobs.folder).unwrap();
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
            Shape::Attested => entries.extend(entries.iter().map(|of| attestation(&blobs, of)).collect::<Vec<_>>()),
            Shape::AttestedOnly => entries = entries.iter().map(|of| attestation(&blobs, of)).collect(),
            Shape::Nested => entries = vec![index(&entries)],
            Shape::AlsoNested => entries.push(index(&entries)),
            Shape::Alone => return entries.remove(0),
            Shape::NoPlatforms => {
                entries.iter_mut().for_each(|entry| drop(entry.as_object_mut().unwrap().remove("platform")));
            }
        }
        index(&entries)
    }

    /// Makes a folder an OCI layout of this image.
    pub fn write(&self, folder: &Path) {
        write_layout(folder, &[self.store(folder)]);
    }
}

/// Makes a folder one OCI layout of several images, with the names that `docker load` gives them.
pub fn write_named<'a>(folder: &Path, layouts: impl Iterator<Item = (&'a str, &'a Layout)>) {
    let named = layouts.map(|(name, layout)| {
        let mut descriptor = layout.store(folder);
        descriptor["annotations"] = json!({"io.containerd.image.name": name});
        descriptor
    });
    write_layout(folder, &named.collect::<Vec<_>>());
}

fn write_layout(folder: &Path, descriptors: &[Value]) {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": descriptors});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
}

/// An attestation as buildx adds it: an image for the platform `unknown/unknown` that names the one it is about.
fn attestation(blobs: &Blobs, of: &Value) -> Value {
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
        json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of["digest"]});
    entry
}

struct Blobs {
    folder: PathBuf,
}

impl Blobs {
    fn put(&self, bytes: &[u8]) {
        self.put_as(&descriptor("", bytes), bytes);
    }

    /// Under the name that a descriptor has for it.
    fn put_as(&self, descriptor: &Value, bytes: &[u8]) {
        let path = self.folder.join(descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:"));
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
}

/// `linux/arm/v7` as an index says it.
fn platform(name: &str) -> Value {
    let words: Vec<&str> = name.split('/').collect();
    let mut platform = json!({"architecture": words[1], "os": words[0]});
    if let Some(variant) = words.get(2) {
        platform["variant"] = json!(variant);
    }
    platform
}
