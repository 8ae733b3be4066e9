//! `verify` as a command: what it explains without an image, and what it does with several.

use serde_json::{Value, json};

use cargo_multiarch::finding::CHECKS;

use crate::support::Project;

#[test]
fn a_check_is_explained_by_code_and_by_name() {
    let explain = |code: &str| Project::empty().run(&["verify", "--explain", code]).finish();
    let explained = explain("ma010");
    assert!(explained.stdout.starts_with("MA010 wrong-machine\n\nA program that the container starts is for "));
    assert!(!explained.stdout.contains("MA011"), "{explained}");
    assert_eq!(explained.stdout, explain("wrong-machine").stdout);
    assert_eq!(explained.stderr, "");
    assert!(!explained.stdout.contains("\n#"), "{explained}");

    let all = Project::empty().run(&["verify", "--explain"]).finish().stdout;
    assert_eq!(all.lines().count(), CHECKS.len(), "{all}");
    for (line, check) in all.lines().zip(CHECKS) {
        assert!(line.starts_with(&format!("{}  {} ", check.code, check.name)), "{line}");
    }
    assert!(all.contains("MA010  wrong-machine         error    A program that the container starts is for another"));
    assert!(all.contains("  warning  "), "{all}");
}

#[test]
fn what_cannot_be_explained_is_no_command() {
    let refused = |args: &[&str], said: &str| drop(Project::empty().run(args).fails(2).finish().says(&[said]));
    refused(&["verify", "--explain", "MA009"], "there is no check 'MA009': did you mean MA00");
    refused(
        &["verify", "--explain", "nonsense"],
        "there is no check 'nonsense': `cargo multiarch verify --explain` lists",
    );
    refused(&["verify", "--explain", "MA010", "oci:x"], "cannot be used with");
    refused(&["verify"], "IMAGE");
}

#[test]
fn a_path_is_no_reference() {
    let project = Project::empty().file("target/app/oci/oci-layout", "{}").file("app.tar", "");
    for (path, transport) in [("target/app/oci", "oci:"), ("app.tar", "oci-archive:")] {
        let hint = format!("hint: say what it is: `cargo multiarch verify {transport}{path}`");
        project.run(&["verify", path]).fails(3).finish().says(&[&format!("error: {path} is a path here"), &hint]);
    }
}

/// An archive as `docker save` writes it, of one empty layer.
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
fn an_archives_layers_are_as_large_as_they_are_in_it() {
    let project = Project::empty();
    std::fs::write(project.path().join("app.tar"), docker_archive()).unwrap();
    let args = ["verify", "docker-archive:app.tar", "--max-size", "1KB", "--message-format", "json"];
    let verified = project.run(&args).finds(8).finish();
    let json: Value = serde_json::from_str(&verified.stdout).unwrap();
    let platform = &json["images"][0]["platforms"][0];
    let codes: Vec<&Value> = platform["findings"].as_array().unwrap().iter().map(|found| &found["code"]).collect();
    assert_eq!(codes, ["MA051", "MA073"], "{json:#}");
    assert!(platform["size"].as_u64().unwrap() > 1024, "{json:#}");
}

/// Docker's older archives have a layer that is there twice as a link, and name the files by digests.
#[test]
fn an_archives_links_may_stand_before_what_they_lead_to() {
    let archive = docker_archive();
    let mut with_link = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    with_link.append_link(&mut header, "layer.tar", "zzz/layer.tar").unwrap();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let place = if name == "layer.tar" { "zzz/layer.tar".to_owned() } else { name };
        let mut header = entry.header().clone();
        with_link.append_data(&mut header, place, entry).unwrap();
    }
    let project = Project::empty();
    std::fs::write(project.path().join("app.tar"), with_link.into_inner().unwrap()).unwrap();
    let verified = project.run(&["verify", "docker-archive:app.tar"]).finds(8).finish();
    assert!(verified.stderr.contains("MA051") && !verified.stderr.contains("MA08"), "{verified}");
}

/// What os-release says is shown, and clears no screen.
#[test]
fn what_an_image_says_does_not_steer_a_terminal() {
    let image = crate::corpus::image::Image::new("linux/amd64")
        .layer([crate::corpus::layer::text("etc/os-release", "PRETTY_NAME=\"\x1b]0;x\x07Own\x1b[2J\"\n")])
        .entrypoint(&["/\x1b[2J"]);
    let project = Project::empty();
    crate::corpus::image::Layout::from(image).write(project.path());
    let verified = project.run(&["verify", "oci:."]).finds(8).finish();
    assert!(verified.stdout.contains("Own"), "{verified}");
    assert!(!format!("{verified}").contains('\x1b'), "{verified:?}");
}

#[test]
fn a_platform_that_is_there_twice_is_marked() {
    use crate::corpus::image::{Image, Layout};
    let images = ["linux/amd64", "linux/arm64", "linux/arm64"].map(Image::new);
    let project = Project::empty();
    Layout::of(images).write(project.path());
    let verified = project.run(&["verify", "oci:."]).finds(8).finish();
    let marked = verified.stdout.lines().filter(|line| line.contains("MA002")).collect::<Vec<_>>();
    assert!(marked.len() == 2 && marked.iter().all(|line| line.contains("linux/arm64")), "{verified}");
}

#[test]
fn one_image_that_is_not_there_hides_no_other() {
    let project = Project::empty();
    std::fs::write(project.path().join("app.tar"), docker_archive()).unwrap();
    let verified = project.run(&["verify", "docker-archive:app.tar", "oci:gone", "oci-archive:app.tar"]).finds(8);
    let verified = verified.finish();
    assert!(verified.stdout.contains("MA051"), "{verified}");
    verified.says(&[
        "gone is no OCI image layout",
        "app.tar is no OCI image layout: it has no index.json",
        "docker-archive:app.tar failed 1 check",
        "--allow MA051",
    ]);
    // Nothing is left to be said of the ones that are there.
    project.run(&["verify", "oci:gone"]).fails(3).finish().says(&["gone is no OCI image layout"]);
    let allowed = ["verify", "docker-archive:app.tar", "oci:gone", "--allow", "MA051"];
    let allowed = project.run(&allowed).finds(3).finish();
    assert!(allowed.stdout.contains("linux/amd64"), "{allowed}");
}
