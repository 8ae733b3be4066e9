//! Checks the commands and output in README.md and the book that need a registry, Docker or QEMU.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::open_registry;
use crate::docs::{blocks, check_output, root};
use crate::doctor::{run_doctor, without_std};
use crate::support::{FakeRegistry, Fakes, PROGRAM, Project, path};

/// Copies an example to a new git repository. All copies share a target directory, so that dependencies are compiled
/// only once.
pub fn example(name: &str) -> Project {
    let project = Project::empty();
    let copied = Command::new("cp").arg("-r").arg(root().join(name).join(".")).arg(project.path()).status().unwrap();
    assert!(copied.success());
    let _ = std::fs::remove_dir_all(project.path().join("target"));
    let target = root().join("target/examples");
    std::fs::create_dir_all(&target).unwrap();
    std::os::unix::fs::symlink(target, project.path().join("target")).unwrap();
    project.file(".gitignore", "/target\n").committed()
}

/// Runs shell commands in a directory and returns their stdout. Pushes go to the test registry.
#[track_caller]
fn run_commands(commands: &str, dir: &Path) -> String {
    let registry = open_registry();
    let script = commands.replace("ghcr.io/", &format!("{registry}/")).replace("localhost:5000", &registry);
    let program_dir = Path::new(PROGRAM).parent().unwrap().display();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .current_dir(dir)
        .env("PATH", format!("{program_dir}:{}", path()))
        .env("GIT_AUTHOR_NAME", "you")
        .env("GIT_AUTHOR_EMAIL", "you@example.com")
        .env("GIT_COMMITTER_NAME", "you")
        .env("GIT_COMMITTER_EMAIL", "you@example.com")
        .output()
        .unwrap();
    let [stdout, stderr] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{script}\n--- stdout\n{stdout}--- stderr\n{stderr}");
    stdout.replace(&registry, "localhost:5000")
}

#[test]
#[ignore = "run by scripts/test"]
fn documented_commands_run() {
    let mut projects: BTreeMap<(String, String), Project> = BTreeMap::new();
    for block in blocks().iter().filter(|block| block.language == "sh") {
        let Some(name) = block.attribute("in") else { continue };
        let project = projects.entry((block.page.clone(), name.to_owned())).or_insert_with(|| example(name));
        let commands: Vec<&str> = block.text.lines().filter(|line| !line.starts_with("cargo install ")).collect();
        run_commands(&format!(": {}\n{}", block.page, commands.join("\n")), project.path());
    }
    assert!(projects.len() > 5, "only {} directories were found", projects.len());
}

#[test]
#[ignore = "run by scripts/test"]
fn output_of_docker_run() {
    let project = example("examples/hello");
    let commands = [
        "docker run --rm $(cargo multiarch publish -q --registry localhost:5000)",
        "docker run --rm --platform linux/arm64 localhost:5000/hello",
    ];
    let runs = commands.map(|command| format!("$ {command}\n{}", run_commands(command, project.path())));
    check_output("docker-run", &runs.concat());
}

/// Runs `cargo multiarch ARGS` in a project, and returns the command and its output. The command uses `registry` in
/// place of `localhost:5000`.
fn shown(project: &Project, args: &str, registry: &str) -> String {
    let real = args.replace("localhost:5000", registry);
    let run = project.run(&shell_words::split(&real).unwrap().iter().map(String::as_str).collect::<Vec<_>>());
    // The output must not depend on this machine's Docker, CA certificates or cached layers.
    let _ = std::fs::remove_dir_all(project.path().join("target/multiarch/+layers"));
    let run = run
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .env("SSL_CERT_FILE", "/usr/share/ca-certificates/mozilla/ISRG_Root_X1.crt")
        .env("SSL_CERT_DIR", "/nowhere");
    let finished = run.finish();
    let dir = std::fs::canonicalize(project.path()).unwrap().display().to_string();
    let output = format!("{}{}", finished.stderr, finished.stdout).replace(registry, "localhost:5000");
    format!("$ cargo multiarch {args}\n{}", output.replace(&dir, "examples/hello"))
}

#[test]
#[ignore = "run by scripts/test"]
fn output_of_publish() {
    let args = "publish --registry localhost:5000 --platform linux/amd64,linux/arm64,linux/riscv64";
    let registry = FakeRegistry::storing();
    check_output("publish-hello", &shown(&example("examples/hello"), args, &registry.host));
}

#[test]
#[ignore = "run by scripts/test"]
fn output_of_checklist() {
    let project = example("examples/hello");
    project.git(&["tag", "v0.1.0"]);
    let args = "publish -q --registry localhost:5000 --smoke=--version --checklist -";
    check_output("checklist", &shown(&project, args, &FakeRegistry::storing().host));
}

#[test]
#[ignore = "run by scripts/test"]
fn output_of_doctor() {
    const INFO: &str = r#"{"ServerErrors":["permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"],"ClientInfo":{"Version":"28.2.2","Plugins":[{"Name":"buildx","Version":"0.13.1"}]}}"#;
    let fakes = Fakes::new().program("docker", &format!("case $1 in info) echo '{INFO}' ;; *) exit 1 ;; esac"));
    let fakes = without_std("aarch64-unknown-linux-musl", fakes).program("rustup", "exit 1");
    let registry = open_registry();
    let args = "doctor --engine buildx --registry localhost:5000";
    let project = example("examples/hello");
    let run = project.run(&args.replace("localhost:5000", &registry).split(' ').collect::<Vec<_>>()).path_first(&fakes);
    let result = run_doctor(run, 6);
    let (progress, summary) = result.stderr.split_once("error: ").unwrap();
    let output = format!("{progress}{}error: {summary}", result.stdout);
    let dir = std::fs::canonicalize(project.path()).unwrap();
    let output = output.replace(&registry, "localhost:5000").replace(dir.to_str().unwrap(), "examples/hello");
    check_output("doctor", &format!("$ cargo multiarch {args}\n{output}"));
}
