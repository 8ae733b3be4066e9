//! Creates base images in memory and stores them in a fake registry.

use std::io::{Read, Write};

use serde_json::{Value, json};
use tar::{EntryType, Header};

use crate::support::fake_registry::{FakeRegistry, digest};

/// The format of a base image.
#[derive(Debug, Clone, Copy)]
pub struct BaseStyle {
    /// Whether to use Docker's media types (schema 2) instead of OCI's.
    pub docker: bool,
    /// Whether the tag points to an index (or manifest list) with one manifest per platform, not to a single manifest.
    pub index: bool,
    /// The compression of the layer: `gzip`, `zstd` or `none`.
    pub compression: &'static str,
}

impl BaseStyle {
    fn layer_type(self) -> String {
        let (plain, join) = if self.docker {
            ("application/vnd.docker.image.rootfs.diff.tar", '.')
        } else {
            ("application/vnd.oci.image.layer.v1.tar", '+')
        };
        match self.compression {
            "none" => plain.to_owned(),
            compression => format!("{plain}{join}{compression}"),
        }
    }

    /// Returns the media types of the config, the manifest and the index, in that order.
    fn types(self) -> [&'static str; 3] {
        if self.docker {
            [
                "application/vnd.docker.container.image.v1+json",
                "application/vnd.docker.distribution.manifest.v2+json",
                "application/vnd.docker.distribution.manifest.list.v2+json",
            ]
        } else {
            [
                "application/vnd.oci.image.config.v1+json",
                "application/vnd.oci.image.manifest.v1+json",
                "application/vnd.oci.image.index.v1+json",
            ]
        }
    }

    fn compress(self, layer: &[u8]) -> Vec<u8> {
        match self.compression {
            "gzip" => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(layer).unwrap();
                gzip.finish().unwrap()
            }
            "zstd" => zstd::encode_all(layer, 3).unwrap(),
            "none" => layer.to_vec(),
            other => panic!("unknown compression {other}"),
        }
    }
}

