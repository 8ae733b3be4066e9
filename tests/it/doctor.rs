//! Checks the findings of `doctor` with fake programs on PATH and fake registries. The tests with real Docker daemons,
//! users and QEMU are in `services::doctor`.

use std::process::{Command, Stdio};

use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, Finished, HEALTHY_DOCKER, Project, Run, find};

/// Runs `doctor` and asserts the exit code. Unlike other commands, `doctor` prints its result even if it fails.
#[track_caller]
pub fn run_doctor(run: Run, code: i32) -> Finished {
    run.finds(code).finish()
}

impl Finished {
    /// Asserts that exactly one finding matches. Returns its fixes.
    #[track_caller]
    pub fn finding(&self, state: &str, subject: &str, text: &str) -> Vec<&str> {
        let head = |line: &str| line.starts_with(&format!("{state:7}  {subject} ")) && line.contains(text);
        let lines: Vec<&str> = self.stdout.lines().collect();
        let at: Vec<usize> = (0..lines.len()).filter(|at| head(lines[*at])).collect();
        assert_eq!(at.len(), 1, "expected exactly one '{state} {subject} {text}' in\n{}", self.stdout);
        let below = lines[at[0] + 1..].iter().map(|line| line.trim_start());
        below.map_while(|line| line.strip_prefix("fix: ")).collect()
    }

    /// Asserts that exactly one finding matches, and that one of its fixes contains `fix`.
    #[track_caller]
    pub fn finding_with_fix(&self, state: &str, subject: &str, text: &str, fix: &str) -> &Finished {
        let fixes = self.finding(state, subject, text);
        assert!(fixes.iter().any(|line| line.contains(fix)), "no '{fix}' in {fixes:?}");
        self
    }

