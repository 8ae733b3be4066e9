//! The first steps in README.md, from `init` to a verified tag.

use crate::readme::blocks;
use crate::support::{FakeRegistry, Project};

#[test]
#[ignore = "run by scripts/test"]
fn readme_first_steps_lead_to_a_verified_tag() {
    let project = Project::app()
        .file("Cargo.toml", "[package]\nname = \"your-service\"\nversion = \"1.2.3\"\nedition = \"2021\"\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"your-service\"\nversion = \"1.2.3\"\n")
        .file(".gitignore", "/target\n")
        .committed();
    let registry = FakeRegistry::storing();
    let block = blocks("sh").into_iter().find(|block| block.contains("cargo multiarch init")).unwrap();
    let mut last = String::new();
    for line in block.replace(" && ", "\n").lines().map(|line| line.split(" # ").next().unwrap().trim()) {
        let line = line.replace("ghcr.io", &registry.host);
        match line.split_once(' ').unwrap() {
            ("cargo", cargos) if cargos.starts_with("install") || cargos == "generate-lockfile" => {}
            ("cd", _) => {}
            ("git", args) => {
                project.git(&shell_words::split(args).unwrap().iter().map(String::as_str).collect::<Vec<_>>());
            }
            (_, args) => {
                let args: Vec<&str> = args.trim_start_matches("multiarch ").split(' ').collect();
                last = project.run(&args).env("DOCKER_HOST", "unix:///nowhere/docker.sock").finish().stdout;
            }
        }
    }
    assert_eq!(registry.tags("you/your-service"), ["1.2.3", "latest"]);
    let verified: Vec<&str> = last.lines().skip(2).collect();
    let is_ok = |line: &&str| line.trim_start().starts_with("linux/a") && line.ends_with("ok");
    assert!(verified.len() == 2 && verified.iter().all(is_ok), "{last}");
}
