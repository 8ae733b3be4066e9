//! Base images with every media type and compression, and the cache of pulled blobs.

use serde_json::{Value, json};

use crate::bases::{files, good, on, walk};
use crate::support::base_image::{BaseStyle, base_image};
use crate::support::embedded;
use crate::support::fake_registry::digest;
use crate::support::{FakeRegistry, Project};

#[test]
#[ignore = "run by scripts/test"]
fn base_may_have_any_media_type_and_compression() {
    let project = Project::app();
    for docker in [false, true] {
        for index in [false, true] {
            for compression in ["gzip", "zstd", "none"] {
                let registry = FakeRegistry::storing();
                let platforms: &[&str] = if index { &["linux/amd64", "linux/arm64"] } else { &["linux/arm64"] };
                base_image(&registry, "base", "1", platforms, &files(), BaseStyle { docker, index, compression });
                let base = format!("{}/base:1", registry.host);
                let host = format!("{}/out", registry.host);
                let args = ["publish", "--base", &base, "--platform", "linux/arm64", "--registry", &host];
                embedded(&project, &args).finish();
                let (_, index) = registry.stored_manifest("out/app", "latest").unwrap();
                let index: Value = serde_json::from_slice(&index).unwrap();
                let child = index["manifests"][0]["digest"].as_str().unwrap();
                let (_, image) = registry.stored_manifest("out/app", child).unwrap();
                let image: Value = serde_json::from_slice(&image).unwrap();
                let suffix = if compression == "none" { String::new() } else { format!("+{compression}") };
                assert_eq!(image["layers"][0]["mediaType"], format!("application/vnd.oci.image.layer.v1.tar{suffix}"));
                assert_eq!(
                    image["layers"].as_array().unwrap().len(),
                    2,
                    "the base's layer and the layer with the binary"
                );
                let config = image["config"]["digest"].as_str().unwrap();
                let config: Value = serde_json::from_slice(&registry.stored_blob("out/app", config).unwrap()).unwrap();
                assert_eq!(config["config"]["Env"], json!(["PATH=/usr/bin:/bin", "BASE=1"]));
                assert_eq!(config["config"].get("Cmd"), None, "the base's Cmd must not be passed to the program");
                assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
                assert_eq!(config["history"].as_array().unwrap().len(), 2);
                // The base is in the same registry, so its layer is mounted instead of uploaded.
                assert_eq!(registry.uploads(), 2, "only the config and the layer with the binary are uploaded");
            }
        }
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn cache_is_shared_by_concurrent_runs() {
    let (registry, _) = good();
    let cache = Project::empty();
    let runs: Vec<_> = (0..2)
        .map(|_| {
            let base = format!("{}/base:1", registry.host);
            let cache = cache.path().to_owned();
            std::thread::spawn(move || {
                let project = Project::app();
                let run = embedded(&project, &["build", "--base", &base, "--platform", "linux/arm64"]);
                run.env("XDG_CACHE_HOME", cache).finish().stdout
            })
        })
        .collect();
    let digests: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
    assert_eq!(digests[0], digests[1]);
}

#[test]
#[ignore = "run by scripts/test"]
fn damaged_cache_entries_are_replaced() {
    let (registry, manifest) = good();
    let project = on(&registry);
    let first = embedded(&project, &["build"]).finish().stdout;
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let cached = project.path().join("cache/cargo-multiarch/blobs/sha256").join(&layer);
    let paths = walk(&project.path().join("target/multiarch/+layers"));
    let layers = paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "blob"));
    for path in layers.chain([&cached]) {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(embedded(&project, &["build"]).finish().stdout, first);
    assert_eq!(digest(&std::fs::read(cached).unwrap()), format!("sha256:{layer}"));
}
