//! Base images: pinned by digest, recorded in labels, and rejected before compiling if they are unavailable.

use super::registry::{config, digest, manifest};
use super::{base_image, open_registry, reference};
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn base_is_pinned_and_recorded() {
    let base = base_image("busybox:1", &["linux/amd64", "linux/arm64"]);
    let pin = digest(&base).unwrap();
    let registry = format!("{}/pinned", open_registry());
    // Refers to the base once by tag only, and once by tag and digest.
    for base in [base.clone(), format!("{base}@{pin}")] {
        let project = Project::with_config(&format!("base = '{base}'"));
        let published = reference(&project.run(&["publish", "--registry", &registry]).finish().stdout);
        let name = base.split('@').next().unwrap();
        let dockerfile = std::fs::read_to_string(project.path().join("target/multiarch/app/Dockerfile")).unwrap();
        for suffix in ["amd64", "arm64"] {
            let from = format!("FROM {name}@{pin} AS platform-linux-{suffix}\n");
            assert!(dockerfile.contains(&from), "{from}\n{dockerfile}");
            let labels = &config(&published, &format!("linux/{suffix}"))["config"]["Labels"];
            assert_eq!(labels["org.opencontainers.image.base.name"], name);
            assert_eq!(labels["org.opencontainers.image.base.digest"], pin);
        }
        let annotations = &manifest(&published)["annotations"];
        assert_eq!(annotations["org.opencontainers.image.base.name"], name);
        assert_eq!(annotations["org.opencontainers.image.base.digest"], pin);
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn base_without_a_platform_is_rejected() {
    let two = base_image("busybox:1", &["linux/amd64", "linux/arm64"]);
    let plain = base_image("amd64-only:1", &["linux/amd64"]);
    assert!(manifest(&plain)["config"].is_object(), "the base must be a plain manifest, not an index");
    let registry = format!("{}/missing-platform", open_registry());
    for (base, platform, has) in
        [(&two, "linux/riscv64", "linux/amd64, linux/arm64"), (&plain, "linux/arm64", "linux/amd64")]
    {
        let project = Project::with_config(&format!("base = '{base}'\nplatforms = ['linux/amd64', '{platform}']"));
        let finished = project.run(&["publish", "--registry", &registry]).fails(3).finish();
        finished.stderr_has(&[base.as_str(), platform, has]).stderr_lacks("Compiling");
        assert_eq!(digest(&format!("{registry}/app:latest")), None);
    }
    let missing = format!("{}/not-there:1", open_registry());
    let run = Project::with_config(&format!("base = '{missing}'")).run(&["publish", "--registry", &registry]).fails(7);
    run.finish().stderr_has(&[missing.as_str()]).stderr_lacks("Compiling");
}

#[test]
#[ignore = "run by scripts/test"]
fn dynamic_binary_on_scratch_is_rejected() {
    let registry = format!("{}/dynamic", open_registry());
    for (platform, interpreter) in
        [("linux/amd64", "/lib64/ld-linux-x86-64.so.2"), ("linux/arm64", "/lib/ld-linux-aarch64.so.1")]
    {
        let project = Project::with_config("libc = 'gnu'\nbase = 'scratch'");
        let args = ["publish", "--registry", &registry, "--platform", platform];
        let finished = project.run(&args).fails(8).finish();
        finished.stderr_has(&[interpreter]);
        assert_eq!(digest(&format!("{registry}/app:latest")), None);
    }
}
