//! Output in README.md that takes QEMU or a registry to reproduce.

use crate::doctor::{run_doctor, without_std};
use crate::readme::{root, shown};
use crate::support::{FakeRegistry, Fakes, Project, service};

/// Without what another commit, toolchain or linker would change.
fn without_numbers(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let hidden = (word.contains('.') && word.parse::<f64>().is_ok())
            || words.last().is_some_and(|before| before.ends_with("rustc"));
        let hex = word.rsplit(|c: char| !c.is_ascii_hexdigit()).find(|part| part.len() >= 12);
        words.push(if hidden { "…".to_owned() } else { hex.map_or(word.to_owned(), |hex| word.replace(hex, "…")) });
    }
    words.join(" ")
}

/// examples/hello, in a repository of its own.
fn hello() -> Project {
    let hello = root().join("examples/hello");
    let file = |path: &str| std::fs::read_to_string(hello.join(path)).unwrap();
    ["Cargo.toml", "Cargo.lock", "src/main.rs"]
        .into_iter()
        .fold(Project::empty(), |project, path| project.file(path, &file(path)))
        .file(".gitignore", "/target\n")
        .committed()
}

#[test]
#[ignore = "run by scripts/test"]
fn readme_shows_the_checklist_of_publish() {
    let project = hello();
    project.git(&["tag", "v0.1.0"]);
    let registry = FakeRegistry::storing();
    let args = "publish -q --registry localhost:5000 --smoke=--version --checklist -";
    let run = project.run(&args.replace("localhost:5000", &registry.host).split(' ').collect::<Vec<_>>());
    let said = run.env("DOCKER_HOST", "unix:///nowhere/docker.sock").finish().stdout;
    let said = said.replace(&registry.host, "localhost:5000");
    assert_eq!(without_numbers(said.trim_end()), without_numbers(&shown(args)), "this is what it says:\n{said}");
}

#[test]
#[ignore = "run by scripts/test"]
fn readme_shows_the_output_of_doctor() {
    const INFO: &str = r#"{"ServerErrors":["permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock"],"ClientInfo":{"Version":"28.2.2","Plugins":[{"Name":"buildx","Version":"0.13.1"}]}}"#;
    let fakes = Fakes::new().program("docker", &format!("case $1 in info) echo '{INFO}' ;; *) exit 1 ;; esac"));
    let fakes = without_std("aarch64-unknown-linux-musl", fakes).program("rustup", "exit 1");
    let registry = service("MULTIARCH_TEST_REGISTRY");
    let args = "doctor --engine buildx --registry localhost:5000";
    let project = hello();
    let run = project.run(&args.replace("localhost:5000", &registry).split(' ').collect::<Vec<_>>()).path_first(&fakes);
    let result = run_doctor(run, 6);
    let said = format!("{}{}", result.stderr.split("error: ").next().unwrap(), result.stdout)
        + result.stderr.split_once("error: ").map(|(_, end)| format!("error: {end}")).unwrap().trim_end();
    let folder = std::fs::canonicalize(project.path()).unwrap();
    let said = said.replace(&registry, "localhost:5000").replace(folder.to_str().unwrap(), "…/examples/hello");
    assert_eq!(without_numbers(&said), without_numbers(&shown(args)), "this is what it says:\n{said}");
}
