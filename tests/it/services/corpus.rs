//! The proof of the labels: Docker runs the images, foreign ones under QEMU.

#![expect(clippy::print_stdout, reason = "what Docker says of each case, with --nocapture")]

use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::corpus::case::{Case, Proof};
use crate::corpus::image::write_named;
use crate::support::find;

/// Whether `timeout` ended it, by itself or with a signal that hits itself as well.
fn timed_out(output: &Output) -> bool {
    [None, Some(124)].contains(&output.status.code())
}

/// Images that Docker was told to load. They do not stay.
struct Loaded {
    names: Vec<String>,
    output: Output,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        Command::new("docker").args(["image", "rm", "--force"]).args(&self.names).output().unwrap();
    }
}

/// Loads all at once, as the layers are mostly the same.
fn load(cases: &[&Case]) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    let names: Vec<String> = cases.iter().map(|case| name(case)).collect();
    write_named(&layout, names.iter().map(String::as_str).zip(cases.iter().map(|case| &case.layout)));
    let archive = folder.path().join("corpus.tar");
    let tar = Command::new("tar").arg("-C").arg(&layout).arg("-cf").arg(&archive).arg(".").status().unwrap();
    assert!(tar.success());
    let output = Command::new("docker").args(["load", "--quiet", "--input"]).arg(&archive).output().unwrap();
    Loaded { names, output }
}

/// A case's name as a reference has it.
fn name(case: &Case) -> String {
    let words: Vec<&str> =
        case.name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("docker.io/corpus/{}:1", words.join("-").to_lowercase())
}

/// `docker run` with the CPU that a platform stands for.
fn run(case: &Case, platform: &str) -> Output {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let container = format!("corpus-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut docker = Command::new("timeout");
    docker.args(["--kill-after", "5", "30", "docker", "run", "--rm", "--name", &container, "--network", "none"]);
    docker.args(["--pull", "never", "--platform", platform]);
    // Some versions of runc start a user's program while they still have root's capabilities, which no mode stops.
    if case.layout.images[0].has_user() {
        docker.args(["--cap-drop", "ALL"]);
    }
    // With an init: an illegal instruction does not end the first process of a container.
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

/// The machine that a platform names, as the emulators are named.
fn machine(platform: &str) -> &str {
    match platform.split('/').nth(1).unwrap() {
        "amd64" => "x86_64",
        "386" => "i386",
        "arm64" => "aarch64",
        other => other,
    }
}

/// Away from x86-64, its programs need an emulator that nobody set up.
fn runs_here(platform: &str) -> bool {
    cfg!(target_arch = "x86_64") || !["linux/amd64", "linux/386"].contains(&platform)
}

fn platforms(case: &Case) -> Vec<&'static str> {
    let broken: Vec<&str> = case.findings.iter().filter_map(|finding| finding.platform).collect();
    let all = case.layout.images.iter().map(|image| image.platform).filter(|platform| runs_here(platform));
    // Of a broken index only the platforms that are broken do not start.
    all.filter(|platform| broken.is_empty() || broken.contains(platform)).collect()
}

#[track_caller]
fn prove(cases: Vec<Case>, is_right: impl Fn(&Output) -> bool) {
    let only = std::env::var("CORPUS_CASE").unwrap_or_default();
    let cases: Vec<&Case> = cases.iter().filter(|case| case.proof == Proof::Run && case.name.contains(&only)).collect();
    let loaded = load(&cases);
    assert!(loaded.output.status.success(), "{}", String::from_utf8_lossy(&loaded.output.stderr));
    let mut wrong = Vec::new();
    for case in &cases {
        for platform in platforms(case) {
            let output = run(case, platform);
            let said = format!(
                "{}: {platform}: {}, {}{}",
                case.name,
                output.status,
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            println!("{said}");
            if !is_right(&output) {
                wrong.push(said);
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} images:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
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
        let said = String::from_utf8_lossy(&output.stderr);
        let own = ["invalid reference", "No such image", "already in use"].iter().any(|text| said.contains(text));
        !output.status.success() && !timed_out(output) && !own
    });
}

#[test]
#[ignore = "run by scripts/test"]
fn docker_and_skopeo_reject_damaged_images() {
    let mut wrong = Vec::new();
    for case in crate::corpus::broken::cases().iter().filter(|case| case.proof == Proof::Refused) {
        // skopeo compares digests; what is in a layer only matters to Docker, which keeps blobs of earlier images.
        let folder = tempfile::tempdir().unwrap();
        case.layout.write(folder.path());
        let from = format!("oci:{}", folder.path().display());
        let to = format!("dir:{}/copy", folder.path().display());
        let copied = Command::new("skopeo").args(["copy", "--quiet", "--all", &from, &to]).output().unwrap();
        let loaded = load(&[case]);
        for output in [&copied, &loaded.output] {
            println!("{}: {}", case.name, String::from_utf8_lossy(&output.stderr));
        }
        if copied.status.success() && loaded.output.status.success() {
            wrong.push(case.name);
        }
    }
    assert!(wrong.is_empty(), "others take {wrong:?}");
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
            let emulator = find(&format!("qemu-{}-static", machine(platform))).expect("scripts/setup qemu");
            let mut docker = Command::new("docker");
            docker.args(["run", "--rm", "--network", "none", "--pull", "never", "--platform", platform]);
            docker.arg("--volume").arg(format!("{}:/.emulator:ro", emulator.display()));
            let output =
                docker.args(["--entrypoint", "/.emulator", &name(case), finding.file.unwrap()]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            println!("{}: {platform}: {said}", case.name);
            assert!(said.contains("Invalid ELF image"), "{}: {platform}: {}, {said}", case.name, output.status);
        }
    }
}
