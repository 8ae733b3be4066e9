//! What real parts do when they fail: nothing is published, and the message says what to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::registry::digest;
use super::{open_registry, run};
use crate::support::{PROGRAM, Project};

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn a_base_of_another_platform() {
    let base = format!("{}/amd64-only:1", open_registry());
    run(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/base-image"), &[&base, "linux/amd64"]);
    let registry = format!("{}/lacking", open_registry());
    let finished =
        Project::with_config(&format!("base = '{base}'")).run(&["publish", "--registry", &registry]).fails(3).finish();
    finished
        .says(&[&format!("base {base} has no linux/arm64"), "hint: it has linux/amd64"])
        .keeps_quiet_about("Compiling");
    assert_eq!(digest(&format!("{registry}/app:latest")), None);

    let missing = format!("{}/not-there:1", open_registry());
    let run = Project::with_config(&format!("base = '{missing}'")).run(&["publish", "--registry", &registry]).fails(7);
    run.finish().says(&[&format!("{missing} does not exist")]).keeps_quiet_about("Compiling");
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn a_stopped_daemon() {
    let run =
        Project::app().run(&["publish", "--registry", "r.example"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    run.fails(6)
        .finish()
        .says(&["unix:///nowhere/docker.sock", "sudo systemctl start docker"])
        .keeps_quiet_about("Compiling");
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn no_permission_on_the_socket() {
    // As `nobody`, whom every machine has. The toolchain may be where only this user can read: cargo's answer is canned.
    let project = Project::app();
    let manifest = project.path().join("Cargo.toml");
    let metadata =
        run("cargo", &["metadata", "--no-deps", "--format-version=1", "--manifest-path", manifest.to_str().unwrap()]);
    let project = project
        .file("metadata.json", &metadata)
        .file("bin/cargo", "#!/bin/sh\ncat \"$(dirname \"$0\")/../metadata.json\"\n");
    let script = "chmod -R a+rX . && chmod +x bin/cargo && cp \"$PROGRAM\" bin/program && \
        exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=\"$PWD\" PATH=\"$PWD/bin:$PATH\" \
        bin/program publish --registry r.example";
    let output = std::process::Command::new("sh")
        .args(["-c", script])
        .env("PROGRAM", PROGRAM)
        .env_remove("CARGO")
        .current_dir(project.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{stderr}");
    assert!(stderr.contains("permission denied") && stderr.contains("usermod -aG docker"), "{stderr}");
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn the_classic_image_store() {
    let host = crate::support::service("MULTIARCH_TEST_CLASSIC_DOCKER_HOST");
    let registry = format!("{}/classic", open_registry());
    let (mut command, _dirs) =
        Project::app().run(&["publish", "--registry", &registry]).env("DOCKER_HOST", &host).into_command();
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("Creating builder 'multiarch'"), "{stderr}");
    // Where the builder's image can be pulled this works; where there is no network it says so.
    match output.status.code() {
        Some(0) => assert!(digest(&format!("{registry}/app:latest")).is_some()),
        code => {
            assert_eq!(code, Some(6), "{stderr}");
            assert!(stderr.contains("cannot create builder 'multiarch': no network"), "{stderr}");
            assert_eq!(digest(&format!("{registry}/app:latest")), None);
        }
    }
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn ctrl_c_while_pushing() {
    let slow = slow_proxy(open_registry());
    let registry = format!("{slow}/interrupted");
    let noise: Vec<u8> = (0..40_000_000u64).map(|n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as u8).collect();
    let project = Project::with_config("files = [{ from = 'noise', to = '/noise' }]\nplatforms = ['linux/amd64']");
    std::fs::write(project.path().join("noise"), noise).unwrap();
    let (mut command, _dirs) = project.run(&["publish", "--registry", &registry]).into_command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let seen: Vec<String> = lines.by_ref().take_while(|line| !line.contains("Pushing")).collect();
    std::thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    run("kill", &["-INT", &child.id().to_string()]);
    let rest: Vec<String> = lines.collect();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130), "{seen:?} {rest:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(rest.iter().any(|line| line == "error: interrupted"), "{rest:?}");
    let mut stdout = String::new();
    child.stdout.unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(digest(&format!("{}/interrupted/app:latest", open_registry())), None, "the tag has moved");
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn a_registry_that_serves_something_else() {
    // The lie: every manifest is read back as one of another platform.
    let liar = proxy(open_registry(), |answer| {
        String::from_utf8_lossy(&answer).replace("\"arm64\"", "\"amd64\"").into_bytes()
    });
    let args = ["publish", "--registry", &format!("{liar}/lie"), "--platform", "linux/arm64"];
    let (mut command, _dirs) = Project::app().run(&args).into_command();
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.contains(&format!("registry {liar} serves other bytes than those of")), "{stderr}");
}

/// A proxy in front of a registry that lets uploads pass at about 200 kB/s; its host and port.
fn slow_proxy(target: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut { server }, &mut { client }));
            std::thread::spawn(move || {
                let mut buffer = [0; 20_000];
                while let Ok(read @ 1..) = up.read(&mut buffer) {
                    if down.write_all(&buffer[..read]).is_err() {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(if read == buffer.len() { 100 } else { 0 }));
                }
            });
        }
    });
    host
}

/// A proxy that changes the bytes of what the registry answers, where they are manifests.
fn proxy(target: String, change: impl Fn(Vec<u8>) -> Vec<u8> + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (mut up, mut down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut up, &mut down));
            std::thread::spawn(move || {
                let (mut server, mut client) = (server, client);
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = server.read(&mut buffer) {
                    if client.write_all(&change(buffer[..read].to_vec())).is_err() {
                        return;
                    }
                }
            });
        }
    });
    host
}
