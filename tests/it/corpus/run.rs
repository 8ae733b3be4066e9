//! The proof of the labels: Docker runs the images, foreign ones under QEMU.

use std::process::{Command, Output, Stdio};

use super::case::{Case, Proof};
use super::image::write_named;
use crate::support::find;

/// What `timeout` ends with.
const TIMED_OUT: [Option<i32>; 2] = [Some(124), Some(137)];

/// Loads all at once, as the layers are mostly the same.
fn load(cases: &[&Case]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    std::fs::create_dir(&layout).unwrap();
    let names: Vec<String> = cases.iter().map(|case| name(case)).collect();
    write_named(&layout, names.iter().map(String::as_str).zip(cases.iter().map(|case| &case.layout)));
    let archive = folder.path().join("corpus.tar");
    let tar = Command::new("tar").arg("-C").arg(&layout).arg("-cf").arg(&archive).arg(".").status().unwrap();
    assert!(tar.success());
    Command::new("docker").args(["load", "--quiet", "--input"]).arg(&archive).output().unwrap()
}

/// A case's name as a reference has it.
fn name(case: &Case) -> String {
    let words: Vec<&str> =
        case.name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("docker.io/corpus/{}:1", words.join("-").to_lowercase())
}

/// `docker run` with the CPU that a platform stands for.
fn run(case: &Case, platform: &str) -> Output {
    let container = format!("corpus-{}", std::process::id());
    let mut docker = Command::new("timeout");
    docker.args(["--kill-after", "5", "30", "docker", "run", "--rm", "--name", &container, "--network", "none"]);
    docker.args(["--pull", "never", "--platform", platform]);
    // With an init: an illegal instruction does not end the first process of a container.
    match platform {
        "linux/arm/v5" => drop(docker.args(["--init", "--env", "QEMU_CPU=arm926"])),
        "linux/arm/v6" => drop(docker.args(["--init", "--env", "QEMU_CPU=arm1176"])),
        _ => {}
    }
    let output = docker.arg(name(case)).stdin(Stdio::null()).output().unwrap();
    if TIMED_OUT.contains(&output.status.code()) {
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
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
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
#[ignore = "needs Docker: scripts/test runs it"]
fn good_images_run() {
    prove(super::good::cases(), |output| output.status.success() && output.stdout == b"hello\n");
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn broken_images_do_not() {
    prove(super::broken::cases(), |output| !output.status.success() && !TIMED_OUT.contains(&output.status.code()));
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn docker_refuses_what_is_damaged() {
    for case in super::broken::cases().iter().filter(|case| case.proof == Proof::Refused) {
        let loaded = load(&[case]);
        println!("{}: {}", case.name, String::from_utf8_lossy(&loaded.stderr));
        assert!(!loaded.status.success(), "{} is loaded", case.name);
    }
}

#[test]
#[ignore = "needs Docker: scripts/test runs it"]
fn emulators_refuse_the_wrong_machine() {
    let cases = super::broken::cases();
    let cases: Vec<&Case> = cases.iter().filter(|case| case.proof == Proof::Emulated).collect();
    assert!(load(&cases).status.success());
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
