//! Remote buildx builders: the `remote` driver, and a builder with several nodes. Every node is a local TCP port that
//! forwards to the test Docker daemon's BuildKit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Command;

use super::registry::platforms;
use super::{open_registry, reference, run};
use crate::support::Project;

/// Starts a proxy to the Docker daemon's BuildKit and returns its address. After an HTTP upgrade, the daemon speaks
/// BuildKit's protocol.
fn buildkit() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    let socket = host.strip_prefix("unix://").expect("DOCKER_HOST must be a Unix socket").to_owned();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let daemon = UnixStream::connect(&socket).unwrap();
            std::thread::spawn(move || connect(client.unwrap(), daemon));
        }
    });
    format!("tcp://{address}")
}

fn connect(mut client: TcpStream, mut daemon: UnixStream) {
    let upgrade = "POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    daemon.write_all(upgrade.as_bytes()).unwrap();
    let (mut answer, mut byte) = (Vec::new(), [0]);
    while !answer.ends_with(b"\r\n\r\n") {
        daemon.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    let (mut from, mut to) = (daemon.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut client, &mut daemon);
    let _ = daemon.shutdown(Shutdown::Both);
}

/// A buildx builder. Removed on drop.
struct Builder(String);

impl Builder {
    /// Creates a builder. Each element of `nodes` lists the platforms of one node. An empty string keeps the defaults.
    fn new(name: &str, nodes: &[&str]) -> Builder {
        let builder = Builder(format!("multiarch-test-{name}-{}", std::process::id()));
        for (number, platforms) in nodes.iter().enumerate() {
            let node = format!("{}-{number}", builder.0);
            let mut args = vec!["buildx", "create", "--name", &builder.0, "--node", &node, "--driver", "remote"];
            args.extend((number > 0).then_some("--append"));
            args.extend((!platforms.is_empty()).then_some(["--platform", platforms]).into_iter().flatten());
            let address = buildkit();
            args.push(&address);
            run("docker", &args);
        }
        builder
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["buildx", "rm", &self.0]).output();
    }
}

fn project() -> Project {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    Project::with_config("template = 't.j2'\n").file("t.j2", template).file(".gitignore", "/target\n").committed()
}

#[test]
#[ignore = "run by scripts/test"]
fn buildx_builders_on_other_machines_give_the_same_digest() {
    let registry = format!("{}/builders", open_registry());
    let project = project();
    let publish = ["publish", "--engine", "buildx", "--registry", &registry, "-v"];
    let local = project.run(&publish).finish();
    let expected = reference(&local.stdout);
    let remote = Builder::new("remote", &[""]);
    let multi_node = Builder::new("multi-node", &["linux/arm64", "linux/amd64"]);
    for (builder, calls) in [(&remote, 1), (&multi_node, 2)] {
        let finished = project.run(&[&publish[..], &["--builder", &builder.0]].concat()).finish();
        assert_eq!(finished.stderr.matches("docker buildx build").count(), calls, "{finished}");
        assert_eq!(reference(&finished.stdout), expected, "{finished}");
    }
    let names: Vec<String> = platforms(&expected).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["linux/amd64", "linux/arm64"]);
    let doctor =
        project.run(&["doctor", "--engine", "buildx", "--registry", &registry, "--builder", &multi_node.0]).finish();
    let line = format!("'{}', driver remote, 2 nodes, platforms: linux/arm64", multi_node.0);
    assert!(doctor.stdout.contains(&line), "no '{line}' in {doctor}");
}
