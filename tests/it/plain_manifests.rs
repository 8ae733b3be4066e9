//! Images without an index: tags that point to the manifest of the only platform.

use serde_json::{Value, json};

use crate::support::fake_registry::FakeRegistry;
use crate::support::snapshot::snapshot;
use crate::support::{Fakes, HEALTHY_DOCKER, Project, ready_made};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

const CONFIG: &str = "index = false\nplatforms = ['linux/arm64']\nannotations = { 'org.example.a' = '1' }\n\
    require-annotations = ['org.example.a']";

fn project(config: &str) -> Project {
    Project::with_config(config).file(".gitignore", "/target\n/out\n/out.tar\n/dist\n/list.md\n").committed()
}

#[test]
fn tag_points_to_the_manifest() {
    let registry = FakeRegistry::storing();
    let project = project(CONFIG);
    let args = ["publish", "--engine", "embedded", "--registry", &registry.host, "--tag", "1"];
    let args = [&args[..], &["--checklist", "list.md", "--message-format", "json"]].concat();
    let published = project.run(&args).path_only(&ready_made::tools()).finish();
    let (media_type, bytes) = registry.stored_manifest("app", "1").unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((media_type.as_str(), &manifest["mediaType"]), (MANIFEST, &json!(MANIFEST)));
    assert_eq!(manifest["annotations"]["org.example.a"], "1");
    assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "1.2.3");

    let digest = crate::support::fake_registry::digest(&bytes);
    let report: Value = serde_json::from_str(&published.stdout).unwrap();
    let image = &report["images"][0];
    assert_eq!((&image["index"], &image["digest"]), (&json!(false), &json!(digest)));
    assert_eq!(image["platforms"][0]["digest"], digest);
    let checklist = std::fs::read_to_string(project.path().join("list.md")).unwrap();
    assert!(checklist.contains("without an index"), "{checklist}");

    let reference = format!("{}/app:1", registry.host);
    let verify = |args: &[&str]| project.run(&[&["verify", &reference], args].concat());
    snapshot!(verify(&[]).finish(), verify(&["--require", "linux/amd64"]).finds(8).finish());
    let again = project.run(&["publish", "--engine", "embedded", "--registry", &registry.host, "--tag", "1"]);
    let again = again.path_only(&ready_made::tools()).finish();
    assert!(again.stdout.contains(&format!("{reference}@{digest}")), "{again}");
}

#[test]
fn outputs_and_bundles_contain_the_manifest() {
    let project = project(CONFIG);
    let run = |args: &[&str]| project.run(args).path_only(&ready_made::tools()).finish();
    run(&["compile", "--out", "dist"]);
    let bundle = ["build", "--engine", "embedded", "--artifacts", "dist", "--output", "oci:out"];
    let built = run(&[&bundle[..], &["--output", "oci-archive:out.tar"]].concat());
    let index: Value = serde_json::from_slice(&std::fs::read(project.path().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["mediaType"], MANIFEST);
    assert!(built.stdout.contains(index["manifests"][0]["digest"].as_str().unwrap()), "{built}");
    for image in ["oci:out", "oci-archive:out.tar", "oci:target/multiarch/app/oci"] {
        let verified = project.run(&["verify", image, "--message-format", "json"]).finish();
        let report: Value = serde_json::from_str(&verified.stdout).unwrap();
        assert_eq!(report["images"][0]["index"], false, "{verified}");
        assert_eq!(report["images"][0]["platforms"][0]["platform"], "linux/arm64", "{verified}");
    }
}

#[test]
fn manifest_is_loaded_into_docker() {
    let script = HEALTHY_DOCKER.replacen("in\n", "in\n  \"version \"*) echo linux/arm64 ;;\n  \"load \"*) ;;\n", 1);
    let docker = Fakes::new().program("docker", &script);
    let args = ["build", "--engine", "embedded", "--load"];
    let loaded = project(CONFIG).run(&args).path_only(&ready_made::tools()).path_first(&docker).finish();
    loaded.stderr_has(&["Loaded", "for linux/arm64 into docker"]);
}

#[test]
fn buildx_builds_a_manifest() {
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    let plan = project(CONFIG).run(&["plan", "-v", "--engine", "buildx"]).path_first(&docker).finish();
    let command = plan.stderr.lines().find(|line| line.contains("docker buildx build")).unwrap();
    assert!(!command.contains("MULTI_PLATFORM") && !command.contains("index:"), "{command}");
    assert!(command.contains("--annotation manifest:org.example.a=1"), "{command}");
    assert!(plan.stdout.starts_with("app 1.2.3, without an index\n"), "{plan}");
}

#[test]
fn image_without_an_index_has_one_platform_and_no_attestations() {
    let refused = [
        "index = false",
        "index = false\nplatforms = ['linux/arm64']\nannotations = { 'index:a' = '1' }",
        "index = false\nplatforms = ['linux/arm64']\nprovenance = 'mode=max'",
        "index = false\nplatforms = ['linux/arm64']\nsbom = 'true'",
        "index = false\nplatforms = ['linux/arm64']\nbuildx-args = ['--pull', '--attest', 'type=sbom']",
        "index = false\nplatforms = ['linux/arm64']\nbuildx-args = ['--provenance=mode=max']",
        "[platform.'linux/arm64']\nindex = false",
    ]
    .map(|config| Project::with_config(config).run(&["plan"]).fails(3).finish());
    snapshot!(refused);
    let config = "index = false\nplatforms = ['linux/arm64']\nprovenance = 'false'\nsbom = 'false'";
    Project::with_config(config).run(&["plan"]).finish();
}
