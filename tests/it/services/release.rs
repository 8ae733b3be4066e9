//! Makes a release archive and the image of cargo-multiarch from the current sources, installs the archive, and publishes an
//! example with it.

use std::path::Path;
use std::process::{Command, Output};

use super::docs::example;
use super::registry::platforms;
use super::{open_registry, reference};
use crate::docs::root;
use crate::release::{TRIPLES, repository};
use crate::support::{Fakes, path};

#[track_caller]
fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Prepares a run of a script of this repository.
fn script(name: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.arg(root().join("scripts").join(name)).current_dir(root()).env("PATH", path());
    bash
}

/// Makes the archive for static programs on this machine. Compiles without optimization, which is much faster.
fn make_archive(triple: &str, dir: &Path) {
    let mut artifacts = script("release-artifacts");
    artifacts.arg("--out").arg(dir).arg(triple);
    for (name, value) in [("LTO", "off"), ("OPT_LEVEL", "0"), ("CODEGEN_UNITS", "256")] {
        artifacts.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    stdout(&artifacts.env("MAX_SIZE", "200000000").output().unwrap());
}

/// Runs the shell installer, which downloads the archive from `dir`.
fn install(dir: &Path, to: &Path) {
    let version = env!("CARGO_PKG_VERSION");
    for other in TRIPLES.map(|triple| dir.join(format!("cargo-multiarch-v{version}-{triple}.tar.gz"))) {
        if !other.exists() {
            std::fs::write(other, "").unwrap();
        }
    }
    // This repository has no changelog of the version before it is released.
    let ready = repository("You", version);
    let files = Command::new("bash").arg(ready.script("release-files")).arg(dir).output().unwrap();
    stdout(&files);
    let fakes = Fakes::new().program("getconf", "exit 1"); // as on a machine without glibc
    let mut installer = Command::new("sh");
    installer.arg(dir.join("cargo-multiarch-installer.sh")).arg("--to").arg(to);
    installer.env("PATH", format!("{}:{}", fakes.path().display(), path()));
    stdout(&installer.env("CARGO_MULTIARCH_MIRROR", format!("file://{}", dir.display())).output().unwrap());
}

#[test]
#[ignore = "run by scripts/test"]
fn release_archive_and_image_work() {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let platform = if std::env::consts::ARCH == "aarch64" { "linux/arm64" } else { "linux/amd64" };
    let registry = open_registry();
    let dir = tempfile::tempdir().unwrap();
    make_archive(&triple, dir.path());

    let prefix = dir.path().join("prefix/bin");
    install(dir.path(), &prefix);
    let hello = example("examples/hello");
    let mut cargo = Command::new("cargo");
    cargo.args(["multiarch", "publish", "--registry", &registry]).current_dir(hello.path());
    let published = stdout(&cargo.env("PATH", format!("{}:{}", prefix.display(), path())).output().unwrap());
    let published = reference(published.trim());
    let verified = Command::new(prefix.join("cargo-multiarch")).args(["verify", &published]).output().unwrap();
    stdout(&verified);

    let image = script("release-image").arg(&registry).arg(dir.path()).env("MULTIARCH_PLATFORMS", platform).output();
    let image = reference(stdout(&image.unwrap()).trim());
    let name = image.split('@').next().unwrap();
    assert!(name.starts_with(&format!("{registry}/cargo-multiarch:")), "{name}");
    let names: Vec<String> = platforms(name).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [platform]);
    let checklist = std::fs::read_to_string(dir.path().join("image/checklist.md")).unwrap();
    assert!(checklist.starts_with("## cargo-multiarch "), "{checklist}");
}
