//! Writes OCI layouts and archives, and loads images into Docker.

use std::process::Command;

use serde_json::Value;

use crate::support::embedded;
use crate::support::{FakeRegistry, Fakes, HEALTHY_DOCKER, Project};

#[test]
#[ignore = "run by scripts/test"]
fn output_can_be_combined_with_a_push() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let args = [
        "publish",
        "--platform",
        "linux/amd64",
        "--output",
        "oci:out",
        "--output",
        "oci-archive:out.tar",
        "--registry",
    ];
    let finished = embedded(&project, &[&args[..], &[&registry.host]].concat()).finish();
    let digest = finished.stdout.trim().rsplit_once('@').unwrap().1.to_owned();
    let top: Value = serde_json::from_slice(&std::fs::read(project.path().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(top["manifests"][0]["digest"], digest.as_str());
    assert_eq!(top["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "app:1.2.3");
    let mut archive = tar::Archive::new(std::fs::File::open(project.path().join("out.tar")).unwrap());
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert!(names.contains(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))), "{names:?}");
    assert!(names.ends_with(&["index.json".to_owned(), "oci-layout".to_owned()]), "{names:?}");
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);

    // The digest is the same without a push. Building with another tag adds an image to the existing layout.
    let unpushed = embedded(&project, &["publish", "--push=false", "--platform", "linux/amd64"]).finish();
    assert_eq!(unpushed.stdout, format!("app:1.2.3@{digest}\n"));
    let built =
        embedded(&project, &["build", "--platform", "linux/amd64", "--tag", "two", "--output", "oci:out"]).finish();
    assert_eq!(built.stdout, format!("app:two@{digest}\n"));
    let top: Value = serde_json::from_slice(&std::fs::read(project.path().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(top["manifests"].as_array().unwrap().len(), 2);
    assert!(project.path().join("target/multiarch/app/oci/index.json").is_file());
}

#[test]
#[ignore = "run by scripts/test"]
fn output_layout_is_repaired_and_readable_by_all_users() {
    use std::os::unix::fs::PermissionsExt;
    let shared = Project::empty();
    let out = format!("oci:{}", shared.path().join("out").display());
    let archive = format!("oci-archive:{}", shared.path().join("out.tar").display());
    let args = ["build", "--platform", "linux/amd64", "--output", &out, "--output", &archive];
    let index =
        || -> Value { serde_json::from_slice(&std::fs::read(shared.path().join("out/index.json")).unwrap()).unwrap() };
    embedded(&Project::app(), &args).finish();
    // Incomplete blobs left by an interrupted run are replaced.
    let blobs = shared.path().join("out/blobs/sha256");
    for blob in std::fs::read_dir(&blobs).unwrap().flatten() {
        std::fs::write(blob.path(), "half").unwrap();
    }
    embedded(&Project::app(), &args).finish();
    for blob in std::fs::read_dir(&blobs).unwrap().flatten() {
        let name = format!("sha256:{}", blob.file_name().to_str().unwrap());
        assert_eq!(crate::support::fake_registry::digest(&std::fs::read(blob.path()).unwrap()), name);
        assert_eq!(blob.metadata().unwrap().permissions().mode() & 0o444, 0o444, "all users must be able to read it");
    }
    let archive = std::fs::metadata(shared.path().join("out.tar")).unwrap();
    assert_eq!(archive.permissions().mode() & 0o444, 0o444);
    assert_eq!(index()["manifests"].as_array().unwrap().len(), 1);
    // Building another package adds its image to the layout.
    let other = Project::empty()
        .file("Cargo.toml", "[package]\nname = \"other\"\nversion = \"1.2.3\"\nedition = \"2021\"\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"other\"\nversion = \"1.2.3\"\n")
        .file("src/main.rs", "fn main() {}\n");
    embedded(&other, &args).finish();
    let names: Vec<Value> = index()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].clone())
        .collect();
    assert_eq!(names, ["app:1.2.3", "other:1.2.3"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn load_selects_one_platform_and_prints_the_image_name() {
    let script = HEALTHY_DOCKER.replacen(
        "in\n",
        "in\n  \"version \"*) echo linux/arm64 ;;\n  \"load \"*) cp \"$4\" \"$LOADED\" ;;\n",
        1,
    );
    let docker = Fakes::new().program("docker", &script);
    let project = Project::app();
    let loaded = project.path().join("loaded.tar");
    let run = project.run(&["build", "--load", "--engine", "embedded", "--platform", "linux/amd64,linux/arm64"]);
    let finished = run.path_first(&docker).env("LOADED", &loaded).finish();
    assert_eq!(finished.stdout, "app:1.2.3\n", "a name that `docker run` accepts");
    let mut archive = tar::Archive::new(std::fs::File::open(loaded).unwrap());
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(names.filter(|name| name.starts_with("blobs/")).count(), 4, "two layers, a config, and a manifest");

    let script = HEALTHY_DOCKER.replacen(
        "in\n",
        "in\n  \"version \"*) echo linux/amd64 ;;\n  \"load \"*) echo > \"$LOADED\"; exec sleep 60 ;;\n",
        1,
    );
    let docker = Fakes::new().program("docker", &script);
    let mark = project.path().join("loading");
    let run = project.run(&["build", "--load", "--engine", "embedded", "--platform", "linux/amd64"]);
    let (mut command, _dirs) = run.path_first(&docker).env("LOADED", &mark).into_command();
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !mark.exists() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
}
