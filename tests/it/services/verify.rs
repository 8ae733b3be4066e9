//! Compares the results of `verify` for one image in several forms: built by buildx or the embedded engine, copied to
//! other formats by skopeo, and with a rewritten OCI layout.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{base_image, open_registry, reference, run};
use crate::support::{PROGRAM, Project};

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

/// The configuration of an image whose entrypoint does not exist and whose user may not enter the working directory.
const BROKEN: &str = "entrypoint = ['gone']\nuser = '7:7'\nworkdir = '/srv/app'\nallow = ['MA051', 'MA052', 'MA043']\n\
                      files = [{ from = 'src', to = '/srv/app/src' }]\n";

/// Returns each platform's entry in the JSON output of `verify`, without digests and sizes.
fn verify(image: &str) -> Vec<Value> {
    let output = Command::new(PROGRAM).args(["verify", image, "--message-format", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(8), "{image}: {}", String::from_utf8_lossy(&output.stderr));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let images = json["images"].as_array().unwrap();
    assert_eq!((images.len(), images[0]["findings"].as_array().unwrap().len()), (1, 0), "{image}: {json:#}");
    let mut platforms = images[0]["platforms"].as_array().unwrap().clone();
    for platform in &mut platforms {
        // Digests and sizes differ between formats.
        for name in ["digest", "size"] {
            platform.as_object_mut().unwrap().remove(name);
        }
    }
    platforms.sort_by_key(|platform| platform["platform"].to_string());
    platforms
}

fn skopeo(args: &[&str]) {
    run("skopeo", &[&["copy", "--quiet", "--src-tls-verify=false", "--dest-tls-verify=false"], args].concat());
}

/// Rewrites a layout so that `index.json` lists the platforms directly, instead of one image index.
fn flatten_index(layout: &Path) {
    let read = |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let top = read(&layout.join("index.json"));
    let digest = top["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let index = read(&layout.join("blobs").join(digest));
    let entries: Vec<Value> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            json!({ "mediaType": entry["mediaType"], "digest": entry["digest"], "size": entry["size"], "platform": entry["platform"] })
        })
        .collect();
    let top = json!({ "schemaVersion": 2, "manifests": entries });
    std::fs::write(layout.join("index.json"), top.to_string()).unwrap();
}

#[test]
#[ignore = "run by scripts/test"]
fn verify_reports_the_same_for_every_engine_and_format() {
    let base = base_image("busybox:3", &["linux/amd64", "linux/arm64", "linux/riscv64"]);
    let project = Project::app().file("multiarch.toml", &format!("base = '{base}'\n{BROKEN}"));
    let published = ["embedded", "buildx"].map(|engine| {
        let registry = format!("{}/verified/{engine}", open_registry());
        let args = ["publish", "--engine", engine, "--registry", &registry, "--platform", &PLATFORMS.join(",")];
        reference(&project.run(&args).finish().stdout)
    });
    let expected = verify(&published[0]);
    let codes: Vec<&str> = expected
        .iter()
        .flat_map(|platform| platform["findings"].as_array().unwrap())
        .filter_map(|found| found["code"].as_str())
        .collect();
    assert_eq!(codes, ["MA051", "MA051"]);
    assert_eq!(expected.iter().map(|entry| &entry["platform"]).collect::<Vec<_>>(), PLATFORMS);
    assert_eq!(verify(&published[1]), expected, "buildx");

    let tag = published[0].split('@').next().unwrap();
    let from = format!("docker://{tag}");
    let copies = Project::empty();
    let path = |name: &str| copies.path().join(name).display().to_string();
    let docker_format = format!("{}/verified/docker-format:1", open_registry());
    skopeo(&["--all", "--format", "v2s2", &from, &format!("docker://{docker_format}")]);
    assert_eq!(verify(&docker_format), expected, "Docker's manifest format");
    for (to, image) in [
        (format!("oci:{}:app:1", path("layout")), format!("oci:{}", path("layout"))),
        (format!("oci-archive:{}:app:1", path("oci.tar")), format!("oci-archive:{}:app:1", path("oci.tar"))),
    ] {
        skopeo(&["--all", &from, &to]);
        assert_eq!(verify(&image), expected, "{image}");
    }
    flatten_index(&copies.path().join("layout"));
    assert_eq!(verify(&format!("oci:{}", path("layout"))), expected, "layout without an image index");

    // A docker-archive contains a single platform.
    for (platform, arch) in expected.iter().zip(["amd64", "arm64"]) {
        let file = path(&format!("{arch}.tar"));
        skopeo(&["--override-arch", arch, &from, &format!("docker-archive:{file}:app:1")]);
        assert_eq!(verify(&format!("docker-archive:{file}")), std::slice::from_ref(platform));
        run("gzip", &[&file]);
        assert_eq!(verify(&format!("docker-archive:{file}.gz")), std::slice::from_ref(platform), "compressed");
    }
}
