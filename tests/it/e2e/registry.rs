//! The registry's own answer, by plain HTTP: what was pushed, read back without the program's help.

use serde_json::Value;

use super::run;

const ACCEPT: &str = "Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

fn get(url: &str) -> Value {
    let body = run("curl", &["-sS", "-L", "--retry", "3", "--fail", "-H", ACCEPT, url]);
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Splits `host/name:tag@sha256:…` into host, name and the digest or tag.
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

/// The index or manifest of a reference.
pub fn manifest(reference: &str) -> Value {
    let (host, name, which) = parts(reference);
    get(&format!("http://{host}/v2/{name}/manifests/{which}"))
}

/// The digest that a tag leads to; none where there is no such tag.
pub fn digest(reference: &str) -> Option<String> {
    let (host, name, which) = parts(reference);
    let url = format!("http://{host}/v2/{name}/manifests/{which}");
    let head = run("curl", &["-sS", "-I", "-H", ACCEPT, &url]);
    let header =
        |line: &str| line.to_lowercase().strip_prefix("docker-content-digest: ").map(|rest| rest.trim().to_owned());
    head.lines().find_map(header)
}

/// The platforms of an index, in its order: name and manifest digest.
pub fn platforms(reference: &str) -> Vec<(String, String)> {
    let index = manifest(reference);
    let name = |platform: &Value| {
        let parts = ["os", "architecture", "variant"].iter().filter_map(|part| platform[part].as_str());
        parts.collect::<Vec<_>>().join("/")
    };
    let entries = index["manifests"].as_array().unwrap_or_else(|| panic!("not an index: {index}"));
    entries.iter().map(|entry| (name(&entry["platform"]), entry["digest"].as_str().unwrap().to_owned())).collect()
}

/// The config of a platform of an index, whole.
pub fn config(reference: &str, platform: &str) -> Value {
    let (host, name, _) = parts(reference);
    let platforms = platforms(reference);
    let (_, digest) = platforms.iter().find(|(name, _)| name == platform).unwrap_or_else(|| panic!("{platforms:?}"));
    let manifest = get(&format!("http://{host}/v2/{name}/manifests/{digest}"));
    get(&format!("http://{host}/v2/{name}/blobs/{}", manifest["config"]["digest"].as_str().unwrap()))
}