/// Stores a base image for platforms such as `linux/arm/v7`. `layer` is an uncompressed tar archive of its only layer.
/// Returns the digest that the tag points to.
pub fn base_image(
    registry: &FakeRegistry,
    repo: &str,
    tag: &str,
    platforms: &[&str],
    layer: &[u8],
    style: BaseStyle,
) -> String {
    let [config_type, manifest_type, index_type] = style.types();
    let blob = |media_type: &str, bytes: &[u8]| descriptor(media_type, registry.blob(repo, bytes), bytes);
    let layers = [blob(&style.layer_type(), &style.compress(layer))];
    let manifest_of = |platform: &Value| {
        let mut config = platform.clone();
        config["config"] = json!({"Env": ["PATH=/usr/bin:/bin", "BASE=1"], "Cmd": ["/bin/sh"], "WorkingDir": "/"});
        config["rootfs"] = json!({"type": "layers", "diff_ids": [digest(layer)]});
        config["history"] = json!([{"created_by": "base"}]);
        let config = blob(config_type, config.to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers.clone()});
        manifest.to_string().into_bytes()
    };
    if !style.index {
        assert_eq!(platforms.len(), 1, "an image for several platforms needs an index");
        return registry.manifest(repo, tag, manifest_type, &manifest_of(&platform(platforms[0])));
    }
    let mut manifests = Vec::new();
    for platform in platforms.iter().map(|name| platform(name)) {
        let bytes = manifest_of(&platform);
        let digest = registry.manifest(repo, &digest(&bytes), manifest_type, &bytes);
        let mut manifest = descriptor(manifest_type, digest, &bytes);
        manifest["platform"] = platform;
        manifests.push(manifest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": index_type, "manifests": manifests});
    registry.manifest(repo, tag, index_type, index.to_string().as_bytes())
}

fn descriptor(media_type: &str, digest: String, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Converts a platform such as `linux/arm/v7` to its JSON object in an index.
fn platform(name: &str) -> Value {
    let mut parts = name.split('/');
    let os = parts.next().unwrap();
    let mut platform = json!({"architecture": parts.next().expect("platform without an architecture"), "os": os});
    if let Some(variant) = parts.next() {
        platform["variant"] = json!(variant);
    }
    platform
}

/// An entry of a tar archive.
#[derive(Debug, Clone, Copy)]
pub enum Entry<'a> {
    /// A directory and its mode.
    Dir(u32),
    /// A file, its content and its mode.
    File(&'a [u8], u32),
    /// A symbolic link and its target.
    Link(&'a str),
    /// A hard link to an earlier path.
    HardLink(&'a str),
}

/// Creates an uncompressed tar archive. All entries are owned by root and have modification time 0.
pub fn tar_of(entries: &[(&str, Entry)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, entry) in entries {
        let (kind, mode, content, target) = match *entry {
            Entry::Dir(mode) => (EntryType::Directory, mode, &[][..], None),
            Entry::File(content, mode) => (EntryType::Regular, mode, content, None),
            Entry::Link(target) => (EntryType::Symlink, 0o777, &[][..], Some(target)),
            Entry::HardLink(target) => (EntryType::Link, 0o644, &[][..], Some(target)),
        };
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        match target {
            Some(target) => archive.append_link(&mut header, path, target).unwrap(),
            None => archive.append_data(&mut header, path, content).unwrap(),
        }
    }
    archive.into_inner().unwrap()
}

/// Sends a request and asserts the response status. Each header must end with CRLF. Returns the response's head and
/// body.
#[track_caller]
fn send_raw(registry: &FakeRegistry, request: &str, headers: &str, body: &[u8], status: u16) -> (String, Vec<u8>) {
    let mut stream = std::net::TcpStream::connect(&registry.host).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\n{headers}\r\n").as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap();
    let body = response.split_off(response.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4);
    let head = String::from_utf8(response).unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {head}{}", String::from_utf8_lossy(&body));
    (head, body)
}

/// Sends a request with a body and asserts the response status. Returns the response's `Location` header.
#[track_caller]
fn send(registry: &FakeRegistry, request: &str, media_type: &str, body: &[u8], status: u16) -> String {
    let headers = format!("Content-Type: {media_type}\r\nContent-Length: {}\r\n", body.len());
    location(&send_raw(registry, request, &headers, body, status).0)
}

fn location(head: &str) -> String {
    head.lines().find_map(|line| line.strip_prefix("Location: ")).unwrap_or_default().to_owned()
}

/// Uploads a blob in two chunks. Between them, sends invalid requests that the registry must reject.
fn upload(registry: &FakeRegistry, repo: &str, blob: &[u8]) {
    let start = send(registry, &format!("POST /v2/{repo}/blobs/uploads/?mount={}&from=no", digest(blob)), "", b"", 202);
    let (one, two) = blob.split_at(16);
    let body = [b"10\r\n", one, format!("\r\n{:x}\r\n", two.len()).as_bytes(), two, b"\r\n0\r\n\r\n"].concat();
    let (head, _) = send_raw(registry, &format!("PATCH {start}"), "Transfer-Encoding: chunked\r\n", &body, 202);
    let put = |location: &str| format!("PUT {location}&digest={}", digest(blob));
    send(registry, &put(&start), "", b"", 400);
    send(registry, &put(&location(&head)), "", b"more", 400);
    send(registry, &put(&location(&head)), "", b"", 201);
}

#[test]
fn fake_registry_mounts_and_stores_blobs() {
    let registry = FakeRegistry::storing();
    let layer = tar_of(&[
        ("bin", Entry::Dir(0o755)),
        ("bin/sh", Entry::File(b"#!", 0o755)),
        ("sh", Entry::Link("bin/sh")),
        ("ash", Entry::HardLink("bin/sh")),
    ]);
    for (docker, compression) in [(true, "none"), (true, "gzip"), (false, "gzip"), (false, "zstd")] {
        let style = BaseStyle { docker, index: true, compression };
        let top = base_image(&registry, "up/base", "1", &["linux/amd64", "linux/arm/v7"], &layer, style);
        let to = format!("oci/{docker}/{compression}");
        let (index_type, index) = registry.stored_manifest("up/base", "1").unwrap();
        send(&registry, &format!("PUT /v2/{to}/manifests/latest"), &index_type, &index, 400);
        for child in serde_json::from_slice::<Value>(&index).unwrap()["manifests"].as_array().unwrap() {
            let child = child["digest"].as_str().unwrap();
            let (media_type, bytes) = registry.stored_manifest("up/base", child).unwrap();
            let manifest: Value = serde_json::from_slice(&bytes).unwrap();
            let config = registry.stored_blob("up/base", manifest["config"]["digest"].as_str().unwrap()).unwrap();
            let layer = manifest["layers"][0]["digest"].as_str().unwrap();
            let put = format!("PUT /v2/{to}/manifests/{child}");
            send(&registry, &format!("POST /v2/{to}/blobs/uploads/?mount={layer}&from=up%2Fbase"), "", b"", 201);
            send(&registry, &put, &media_type, &bytes, 400);
            upload(&registry, &to, &config);
            send(&registry, &put, &media_type, &bytes, 201);
        }
        send(&registry, &format!("PUT /v2/{to}/manifests/latest"), &index_type, &index, 201);
        assert_eq!(registry.tags(&to), ["latest"]);
        let (head, body) = send_raw(&registry, &format!("GET /v2/{to}/manifests/{top}"), "", b"", 200);
        assert!(head.contains(&index_type) && head.contains(&format!("Docker-Content-Digest: {top}")), "{head}");
        assert_eq!(body, index);
    }
    assert_eq!(registry.uploads(), 8);
}

#[test]
fn fake_registry_hook_overrides_responses() {
    let registry = FakeRegistry::storing_with(|request, stored| match request.path.as_str() {
        "/v2/" => None,
        _ => Some((if stored.has_blob("a/b", &digest(b"x")) { 503 } else { 404 }, vec![], vec![])),
    });
    send(&registry, "GET /v2/", "", b"", 200);
    send(&registry, "HEAD /v2/a/b/blobs/x", "", b"", 404);
    registry.blob("a/b", b"x");
    send(&registry, "PUT /v2/a/b/manifests/1", "text/plain", b"body", 503);
    let last = registry.requests().pop().unwrap();
    assert_eq!((last.body.as_slice(), last.content_type.as_deref()), (&b"body"[..], Some("text/plain")));
}