    #[track_caller]
    pub fn lacks(&self, text: &str) -> &Finished {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "unexpected '{text}' in\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

fn docker_with(case: &str) -> Fakes {
    bare().program("docker", &HEALTHY_DOCKER.replacen("in\n", &format!("in\n{case}\n"), 1))
}

fn healthy() -> Fakes {
    bare().program("docker", HEALTHY_DOCKER)
}

/// Returns the programs needed to compile, without Docker.
fn bare() -> Fakes {
    Fakes::new()
        .real("cargo")
        .real("rustc")
        .real("git")
        .real("sh")
        .real("cc")
        .real("sed")
        .real("touch")
        .real("dirname")
        .real("mkdir")
}

#[test]
fn doctor_finds_no_problems() {
    let registry = FakeRegistry::accepting();
    let result = run_doctor(Project::app().run(&["doctor", "--registry", &registry.host]).path_only(&healthy()), 0);
    snapshot!(result);
    let methods: Vec<String> = registry.requests().into_iter().map(|request| request.method).collect();
    assert_eq!(methods, ["GET", "POST", "DELETE"], "the upload must be canceled");
}

#[test]
fn doctor_finds_missing_docker() {
    let run = |engine| Project::app().run(&["doctor", "--engine", engine]).path_only(&bare());
    snapshot!(run_doctor(run("auto"), 0), run_doctor(run("buildx"), 6), run_doctor(run("embedded"), 0));
}

#[test]
fn doctor_finds_a_template_that_needs_docker() {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n";
    let project = Project::with_config("template = 't.j2'\nplatforms = ['linux/amd64']").file("t.j2", template);
    let run = |engine| project.run(&["doctor", "--engine", engine]).path_only(&bare());
    snapshot!(
        [(run("auto"), 6), (run("embedded"), 3)]
            .map(|(run, code)| about(&run_doctor(run, code), &["docker", "engine"]))
    );
}

#[test]
fn doctor_distinguishes_problems_with_docker() {
    const OLD: &str = r#"[{"Name":"buildx","Version":"v0.12.1"}]"#;
    const GOOD: &str = r#"[{"Name":"buildx","Version":"v0.13.1"}]"#;
    const DOWN: &str =
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
    const CLOSED: &str = "permission denied while trying to connect to the Docker daemon socket at unix:///x";
    let seen = [
        (OLD, "", 1),
        ("[]", "", 1),
        (r#"[{"Name":"buildx","Err":"exec format error"}]"#, "", 1),
        (GOOD, DOWN, 1),
        (GOOD, CLOSED, 1),
        (OLD, CLOSED, 2),
        ("null", DOWN, 2),
    ]
    .map(|(plugins, error, expected)| {
        let errors = if error.is_empty() { String::new() } else { format!("\"{error}\"") };
        let info =
            format!(r#"  "info "*) echo '{{"ServerErrors":[{errors}],"ClientInfo":{{"Plugins":{plugins}}}}}' ;;"#);
        let run = |engine| Project::app().run(&["doctor", "--engine", engine]).path_only(&docker_with(&info));
        let (needed, unneeded) = (run_doctor(run("buildx"), 6), run_doctor(run("auto"), 0));
        let errors = needed.stdout.lines().filter(|line| line.starts_with("error")).count();
        assert_eq!(errors, expected, "{}", needed.stdout);
        [about(&needed, &["docker", "buildx", "daemon"]), about(&unneeded, &["docker", "buildx", "daemon", "engine"])]
    });
    snapshot!(seen);
}

/// Returns the findings about the given subjects, with their fixes.
fn about(result: &Finished, subjects: &[&str]) -> String {
    let mut selected = false;
    let lines = result.stdout.lines().filter(|line| {
        if !line.starts_with(' ') {
            selected = subjects
                .iter()
                .any(|subject| line.get(9..).is_some_and(|rest| rest.starts_with(&format!("{subject} "))));
        }
        selected
    });
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn doctor_finds_a_missing_builder() {
    let docker = docker_with("  \"buildx inspect\") echo 'ERROR: no builder \"mine\" found' >&2; exit 1 ;;");
    let run = Project::app().run(&["doctor", "--builder", "mine"]).path_only(&docker);
    snapshot!(run_doctor(run, 6));
}

/// Creates a fake Docker with the classic image store. `create` is the shell command that `docker buildx create` runs.
fn classic(create: &str) -> Fakes {
    let cases = format!(
        r#"  "info "*) echo '{{"DriverStatus":[["Backing Filesystem","extfs"]],"ClientInfo":{{"Plugins":[{{"Name":"buildx","Version":"v0.13.1"}}]}}}}' ;;
  "buildx create") {create} ;;
  "buildx rm") ;;
  "buildx inspect")
    if [ "$3" != multiarch ]; then printf 'Name: default\nDriver: docker\nPlatforms: linux/amd64, linux/386\n'
    elif [ -e "$0.made" ]; then printf 'Name: multiarch\nDriver: docker-container\n'
    else exit 1; fi ;;"#
    );
    docker_with(&cases)
}

#[test]
fn doctor_suggests_a_builder_for_the_classic_store() {
    let docker = classic(r#"touch "$0.made""#);
    let run =
        |args: &[&str]| Project::app().run(&[&["doctor", "--engine", "buildx"], args].concat()).path_only(&docker);
    let before = run_doctor(run(&[]), 0);
    assert!(!docker.log("docker").contains("buildx create"), "doctor must not change anything without --fix");
    let fixed = run_doctor(run(&["--fix"]), 0);
    // `--engine auto` does not need a builder, so doctor does not suggest one.
    let unneeded = run_doctor(Project::app().run(&["doctor"]).path_only(&classic("exit 1")), 0);
    snapshot!(before, fixed, unneeded);
}

#[test]
fn doctor_reports_failure_to_create_a_builder() {
    let seen = [
        "ERROR: failed to pull moby/buildkit: dial tcp: lookup registry-1.docker.io: no such host",
        "ERROR: permission denied while trying to connect to the Docker daemon socket",
        "unknown flag: --bootstrap",
    ]
    .map(|error| {
        let docker = classic(&format!("echo '{error}' >&2; exit 1"));
        let args = ["doctor", "--engine", "buildx", "--fix", "--message-format", "json"];
        let result = run_doctor(Project::app().run(&args).path_only(&docker), 6);
        let json: serde_json::Value = serde_json::from_str(&result.stdout).unwrap();
        [result.stderr, format!("{:#}\n", json["fixed"])]
    });
    snapshot!(seen);
}

/// Adds a fake rustc without the standard library for a target. It reports a directory in which a fake rustup can
/// install the library.
pub fn without_std(triple: &str, fakes: Fakes) -> Fakes {
    let rustc = format!(
        "case \"$*\" in\n  *target-libdir*{triple}*) {rustc} \"$@\" | sed \"s#^/.*#$(dirname \"$0\")/rustlib/{triple}/lib#\" ;;\n  \
         *) exec {rustc} \"$@\" ;;\nesac",
        rustc = find("rustc").unwrap().display()
    );
    fakes.program("rustc", &rustc)
}

#[test]
fn doctor_finds_a_missing_standard_library() {
    const TRIPLE: &str = "i686-unknown-linux-musl";
    let rustup = |install: &str| {
        let dir = format!("$(dirname \"$0\")/rustlib/{TRIPLE}/lib");
        let script = format!("echo \"$@\" >> \"$0.log\"\n{}", install.replace("DIR", &dir));
        without_std(TRIPLE, healthy()).program("rustup", &script)
    };
    let run = |tools: &Fakes, args: &[&str]| {
        let run = Project::app().run(&[&["doctor", "--platform", "linux/386"], args].concat()).path_only(tools);
        run.env("CARGO_TARGET_I686_UNKNOWN_LINUX_MUSL_LINKER", "cc")
    };
    let works = rustup("mkdir -p \"DIR\" && touch \"DIR/libstd-1.rlib\"");
    let before = run_doctor(run(&works, &[]), 0);
    assert_eq!(works.log("rustup"), "", "doctor must not change anything without --fix");
    let fixed = run_doctor(run(&works, &["--fix"]), 0);
    assert_eq!(works.log("rustup"), format!("target add {TRIPLE}\n"));

    let fails = run_doctor(run(&rustup("echo 'error: could not download' >&2; exit 1"), &["--fix"]), 4);
    let gone = run_doctor(Project::app().run(&["doctor", "--platform", "linux/386"]).path_only(&bare()), 4);
    snapshot!(before, fixed, fails, gone);
}

#[test]
fn doctor_finds_every_platform_without_a_linker() {
    let project = Project::with_config("libc = 'gnu'\nbase = 'debian:x'\nplatforms = ['linux/arm64', 'linux/arm/v7']");
    let result = run_doctor(
        project.run(&["doctor", "--engine", "embedded"]).path_only(&bare()).env("HTTPS_PROXY", "http://127.0.0.1:9"),
        4,
    );
    snapshot!(result);
}

/// A fake python3 whose pip installs a zig that prints `version`, and logs its arguments and the requirements.
fn python(version: &str) -> String {
    format!(
        r#"echo "$@" >> "$0.log"
case "$*" in
  "-m pip --version") ;;
  "-m pip install "*)
    while [ $# -gt 0 ]; do
      case $1 in --target) target=$2 ;; --requirement) sed 's/^/> /' "$2" >> "$0.log" ;; esac
      shift
    done
    mkdir -p "$target/ziglang"
    printf '#!/bin/sh\necho {version}\n' > "$target/ziglang/zig"
    chmod +x "$target/ziglang/zig" ;;
  *) exit 1 ;;
esac"#
    )
}

