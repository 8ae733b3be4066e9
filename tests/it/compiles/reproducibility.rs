//! Builds of the same commit have the same index digest, regardless of time, directory, and user.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::embedded;
use crate::support::{PROGRAM, Project};

/// Creates a committed package with a file, a directory, and a dependency whose source path would end up in the binary
/// if it were not remapped.
fn project() -> Project {
    let project = Project::app()
        .file("Cargo.toml", "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n[dependencies]\nitoa = \"=1.0.15\"\n")
        // Panic messages contain source paths, including the dependency's.
        .file("src/main.rs", "fn main() { println!(\"{} {}\", itoa::Buffer::new().format(7), std::panic::Location::caller().file()); let v: Vec<u8> = Vec::new(); if std::env::args().count() > 9 { println!(\"{}\", v[9]); } }\n")
        .file("data/b.txt", "b\n")
        .file("data/a/c.txt", "c\n")
        .file("multiarch.toml", "files = [{ from = 'data', to = '/data' }, { from = 'multiarch.toml', to = '/etc/app/config' }]\nworkdir = '/data'\nenv = { A = '1' }\n")
        .file(".gitignore", "/target\n/cache\n");
    std::fs::remove_file(project.path().join("Cargo.lock")).unwrap();
    let status = Command::new("cargo").args(["generate-lockfile", "--quiet"]).current_dir(project.path()).status();
    assert!(status.unwrap().success());
    project.committed()
}

const PLATFORMS: &str = "linux/amd64,linux/arm64";

/// Builds in `dir` and returns the digest. `shell` is a shell command that runs the program, given as `$@`.
#[track_caller]
fn digest(dir: &Path, shell: &str, platforms: &str, variables: &[(&str, &str)]) -> String {
    let fakes = Project::empty();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        shell,
        "sh",
        PROGRAM,
        "multiarch",
        "build",
        "-q",
        "--engine",
        "embedded",
        "--platform",
        platforms,
    ]);
    command.current_dir(dir).env("XDG_CACHE_HOME", fakes.path().join("cache")).env_remove("SOURCE_DATE_EPOCH");
    for inherited in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(inherited);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.trim().rsplit_once('@').unwrap().1.to_owned()
}

/// Clones a project with the given umask. Returns the temporary directory and the path of the clone in it.
fn clone_project(project: &Project, umask: &str) -> (Project, PathBuf) {
    let temp = Project::empty();
    let line = format!("umask {umask}; git clone -q '{}' nested/clone", project.path().display());
    let status = Command::new("sh").args(["-c", &line]).current_dir(temp.path()).status().unwrap();
    assert!(status.success());
    let dir = temp.path().join("nested/clone");
    (temp, dir)
}

#[test]
#[ignore = "run by scripts/test"]
fn digest_depends_only_on_the_commit() {
    let project = project();
    let plain = "exec \"$@\"";
    let here = project.path();
    let first = digest(here, plain, PLATFORMS, &[]);
    assert_eq!(first, digest(here, plain, PLATFORMS, &[]), "when built twice");
    assert_eq!(first, digest(here, plain, "linux/arm64,linux/amd64", &[]), "with platforms in another order");
    assert_eq!(
        first,
        digest(here, plain, PLATFORMS, &[("TZ", "Asia/Tokyo"), ("LANG", "C"), ("LC_ALL", "C")]),
        "in another time zone and locale"
    );
    std::fs::remove_dir_all(here.join("target/multiarch")).unwrap();
    assert_eq!(first, digest(here, plain, PLATFORMS, &[]), "without cached layers");

    let (_temp, clone) = clone_project(&project, "022");
    assert_eq!(first, digest(&clone, plain, PLATFORMS, &[]), "in another directory");
    let (_temp, clone) = clone_project(&project, "077");
    assert_eq!(first, digest(&clone, "umask 077; exec \"$@\"", PLATFORMS, &[]), "with another umask");

    // Build as another user, who owns the files and has a different home directory and CARGO_HOME.
    let (temp, clone) = clone_project(&project, "027");
    std::os::unix::fs::chown(&clone, Some(4711), Some(4711)).unwrap();
    let owned = Command::new("chown").args(["-R", "4711:4711", clone.to_str().unwrap()]).status().unwrap();
    assert!(owned.success());
    let home = temp.path().join("home");
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join(".gitconfig"), format!("[safe]\n\tdirectory = {}\n", clone.display())).unwrap();
    let rustup = std::env::var("RUSTUP_HOME").unwrap_or_else(|_| format!("{}/.rustup", std::env::var("HOME").unwrap()));
    let user = [
        ("HOME", home.to_str().unwrap()),
        ("USER", "somebody"),
        ("LOGNAME", "somebody"),
        ("RUSTUP_HOME", &rustup),
        ("CARGO_HOME", &format!("{}/its/cargo", home.display())),
    ];
    assert_eq!(first, digest(&clone, plain, PLATFORMS, &user), "as another user");
}

#[test]
#[ignore = "run by scripts/test"]
fn source_date_epoch_sets_every_timestamp() {
    let project = Project::app();
    let plain = "exec \"$@\"";
    let at = |seconds: &str| digest(project.path(), plain, "linux/amd64", &[("SOURCE_DATE_EPOCH", seconds)]);
    let early = at("1000000000");
    assert_ne!(early, at("1000000001"));
    assert_eq!(early, at("1000000000"));

    let run = embedded(&project, &["build", "--platform", "linux/amd64", "--output", "oci:out"]);
    run.env("SOURCE_DATE_EPOCH", "1000000000").finish();
    let blobs = std::fs::read_dir(project.path().join("out/blobs/sha256")).unwrap().flatten();
    let mut layers = 0;
    for blob in blobs.map(|entry| std::fs::read(entry.path()).unwrap()) {
        if let Ok(json) = serde_json::from_slice::<serde_json::Value>(&blob) {
            if json.get("rootfs").is_some() {
                assert_eq!(json["created"], "2001-09-09T01:46:40Z");
            }
            continue;
        }
        layers += 1;
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&blob[..]));
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.header().mtime().unwrap(), 1_000_000_000, "{:?}", entry.path());
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
        }
    }
    assert_eq!(layers, 2);
}
