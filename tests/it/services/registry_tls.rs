//! Registries on a non-loopback address: HTTPS with a private CA, and plain HTTP.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::run;
use crate::support::Project;

/// A registry on a network address of this machine. Stopped on drop.
pub struct Registry {
    child: Child,
    pub host: String,
    pub dir: Project,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The TLS configuration of a test registry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// Plain HTTP.
    None,
    /// A valid certificate, signed by a private CA.
    PrivateCa,
    /// An expired certificate, signed by a private CA.
    Expired,
}

impl Registry {
    pub fn start(tls: Tls) -> Registry {
        // Connecting a UDP socket sends no packet, but makes the kernel choose a local address.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("192.0.2.1:9").expect("this machine has no network address besides loopback");
        let address = socket.local_addr().unwrap().ip();
        let port = std::net::TcpListener::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let host = format!("{address}:{port}");
        let dir = Project::empty();
        let path = |name: &str| dir.path().join(name).display().to_string();
        let mut config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp:\n  addr: \"{host}\"\n",
            path("storage")
        );
        if tls != Tls::None {
            let name = format!("IP:{address}");
            certificate(dir.path(), &name);
            let (key, certificate) = (path("key.pem"), path("cert.pem"));
            if tls == Tls::Expired {
                let ca_dir = dir.path().display();
                let ca = format!(
                    "[ca]\ndefault_ca = test_ca\n[test_ca]\ndatabase = {ca_dir}/index.txt\nnew_certs_dir = {ca_dir}\nrand_serial = yes\n\
                     default_md = sha256\npolicy = any\ncopy_extensions = copy\n[any]\ncommonName = supplied\n"
                );
                std::fs::write(path("ca.conf"), ca).unwrap();
                std::fs::write(path("index.txt"), "").unwrap();
                let request = ["req", "-new", "-key", &key, "-out", &path("request.pem")];
                run("openssl", &[&request[..], &subject(&alternative(&name))].concat());
                let ca = ["ca", "-batch", "-notext", "-config", &path("ca.conf"), "-cert", &path("ca.pem")];
                let dates = ["-keyfile", &path("ca.key"), "-startdate", "200101000000Z", "-enddate", "200201000000Z"];
                run("openssl", &[&ca[..], &dates, &["-in", &path("request.pem"), "-out", &certificate]].concat());
            }
            config.push_str(&format!("  tls: {{ certificate: {certificate}, key: {key} }}\n"));
        }
        let dir = dir.file("config.yml", &config);
        let child = Command::new("docker-registry")
            .args(["serve", dir.path().join("config.yml").to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Registry { child, host, dir };
        let start = Instant::now();
        while std::net::TcpStream::connect(&registry.host).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "docker-registry did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        registry
    }
}

/// Creates a private CA (ca.pem, ca.key) in `dir`, and a certificate (cert.pem, key.pem) for `IP:…` or `DNS:…` that is
/// signed by the CA.
pub fn certificate(dir: &Path, name: &str) {
    let path = |name: &str| dir.join(name).display().to_string();
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
    let ca = ["-subj", "/CN=the CA", "-keyout", &path("ca.key"), "-out", &path("ca.pem")];
    run("openssl", &[&new[..], &ca].concat());
    let (key, certificate) = (path("key.pem"), path("cert.pem"));
    let signed = ["-CA", &path("ca.pem"), "-CAkey", &path("ca.key"), "-keyout", &key, "-out", &certificate];
    run("openssl", &[&new[..], &signed, &subject(&alternative(name))].concat());
}

fn alternative(name: &str) -> String {
    format!("subjectAltName={name}")
}

fn subject(alternative: &str) -> [&str; 6] {
    ["-subj", "/CN=test", "-addext", alternative, "-addext", "basicConstraints=critical,CA:FALSE"]
}

const ARGS: [&str; 5] = ["publish", "--engine", "embedded", "--platform", "linux/amd64"];

#[test]
#[ignore = "run by scripts/test"]
fn registry_with_a_private_ca_needs_ssl_cert_file() {
    let registry = Registry::start(Tls::PrivateCa);
    let args = [&ARGS[..], &["--registry", &registry.host]].concat();
    let refused = Project::app().run(&args).fails(7).finish();
    refused.stderr_has(&["certificate", "SSL_CERT_FILE="]).stderr_lacks("Compiling");
    Project::app().run(&args).env("SSL_CERT_FILE", registry.dir.path().join("ca.pem")).finish();
}

#[test]
#[ignore = "run by scripts/test"]
fn registry_without_tls_needs_a_flag() {
    let registry = Registry::start(Tls::None);
    let args = [&ARGS[..], &["--registry", &registry.host]].concat();
    let hint = format!("--insecure-registry {}", registry.host);
    Project::app().run(&args).fails(7).finish().stderr_has(&[&hint]).stderr_lacks("Compiling");
    Project::app().run(&[&args[..], &["--insecure-registry", &registry.host]].concat()).finish();
    let configured = Project::with_config(&format!("insecure-registries = ['{}']", registry.host));
    configured.run(&args).finish();
}
