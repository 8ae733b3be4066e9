//! Base images from registries, and errors for base images that cannot be used.

use serde_json::{Value, json};

use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::fake_registry::digest;
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Finished, Project};
use crate::support::{embedded, endless_cargo};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

pub const STYLE: BaseStyle = BaseStyle { docker: false, index: true, compression: "gzip" };

pub fn files() -> Vec<u8> {
    tar_of(&[
        ("usr/", Entry::Dir(0o755)),
        ("usr/bin/", Entry::Dir(0o755)),
        ("bin", Entry::Link("usr/bin")),
        ("root/", Entry::Dir(0o700)),
        ("usr/bin/sh", Entry::File(b"#!", 0o755)),
        ("usr/bin/ash", Entry::HardLink("usr/bin/sh")),
    ])
}

/// Creates a project whose base image is `base:1` in a registry.
pub fn on(registry: &FakeRegistry) -> Project {
    Project::with_config(&format!("base = '{}/base:1'\nplatforms = ['linux/arm64']", registry.host))
}

/// Asserts that a build fails without waiting for cargo, and that it leaves no incomplete blobs in the cache.
#[track_caller]
fn refused(registry: &FakeRegistry, code: i32) -> Finished {
    let project = on(registry);
    let run = embedded(&project, &["build"]).path_only(&endless_cargo());
    let finished = run.fails(code).finish().without_compiling();
    let cached = walk(&project.path().join("cache"));
    for path in cached.iter().filter(|path| path.components().any(|part| part.as_os_str() == "blobs")) {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(digest(&std::fs::read(path).unwrap()), format!("sha256:{name}"), "incomplete blob in the cache");
    }
    finished
}

/// Asserts that the base image is accepted. The build then fails on an invalid `files` entry.
#[track_caller]
fn passes(registry: &FakeRegistry) {
    let base = format!("base = '{}/base:1'\nplatforms = ['linux/arm64']", registry.host);
    let file = "[[files]]\nfrom = 'multiarch.toml'\nto = '/bin/sh/x'";
    let project = Project::with_config(&format!("{base}\n{file}"));
    embedded(&project, &["build"]).path_only(&endless_cargo()).fails(3).finish().stderr_has(&["/usr/bin/sh"]);
}

pub fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

/// Stores a manifest as `base:1`.
pub fn manifest(registry: &FakeRegistry, media_type: &str, value: &Value) {
    registry.manifest("base", "1", media_type, value.to_string().as_bytes());
}

/// Starts a registry with a valid base image. Also returns the image's manifest, so that tests can make it invalid.
pub fn good() -> (FakeRegistry, Value) {
    let registry = FakeRegistry::storing();
    base_image(&registry, "base", "1", &["linux/arm64"], &files(), STYLE);
    let (_, index) = registry.stored_manifest("base", "1").unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    let (_, manifest) = registry.stored_manifest("base", child).unwrap();
    (registry, serde_json::from_slice(&manifest).unwrap())
}

#[test]
fn base_that_does_not_exist_is_reported() {
    snapshot!(refused(&FakeRegistry::storing(), 7));
}

#[test]
fn base_without_the_platform_is_rejected() {
    let registry = FakeRegistry::storing();
    base_image(&registry, "base", "1", &["linux/amd64", "linux/arm/v7"], &files(), STYLE);
    let index = refused(&registry, 3);
    // The platform must also match if the tag points to a single manifest instead of an index.
    base_image(&registry, "base", "1", &["linux/amd64"], &files(), BaseStyle { index: false, ..STYLE });
    snapshot!(index, refused(&registry, 3));
}

#[test]
fn base_blobs_with_a_wrong_digest_are_rejected() {
    let (_, manifest) = good();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let config = manifest["config"]["digest"].as_str().unwrap().to_owned();
    let seen = [(&layer, "other"), (&layer, "short"), (&layer, "long"), (&config, "other")].map(|(blob, defect)| {
        let blob = blob.clone();
        let registry = FakeRegistry::storing_with(move |request, stored| {
            let mut bytes = request.path.ends_with(&blob).then(|| stored.blob("base", &blob))??;
            match defect {
                "other" => bytes[3] ^= 1,
                "short" => bytes.truncate(bytes.len() / 2),
                _ => bytes.extend_from_slice(&[0; 100_000]),
            }
            (request.method == "GET").then_some((200, vec![], bytes))
        });
        base_image(&registry, "base", "1", &["linux/arm64"], &files(), STYLE);
        refused(&registry, 8)
    });
    snapshot!(seen);
}

#[test]
fn base_manifest_with_a_wrong_digest_is_rejected() {
    let registry = FakeRegistry::storing_with(|request, stored| {
        let digest = request.path.strip_prefix("/v2/base/manifests/sha256:")?;
        let (media_type, mut bytes) = stored.manifest("base", &format!("sha256:{digest}"))?;
        bytes.push(b'\n');
        Some((200, vec![("Content-Type", media_type)], bytes))
    });
    base_image(&registry, "base", "1", &["linux/arm64"], &files(), STYLE);
    snapshot!(refused(&registry, 8));
}

#[test]
fn base_download_is_retried() {
    let (_, manifest) = good();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let registry = FakeRegistry::storing_with(move |request, _| {
        let first = request.path.ends_with(&layer) && tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        first.then(|| (503, vec![], b"busy".to_vec()))
    });
    base_image(&registry, "base", "1", &["linux/arm64"], &files(), STYLE);
    passes(&registry);
}

#[test]
fn base_with_unknown_media_types_is_rejected() {
    let (registry, mut image) = good();
    image["layers"][0]["mediaType"] = "application/vnd.example.layer+brotli".into();
    manifest(&registry, OCI_MANIFEST, &image);
    let compression = refused(&registry, 3);

    image["layers"] = json!([]);
    manifest(&registry, OCI_MANIFEST, &image);
    let layers = refused(&registry, 8);

    let inner = registry.stored_manifest("base", "1").unwrap().1;
    let nested = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        { "mediaType": OCI_INDEX, "digest": digest(&inner), "size": inner.len(), "platform": { "os": "linux", "architecture": "arm64" } }
    ] });
    manifest(&registry, OCI_INDEX, &nested);
    let nested = refused(&registry, 3);

    let schema1 = json!({ "schemaVersion": 1, "name": "base", "tag": "1", "architecture": "arm64", "fsLayers": [], "history": [] });
    manifest(&registry, "application/vnd.docker.distribution.manifest.v1+json", &schema1);
    snapshot!(compression, layers, nested, refused(&registry, 7));
}

#[test]
fn base_index_may_have_ten_thousand_entries() {
    let (registry, _) = good();
    let (_, bytes) = registry.stored_manifest("base", "1").unwrap();
    let mut index: Value = serde_json::from_slice(&bytes).unwrap();
    let other = json!({ "mediaType": OCI_MANIFEST, "digest": digest(b"x"), "size": 1, "platform": { "os": "linux", "architecture": "amd64", "variant": "v9" } });
    let entries = index["manifests"].as_array_mut().unwrap();
    entries.splice(0..0, std::iter::repeat_n(other, 10_000));
    manifest(&registry, OCI_INDEX, &index);
    passes(&registry);
}

#[test]
fn base_that_needs_credentials_is_reported() {
    let registry = FakeRegistry::rejecting(401);
    snapshot!(refused(&registry, 7));
}

#[test]
fn unwritable_cache_is_reported() {
    let (registry, _) = good();
    let project = on(&registry).file("cache", "a file instead of a directory");
    let run = embedded(&project, &["build"]).path_only(&endless_cargo()).fails(1).finish();
    snapshot!(run.without_compiling());
}