/// Prepares `doctor` for a workspace that needs zig.
fn doctor_without_zig(project: &Project, tools: &Fakes, args: &[&str]) -> Run {
    let args = [&["doctor", "--engine", "embedded", "--registry", "localhost:1"], args].concat();
    project.run(&args).path_only(tools).env("XDG_CACHE_HOME", project.path().join("cache"))
}

#[test]
fn doctor_installs_zig() {
    const CONFIG: &str = "libc = 'gnu'\nbase = 'scratch'\nlinker = 'zig'\nplatforms = ['linux/arm64']";
    let tools = || bare().real("chmod");
    let project = Project::with_config(CONFIG);
    let works = tools().program("python3", &python("0.17.1"));
    let before = run_doctor(doctor_without_zig(&project, &works, &[]), 4);
    assert!(!works.log("python3").contains("pip"), "doctor must not change anything without --fix");
    let fixed = doctor_without_zig(&project, &works, &["--fix"]).finds(7).finish();
    let installed = project.path().join("cache/cargo-multiarch/ziglang-0.17.1/ziglang/zig");
    assert!(installed.is_file(), "{fixed}");
    fixed.finding("ok", "linker", "zig: explicitly requested");
    let log = works.log("python3");
    assert!(log.contains("--require-hashes") && log.contains("> ziglang==0.17.1 \\\n> --hash=sha256:"), "{log}");
    // Other commands find the same zig, without Python.
    project.run(&["plan"]).path_only(&bare()).env("XDG_CACHE_HOME", project.path().join("cache")).finish();

    let seen = [
        bare(),
        tools().program("python3", "exit 1"),
        tools().program(
            "python3",
            "[ \"$3\" != install ] || { echo 'ERROR: No matching distribution found' >&2; exit 1; }",
        ),
        tools().program("python3", &python("0.1.0")),
    ]
    .map(|tools| {
        let project = Project::with_config(CONFIG);
        let failed = run_doctor(doctor_without_zig(&project, &tools, &["--fix"]), 4);
        let left: Vec<_> = std::fs::read_dir(project.path().join("cache/cargo-multiarch")).unwrap().flatten().collect();
        assert!(left.iter().all(|entry| entry.file_name() == "ziglang-0.17.1"), "{left:?}");
        let warning = failed.stderr.lines().find(|line| line.starts_with("warning: ")).unwrap();
        format!("{}\n", warning.replace(&project.path().display().to_string(), "[project]"))
    });
    snapshot!(before, seen);
}

