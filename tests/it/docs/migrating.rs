//! Checks the example in docs/migrating.md with a workspace that has Komodo's packages, binaries and files.

use super::{block, check_output};
use crate::support::{Fakes, HEALTHY_DOCKER, Project};

/// The files that the configuration copies into images.
const FILES: [&str; 5] = [
    "bin/entrypoint.sh",
    "bin/core/starship.toml",
    "bin/periphery/starship.toml",
    "config/core.config.toml",
    "ui/dist/index.html",
];

fn komodo() -> Project {
    let mut lock = "version = 4\n".to_owned();
    let mut project = Project::empty().file("Cargo.toml", "[workspace]\nresolver = '2'\nmembers = ['bin/*']\n");
    for (dir, package, binary) in
        [("cli", "komodo_cli", "km"), ("core", "komodo_core", "core"), ("periphery", "komodo_periphery", "periphery")]
    {
        let manifest = format!(
            "[package]\nname = '{package}'\nversion = '2.3.2'\nedition = '2024'\n\
             [[bin]]\nname = '{binary}'\npath = 'src/main.rs'\n"
        );
        project = project.file(&format!("bin/{dir}/Cargo.toml"), &manifest);
        project = project.file(&format!("bin/{dir}/src/main.rs"), "fn main() {}\n");
        lock.push_str(&format!("\n[[package]]\nname = \"{package}\"\nversion = \"2.3.2\"\n"));
    }
    project = FILES.iter().fold(project, |project, path| project.file(path, "text\n"));
    project = project.file("Cargo.lock", &lock).file("multiarch.toml", &block("komodo-config").text);
    for image in ["core", "periphery"] {
        let template = block(&format!("komodo-{image}-template")).text;
        project = project.file(&format!("docker/{image}.Dockerfile.j2"), &template);
    }
    project.committed()
}

/// Fakes a machine with zig, apt, and a builder that has a node for each architecture and therefore needs no QEMU.
fn tools() -> Fakes {
    let nodes = "Name: a\\nPlatforms: linux/amd64*\\n\\nName: b\\nPlatforms: linux/arm64*\\n";
    let inspected = format!("Name: both\\nDriver: docker-container\\n\\nNodes:\\n{nodes}");
    let default = "Name: default\\nDriver: docker\\n\\nNodes:\\nName: default\\n";
    let docker = HEALTHY_DOCKER.replace(default, &inspected);
    let fakes = ["apt-get", "apt-cache", "dpkg-deb", "rustup"].iter();
    let fakes = fakes.fold(Fakes::new(), |fakes, name| fakes.program(name, "exit 1"));
    let fakes = fakes.program("docker", &docker);
    let fakes = fakes.program("zig", "[ \"$*\" = version ] && echo 0.15.2");
    ["cargo", "rustc", "git", "cc", "sh"].iter().fold(fakes, |fakes, name| fakes.real(name))
}

#[test]
fn komodo_example_is_planned() {
    let project = komodo();
    let root = std::fs::canonicalize(project.path()).unwrap().display().to_string();
    let planned = project.run(&["plan"]).path_only(&tools()).finish();
    let shown = format!("{}{}", planned.stderr, planned.stdout).replace(&format!("{root}/"), "");
    check_output("plan-komodo", &format!("$ cargo multiarch plan\n{shown}"));
}

#[test]
fn komodo_example_renders_its_templates() {
    let rendered = komodo().run(&["dockerfile"]).path_only(&tools()).finish().stdout;
    for line in [
        "COPY --from=denoland/deno:bin /deno /usr/local/bin/deno",
        "COPY --chmod=0755 [\"linux/arm64/km\",\"/usr/local/bin/km\"]",
        "COPY [\"linux/amd64/files/3/dist\",\"/app/ui\"]",
        "ENTRYPOINT [\"entrypoint.sh\"]\nCMD [\"periphery\"]",
        "ENTRYPOINT []\nCMD [\"km\"]",
    ] {
        assert!(rendered.contains(line), "no '{line}' in\n{rendered}");
    }
}
