//! Checks which linkers `plan` selects.

use serde_json::{Value, json};

use crate::support::snapshot::snapshot;
use crate::support::{Fakes, Project, Run};

/// Returns the linkers in a plan, one for each platform of each image.
fn linkers(run: Run) -> Vec<Value> {
    let finished = run.finish();
    let plan: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
    let platforms = plan["images"].as_array().unwrap().iter().flat_map(|image| image["platforms"].as_array().unwrap());
    platforms.map(|platform| platform["linker"].clone()).collect()
}

const JSON: [&str; 5] = ["plan", "--engine", "embedded", "--message-format", "json"];

#[test]
fn linker_in_cargo_config_wins() {
    let project = Project::app().file(".cargo/config.toml", "[target.aarch64-unknown-linux-musl]\nlinker = 'my-ld'\n");
    let found = linkers(project.run(&JSON));
    assert_eq!((&found[1]["linker"]["configured"], &found[0]["linker"]), (&json!("my-ld"), &json!("rust-lld")));

    let gcc = bare().program("aarch64-linux-gnu-gcc", "exit 1");
    let run = Project::app().run(&[
        "plan",
        "-v",
        "--libc",
        "gnu",
        "--base",
        "x",
        "--linker",
        "gcc",
        "--platform",
        "linux/arm64",
    ]);
    let plan = run.path_only(&gcc).env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", "my-ld").finish();
    snapshot!(plan.stderr_lacks("_LINKER="));
}

fn bare() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git")
}

#[test]
fn linker_may_differ_by_platform() {
    let config = "libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/amd64', 'linux/amd64/v3']\n\
        [platform.'linux/amd64']\nlinker = 'host'\n[platform.'linux/amd64/v3']\nlinker = 'gcc'\n";
    let project = Project::with_config(config);
    let gcc = bare().program("x86_64-linux-gnu-gcc", "exit 1").real("cc");
    let found = linkers(project.run(&JSON).path_first(&gcc));
    let why = "explicitly requested";
    assert_eq!(found[0], json!({ "linker": "host", "why": why }));
    assert_eq!(found[1], json!({ "linker": { "gcc": "x86_64-linux-gnu-gcc" }, "why": why }));
    snapshot!(project.run(&["plan", "--engine", "embedded"]).path_only(&gcc).finish());
}

/// Creates a project with two images of one package. The second image enables a feature that compiles C code.
fn project_with_c_feature() -> Project {
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2021\"\n{rest}")
    };
    let locked = |name: &str, rest: &str| format!("[[package]]\nname = \"{name}\"\nversion = \"1.2.3\"\n{rest}\n");
    let lock = [
        locked("app", "dependencies = [\n \"some-sys\",\n]\n"),
        locked("cc", ""),
        locked("some-sys", "dependencies = [\n \"cc\",\n]\n"),
    ];
    let features =
        "[dependencies]\nsome-sys = { path = \"some-sys\", optional = true }\n[features]\nnative = [\"some-sys\"]\n";
    Project::with_config(
        "platforms = ['linux/amd64']\n[images.a]\nbins = ['app']\n[images.b]\nbins = ['app']\nfeatures = ['native']\n",
    )
    .file("Cargo.toml", &package("app", features))
    .file("Cargo.lock", &format!("version = 4\n\n{}", lock.join("\n")))
    .file("some-sys/Cargo.toml", &package("some-sys", "[build-dependencies]\ncc = { path = \"../cc\" }\n"))
    .file("some-sys/build.rs", "fn main() {}")
    .file("some-sys/src/lib.rs", "")
    .file("cc/Cargo.toml", &package("cc", ""))
    .file("cc/src/lib.rs", "")
}

#[test]
fn linker_depends_on_the_features_of_each_image() {
    let zig = Fakes::new().program("zig", "[ \"$*\" = version ] && echo 0.15.2");
    let found = linkers(project_with_c_feature().run(&JSON).path_first(&zig));
    assert_eq!((&found[0]["linker"], &found[1]["linker"]), (&json!("rust-lld"), &json!("zig")));
    assert_eq!(found[1]["why"], "some-sys compiles C code");
}

/// Lists all files below a directory.
fn files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort_unstable();
    files
}

#[test]
fn plan_writes_no_files() {
    let tools = Fakes::new()
        .program("zig", "[ \"$*\" = version ] && echo 0.15.2")
        .program("cross", "exit 1")
        .program("rustup", "exit 1")
        .program("docker", crate::support::HEALTHY_DOCKER);
    let config = "libc = 'gnu'\nbase = 'x'\n[platform.'linux/amd64']\nlinker = 'zig'\n[platform.'linux/arm64']\nlinker = 'cross'\n";
    let (project, cache) = (Project::with_config(config), Project::empty());
    let before = files(project.path());
    let run = project.run(&["plan", "-v"]).path_first(&tools).env("XDG_CACHE_HOME", cache.path());
    run.finish().stderr_has(&[
        "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER='zig cc'",
        "/+cross/bin:",
        "/cross build --package app ",
    ]);
    assert_eq!((files(project.path()), files(cache.path())), (before, vec![]));
}
