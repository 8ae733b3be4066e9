//! Runs `doctor` with real daemons, registries, users, file systems, and kernels.

use std::process::Command;

use super::publish_failures::as_another_user;
use super::registry_tls::{Registry, Tls};
use super::{open_registry, run};
use crate::doctor::run_doctor;
use crate::support::{Finished, PROGRAM, Project, service};

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_no_problems() {
    let result = run_doctor(Project::app().run(&["doctor", "--engine", "buildx", "--registry", &open_registry()]), 0);
    for (subject, text) in [
        ("docker", "client version "),
        ("daemon", "running version "),
        ("builder", ", driver "),
        ("engine", "docker buildx: as requested"),
        ("clock", "in sync with 127.0.0.1:"),
    ] {
        result.finding("ok", subject, text);
    }
    result.finding("ok", "registry", "/app accepts pushes without credentials");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_a_stopped_daemon() {
    let run = Project::app().run(&["doctor", "--engine", "buildx"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let result = run_doctor(run, 6);
    result.finding_with_fix("error", "daemon", "unix:///nowhere/docker.sock", "sudo systemctl start docker");
    result.finding("ok", "docker", "client version ");
    result.finding("ok", "buildx", ".");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_missing_permission_on_the_socket() {
    let output = as_another_user("doctor --engine buildx");
    let status = output.status.code();
    let result = Finished::from(output);
    assert_eq!(status, Some(6), "{}\n{}", result.stdout, result.stderr);
    result.finding_with_fix("error", "daemon", "permission denied", "sudo usermod -aG docker $USER");
    result.finding("ok", "docker", "client version ");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_an_outdated_buildx() {
    // Docker prefers plugins in the user's configuration directory.
    let metadata = r#"{"SchemaVersion":"0.1.0","Vendor":"Docker Inc.","Version":"v0.9.1","ShortDescription":"Build"}"#;
    let home = Project::empty().file("cli-plugins/docker-buildx", &format!("#!/bin/sh\necho '{metadata}'\n"));
    run("chmod", &["+x", home.path().join("cli-plugins/docker-buildx").to_str().unwrap()]);
    let run = Project::app().run(&["doctor", "--engine", "buildx"]).env("DOCKER_CONFIG", home.path());
    let result = run_doctor(run, 6);
    result.finding_with_fix("error", "buildx", "buildx v0.9.1 is too old: 0.13 or later is required", "docker-buildx");
    result.finding("ok", "daemon", "running version ");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_the_classic_image_store() {
    let host = service("MULTIARCH_TEST_CLASSIC_DOCKER_HOST");
    let run = |args: &[&str]| {
        Project::app().run(&[&["doctor", "--engine", "buildx"], args].concat()).env("DOCKER_HOST", &host)
    };
    let before = run_doctor(run(&[]), 0);
    before.finding_with_fix(
        "warning",
        "image store",
        "classic Docker image store",
        "https://docs.docker.com/engine/storage/containerd/",
    );
    if before.stdout.contains("using 'multiarch', driver docker-container") {
        return;
    }
    before.finding_with_fix(
        "warning",
        "builder",
        "'multiarch' does not exist yet",
        "docker buildx create --name multiarch",
    );
    // The fix succeeds if the builder's image can be pulled, and fails without network access.
    let (mut command, _dirs) = run(&["--fix"]).into_command();
    let output = command.output().unwrap();
    let status = output.status;
    let fixed = Finished::from(output);
    if status.success() {
        fixed.finding("ok", "builder", "using 'multiarch', driver docker-container");
    } else {
        assert_eq!(status.code(), Some(6), "{}", fixed.stderr);
        assert!(fixed.stderr.contains("cannot create builder 'multiarch': BuildKit did not start"), "{}", fixed.stderr);
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_checks_credentials() {
    let registry = service("MULTIARCH_TEST_AUTH_REGISTRY");
    let doctor = |auth: Option<&str>, code| {
        let auths = auth.map(|auth| format!(r#""{registry}":{{"auth":"{auth}"}}"#)).unwrap_or_default();
        let home = Project::empty().file("config.json", &format!("{{\"auths\":{{{auths}}}}}"));
        let run = Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry]);
        run_doctor(run.env("DOCKER_CONFIG", home.path()), code)
    };
    // base64 of ci:secret-word and of ci:guess
    doctor(Some("Y2k6c2VjcmV0LXdvcmQ="), 0).finding("ok", "registry", "/app accepts pushes with the credentials from ");
    for (auth, reason) in [(Some("Y2k6Z3Vlc3M="), "/config.json"), (None, "requires credentials")] {
        let result = doctor(auth, 7);
        let message = format!("{reason} for {registry}/app (401");
        result.finding_with_fix("error", "registry", &message, &format!("`cargo multiarch login {registry}`"));
        result.lacks("guess");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_an_unknown_ca() {
    let registry = Registry::start(Tls::PrivateCa);
    let run = || Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry.host]);
    run_doctor(run(), 7).finding_with_fix("error", "registry", "certificate", "SSL_CERT_FILE=");
    let trusted = run_doctor(run().env("SSL_CERT_FILE", registry.dir.path().join("ca.pem")), 0);
    trusted.finding("ok", "registry", "/app accepts pushes");
    trusted.finding("ok", "clock", "in sync with ");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_an_expired_certificate() {
    // The hint suggests checking the clock, because valid certificates also look expired if the clock is far ahead.
    let registry = Registry::start(Tls::Expired);
    let run = Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry.host]);
    let result = run_doctor(run.env("SSL_CERT_FILE", registry.dir.path().join("ca.pem")), 7);
    result.finding_with_fix("error", "registry", "certificate", "check this machine's clock with `date -u`");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_a_registry_without_tls() {
    let registry = Registry::start(Tls::None);
    let run = Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry.host]);
    run_doctor(run, 7).finding_with_fix(
        "error",
        "registry",
        "cannot reach registry",
        &format!("`--insecure-registry {}`", registry.host),
    );
}

/// A binfmt_misc handler. Unregistered on drop.
struct Handler(&'static str);

impl Handler {
    fn register(name: &'static str, line: &str) -> Handler {
        std::fs::write("/proc/sys/fs/binfmt_misc/register", line).unwrap();
        Handler(name)
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = std::fs::write(format!("/proc/sys/fs/binfmt_misc/{}", self.0), "-1");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_checks_emulation_in_the_kernel() {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n";
    let config = "template = 't.j2'\nsmoke = []";
    let doctor = |platform, code| {
        run_doctor(Project::with_config(config).file("t.j2", template).run(&["doctor", "--platform", platform]), code)
    };
    let supported = doctor("linux/arm64", 0);
    supported.finding("ok", "emulation", "image 'app': RUN instructions work for linux/arm64");
    supported.finding("ok", "smoke run", "linux/arm64: in Docker, under QEMU");
    // No handler is registered for loong64.
    let missing = doctor("linux/loong64", 6);
    let install = "`docker run --privileged --rm tonistiigi/binfmt --install loong64`";
    missing.finding_with_fix("error", "emulation", "this machine cannot run programs for linux/loong64", install);
    assert!(
        missing.stderr.contains("doctor --fix` to apply these fixes: ") && missing.stderr.contains(install),
        "{}",
        missing.stderr
    );
    let line =
        r":qemu-loongarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x02\x01::/bin/true:";
    let _handler = Handler::register("qemu-loongarch64", line);
    doctor("linux/loong64", 6).finding("error", "emulation", "linux/loong64 (binfmt_misc handler lacks the F flag");
    std::fs::write("/proc/sys/fs/binfmt_misc/qemu-loongarch64", "0").unwrap();
    doctor("linux/loong64", 6).finding("error", "emulation", "linux/loong64 (binfmt_misc handler is disabled)");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_full_and_read_only_disks() {
    let project = Project::app();
    std::fs::create_dir(project.path().join("target")).unwrap();
    for (options, state, text) in [
        ("size=50m", "error", "MB free"),
        ("size=1g", "warning", "free"),
        ("ro", "error", "is on a read-only file system"),
    ] {
        let script = format!("mount -t tmpfs -o {options} tmpfs target && exec {PROGRAM} doctor --engine embedded");
        let output = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(project.path())
            .output()
            .unwrap();
        let status = output.status.code();
        let result = Finished::from(output);
        assert_eq!(status, Some(i32::from(state == "error")), "{result}");
        let fixes = result.finding(state, "disk", "target directory /");
        assert!(result.stdout.contains(text) && fixes.len() == 1, "{}", result.stdout);
    }
}
