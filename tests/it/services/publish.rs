//! Checks the images that `publish` pushes, and the output that it prints.

use serde_json::Value;

use super::registry::{config, digest, machines, manifest, platform_manifest, platforms};
use super::{docker_run, open_registry, reference, run};
use crate::support::{Project, service};

/// Creates a committed `app` with a license, a description, and a repository, which become annotations.
fn project() -> Project {
    let manifest = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\nlicense = \"MIT\"\ndescription = \"says hello\"\nrepository = \"https://forge.example/me/app\"\n";
    Project::app()
        .file("Cargo.toml", manifest)
        .file("src/main.rs", "fn main() { println!(\"hello from {}\", std::env::consts::ARCH); }\n")
        .file(".gitignore", "/target\n")
        .committed()
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_pushes_one_tag_for_three_platforms() {
    let registry = format!("{}/three", open_registry());
    let project = project();
    let args = ["publish", "--registry", &registry, "--platform", "linux/amd64,linux/arm64,linux/riscv64"];
    let first = reference(&project.run(&args).finish().stdout);
    assert!(first.starts_with(&format!("{registry}/app:1.2.3@sha256:")), "{first}");

    let names: Vec<String> = platforms(&first).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64", "linux/riscv64"]);
    for (platform, architecture) in
        [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64"), ("linux/riscv64", "riscv64")]
    {
        assert_eq!(docker_run(platform, &first, &[]), format!("hello from {architecture}"));
    }
    let index = manifest(&first);
    assert_eq!(index["mediaType"], "application/vnd.oci.image.index.v1+json");
    for (platform, machine) in [("linux/amd64", 62), ("linux/arm64", 183), ("linux/riscv64", 243)] {
        let manifest = platform_manifest(&first, platform);
        assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
        assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.image.config.v1+json");
        for layer in manifest["layers"].as_array().unwrap() {
            assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
        }
        assert_eq!(machines(&first, platform), ([machine].into(), 1), "{platform}");
    }
    let annotations = &index["annotations"];
    assert_eq!(annotations["org.opencontainers.image.description"], "says hello");
    assert_eq!(annotations["org.opencontainers.image.licenses"], "MIT");
    assert_eq!(annotations["org.opencontainers.image.title"], "app");
    assert_eq!(annotations["org.opencontainers.image.version"], "1.2.3");
    assert_eq!(annotations["org.opencontainers.image.source"], "https://forge.example/me/app");
    let head = run("git", &["-C", project.path().to_str().unwrap(), "rev-parse", "HEAD"]);
    assert_eq!(annotations["org.opencontainers.image.revision"], head);
    assert_eq!(config(&first, "linux/riscv64")["config"]["User"], "65532:65532");
    assert_eq!(digest(&format!("{registry}/app:latest")), digest(&format!("{registry}/app:1.2.3")));

    let again = reference(&project.run(&args).finish().stdout);
    assert_eq!(first, again, "the same commit must have the same digest");
    let other_checkout = self::project();
    let other = reference(&other_checkout.run(&args).finish().stdout);
    assert_eq!(first, other, "another checkout of the same commit must have the same digest");
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_pushes_an_index_for_one_platform() {
    let registry = format!("{}/one", open_registry());
    let finished = project().run(&["publish", "-q", "--registry", &registry, "--platform", "linux/arm64"]).finish();
    assert_eq!(finished.stderr, "", "-q must print only the result");
    assert_eq!(platforms(&reference(&finished.stdout)).len(), 1);
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_supports_several_registries_and_tags() {
    let (a, b) = (format!("{}/several", open_registry()), service("MULTIARCH_TEST_AUTH_REGISTRY"));
    let project = project();
    // base64 of ci:secret-word
    let login = serde_json::json!({ "auths": { b.as_str(): { "auth": "Y2k6c2VjcmV0LXdvcmQ=" } } }).to_string();
    let docker = Project::empty().file("config.json", &login);
    let args =
        ["publish", "--registry", &a, "--registry", &b, "--tag", "{{major}},v{{version}}", "--message-format", "json"];
    let files = ["--refs-file", "refs", "--digests-file", "digests", "--platform", "linux/amd64,linux/amd64/v3"];
    let finished = project.run(&[&args[..], &files].concat()).env("DOCKER_CONFIG", docker.path()).finish();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let image = &report["images"][0];
    let expected = image["digest"].as_str().unwrap();
    for reference in [format!("{a}/app:1"), format!("{a}/app:v1.2.3"), format!("{b}/app:1"), format!("{b}/app:v1.2.3")]
    {
        assert_eq!(digest(&reference).as_deref(), Some(expected), "{reference}");
    }
    let served = platforms(&format!("{b}/app:1"));
    let reported: Vec<(String, String)> = image["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|platform| {
            (platform["platform"].as_str().unwrap().to_owned(), platform["digest"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(served, reported);
    assert_eq!(reported[1].0, "linux/amd64/v3");
    assert_eq!(report["version"], 1);
    assert_eq!(image["platforms"][0]["binaries"][0]["interpreter"], Value::Null);
    let read = |name: &str| std::fs::read_to_string(project.path().join(name)).unwrap();
    assert_eq!(read("refs"), format!("{a}/app:1@{expected}\n{b}/app:1@{expected}\n"));
    let hex = expected.trim_start_matches("sha256:");
    assert_eq!(read("digests"), format!("{hex}  {a}/app\n{hex}  {b}/app\n"));
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_attaches_provenance_if_requested() {
    let registry = format!("{}/provenance", open_registry());
    let args = ["publish", "--registry", &registry, "--platform", "linux/amd64,linux/arm64", "--provenance=mode=max"];
    let published = reference(&project().run(&args).finish().stdout);
    let names: Vec<String> = platforms(&published).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64", "unknown/unknown", "unknown/unknown"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn build_writes_the_layout_that_publish_pushes() {
    let project = project();
    let built = reference(&project.run(&["build", "--platform", "linux/amd64,linux/arm64"]).finish().stdout);
    let layout = project.path().join("target/multiarch/app/oci");
    assert!(layout.join("oci-layout").is_file() && layout.join("index.json").is_file());
    let registry = format!("{}/layout", open_registry());
    let published = reference(&project.run(&["publish", "--registry", &registry]).finish().stdout);
    assert_eq!(built.split('@').nth(1), published.split('@').nth(1));
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_detects_a_change_that_keeps_the_file_size() {
    // BuildKit assumes that a file with the same size and modification time is unchanged.
    let registry = format!("{}/sizes", open_registry());
    let project = Project::with_config("files = [{ from = 'word', to = '/word' }]\nplatforms = ['linux/amd64']");
    for word in ["tick", "tock"] {
        let main = "fn main() { println!(\"WORD {}\", std::fs::read_to_string(\"/word\").unwrap()); }\n";
        std::fs::write(project.path().join("src/main.rs"), main.replace("WORD", word)).unwrap();
        std::fs::write(project.path().join("word"), word).unwrap();
        let published = project.run(&["publish", "--engine", "buildx", "--registry", &registry]).finish();
        assert_eq!(docker_run("linux/amd64", &reference(&published.stdout), &[]), format!("{word} {word}"));
    }
}
