//! Publishes the unmodified projects in examples/, and uses the resulting images on every platform.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::registry::{config, digest, machines};
use super::registry_tls::certificate;
use super::{base_image, docker_run, open_registry, reference, run};
use crate::support::{Finished, Project};

/// The platforms, with Rust's names for their architectures.
const PLATFORMS: [(&str, &str); 2] = [("linux/amd64", "x86_64"), ("linux/arm64", "aarch64")];

const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Publishes an example and returns its reference, such as `repository:tag@sha256:…`. All tests share the target
/// directory, so that dependencies are compiled only once.
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

/// A container that runs in the background. Removed on drop.
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

    /// Requests a path of `https://service.test` from the container and returns curl's output. curl trusts only the CA
    /// in `ca_dir`.
    fn request(&self, path: &str, ca_dir: &Path, more: &[&str]) -> String {
        let address = self.inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}");
        let (to, ca) = (format!("service.test:443:{address}:8443"), ca_dir.join("ca.pem").display().to_string());
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
    // Together with PLATFORMS, these are all the platforms in the example's configuration.
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
    // Makes the files readable by the image's user, who does not own them.
    run("chmod", &["-R", "a+rX", tls.path().to_str().unwrap()]);
    let mount = format!("{}:/tls:ro", tls.path().display());
    let options = ["--volume", &mount, "--env", "TLS_CERT=/tls/cert.pem", "--env", "TLS_KEY=/tls/key.pem"];
    // The service sends a request to itself, using the host name in its certificate.
    let upstream = ["--env", "UPSTREAM=https://service.test:8443/healthz", "--add-host", "service.test:127.0.0.1"];
    let options = [&options[..], &upstream, &["--health-interval", "1s"]].concat();
    let wait = ["--retry", "30", "--retry-delay", "1", "--retry-connrefused"];

    for (platform, architecture) in PLATFORMS {
        let container = Container::start(platform, &reference, &options);
        assert_eq!(container.request("/", tls.path(), &wait), format!("hello from linux-{architecture}"));
        // The service trusts only the CAs in the image, which do not include the test CA.
        let refused = container.request("/upstream", tls.path(), &["--write-out", " %{http_code}"]);
        assert!(refused.contains("UnknownIssuer") && refused.ends_with(" 502"), "{refused}");
        wait_until_healthy(&container);
        // The service is PID 1 in the container, so a signal stops it only if the service handles that signal.
        let start = Instant::now();
        run("docker", &["stop", "--time", "30", &container.0]);
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        assert_eq!(container.inspect("{{.State.ExitCode}} {{.Config.User}}"), "0 65532:65532");

        let ca_mount = format!("{}:{CA_BUNDLE}:ro", tls.path().join("ca.pem").display());
        let container = Container::start(platform, &reference, &[&options[..], &["--volume", &ca_mount]].concat());
        container.request("/", tls.path(), &wait);
        let answer = container.request("/upstream", tls.path(), &[]);
        assert_eq!(answer, "https://service.test:8443/healthz answers 200 OK");
    }
}

/// Waits until the image's health check passes.
fn wait_until_healthy(container: &Container) {
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
    // A volume gets its permissions from the image's directory, which each engine creates in a different way.
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
        // Each platform's container must read the data written by the other one.
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
    // Published through an address that does not count as a loopback address, so that the version is protected.
    let (_, port) = open_registry().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let (host, publish_to) = (format!("0.0.0.0:{port}"), format!("0.0.0.0:{port}/workspace"));
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workspace");
    let project = Project::empty();
    run("cp", &["-r", &format!("{example}/."), project.path().to_str().unwrap()]);
    let config = std::fs::read_to_string(project.path().join("multiarch.toml")).unwrap();
    let base = base_image("busybox:1", &PLATFORMS.map(|(platform, _)| platform));
    let original = "busybox:1.37";
    assert!(config.contains(original), "the example uses a different base image");
    let project = project.file("multiarch.toml", &config.replace(original, &base));

    // The registry may contain images of an earlier run.
    let args = ["publish", "--registry", &publish_to, "--insecure-registry", &host, "--message-format", "json"];
    let finished = project.run(&[&args[..], &["--allow-overwrite"]].concat()).finish();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let names: Vec<&str> =
        report["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["core", "worker", "ctl"], "images must be reported in configuration order");
    let image = |name: &str| format!("{registry}/{name}:0.3.0");
    for ((platform, architecture), machine) in PLATFORMS.into_iter().zip([62, 183]) {
        // Every program is built for the platform: the base's busybox and the image's binaries.
        for (name, programs) in [("core", 3), ("worker", 2), ("ctl", 1)] {
            assert_eq!(machines(&image(name), platform), ([machine].into(), programs), "{name} {platform}");
        }
        // The entrypoint script starts `core`, which reads a file and a variable. The image also contains `ctl`.
        let core = docker_run(platform, &image("core"), &[]);
        let level = if platform == "linux/arm64" { "debug" } else { "info" };
        assert_eq!(core, format!("starting core\ncore on {architecture}, level {level}: hello"));
        assert_eq!(docker_run(platform, &image("core"), &["ctl"]), format!("starting ctl\nctl on {architecture}"));
        let files = "starting stat\n65532:65532 644\n65532:65532 755\n0:0 644\n0:0 644";
        let stat = ["stat", "-c", "%u:%g %a", "/config/greeting.txt", "/data", CA_BUNDLE, "/usr/share/zoneinfo/UTC"];
        assert_eq!(docker_run(platform, &image("core"), &stat), files);
        // The template's RUN instruction ran for each platform.
        let worker = docker_run(platform, &image("worker"), &[]);
        assert_eq!(worker, format!("worker on {architecture}, built for {platform}"));
        assert_eq!(container_config(&image("worker"), platform)["User"], "worker");
        assert_eq!(docker_run(platform, &image("ctl"), &[]), format!("ctl on {architecture}"));
        assert_eq!(docker_run(platform, &image("ctl"), &["ctl"]), format!("ctl on {architecture}"));
    }
    // The kernel does not start `core` without its capability.
    let no_capabilities = ["run", "--rm", "--cap-drop", "ALL", "--platform", "linux/amd64", &image("core")];
    let refused = Command::new("docker").args(no_capabilities).output().unwrap();
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && stderr.to_lowercase().contains("operation not permitted"), "{stderr}");

    let core = container_config(&image("core"), "linux/arm64");
    assert_eq!(core["Labels"]["example.tier"], "backend");
    assert_eq!(core["ExposedPorts"], json!({ "9120/tcp": {} }));
    let base_digest = core["Labels"]["org.opencontainers.image.base.digest"].as_str().unwrap();
    assert_eq!(digest(&base).as_deref(), Some(base_digest));
    for name in names {
        let tags = ["0.3.0", "0.3", "latest"].map(|tag| digest(&format!("{registry}/{name}:{tag}")));
        assert!(tags[0].is_some() && tags.iter().all(|digest| *digest == tags[0]), "{name} {tags:?}");
    }
    assert_immutable(project, &args, &image("core"));
}

/// Checks that a version can be published again, but not with other contents.
fn assert_immutable(project: Project, args: &[&str], reference: &str) {
    let published = digest(reference);
    project.run(args).finish();
    assert_eq!(digest(reference), published);
    let project = project.file("config/greeting.txt", "changed\n");
    project.run(args).fails(7).finish().stderr_has(&["core:0.3.0", "--allow-overwrite"]);
    assert_eq!(digest(reference), published);
}

fn container_config(reference: &str, platform: &str) -> Value {
    config(reference, platform)["config"].clone()
}