#[test]
fn doctor_reports_each_platform_once() {
    let project = Project::with_config("platforms = ['linux/riscv64', 'linux/arm64', 'linux/amd64', 'linux/amd64/v3']");
    let result = run_doctor(project.run(&["doctor", "--engine", "embedded"]).path_only(&bare()), 0);
    let missing = Project::with_config("platforms = ['linux/arm/v5', 'linux/386', 'linux/s390x']");
    let missing = run_doctor(missing.run(&["doctor", "--engine", "embedded"]).path_only(&bare()), 4);
    snapshot!(result, missing);
}

#[test]
fn doctor_continues_after_workspace_errors() {
    let unlocked = Project::app();
    std::fs::remove_file(unlocked.path().join("Cargo.lock")).unwrap();
    let misspelled = Project::with_config("platfroms = []");
    let run = |project: Project| run_doctor(project.run(&["doctor", "--engine", "buildx"]).path_only(&bare()), 3);
    snapshot!(run(unlocked), run(misspelled));
}

#[test]
fn doctor_runs_outside_of_a_workspace() {
    let empty = Project::empty();
    let result = run_doctor(empty.run(&["doctor", "--platform", "linux/arm64,linux/riscv64"]).path_only(&healthy()), 0);
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0, "doctor must not write files");
    snapshot!(result);
}

#[test]
fn doctor_checks_flags_outside_of_a_workspace() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let open = FakeRegistry::accepting();
    let run = |args: &[&str]| Project::empty().run(&[&["doctor"], args].concat()).path_only(&healthy());
    snapshot!(
        run_doctor(run(&["--registry", &format!("{}/team", open.host)]), 0),
        run_doctor(run(&["--registry", &format!("{closed},{}", open.host)]), 7),
        run_doctor(run(&["-p", "app"]), 3),
    );
}

#[test]
fn doctor_finds_missing_rust() {
    let tools = Fakes::new().program("rustc", "echo 'error: rustup could not choose a version' >&2; exit 1");
    let run = Project::empty().run(&["doctor", "--engine", "embedded"]).path_only(&tools.real("sh"));
    snapshot!(run_doctor(run, 4));
}

#[test]
fn doctor_finds_a_missing_registry() {
    let run = Project::app().run(&["doctor"]).path_only(&healthy());
    snapshot!(run_doctor(run, 0));
}

#[test]
fn doctor_checks_every_registry() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (open, refusing) = (FakeRegistry::accepting(), FakeRegistry::rejecting(403));
    let registries = format!("registry = ['{closed}', 'registry.invalid/team', '{}', '{}']", refusing.host, open.host);
    let images = "[images.one]\nbins = ['app']\n[images.two]\nbins = ['app']";
    let project = Project::with_config(&format!("{registries}\n{images}"));
    let result = run_doctor(project.run(&["doctor"]).path_only(&healthy()), 7);
    snapshot!(result);
}

