//! What `doctor` finds of real daemons, registries, users, file systems and kernels.

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
        ("docker", "the client "),
        ("daemon", " answers"),
        ("builder", ", driver "),
        ("engine", "docker buildx: as asked for"),
        ("clock", "as 127.0.0.1:"),
    ] {
        result.finding("ok", subject, text);
    }
    result.finding("ok", "registry", "/app takes a push from anybody");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_a_stopped_daemon() {
    let run = Project::app().run(&["doctor", "--engine", "buildx"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let result = run_doctor(run, 6);
    result.finding_with_fix("error", "daemon", "unix:///nowhere/docker.sock", "sudo systemctl start docker");
    result.finding("ok", "docker", "the client ");
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
    result.finding("ok", "docker", "the client ");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_an_outdated_buildx() {
    // Docker looks for plugins in the user's folder first.
    let metadata = r#"{"SchemaVersion":"0.1.0","Vendor":"Docker Inc.","Version":"v0.9.1","ShortDescription":"Build"}"#;
    let home = Project::empty().file("cli-plugins/docker-buildx", &format!("#!/bin/sh\necho '{metadata}'\n"));
    run("chmod", &["+x", home.path().join("cli-plugins/docker-buildx").to_str().unwrap()]);
    let run = Project::app().run(&["doctor", "--engine", "buildx"]).env("DOCKER_CONFIG", home.path());
    let result = run_doctor(run, 6);
    result.finding_with_fix("error", "buildx", "buildx v0.9.1 is too old, wanted 0.13 or newer", "docker-buildx");
    result.finding("ok", "daemon", " answers");
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
        "Docker's classic one",
        "https://docs.docker.com/engine/storage/containerd/",
    );
    if before.stdout.contains("driver docker-container, is there for it") {
        return;
    }
    before.finding_with_fix(
        "warning",
        "builder",
        "'multiarch' is not there yet",
        "docker buildx create --name multiarch",
    );
    // Where the builder's image can be pulled this works; where there is no network it says so.
    let (mut command, _folders) = run(&["--fix"]).into_command();
    let output = command.output().unwrap();
    let status = output.status;
    let fixed = Finished::from(output);
    if status.success() {
        fixed.finding("ok", "builder", "driver docker-container, is there for it");
    } else {
        assert_eq!(status.code(), Some(6), "{}", fixed.stderr);
        assert!(fixed.stderr.contains("cannot create builder 'multiarch': no network"), "{}", fixed.stderr);
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_checks_credentials() {
    let registry = service("MULTIARCH_TEST_AUTH_REGISTRY");
    let with = |auth: Option<&str>, code| {
        let auths = auth.map(|auth| format!(r#""{registry}":{{"auth":"{auth}"}}"#)).unwrap_or_default();
        let home = Project::empty().file("config.json", &format!("{{\"auths\":{{{auths}}}}}"));
        let run = Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry]);
        run_doctor(run.env("DOCKER_CONFIG", home.path()), code)
    };
    // base64 of ci:secret-word and of ci:guess
    with(Some("Y2k6c2VjcmV0LXdvcmQ="), 0).finding("ok", "registry", "/app takes a push with your credentials");
    for (auth, said) in [(Some("Y2k6Z3Vlc3M="), "/app, and yours are not (401"), (None, "/app (401")] {
        let result = with(auth, 7);
        let said = format!("wants valid credentials for {registry}{said}");
        result.finding_with_fix("error", "registry", &said, &format!("`docker login {registry}`"));
        result.lacks("guess");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_an_unknown_ca() {
    let registry = Registry::start(Tls::OwnCa);
    let run = || Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry.host]);
    run_doctor(run(), 7).finding_with_fix("error", "registry", "certificate", "SSL_CERT_FILE=");
    let known = run_doctor(run().env("SSL_CERT_FILE", registry.folder.path().join("ca.pem")), 0);
    known.finding("ok", "registry", "/app takes a push");
    known.finding("ok", "clock", "as ");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_an_expired_certificate() {
    // As every one is for a clock that is far ahead.
    let registry = Registry::start(Tls::Expired);
    let run = Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry.host]);
    let result = run_doctor(run.env("SSL_CERT_FILE", registry.folder.path().join("ca.pem")), 7);
    result.finding_with_fix("error", "registry", "certificate", "is this machine's clock right? `date -u`");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_a_registry_without_tls() {
    let registry = Registry::start(Tls::None);
    let run = Project::app().run(&["doctor", "--engine", "embedded", "--registry", &registry.host]);
    run_doctor(run, 7).finding_with_fix(
        "error",
        "registry",
        "cannot be reached",
        &format!("`--insecure-registry {}`", registry.host),
    );
}

/// A handler of binfmt_misc that this test registers; gone when dropped.
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
fn doctor_finds_qemu_in_the_kernel() {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n";
    let config = "template = 't.j2'\nsmoke = []";
    let doctor = |platform, code| {
        run_doctor(Project::with_config(config).file("t.j2", template).run(&["doctor", "--platform", platform]), code)
    };
    let there = doctor("linux/arm64", 0);
    there.finding("ok", "emulation", "image 'app': its template has RUN, and programs for linux/arm64 run here");
    there.finding("ok", "smoke run", "linux/arm64: in Docker, under QEMU");
    // No handler is registered for this one.
    let missing = doctor("linux/loong64", 6);
    let install = "`docker run --privileged --rm tonistiigi/binfmt --install loong64`";
    missing.finding_with_fix("error", "emulation", "this machine cannot run programs for linux/loong64", install);
    assert!(missing.stderr.contains("doctor --fix` runs ") && missing.stderr.contains(install), "{}", missing.stderr);
    let line =
        r":qemu-loongarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x02\x01::/bin/true:";
    let _handler = Handler::register("qemu-loongarch64", line);
    doctor("linux/loong64", 6).finding("error", "emulation", "linux/loong64 (its handler lacks the flag F");
    std::fs::write("/proc/sys/fs/binfmt_misc/qemu-loongarch64", "0").unwrap();
    doctor("linux/loong64", 6).finding("error", "emulation", "linux/loong64 (its handler is disabled)");
}

#[test]
#[ignore = "run by scripts/test"]
fn doctor_finds_full_and_read_only_disks() {
    let project = Project::app();
    std::fs::create_dir(project.path().join("target")).unwrap();
    for (options, state, text) in [
        ("size=50m", "error", "MB left"),
        ("size=1g", "warning", "left"),
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
        let fixes = result.finding(state, "disk", "the target folder, ");
        assert!(result.stdout.contains(text) && fixes.len() == 1, "{}", result.stdout);
    }
}
