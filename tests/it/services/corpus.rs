//! Runs the images of the corpus in Docker, to prove that each one is correctly labeled as good or broken. Images for
//! foreign platforms run under QEMU.

#![expect(clippy::print_stdout, reason = "prints Docker's output for each case with --nocapture")]

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::corpus::case::{Case, Proof};
use crate::corpus::image::write_named;
use crate::support::find;

/// Reports whether the program timed out: `timeout` either exited with status 124 or was killed by the signal that it
/// sent.
fn timed_out(output: &Output) -> bool {
    [None, Some(124)].contains(&output.status.code())
}

/// Images loaded into Docker, and the output of `docker load`. The images are removed on drop.
struct Loaded {
    names: Vec<String>,
    output: Output,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        Command::new("docker").args(["image", "rm", "--force"]).args(&self.names).output().unwrap();
    }
}

/// Loads the images of all cases at once, because they share most of their layers.
fn load(cases: &[&Case]) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let layout = dir.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    let names: Vec<String> = cases.iter().map(|case| name(case)).collect();
    write_named(&layout, names.iter().map(String::as_str).zip(cases.iter().map(|case| &case.layout)));
    let archive = dir.path().join("corpus.tar");
    let tar = Command::new("tar").arg("-C").arg(&layout).arg("-cf").arg(&archive).arg(".").status().unwrap();
    assert!(tar.success());
    let output = Command::new("docker").args(["load", "--quiet", "--input"]).arg(&archive).output().unwrap();
    Loaded { names, output }
}

/// Returns the reference under which a case's image is loaded.
fn name(case: &Case) -> String {
    let words: Vec<&str> =
        case.name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("docker.io/corpus/{}:1", words.join("-").to_lowercase())
}

/// Runs a case's image in Docker, if necessary on an emulated CPU that matches the platform.
fn run(case: &Case, platform: &str) -> Output {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let container = format!("corpus-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut docker = Command::new("timeout");
    docker.args(["--kill-after", "5", "30", "docker", "run", "--rm", "--name", &container, "--network", "none"]);
    docker.args(["--pull", "never", "--platform", platform]);
    // Drop all capabilities explicitly, because some versions of runc let users other than root keep capabilities that
    // bypass file modes.
    if case.layout.images[0].has_user() {
        docker.args(["--cap-drop", "ALL"]);
    }
    // An illegal instruction does not kill process 1 of a container, so the program needs a separate init process.
    match platform {
        "linux/arm/v5" => drop(docker.args(["--init", "--env", "QEMU_CPU=arm926"])),
        "linux/arm/v6" => drop(docker.args(["--init", "--env", "QEMU_CPU=arm1176"])),
        "linux/arm/v7" => drop(docker.arg("--init")),
        _ => {}
    }
    let output = docker.arg(name(case)).stdin(Stdio::null()).output().unwrap();
    if timed_out(&output) {
        Command::new("docker").args(["rm", "--force", &container]).output().unwrap();
    }
    output
}

/// Returns QEMU's name for a platform's architecture.
fn machine(platform: &str) -> &str {
    match platform.split('/').nth(1).unwrap() {
        "amd64" => "x86_64",
        "386" => "i386",
        "arm64" => "aarch64",
        other => other,
    }
}

/// Reports whether this machine can run a platform. Machines other than x86-64 are not set up
/// to emulate x86 programs.
fn runs_here(platform: &str) -> bool {
    cfg!(target_arch = "x86_64") || !["linux/amd64", "linux/386"].contains(&platform)
}

fn platforms(case: &Case) -> Vec<&'static str> {
    let broken: Vec<&str> = case.findings.iter().filter_map(|finding| finding.platform).collect();
    let all = case.layout.images.iter().map(|image| image.platform).filter(|platform| runs_here(platform));
    // If an index has findings, only the affected platforms fail to start.
    all.filter(|platform| broken.is_empty() || broken.contains(platform)).collect()
}

#[track_caller]
fn prove(cases: Vec<Case>, is_expected: impl Fn(&Output) -> bool) {
    let only = std::env::var("CORPUS_CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases.iter().filter(|case| case.proof == Proof::Run && case.name.contains(&only)).collect();
    let loaded = load(&cases);
    assert!(loaded.output.status.success(), "{}", String::from_utf8_lossy(&loaded.output.stderr));
    let mut wrong = Vec::new();
    for case in &cases {
        for platform in platforms(case) {
            let output = run(case, platform);
            let result = format!(
                "{}: {platform}: {}, {}{}",
                case.name,
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            println!("{result}");
            if !is_expected(&output) {
                wrong.push(result);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} images did not behave as expected:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

#[test]
#[ignore = "run by scripts/test"]
fn docker_runs_good_images() {
    prove(crate::corpus::good::cases(), |output| output.status.success() && output.stdout == b"hello\n");
}

#[test]
#[ignore = "run by scripts/test"]
fn docker_does_not_run_broken_images() {
    prove(crate::corpus::broken::cases(), |output| {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let setup_failed =
            ["invalid reference", "No such image", "already in use"].iter().any(|text| stderr.contains(text));
        !output.status.success() && !timed_out(output) && !setup_failed
    });
}

#[test]
#[ignore = "run by scripts/test"]
fn docker_and_skopeo_reject_damaged_images() {
    let mut wrong = Vec::new();
    for case in crate::corpus::broken::cases().iter().filter(|case| case.proof == Proof::Refused) {
        // Try both tools: skopeo verifies digests but not the contents of layers, while Docker checks contents but
        // reuses blobs that it already has.
        let dir = tempfile::tempdir().unwrap();
        case.layout.write(dir.path());
        let from = format!("oci:{}", dir.path().display());
        let to = format!("dir:{}/copy", dir.path().display());
        let copied = Command::new("skopeo").args(["copy", "--quiet", "--all", &from, &to]).output().unwrap();
        let loaded = load(&[case]);
        for output in [&copied, &loaded.output] {
            println!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
        }
        if copied.status.success() && loaded.output.status.success() {
            wrong.push(case.name);
        }
    }
    assert!(wrong.is_empty(), "Docker and skopeo accept {wrong:?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn qemu_rejects_programs_for_another_machine() {
    let cases = crate::corpus::broken::cases();
    let cases: Vec<&Case> = cases.iter().filter(|case| case.proof == Proof::Emulated).collect();
    let loaded = load(&cases);
    assert!(loaded.output.status.success());
    for case in cases {
        for finding in case.findings.iter().filter(|finding| finding.file.is_some()) {
            let platform = finding.platform.unwrap_or(case.layout.images[0].platform);
            let emulator = find(&format!("qemu-{}-static", machine(platform))).expect("run `scripts/setup qemu` first");
            let mut docker = Command::new("docker");
            docker.args(["run", "--rm", "--network", "none", "--pull", "never", "--platform", platform]);
            docker.arg("--volume").arg(format!("{}:/.emulator:ro", emulator.display()));
            let output =
                docker.args(["--entrypoint", "/.emulator", &name(case), finding.file.unwrap()]).output().unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            println!("{}: {platform}: {stderr}", case.name);
            assert!(stderr.contains("Invalid ELF image"), "{}: {platform}: {}, {stderr}", case.name, output.status);
        }
    }
}
