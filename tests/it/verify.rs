//! Tests for the `verify` command: explanations of checks, archives, and several images in one run.

use serde_json::{Value, json};

use crate::support::ready_made;
use crate::support::snapshot::snapshot;
use crate::support::{Project, Run};

#[test]
fn verify_explains_checks_by_code_and_name() {
    let explain = |code: &[&str]| Project::empty().run(&[&["verify", "--explain"], code].concat()).finish();
    let explained = explain(&["ma010"]);
    assert_eq!(explained.stdout, explain(&["wrong-machine"]).stdout);
    let all = explain(&[]);
    snapshot!(explained, all);
}

#[test]
fn verify_rejects_unknown_checks() {
    let rejected = |args: &[&str]| Project::empty().run(args).fails(2).finish();
    snapshot!(
        rejected(&["verify", "--explain", "MA009"]),
        rejected(&["verify", "--explain", "nonsense"]),
        rejected(&["verify", "--explain", "MA010", "oci:x"]),
        rejected(&["verify"]),
    );
}

#[test]
fn verify_suggests_a_transport_for_a_path() {
    let project = Project::empty().file("target/app/oci/oci-layout", "{}").file("app.tar", "");
    snapshot!(["target/app/oci", "app.tar"].map(|path| project.run(&["verify", path]).fails(3).finish()));
}

/// Creates a `docker save` archive with one empty layer.
fn docker_archive() -> Vec<u8> {
    let mut layer = Vec::new();
    tar::Builder::new(&mut layer).finish().unwrap();
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": { "Entrypoint": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))] },
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": ["app:1"], "Layers": ["layer.tar"] }]);
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("manifest.json", manifest.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn verify_measures_the_layers_of_an_archive() {
    let project = Project::empty();
    std::fs::write(project.path().join("app.tar"), docker_archive()).unwrap();
    let args = ["verify", "docker-archive:app.tar", "--max-size", "1KB", "--message-format", "json"];
    let verified = project.run(&args).finds(8).finish();
    let json: Value = serde_json::from_str(&verified.stdout).unwrap();
    let platform = &json["images"][0]["platforms"][0];
    let codes: Vec<&Value> = platform["findings"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, ["MA051", "MA073"], "{json:#}");
    assert!(platform["size"].as_u64().unwrap() > 1024, "{json:#}");
    snapshot!(verified);
}

/// If a layer occurs twice, archives from older Docker versions contain a symbolic link for the second one.
#[test]
fn verify_follows_links_in_an_archive() {
    let archive = docker_archive();
    let mut with_link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    with_link.append_link(&mut header, "layer.tar", "zzz/layer.tar").unwrap();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let path = if name == "layer.tar" { "zzz/layer.tar".to_owned() } else { name };
        let mut header = entry.header().clone();
        with_link.append_data(&mut header, path, entry).unwrap();
    }
    let project = Project::empty();
    std::fs::write(project.path().join("app.tar"), with_link.into_inner().unwrap()).unwrap();
    snapshot!(project.run(&["verify", "docker-archive:app.tar"]).finds(8).finish());
}

/// Text from an image, such as its os-release file, must not be able to control the terminal.
#[test]
fn verify_escapes_control_characters() {
    let image = crate::corpus::image::Image::new("linux/amd64")
        .layer([crate::corpus::layer::text("etc/os-release", "PRETTY_NAME=\"\x1b]0;x\x07Own\x1b[2J\"\n")])
        .entrypoint(&["/\x1b[2J"]);
    let project = Project::empty();
    crate::corpus::image::Layout::from(image).write(project.path());
    let verified = project.run(&["verify", "oci:."]).finds(8).finish();
    assert!(!format!("{verified}").contains('\x1b'), "{verified:?}");
    snapshot!(verified);
}

#[test]
fn verify_marks_duplicate_platforms() {
    use crate::corpus::image::{Image, Layout};
    let images = ["linux/amd64", "linux/arm64", "linux/arm64"].map(Image::new);
    let project = Project::empty();
    Layout::of(images).write(project.path());
    snapshot!(project.run(&["verify", "oci:."]).finds(8).finish());
}

#[test]
fn verify_continues_after_a_missing_image() {
    let project = Project::empty();
    std::fs::write(project.path().join("app.tar"), docker_archive()).unwrap();
    let verified = project.run(&["verify", "docker-archive:app.tar", "oci:gone", "oci-archive:app.tar"]).finds(8);
    // With MA051 allowed, the archive has no findings, so the missing image determines the exit code.
    let gone = project.run(&["verify", "oci:gone"]).fails(3);
    let allowed = project.run(&["verify", "docker-archive:app.tar", "oci:gone", "--allow", "MA051"]).finds(3);
    snapshot!([verified, gone, allowed].map(Run::finish));
}

/// Verifies a correct image, and one whose arm64 program is compiled for x86-64.
#[test]
fn verify_reports_good_and_broken_images() {
    use crate::corpus::image::{Image, Layout};
    use crate::corpus::layer::program;
    let image = |platform, machine| {
        let layer = [program("usr/local/bin/app", &ready_made::program(machine).into())];
        Image::new(platform).layer(layer).entrypoint(&["app"])
    };
    let project = Project::empty();
    for (name, arm64) in [("right", 183), ("wrong", 62)] {
        let layout = Layout::of([image("linux/amd64", 62), image("linux/arm64", arm64)]);
        layout.write(&project.path().join(name));
    }
    let verify = |name, format| project.run(&["verify", name, "--message-format", format]);
    snapshot!(
        verify("oci:right", "human").finish(),
        verify("oci:wrong", "human").finds(8).finish(),
        verify("oci:wrong", "json").finds(8).finish(),
    );
}
