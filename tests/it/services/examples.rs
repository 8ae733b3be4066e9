//! The folders of examples/, published as they are, and what was published put to use on every platform.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::registry::{config, digest, machines};
use super::registry_tls::certificate;
use super::{base_image, docker_run, open_registry, reference, run};
use crate::support::{Finished, Project};

/// The platforms, and how Rust calls their architectures.
const PLATFORMS: [(&str, &str); 2] = [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")];

/// A published example, `repository:tag@sha256:…`; its dependencies are compiled once for all runs and tests.
fn published(name: &str, more: &[&str]) -> (String, Finished) {
    let manifest = format!("{}/examples/{name}/Cargo.toml", env!("CARGO_MANIFEST_DIR"));
    let registry = format!("{}/examples", open_registry());
    let platforms = PLATFORMS.map(|(platform, _)| platform).join(",");
    let args = ["publish", "--manifest-path", &manifest, "--registry", &registry, "--platform", &platforms];
    let finished = Project::empty()
        .run(&[&args[..], more].concat())
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/examples"))
        .finish();
    (reference(&finished.stdout), finished)
}

/// A container in the background; gone when dropped.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rm", "--force", &self.0]).output();
    }
}

impl Container {
    fn start(platform: &str, reference: &str, options: &[&str]) -> Container {
        let first = ["run", "--detach", "--pull", "always", "--quiet", "--platform", platform];
        Container(run("docker", &[&first[..], options, &[reference]].concat()))
    }

    fn inspect(&self, format: &str) -> String {
        run("docker", &["inspect", "--format", format, &self.0])
    }

