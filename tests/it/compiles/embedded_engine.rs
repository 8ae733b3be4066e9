//! Tests the embedded engine: compression, the programs that it needs on PATH, and the files that it leaves behind.

use std::process::Command;

use crate::support::embedded;
use crate::support::{FakeRegistry, Fakes, PROGRAM, Project};

#[test]
#[ignore = "run by scripts/test"]
fn embedded_engine_compresses_with_zstd_and_checks_levels() {
    let project = Project::with_config("platforms = ['linux/amd64']\ncompression = 'zstd'\ncompression-level = 19");
    embedded(&project, &["build", "--output", "oci:out"]).finish();
    let types = Command::new("grep")
        .args(["-rho", "layer.v1.tar+zstd", "out/blobs"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&types.stdout).lines().count(), 2);
    let invalid = Project::with_config("compression-level = 12");
    embedded(&invalid, &["build"]).fails(3).finish().stderr_has(&["compression-level 12"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn embedded_engine_needs_only_rust() {
    let registry = FakeRegistry::storing();
    let only = Fakes::new().real("cargo").real("rustc");
    let run = Project::app().run(&["publish", "--platform", "linux/amd64,linux/arm64", "--registry", &registry.host]);
    run.path_only(&only).finish();
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn ctrl_c_clears_the_progress_bars() {
    use std::io::{Read, Write};
    let slow = "fn main() { std::thread::sleep(std::time::Duration::from_secs(60)); }";
    let project = Project::app().file("build.rs", slow);
    let (run, _dirs) = embedded(&project, &["build", "--platform", "linux/amd64"]).into_command();
    // An 80-column terminal that echoes Ctrl-C as `^C`.
    let line = format!("stty cols 80; exec {PROGRAM} multiarch build --platform linux/amd64 --engine embedded");
    let mut terminal = Command::new("script");
    terminal.args(["-qfec", &line, "/dev/null"]).current_dir(project.path()).env("TERM", "xterm").env("NO_COLOR", "1");
    terminal.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.env_remove("CI").env_remove("TF_BUILD");
    let streams = terminal.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = streams.spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    let mut typed = false;
    while let Ok(size @ 1..) = screen.read(&mut piece) {
        text.push_str(&String::from_utf8_lossy(&piece[..size]));
        if !typed && text.contains("app build script") {
            keys.write_all(b"\x03").unwrap();
            typed = true;
        }
    }
    child.wait().unwrap();
    // Ctrl-C may be typed while a bar is being redrawn.
    let (screen, _) = text.split_once("error: interrupted").unwrap_or_else(|| panic!("{text:?}"));
    let lines = screen.split(['\r', '\n']).map(|line| line.trim_start_matches("\x1b[2K"));
    let bars: Vec<&str> = lines.filter(|line| line.contains("app build script")).collect();
    assert!(!bars.is_empty() && text.contains("^C"), "{text:?}");
    assert!(bars.iter().all(|bar| bar.trim_end_matches("^C").chars().count() + 2 <= 80), "{text:?}");
    assert!(screen.rfind("\x1b[2K") > screen.rfind("app build script"), "{text:?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn output_files_do_not_make_the_work_tree_dirty() {
    let registry = FakeRegistry::storing();
    let project = Project::app().file(".gitignore", "/target\n/cache\n").committed();
    let outputs =
        ["--output", "oci:out", "--output", "oci-archive:out.tar", "--refs-file", "refs", "--digests-file", "d"];
    for _ in 0..2 {
        let args = [&["publish", "--platform", "linux/amd64", "--registry", &registry.host][..], &outputs].concat();
        embedded(&project, &args).finish().stderr_lacks("dirty");
    }
    // Without the output flags, the program recognizes only the OCI layout as the output of an earlier run, so the
    // other files make the work tree dirty.
    let args = ["build", "--platform", "linux/amd64"];
    let finished = embedded(&project, &args).finish();
    finished.stderr_has(&["uncommitted changes (d, out.tar and 1 more): tags end in '-dirty'"]);
}
