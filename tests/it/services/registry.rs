//! Reads pushed images back from the registry with curl, independently of the program under test.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::Command;

use serde_json::Value;

use super::run;

/// Credentials for the registry that requires a login. The open registry ignores them.
const LOGIN: &str = "ci:secret-word";

const ACCEPT: &str = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

fn get(url: &str) -> Value {
    let body = run("curl", &["-sS", "-L", "--retry", "3", "--fail", "-u", LOGIN, "-H", ACCEPT, url]);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Splits `host/name:tag@sha256:…` into the host, the name, and the digest or tag.
fn parts(reference: &str) -> (&str, &str, &str) {
    let (host, rest) = reference.split_once('/').unwrap();
    match rest.split_once('@') {
        Some((name, digest)) => (host, name.split(':').next().unwrap(), digest),
        None => {
            let (name, tag) = rest.rsplit_once(':').unwrap();
            (host, name, tag)
        }
    }
}

/// Returns the index or manifest that a reference points to.
pub fn manifest(reference: &str) -> Value {
    let (host, name, which) = parts(reference);
    get(&format!("http://{host}/v2/{name}/manifests/{which}"))
}

/// Returns the digest that a tag points to, or `None` if the tag does not exist.
pub fn digest(reference: &str) -> Option<String> {
    let (host, name, which) = parts(reference);
    let url = format!("http://{host}/v2/{name}/manifests/{which}");
    let head = run("curl", &["-sS", "-I", "-u", LOGIN, "-H", ACCEPT, &url]);
    let header =
        |line: &str| line.to_lowercase().strip_prefix("docker-content-digest: ").map(|rest| rest.trim().to_owned());
    head.lines().find_map(header)
}

/// Returns the name and manifest digest of every platform in an index, in index order.
pub fn platforms(reference: &str) -> Vec<(String, String)> {
    let index = manifest(reference);
    let name = |platform: &Value| {
        let parts = ["os", "architecture", "variant"].iter().filter_map(|part| platform[part].as_str());
        parts.collect::<Vec<_>>().join("/")
    };
    let entries = index["manifests"].as_array().unwrap_or_else(|| panic!("not an index: {index}"));
    entries.iter().map(|entry| (name(&entry["platform"]), entry["digest"].as_str().unwrap().to_owned())).collect()
}

/// Returns the manifest for a platform in an index.
pub fn platform_manifest(reference: &str, platform: &str) -> Value {
    let (host, name, _) = parts(reference);
    let platforms = platforms(reference);
    let (_, digest) = platforms.iter().find(|(name, _)| name == platform).unwrap_or_else(|| panic!("{platforms:?}"));
    get(&format!("http://{host}/v2/{name}/manifests/{digest}"))
}

/// Returns the complete image config for a platform in an index.
pub fn config(reference: &str, platform: &str) -> Value {
    let (host, name, _) = parts(reference);
    let manifest = platform_manifest(reference, platform);
    get(&format!("http://{host}/v2/{name}/blobs/{}", manifest["config"]["digest"].as_str().unwrap()))
}

/// Downloads a blob from the repository of a reference.
pub fn blob(reference: &str, digest: &str) -> Vec<u8> {
    let (host, name, _) = parts(reference);
    let url = format!("http://{host}/v2/{name}/blobs/{digest}");
    let blob = Command::new("curl").args(["-sSL", "--fail", "-u", LOGIN, &url]).output().unwrap();
    assert!(blob.status.success(), "{url}");
    blob.stdout
}

/// Returns the ELF machines of all programs in a platform's layers, and the number of programs.
pub fn machines(reference: &str, platform: &str) -> (BTreeSet<u16>, usize) {
    let (mut machines, mut count) = (BTreeSet::new(), 0);
    for layer in platform_manifest(reference, platform)["layers"].as_array().unwrap() {
        let blob = blob(reference, layer["digest"].as_str().unwrap());
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&blob[..]));
        for entry in archive.entries().unwrap() {
            let mut head = Vec::new();
            entry.unwrap().take(20).read_to_end(&mut head).unwrap();
            if head.len() == 20 && head.starts_with(b"\x7fELF") {
                // All tested platforms are little-endian.
                machines.insert(u16::from_le_bytes([head[18], head[19]]));
                count += 1;
            }
        }
    }
    (machines, count)
}
