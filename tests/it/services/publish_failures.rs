//! Failures of real daemons and registries: nothing is published, and the error tells the user what to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::registry::digest;
use super::{open_registry, run};
use crate::support::{PROGRAM, Project};

#[test]
#[ignore = "run by scripts/test"]
fn stopped_docker_daemon_is_reported() {
    let args = ["publish", "--engine", "buildx", "--registry", "r.example"];
    let run = Project::app().run(&args).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    run.fails(6)
        .finish()
        .stderr_has(&["unix:///nowhere/docker.sock", "sudo systemctl start docker"])
        .stderr_lacks("Compiling");
}

/// Runs the program as a temporary user. That user may not be able to read the Rust toolchain, so a fake cargo prints
/// recorded metadata.
pub fn as_another_user(args: &str) -> std::process::Output {
    let project = Project::app();
    let manifest = project.path().join("Cargo.toml");
    let metadata =
        run("cargo", &["metadata", "--no-deps", "--format-version=1", "--manifest-path", manifest.to_str().unwrap()]);
    let project = project
        .file("metadata.json", &metadata)
        .file("bin/cargo", "#!/bin/sh\ncat \"$(dirname \"$0\")/../metadata.json\"\n");
    let script = "chmod -R a+rX . && chmod +x bin/cargo && cp \"$PROGRAM\" bin/program && \
        useradd --system --user-group --no-create-home $USER && trap 'userdel $USER' EXIT && \
        setpriv --reuid=$USER --regid=$USER --clear-groups env HOME=\"$PWD\" PATH=\"$PWD/bin:$PATH\" bin/program $ARGS";
    std::process::Command::new("sh")
        .args(["-c", script])
        .env("PROGRAM", PROGRAM)
        .env("ARGS", args)
        .env("USER", format!("multiarch-{}", std::process::id()))
        .env_remove("CARGO")
        .current_dir(project.path())
        .output()
        .unwrap()
}

#[test]
#[ignore = "run by scripts/test"]
fn missing_permission_on_the_docker_socket_is_reported() {
    let output = as_another_user("publish --engine buildx --registry r.example");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("permission denied") && stderr.contains("usermod -aG docker"), "{stderr}");
}

#[test]
#[ignore = "run by scripts/test"]
fn classic_image_store_gets_a_builder_or_is_reported() {
    let host = crate::support::service("MULTIARCH_TEST_CLASSIC_DOCKER_HOST");
    let registry = format!("{}/classic", open_registry());
    let (mut command, _dirs) = Project::app()
        .run(&["publish", "--engine", "buildx", "--registry", &registry])
        .env("DOCKER_HOST", &host)
        .into_command();
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("'multiarch'"), "{stderr}");
    // This command succeeds if the builder's image can be pulled. Without network access, the error names that image.
    match output.status.code() {
        Some(0) => assert!(digest(&format!("{registry}/app:latest")).is_some()),
        code => {
            assert_eq!(code, Some(6), "{stderr}");
            assert!(stderr.contains("moby/buildkit"), "{stderr}");
            assert_eq!(digest(&format!("{registry}/app:latest")), None);
        }
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn ctrl_c_while_pushing_moves_no_tag() {
    let repository = "interrupted/app:latest";
    let project = Project::with_config("platforms = ['linux/amd64']");
    project.run(&["publish", "-q", "--registry", &format!("{}/interrupted", open_registry())]).finish();
    let earlier = digest(&format!("{}/{repository}", open_registry()));
    assert!(earlier.is_some());

    let slow = proxy(
        open_registry(),
        |sent| {
            // 200 kB/s
            std::thread::sleep(Duration::from_micros(5 * sent.len() as u64));
            sent
        },
        |answer| answer,
    );
    let project =
        project.file("multiarch.toml", "platforms = ['linux/amd64']\nfiles = [{ from = 'noise', to = '/noise' }]");
    // Random bytes do not compress, so uploading them at this speed takes more than a minute.
    let mut noise = Vec::new();
    std::fs::File::open("/dev/urandom").unwrap().take(20_000_000).read_to_end(&mut noise).unwrap();
    std::fs::write(project.path().join("noise"), noise).unwrap();
    let (mut command, _dirs) = project.run(&["publish", "--registry", &format!("{slow}/interrupted")]).into_command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let seen: Vec<String> = lines.by_ref().take_while(|line| !line.contains("Pushing")).collect();
    std::thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    run("kill", &["-INT", &child.id().to_string()]);
    let rest: Vec<String> = lines.collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{seen:?} {rest:?}");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert!(rest.iter().any(|line| line == "error: interrupted"), "{rest:?}");
    let mut stdout = String::new();
    child.stdout.unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(children_in(project.path()), [""; 0], "processes were left behind");
    assert_eq!(digest(&format!("{}/{repository}", open_registry())), earlier, "the tag was moved");
}

/// Returns the command lines of running buildx processes that use a directory.
fn children_in(dir: &Path) -> Vec<String> {
    let dir = dir.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains("buildx") && line.contains(dir)).collect()
}

#[test]
#[ignore = "run by scripts/test"]
fn registry_that_serves_modified_bytes_is_detected() {
    // The proxy changes the platform: first in all responses, then only in the image config.
    let everywhere: fn(&str) -> bool = |_| true;
    for (name, applies_to) in [("everywhere", everywhere), ("config", |answer| answer.contains("\"diff_ids\""))] {
        let change_platform = move |answer: Vec<u8>| match String::from_utf8_lossy(&answer) {
            text if applies_to(&text) => text.replace("\"arm64\"", "\"amd64\"").into_bytes(),
            _ => answer,
        };
        let host = proxy(open_registry(), |sent| sent, change_platform);
        let args = ["publish", "--registry", &format!("{host}/{name}"), "--platform", "linux/arm64"];
        let finished = Project::app().run(&args).fails(8).finish();
        finished.stderr_has(&[host.as_str()]);
    }
}

/// Starts a loopback proxy for a registry. `up` may modify requests, and `down` may modify responses. Returns its host
/// and port.
pub fn proxy(target: String, up: impl Change, down: impl Change) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (client_too, server_too) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(client_too, server_too, up));
            std::thread::spawn(move || pass(server, client, down));
        }
    });
    host
}

pub trait Change: Fn(Vec<u8>) -> Vec<u8> + Copy + Send + 'static {}
impl<F: Fn(Vec<u8>) -> Vec<u8> + Copy + Send + 'static> Change for F {}

fn pass(mut from: TcpStream, mut to: TcpStream, change: impl Change) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&change(buffer[..read].to_vec())).is_err() {
            return;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}
