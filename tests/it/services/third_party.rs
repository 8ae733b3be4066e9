//! Publishes unmodified releases of third-party programs, each for four platforms under one tag.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::registry::{machines, platforms};
use super::{docker_run, open_registry, reference, run};
use crate::support::Project;

const PLATFORMS: &str = "linux/amd64,linux/arm64,linux/arm/v7,linux/riscv64";

/// Fetches the source of a released crate with cargo, which verifies the checksum, and returns the source directory.
fn released(name: &str, version: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/third_party");
    let dir = home.join(format!("{name}-{version}"));
    if dir.join("Cargo.lock").is_file() {
        return dir;
    }
    let fetcher = Project::empty()
        .file(
            "Cargo.toml",
            &format!("[package]\nname = \"f\"\nversion = \"0.0.0\"\n[dependencies]\n{name} = \"={version}\"\n"),
        )
        .file("src/lib.rs", "");
    let status = Command::new("cargo")
        .args(["vendor", "--quiet", "--versioned-dirs", "vendor"])
        .current_dir(fetcher.path())
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success(), "cargo vendor");
    std::fs::create_dir_all(&home).unwrap();
    let vendored = fetcher.path().join(format!("vendor/{name}-{version}"));
    run("cp", &["-r", vendored.to_str().unwrap(), dir.to_str().unwrap()]);
    dir
}

/// Publishes a released crate, checks the architectures of its binaries, runs `--version` on each platform, and returns
/// the reference.
fn published(name: &str, version: &str, expected: &str, more: &[&str]) -> String {
    let manifest = released(name, version).join("Cargo.toml");
    let registry = format!("{}/real", open_registry());
    let args = ["publish", "--manifest-path", manifest.to_str().unwrap(), "--registry", &registry];
    // Omits debug information, which would make linking much slower.
    let finished = Project::empty()
        .run(&[&args[..], &["--platform", PLATFORMS], more].concat())
        .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_MANIFEST_DIR")).join("target/third_party/target"))
        .finish();
    let published = reference(&finished.stdout);
    let names: Vec<String> = platforms(&published).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names.join(","), PLATFORMS);
    for (platform, machine) in names.iter().zip([62, 183, 40, 243]) {
        assert_eq!(machines(&published, platform), ([machine].into(), 1), "{platform}");
        run("docker", &["pull", "--quiet", "--platform", platform, &published]);
        let printed = docker_run(platform, &published, &["--version"]);
        assert!(printed.starts_with(expected), "{platform}: {printed}");
    }
    published
}

#[test]
#[ignore = "run by scripts/test"]
fn ripgrep() {
    let published = published("ripgrep", "15.1.0", "ripgrep 15.1.0", &[]);
    let haystack = Project::empty().file("haystack.txt", "one\ntwo needles\nthree\n");
    let mount = format!("{}:/data:ro", haystack.path().display());
    run("chmod", &["-R", "a+rX", haystack.path().to_str().unwrap()]);
    for platform in PLATFORMS.split(',') {
        let search = ["run", "--rm", "--network", "none", "--platform", platform, "--volume", &mount, &published];
        let found = run("docker", &[&search[..], &["--line-number", "needle", "/data/haystack.txt"]].concat());
        assert_eq!(found, "2:two needles", "{platform}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn fd() {
    published("fd-find", "10.5.0", "fd 10.5.0", &[]);
}

/// Tests that run only with `scripts/test --full`.
mod full {
    use super::published;

    #[test]
    #[ignore = "run by scripts/test --full"]
    fn miniserve() {
        published("miniserve", "0.35.0", "miniserve 0.35.0", &[]);
    }

    #[test]
    #[ignore = "run by scripts/test --full"]
    fn dufs() {
        published("dufs", "0.47.0", "dufs 0.47.0", &[]);
    }

    #[test]
    #[ignore = "run by scripts/test --full"]
    fn sqlx_cli() {
        // Includes TLS and SQLite's C code. The crate has two binaries, of which only `sqlx` is published.
        let args = ["--bin", "sqlx", "--no-default-features", "--features", "sqlite,rustls"];
        published("sqlx-cli", "0.9.0", "sqlx-cli 0.9.0", &args);
    }
}
