//! Links an arm64 program against Debian's OpenSSL with unmodified published crates: statically on scratch, and
//! dynamically on a base image with libssl and glibc. The images run under QEMU.

use std::path::Path;

use super::{docker_run, open_registry, reference, run};
use crate::support::Project;

const TRIPLE: &str = "aarch64-unknown-linux-gnu";

const MANIFEST: &str = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n\
    [dependencies]\nopenssl = { version = \"=0.10.82\" }\n";

const MAIN: &str = "fn main() {\n\
    let hash = openssl::hash::hash(openssl::hash::MessageDigest::sha256(), b\"\").unwrap();\n\
    println!(\"{} on {}: {:02x}{:02x}\", openssl::version::version(), std::env::consts::ARCH, hash[0], hash[1]);\n}\n";

#[track_caller]
fn assert_openssl_works(printed: &str) {
    assert!(printed.starts_with("OpenSSL ") && printed.ends_with(" on aarch64: e3b0"), "{printed}");
}

/// Returns the name of the sysroot's package with libssl.
fn libssl(sysroot: &Path) -> String {
    let record = std::fs::read_to_string(sysroot.join("multiarch.list")).unwrap();
    let mut names = record.lines().filter_map(|line| line.split(' ').next());
    names.find(|name| name.starts_with("libssl3")).unwrap().to_owned()
}

/// Builds a base image with the C library and other packages, from the same package sources as the sysroot.
fn debian(name: &str, packages: &str) -> String {
    let home = std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
    let conf = format!("{home}/cargo-multiarch/apt/arm64/apt.conf");
    let dir = Project::empty().file("Dockerfile", "FROM scratch\nCOPY root /\n");
    let path = dir.path().to_str().unwrap();
    // Debian 13 packages install libraries in /usr/lib instead of /lib.
    let script = "cd \"$1\" && apt-get -c \"$2\" -q=2 download libc6 libgcc-s1 $3 &&
        mkdir -p root/usr/lib && ln -s usr/lib root/lib && for deb in *.deb; do dpkg-deb --fsys-tarfile \"$deb\" |
        tar -x -C root --keep-directory-symlink; done";
    run("sh", &["-c", script, "sh", path, &conf, packages]);
    let base = format!("{}/{name}:1", open_registry());
    let build = ["buildx", "build", "--platform", "linux/arm64", "--provenance=false", "--push", "--tag", &base, path];
    run("docker", &build);
    base
}

#[test]
#[ignore = "run by scripts/test"]
fn sysroot_packages_provide_openssl() {
    let config = "libc = 'gnu'\nplatforms = ['linux/arm64']\nsysroot-packages = ['libssl-dev']\n";
    let project = Project::with_config(config).file("Cargo.toml", MANIFEST).file("src/main.rs", MAIN);
    run("cargo", &["generate-lockfile", "--manifest-path", project.path().join("Cargo.toml").to_str().unwrap()]);
    let registry = format!("{}/openssl", open_registry());
    let args = ["publish", "--registry", &registry];
    let publish = |project: &Project, linker: &str| {
        let finished = project.run(&[&args[..], &["--linker", linker]].concat()).finish();
        let published = reference(&finished.stdout);
        assert_openssl_works(&docker_run("linux/arm64", &published, &[]));
        finished
    };
    let project = project
        .file("multiarch.toml", &format!("{config}base = 'scratch'\nrustflags = ['-Ctarget-feature=+crt-static']\n"));
    let finished = publish(&project, "gcc");
    finished.stderr_has(&["Fetching libssl-dev for linux/arm64", "Fetched libssl-dev ", "static)"]);

    let libssl = libssl(&project.path().join("target/multiarch/+sysroot").join(TRIPLE));
    let base = debian("debian-ssl", &format!("zlib1g libzstd1 {libssl}"));
    let project = project.file("multiarch.toml", &format!("{config}base = '{base}'\n"));
    for linker in ["gcc", "zig"] {
        let finished = publish(&project, linker);
        finished.stderr_has(&["glibc 2."]).stderr_lacks("Fetching");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn copied_libraries_are_loaded() {
    let config = "libc = 'gnu'\nlinker = 'gcc'\nplatforms = ['linux/arm64']\nsysroot-packages = ['libssl-dev']\n";
    let project = Project::with_config(&format!("{config}base = 'scratch'\n"));
    let project = project.file("Cargo.toml", MANIFEST).file("src/main.rs", MAIN);
    run("cargo", &["generate-lockfile", "--manifest-path", project.path().join("Cargo.toml").to_str().unwrap()]);
    // Fetches the sysroot, whose apt configuration is needed to create the base.
    project.run(&["compile", "--out", "target/dist"]).finish();
    let base = debian("debian-without-ssl", "");
    let registry = format!("{}/copied", open_registry());
    let args = ["publish", "--registry", &registry];
    let project = project.file("multiarch.toml", &format!("{config}base = '{base}'\n"));
    let finished = project.run(&args).fails(8).finish();
    finished.stderr_has(&["error[MA030]", "needs libssl.so.3", "set copy-libraries = true"]);
    let project = project.file("multiarch.toml", &format!("{config}base = '{base}'\ncopy-libraries = true\n"));
    for engine in ["embedded", "buildx"] {
        let finished = project.run(&[&args[..], &["--engine", engine]].concat()).finish();
        let finished = finished.stderr_has(&["Copying libcrypto.so.3, "]);
        assert_openssl_works(&docker_run("linux/arm64", &reference(&finished.stdout), &[]));
    }
}
