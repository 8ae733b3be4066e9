//! Reads images built by the embedded engine with other programs (skopeo, crane, buildx, Docker, Podman, and Buildah),
//! and validates them against the JSON schemas of the OCI image-spec.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{base_image, docker_run, open_registry, reference, run};
use crate::support::{Fakes, Project, find, service};

const PLATFORMS: &str = "linux/amd64,linux/arm64,linux/riscv64";

fn project() -> Project {
    Project::app().file("src/main.rs", "fn main() { println!(\"hello from {}\", std::env::consts::ARCH); }\n")
}

fn validate(layout: &Path) -> String {
    run(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/validate-layout"), &[layout.to_str().unwrap()])
}

#[test]
#[ignore = "run by scripts/test"]
fn skopeo_and_crane_read_a_pushed_image() {
    let base = base_image("busybox:3", &["linux/amd64", "linux/arm64", "linux/riscv64"]);
    for (name, more) in [("scratch", &[][..]), ("base", &["--base", &base])] {
        let registry = format!("{}/others/{name}", open_registry());
        let args = ["publish", "--engine", "embedded", "--registry", &registry, "--platform", PLATFORMS];
        let published = reference(&project().run(&[&args[..], more].concat()).finish().stdout);
        let tag = published.split('@').next().unwrap();
        let digest = published.split('@').nth(1).unwrap();

        let inspected = run("skopeo", &["inspect", "--tls-verify=false", &format!("docker://{tag}")]);
        let inspected: Value = serde_json::from_str(&inspected).unwrap();
        assert_eq!(inspected["Digest"], digest);
        let copies = Project::empty();
        let copy = copies.path().join("copy");
        let to = format!("oci:{}:copied", copy.display());
        run("skopeo", &["copy", "--quiet", "--all", "--src-tls-verify=false", &format!("docker://{tag}"), &to]);
        assert!(validate(&copy).contains(": valid, "));

        assert!(run("crane", &["validate", "--insecure", "--remote", tag]).contains("PASS"));
        assert_eq!(run("crane", &["digest", "--insecure", tag]), digest);
        let imagetools = run("docker", &["buildx", "imagetools", "inspect", tag]);
        assert!(imagetools.contains(digest) && imagetools.contains("linux/riscv64"), "{imagetools}");

        for (platform, architecture) in
            [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64"), ("linux/riscv64", "riscv64")]
        {
            assert_eq!(docker_run(platform, &published, &[]), format!("hello from {architecture}"));
        }
        let podman = Podman::new();
        podman.run("podman", &["pull", "--quiet", "--tls-verify=false", "--arch", "arm64", tag]);
        assert_eq!(podman.run("podman", &["image", "inspect", "--format", "{{.Architecture}}", tag]), "arm64");
        podman.run("buildah", &["pull", "--quiet", "--tls-verify=false", "--arch", "riscv64", tag]);
        assert_eq!(podman.run("podman", &["image", "inspect", "--format", "{{.Architecture}}", tag]), "riscv64");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn skopeo_and_docker_read_layouts_and_archives() {
    let base = base_image("busybox:3", &["linux/amd64", "linux/arm64", "linux/riscv64"]);
    for config in [
        "",
        &format!("base = '{base}'"),
        "compression = 'zstd'",
        "files = [{ from = 'src', to = '/src' }]\nworkdir = '/w'\nhealthcheck = { cmd = ['/usr/local/bin/app'] }",
    ] {
        let project = project().file("multiarch.toml", config);
        let args = [
            "build",
            "--engine",
            "embedded",
            "--platform",
            PLATFORMS,
            "--output",
            "oci:out",
            "--output",
            "oci-archive:out.tar",
        ];
        let built = reference(&project.run(&args).finish().stdout);
        let digest = built.split('@').nth(1).unwrap();
        let out = project.path().join("out");
        for layout in [&out, &project.path().join("target/multiarch/app/oci")] {
            assert!(validate(layout).contains(": valid, "), "{config}");
        }
        for transport in
            [format!("oci:{}:app:1.2.3", out.display()), format!("oci-archive:{}.tar:app:1.2.3", out.display())]
        {
            let raw = run("skopeo", &["inspect", "--raw", &transport]);
            let index: Value = serde_json::from_str(&raw).unwrap();
            assert_eq!(index["manifests"].as_array().unwrap().len(), 3, "{config}");
            assert_eq!(crate::support::fake_registry::digest(raw.as_bytes()), digest, "{config}");
            let copy = Project::empty();
            let to = format!("oci:{}:x", copy.path().join("x").display());
            run("skopeo", &["copy", "--quiet", "--all", &transport, &to]);
        }
        run(
            "crane",
            &["push", "--insecure", "--index", out.to_str().unwrap(), &format!("{}/others/crane:1", open_registry())],
        );
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn load_selects_the_platform_of_the_host() {
    let project = project().file("multiarch.toml", "registry = 'registry.example/loaded'");
    let load = ["build", "--engine", "embedded", "--platform", "linux/arm64,linux/amd64", "--load"];
    let expected = ["registry.example/loaded/app:1.2.3", "docker"];
    let name = "registry.example/loaded/app:latest";
    let daemons = [service("DOCKER_HOST"), service("MULTIARCH_TEST_CLASSIC_DOCKER_HOST")];
    for daemon in &daemons {
        project.run(&load).env("DOCKER_HOST", daemon).finish().stderr_has(&expected);
        let args = ["--host", daemon, "run", "--rm", "--network", "none", "--pull", "never", name];
        assert_eq!(run("docker", &args), "hello from x86_64");
    }

    let podman = Podman::new();
    let programs = ["cargo", "rustc", "git", "podman", "sh", "rust-lld", "cc"];
    let fakes = programs
        .iter()
        .filter(|program| find(program).is_some())
        .fold(Fakes::new(), |fakes, program| fakes.real(program));
    let run = project.run(&load).path_only(&fakes);
    let run = podman.variables().into_iter().fold(run, |run, (name, value)| run.env(name, value));
    run.finish().stderr_has(&["registry.example/loaded/app:1.2.3", "podman"]);
    assert_eq!(podman.run("podman", &["image", "inspect", "--format", "{{.Architecture}}", name]), "amd64");
}

/// A temporary image store for Podman and Buildah. It uses the vfs driver, because overlay file systems may not be
/// available in a container.
struct Podman(Project);

impl Podman {
    fn new() -> Podman {
        let store = Project::empty();
        let config = format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/store\"\nrunroot = \"{0}/run\"\n",
            store.path().display()
        );
        Podman(store.file("storage.conf", &config))
    }

    fn variables(&self) -> [(&'static str, String); 1] {
        [("CONTAINERS_STORAGE_CONF", self.0.path().join("storage.conf").display().to_string())]
    }

    #[track_caller]
    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = Command::new(program).args(args).envs(self.variables()).output().unwrap();
        assert!(output.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}