    /// What it answers as `https://service.test`, to somebody who trusts the CA of a folder.
    fn answer(&self, path: &str, folder: &Path, more: &[&str]) -> String {
        let address = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
        let (to, ca) = (format!("service.test:443:{address}:8443"), folder.join("ca.pem").display().to_string());
        let url = format!("https://service.test{path}");
        run("curl", &[&["-sS", "--noproxy", "*", "--cacert", &ca, "--connect-to", &to, &url], more].concat())
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn hello() {
    let (reference, _) = published("hello", &[]);
    for (platform, architecture) in PLATFORMS {
        assert_eq!(docker_run(platform, &reference, &[]), format!("hello from linux-{architecture}"));
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn service() {
    // All that it is configured for.
    let (reference, finished) = published("service", &["--platform", "linux/arm/v7,linux/riscv64"]);
    finished.stderr_has(&[
        "Ran service --version for linux/amd64, in Docker: service 0.1.0 on x86_64\n",
        "Ran service --version for linux/arm64, in Docker, under QEMU: service 0.1.0 on aarch64\n",
        "Ran service --version for linux/arm/v7, in Docker, under QEMU: service 0.1.0 on arm\n",
        "Ran service --version for linux/riscv64, in Docker, under QEMU: service 0.1.0 on riscv64\n",
        "Published service for 4 platforms, verified",
    ]);
    let tls = Project::empty();
    certificate(tls.path(), "DNS:service.test");
    // For the image's user, who is nobody here.
    run("chmod", &["-R", "a+rX", tls.path().to_str().unwrap()]);
    let mount = format!("{}:/tls:ro", tls.path().display());
    let options = ["--volume", &mount, "--env", "TLS_CERT=/tls/cert.pem", "--env", "TLS_KEY=/tls/key.pem"];
    // It asks itself, by the name that its certificate has.
    let asking = ["--env", "UPSTREAM=https://service.test:8443/healthz", "--add-host", "service.test:127.0.0.1"];
    let options = [&options[..], &asking, &["--health-interval", "1s"]].concat();
    let wait = ["--retry", "30", "--retry-delay", "1", "--retry-connrefused"];

    for (platform, architecture) in PLATFORMS {
        let container = Container::start(platform, &reference, &options);
        assert_eq!(container.answer("/", tls.path(), &wait), format!("hello from linux-{architecture}"));
        // It trusts those who are in the image, and the test's CA is not among them.
        let refused = container.answer("/upstream", tls.path(), &["--write-out", " %{http_code}"]);
        assert!(refused.contains("UnknownIssuer") && refused.ends_with(" 502"), "{refused}");
        healthy(&container);
        // It is the container's process 1, which nothing stops that it does not mind.
        let start = Instant::now();
        run("docker", &["stop", "--time", "30", &container.0]);
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        assert_eq!(container.inspect("{{.State.ExitCode}} {{.Config.User}}"), "0 65532:65532");

        let own = format!("{}:/etc/ssl/certs/ca-certificates.crt:ro", tls.path().join("ca.pem").display());
        let container = Container::start(platform, &reference, &[&options[..], &["--volume", &own]].concat());
        container.answer("/", tls.path(), &wait);
        let answer = container.answer("/upstream", tls.path(), &[]);
        assert_eq!(answer, "https://service.test:8443/healthz answers 200 OK");
    }
}

/// Waits until the image's own health check has passed.
fn healthy(container: &Container) {
    let start = Instant::now();
    loop {
        let health = container.inspect("{{json .State.Health}}");
        let state: Value = serde_json::from_str(&health).unwrap();
        if state["Status"] == "healthy" {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{health}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn sqlite() {
    // Who may write to the volume is in the image's folder, which each engine makes in its own way.
    for engine in ["buildx", "embedded"] {
        let (reference, finished) = published("sqlite", &["--engine", engine]);
        finished.stderr_has(&[
            "Ran notes check for linux/arm64, in Docker, under QEMU: SQLite 3.",
            " on aarch64 says 42\n",
        ]);
        let volume = format!("multiarch-notes-{engine}-{}", std::process::id());
        let notes = |platform: &str, args: &[&str]| {
            let mount = format!("{volume}:/data");
            let first = ["run", "--rm", "--network", "none", "--pull", "always", "--quiet", "--platform", platform];
            run("docker", &[&first[..], &["--volume", &mount, &reference], args].concat())
        };
        // What one has written, the other reads.
        notes("linux/amd64", &["add", "from amd64"]);
        notes("linux/arm64", &["add", "from arm64"]);
        let listed = PLATFORMS.map(|(platform, _)| notes(platform, &[]));
        run("docker", &["volume", "rm", &volume]);
        assert_eq!(listed, ["1 from amd64\n2 from arm64"; 2], "{engine}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn workspace() {
    let registry = format!("{}/workspace", open_registry());
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workspace");
    let project = Project::empty();
    run("cp", &["-r", &format!("{example}/."), project.path().to_str().unwrap()]);
    let config = std::fs::read_to_string(project.path().join("multiarch.toml")).unwrap();
    let base = base_image("busybox:1", &PLATFORMS.map(|(platform, _)| platform));
    let natural = "busybox:1.37";
    assert!(config.contains(natural), "the example's base has changed");
    let project = project.file("multiarch.toml", &config.replace(natural, &base));

    let args = ["publish", "--registry", &registry, "--message-format", "json"];
    let finished = project.run(&args).finish();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let names: Vec<&str> =
        report["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["core", "worker", "ctl"], "in the configuration's order");
    let image = |name: &str| format!("{registry}/{name}:0.3.0");
    for ((platform, architecture), machine) in PLATFORMS.into_iter().zip([62, 183]) {
        // Its own platform's programs and no others: the base's busybox, and the image's binaries.
        for (name, programs) in [("core", 3), ("worker", 2), ("ctl", 1)] {
            assert_eq!(machines(&image(name), platform), ([machine].into(), programs), "{name} {platform}");
        }
        // The entrypoint script starts `core`, which reads the file and the variable; `ctl` is beside it.
        let core = docker_run(platform, &image("core"), &[]);
        let level = if platform == "linux/arm64" { "debug" } else { "info" };
        assert_eq!(core, format!("starting core\ncore on {architecture}, level {level}: hello"));
        assert_eq!(docker_run(platform, &image("core"), &["ctl"]), format!("starting ctl\nctl on {architecture}"));
        // The commands of its template have run on each platform.
        let worker = docker_run(platform, &image("worker"), &[]);
        assert_eq!(worker, format!("worker on {architecture}, built for {platform}"));
        assert_eq!(container_config(&image("worker"), platform)["User"], "worker");
        assert_eq!(docker_run(platform, &image("ctl"), &[]), format!("ctl on {architecture}"));
    }
    let core = container_config(&image("core"), "linux/arm64");
    assert_eq!(core["Labels"]["example.tier"], "backend");
    assert_eq!(core["ExposedPorts"], json!({ "9120/tcp": {} }));
    let base_digest = core["Labels"]["org.opencontainers.image.base.digest"].as_str().unwrap();
    assert_eq!(digest(&base).as_deref(), Some(base_digest));
    for name in names {
        let tags = ["0.3.0", "0.3", "latest"].map(|tag| digest(&format!("{registry}/{name}:{tag}")));
        assert!(tags[0].is_some() && tags.iter().all(|digest| *digest == tags[0]), "{name} {tags:?}");
    }
}

fn container_config(reference: &str, platform: &str) -> Value {
    config(reference, platform)["config"].clone()
}