#[test]
fn doctor_checks_credentials_without_printing_them() {
    // base64 of ci:hunter2
    const RIGHT: &str = "Basic Y2k6aHVudGVyMg==";
    let registry = FakeRegistry::start(|request| match (request.method.as_str(), request.authorization.as_deref()) {
        (_, Some(RIGHT)) if request.path != "/v2/" => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        _ => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]),
    });
    let run = |auth: &str| {
        let config = Project::empty()
            .file("config.json", &format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host));
        let run = Project::app().run(&["doctor", "-vv", "--registry", &registry.host]).path_only(&healthy());
        (run.env("DOCKER_CONFIG", config.path()), config)
    };
    let (right, _config) = run("Y2k6aHVudGVyMg==");
    let accepted = run_doctor(right, 0);
    // base64 of ci:hunter3
    let (wrong, _config) = run("Y2k6aHVudGVyMw==");
    let rejected = run_doctor(wrong, 7);
    for result in [&accepted, &rejected] {
        result.lacks("hunter").lacks("Y2k6");
    }
    snapshot!(about(&accepted, &["registry"]), about(&rejected, &["registry"]));
}

#[test]
fn doctor_finds_a_wrong_clock() {
    let seen = [0, 10, -10].map(|minutes| {
        let registry = FakeRegistry::start(move |request| {
            let date = chrono::Utc::now() + chrono::TimeDelta::minutes(minutes);
            let date = ("Date", date.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
            match request.method.as_str() {
                "POST" => (202, vec![date, ("Location", "/v2/upload/1".to_owned())], vec![]),
                _ => (200, vec![date], vec![]),
            }
        });
        let result = run_doctor(Project::app().run(&["doctor", "--registry", &registry.host]).path_only(&healthy()), 0);
        about(&result, &["clock"])
    });
    snapshot!(seen);
}

#[test]
fn doctor_finds_a_missing_base() {
    let registry = FakeRegistry::storing();
    let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
    let result = run_doctor(project.run(&["doctor", "--registry", &registry.host]).path_only(&healthy()), 7);
    registry.assert_nothing_stored();
    snapshot!(result);
}

#[test]
fn doctor_finds_a_full_disk() {
    // Use /proc to simulate a full disk, because it has no free space.
    let run = Project::app().run(&["doctor", "--engine", "embedded"]).path_only(&healthy());
    let result = run_doctor(run.env("XDG_CACHE_HOME", "/proc"), 1);
    snapshot!(about(&result, &["disk"]));
}

#[test]
fn doctor_finds_a_smoke_run_that_needs_docker() {
    // The platforms that a remote Docker host supports depend on its kernel, not on this machine's.
    let docker = docker_with("  \"version \"*) echo linux/amd64 ;;\n  \"context inspect\") echo tcp://remote:2375 ;;");
    let run = Project::app().run(&["doctor", "--smoke", "--version"]).path_only(&docker);
    let result = run_doctor(run, 0);
    snapshot!(result);
}

#[test]
fn doctor_finds_missing_qemu() {
    if std::path::Path::new("/proc/sys/fs/binfmt_misc/qemu-loongarch64").exists() {
        return;
    }
    let cases = "in\n  \"version \"*) echo linux/amd64 ;;\n  \"context inspect\") echo unix:///x ;;\n  \"run --privileged\") ;;\n";
    let docker = || bare().program("docker", &HEALTHY_DOCKER.replacen("in\n", cases, 1));
    let seen = [(&[][..], false), (&["--fix"], true)].map(|(args, ran)| {
        let (docker, args) =
            (docker(), [&["doctor", "--platform", "linux/loong64", "--smoke", "--version"], args].concat());
        // The exit code is 4, because the standard library is missing too.
        let result = run_doctor(Project::app().run(&args).path_only(&docker), 4);
        assert_eq!(docker.log("docker").contains("run --privileged"), ran, "{}", docker.log("docker"));
        result
    });
    snapshot!(seen);
}

#[test]
fn doctor_stops_on_ctrl_c() {
    let registry = FakeRegistry::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(60));
        (200, vec![], vec![])
    });
    let (mut command, _dirs) =
        Project::app().run(&["doctor", "--registry", &registry.host]).path_only(&healthy()).into_command();
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while registry.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, b"");
}

#[test]
fn doctor_prints_json() {
    let docker = docker_with("  \"info \"*) echo '{\"ServerErrors\":[\"no\"],\"ClientInfo\":{}}' ;;");
    let project = Project::app();
    let args = ["doctor", "--engine", "buildx", "--message-format", "json"];
    let result = run_doctor(project.run(&args).path_only(&docker), 6);
    let json: serde_json::Value = serde_json::from_str(&result.stdout).unwrap();
    assert_eq!(json["workspace"].as_str(), project.path().canonicalize().unwrap().to_str());
    snapshot!(result);
}
