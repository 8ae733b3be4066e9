//! Checks that `plan` accepts the configuration that `init` writes, and that `init` keeps the user's files.

use std::process::Command;

use serde_json::Value;

use crate::support::snapshot::snapshot;
use crate::support::{Fakes, Project, find};

const HEAD: &str = "[package]\nname = \"app\"\nversion = \"1.2.3\"\nedition = \"2021\"\n";

impl Project {
    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn has(&self, path: &str) -> bool {
        self.path().join(path).exists()
    }

    /// Returns the plan as JSON.
    fn plan(&self) -> Value {
        let args = ["plan", "--engine", "embedded", "--offline", "--message-format", "json"];
        serde_json::from_str(&self.run(&args).finish().stdout).unwrap()
    }
}

/// Creates a workspace of two packages. One of them depends on a crate named `openssl-sys`, which links to OpenSSL.
pub fn workspace() -> Project {
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}")
    };
    let lock = "version = 4\n\n[[package]]\nname = \"openssl-sys\"\nversion = \"0.9.1\"\n\n\
        [[package]]\nname = \"plain\"\nversion = \"0.1.0\"\n\n\
        [[package]]\nname = \"secure\"\nversion = \"0.1.0\"\ndependencies = [\n \"openssl-sys\",\n]\n";
    Project::empty()
        .file("Cargo.toml", "# all of it\n[workspace]\nmembers = [\"plain\", \"secure\"]  # two\nexclude = [\"openssl-sys\"]\nresolver = \"2\"\n")
        .file("Cargo.lock", lock)
        .file("plain/Cargo.toml", &package("plain", ""))
        .file("plain/src/main.rs", "fn main() {}\n")
        .file("secure/Cargo.toml", &package("secure", "[dependencies]\nopenssl-sys = { path = \"../openssl-sys\" }\n"))
        .file("secure/src/bin/server.rs", "fn main() {}\n")
        .file("secure/src/bin/client.rs", "fn main() {}\n")
        .file(
            "openssl-sys/Cargo.toml",
            "[package]\nname = \"openssl-sys\"\nversion = \"0.9.1\"\nedition = \"2021\"\nlinks = \"openssl\"\n",
        )
        .file("openssl-sys/build.rs", "fn main() {}\n")
        .file("openssl-sys/src/lib.rs", "")
}

#[test]
fn init_adds_a_table_to_a_package() {
    let seen = [
        HEAD.to_owned(),
        format!("# mine\n{HEAD}\n[package.metadata.deb]\nx   =   1 # why\n\n[profile.release]\nlto = true"),
        HEAD.replace('\n', "\r\n"),
    ]
    .map(|manifest| {
        let project = Project::app().file("Cargo.toml", &manifest);
        let added = project.run(&["init"]).finish();
        let written = project.read("Cargo.toml");
        assert!(written.starts_with(&manifest), "{written}");
        assert_eq!(written.contains("\r\n"), manifest.contains("\r\n"));
        assert_eq!(written.matches('\n').count() - written.matches("\r\n").count() == 0, manifest.contains("\r\n"));
        let plan = project.plan();
        let platforms = plan["images"][0]["platforms"].as_array().unwrap();
        assert_eq!(platforms.len(), 2, "{plan}");
        assert!(platforms.iter().all(|platform| platform["base"] == "scratch"), "{plan}");

        let again = project.run(&["init"]).finish();
        assert_eq!(project.read("Cargo.toml"), written);
        let forced = project.run(&["init", "--force"]).finish();
        assert_eq!(project.read("Cargo.toml"), written);
        [added, again, forced]
    });
    snapshot!(seen);
}

#[test]
fn init_configures_the_images_of_a_workspace() {
    let seen = [(&["init"][..], "Cargo.toml"), (&["init", "--file"], "multiarch.toml")].map(|(flags, path)| {
        let project = workspace();
        let before = project.read("Cargo.toml");
        let added = project.run(flags).in_dir("secure").finish();
        assert!(project.read("Cargo.toml").starts_with(&before));
        let written = project.read(path);
        let plan = project.plan();
        let bases: Vec<(&str, &str)> = plan["images"]
            .as_array()
            .unwrap()
            .iter()
            .map(|image| (image["name"].as_str().unwrap(), image["platforms"][0]["base"].as_str().unwrap()))
            .collect();
        assert!(bases.contains(&("plain", "scratch")), "{bases:?}");
        assert!(bases.iter().any(|(name, base)| *name == "secure" && base.starts_with("debian:")), "{bases:?}");
        let again = project.run(flags).finish();
        assert_eq!(project.read(path), written);
        (added, again, written)
    });
    let [(added, again, in_manifest), (file_added, file_again, in_file)] = seen;
    snapshot!(added, again, in_manifest, file_added, file_again, in_file);
}

#[test]
fn init_keeps_an_existing_configuration() {
    let in_workspace =
        format!("{HEAD}\n[workspace]\n\n[workspace.metadata.multiarch]\nregistry = 'r.example' # mine\n");
    let inline = format!("{HEAD}metadata.multiarch = {{ registry = 'r.example' }}\n");
    let seen = [
        (&[("Cargo.toml", in_workspace.as_str())][..], "Cargo.toml"),
        (&[("Cargo.toml", inline.as_str())], "Cargo.toml"),
        (&[("Cargo.toml", HEAD), ("multiarch.toml", "registry = 'r.example' # mine\n")], "multiarch.toml"),
    ]
    .map(|(files, path)| {
        let project = files.iter().fold(Project::app(), |project, (path, text)| project.file(path, text));
        let before = project.read(path);
        let unchanged = project.run(&["init"]).finish();
        assert_eq!(project.read(path), before);
        let template = project.run(&["init", "--template", "alpine"]).finish();
        let with_template = project.read(path);
        assert!(with_template.contains("registry = 'r.example'"), "{with_template}");
        assert_eq!(project.plan()["images"][0]["platforms"][0]["base"], "alpine:3.22");
        let again = project.run(&["init", "--template", "alpine"]).finish();
        assert_eq!(project.read(path), with_template);

        let forced = project.run(&["init", "--force"]).finish();
        assert!(!project.read(path).contains("r.example"), "{}", project.read(path));
        assert!(!(path == "Cargo.toml" && project.has("multiarch.toml")));
        assert_eq!(project.plan()["images"][0]["platforms"][0]["base"], "scratch");
        [unchanged, template, again, forced]
    });
    let member = Project::app()
        .file("Cargo.toml", "[workspace]\nmembers = ['a']\n")
        .file("a/Cargo.toml", &HEAD.replace("edition", "metadata.multiarch.tags = ['mine']\nedition"));
    let member = member.file("a/src/main.rs", "fn main() {}\n");
    snapshot!(seen, member.run(&["init"]).finish());
}

#[test]
fn init_keeps_a_symlinked_manifest() {
    let project = Project::app();
    let (link, real) = (project.path().join("Cargo.toml"), project.path().join("real.toml"));
    std::fs::rename(&link, &real).unwrap();
    std::os::unix::fs::symlink("real.toml", &link).unwrap();
    project.run(&["init"]).finish();
    assert!(link.is_symlink() && project.read("real.toml").contains("multiarch"));
}

#[test]
fn init_suggests_a_registry_in_a_comment() {
    let seen = [
        ("https://github.com/You/app", "# registry = \"ghcr.io/you\"\n"),
        ("https://git.example/you/app", "# registry = \"ghcr.io/you\"\n"),
        ("https://gitlab.com/a/b", "# registry = \"registry.gitlab.com/a/b\"\n"),
    ]
    .map(|(repository, expected)| {
        let project = Project::app().file("Cargo.toml", &format!("{HEAD}repository = \"{repository}\"\n"));
        let added = project.run(&["init"]).finish();
        assert!(project.read("Cargo.toml").contains(expected), "{}", project.read("Cargo.toml"));
        assert_eq!(project.plan()["images"][0]["repositories"], serde_json::json!([]));
        added
    });
    snapshot!(seen);
}

#[test]
fn init_copies_every_template() {
    for (name, libc) in [
        ("scratch", "musl"),
        ("alpine", "musl"),
        ("debian", "gnu"),
        ("distroless-static", "musl"),
        ("distroless-cc", "gnu"),
    ] {
        let project = Project::app();
        project.run(&["init", "--template", name]).finish();
        assert!(project.read("Cargo.toml").contains(&format!("template = \"docker/{name}.Dockerfile.j2\"\n")));
        let rendered = project.run(&["dockerfile"]).finish().stdout;
        assert!(rendered.contains("ENTRYPOINT"), "{rendered}");
        let triple = project.plan()["images"][0]["platforms"][0]["build"]["triple"].to_string();
        assert!(triple.contains(libc), "{name}: {triple}");
    }
    snapshot!(workspace().run(&["init", "--template", "alpine"]).finish());
}

#[test]
fn init_refuses_to_overwrite_files() {
    let other = |path: &str, text: &str| Project::app().file(path, text);
    let workflow = ".github/workflows/multiarch.yml";
    let own = "docker/debian.Dockerfile.j2";
    let seen = [
        (other(workflow, "mine\n"), &["init", "--ci", "github"][..]),
        (other(own, "FROM mine\n"), &["init", "--template", "debian"]),
        (other("multiarch.toml", "template = 'docker/mine.j2'\n"), &["init", "--template", "debian"]),
        (other("Cargo.toml", &format!("{HEAD}\n[package.metadata.multiarch]\n")), &["init", "--file"]),
        (other("Cargo.toml", &format!("{HEAD}metadata = {{ a = 1 }}\n")), &["init"]),
        (Project::app(), &["init", "--template", "debain"]),
        (other("src/main.rs", "").file("Cargo.toml", &HEAD.replace("\"app\"", "\"App\"")), &["init"]),
        (other(".github/workflows", "a file\n"), &["init", "--ci", "github"]),
    ]
    .map(|(project, args)| {
        let before = project.read("Cargo.toml");
        let refused = project.run(args).fails(3).finish();
        assert_eq!(project.read("Cargo.toml"), before, "{args:?}");
        assert!(!project.has("multiarch.toml") || project.read("multiarch.toml").contains("mine"), "{args:?}");
        refused
    });
    let project = other(workflow, "mine\n");
    snapshot!(seen, project.run(&["init", "--ci", "github", "--force"]).finish());
    assert_ne!(project.read(workflow), "mine\n");
}

/// Creates the package `app` without a lock file.
fn unlocked(rest: &str) -> Project {
    Project::empty().file("Cargo.toml", &format!("{HEAD}{rest}")).file("src/main.rs", "fn main() {}\n")
}

#[test]
fn init_creates_a_missing_lock_file() {
    let project = unlocked("");
    let dry_run = project.run(&["init", "--dry-run"]).finish();
    assert!(!project.has("Cargo.lock"), "a dry run writes nothing");
    let added = project.run(&["init"]).finish();
    assert!(project.read("Cargo.lock").contains("name = \"app\""));
    project.plan();
    snapshot!(dry_run.stderr, added);
}

#[test]
fn init_updates_an_outdated_lock_file() {
    let project = Project::app().file("Cargo.toml", &HEAD.replace("1.2.3", "1.2.4"));
    project.run(&["init", "--dry-run"]).finish();
    assert!(project.read("Cargo.lock").contains("1.2.3"), "a dry run writes nothing");
    project.run(&["init"]).finish().stderr_has(&["Updated Cargo.lock"]);
    assert!(project.read("Cargo.lock").contains("1.2.4"));
}

/// Adds a fake cargo whose `metadata` fails as it does without a network, unless it needs no dependencies.
fn unreachable_index() -> Fakes {
    let fail = "printf '    Blocking waiting for file lock on package cache\n    Updating crates.io index\n\
                error: failed to get `serde` as a dependency of package `app v1.2.3`\n' >&2; exit 101";
    let script = format!(
        "case \"$*\" in *--no-deps*) exec {} \"$@\" ;; metadata*) {fail} ;; esac",
        find("cargo").unwrap().display()
    );
    Fakes::new().program("cargo", &script)
}

#[test]
fn init_works_without_the_dependencies() {
    let project = unlocked("");
    let added = project.run(&["init"]).path_first(&unreachable_index()).finish();
    assert!(project.read("Cargo.toml").contains("[package.metadata.multiarch]"));
    snapshot!(added.stderr_lacks("Updating").stderr_lacks("Blocking"));
}

#[test]
fn init_writes_the_requested_registry() {
    let project = Project::app();
    let added = project.run(&["init", "--registry", "r.example/team"]).finish();
    assert_eq!(project.plan()["images"][0]["repositories"], serde_json::json!(["r.example/team/app"]));

    let configured = Project::with_config("tags = ['a'] # mine\n");
    let changed = configured.run(&["init", "--registry", "r.example/team"]).finish();
    assert!(configured.read("multiarch.toml").starts_with("tags = ['a'] # mine\n"));
    assert_eq!(configured.plan()["images"][0]["repositories"], serde_json::json!(["r.example/team/app"]));
    let refused = configured.run(&["init", "--registry", "other.example"]).fails(3).finish();
    let replaced = configured.run(&["init", "--registry", "other.example", "--force"]).finish();
    assert_eq!(configured.read("multiarch.toml"), "tags = ['a'] # mine\nregistry = \"other.example\"\n");
    let invalid = Project::app();
    let rejected = invalid.run(&["init", "--registry", "https://r.example"]).fails(3).finish();
    assert_eq!(invalid.read("Cargo.toml"), HEAD);
    snapshot!(added, changed, refused, replaced, rejected);
}

#[test]
fn init_makes_one_image_of_a_package() {
    let with_tool = |rest: &str| {
        Project::app().file("Cargo.toml", &format!("{HEAD}{rest}")).file("src/bin/abc.rs", "fn main() {}\n")
    };
    for (rest, bins, entrypoint) in
        [("", ["app", "abc"], "/usr/local/bin/app"), ("default-run = 'abc'\n", ["abc", "app"], "/usr/local/bin/abc")]
    {
        let project = with_tool(rest);
        project.run(&["init"]).finish();
        let plan = project.plan();
        let images = plan["images"].as_array().unwrap();
        assert_eq!(images.len(), 1, "{plan}");
        let platform = &images[0]["platforms"][0];
        let names: Vec<&str> =
            platform["binaries"].as_array().unwrap().iter().map(|binary| binary["name"].as_str().unwrap()).collect();
        assert_eq!((names.as_slice(), &images[0]["name"]), (&bins[..], &Value::from("app")));
        assert_eq!(platform["container"]["entrypoint"], serde_json::json!([entrypoint]));
    }
    let project = with_tool("");
    project.run(&["init"]).finish();
    snapshot!(project.read("Cargo.toml"));
}

#[test]
fn init_dry_run_writes_nothing() {
    let project = Project::app();
    let fresh = project.run(&["init", "--dry-run", "--template", "scratch", "--ci", "gitlab"]).finish();
    assert_eq!(project.read("Cargo.toml"), HEAD);
    assert!(!project.has("docker") && !project.has(".gitlab-ci.yml"));

    // A dry run also shows files that `init` overwrites only with `--force`.
    let project = Project::app().file(".gitlab-ci.yml", "mine: {}\n");
    snapshot!(fresh, project.run(&["init", "--dry-run", "--ci", "gitlab"]).finish());
    assert_eq!(project.read(".gitlab-ci.yml"), "mine: {}\n");
}

/// Writes a CI workflow and parses it. Asserts that a second `init` does not change it.
fn workflow(project: &Project, args: &[&str]) -> Value {
    let path = match args[2] {
        "github" => ".github/workflows/multiarch.yml",
        "gitlab" => ".gitlab-ci.yml",
        _ => ".forgejo/workflows/multiarch.yml",
    };
    project.run(args).finish();
    let text = project.read(path);
    project.run(args).finish();
    assert_eq!(project.read(path), text);
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns the commands of a job in order.
fn commands(job: &Value) -> Vec<String> {
    let steps = job["steps"].as_array().map(|steps| steps.iter().filter_map(|step| step["run"].as_str()).collect());
    let script = || job["script"].as_array().map(|lines| lines.iter().filter_map(Value::as_str).collect::<Vec<_>>());
    let lines: Vec<&str> = steps.or_else(script).unwrap_or_default();
    lines.into_iter().map(str::to_owned).collect()
}

#[test]
fn init_ci_writes_one_job() {
    for forge in ["github", "gitlab", "forgejo"] {
        let workflow = workflow(&Project::app(), &["init", "--ci", forge]);
        let job = if forge == "gitlab" { &workflow["publish"] } else { &workflow["jobs"]["publish"] };
        let commands = commands(job);
        let last = commands.last().unwrap();
        assert!(last.starts_with("cargo multiarch publish --registry \""), "{last}");
        assert!(!commands.iter().any(|line| line.contains("ziglang")), "{commands:?}");
        let text = workflow.to_string();
        let install = format!("cargo install cargo-multiarch --version ={} --locked", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&install), "{text}");
        if forge != "gitlab" {
            assert_eq!(workflow["permissions"], serde_json::json!({}));
            assert_eq!(job["permissions"], serde_json::json!({ "contents": "read", "packages": "write" }));
            assert!(text.contains("secrets.GITHUB_TOKEN"), "{text}");
        }
    }
}

#[test]
fn init_ci_native_writes_a_job_for_each_platform() {
    for (forge, runners) in [
        ("github", ["ubuntu-24.04", "ubuntu-24.04-arm"]),
        ("gitlab", ["saas-linux-small-amd64", "saas-linux-small-arm64"]),
        ("forgejo", ["docker", "docker-arm64"]),
    ] {
        let workflow = workflow(&Project::app(), &["init", "--ci", forge, "--ci-native"]);
        let publish = match forge {
            "gitlab" => {
                for (platform, runner) in [("linux/amd64", runners[0]), ("linux/arm64", runners[1])] {
                    let job = &workflow[format!("compile {platform}")];
                    assert_eq!(job["tags"], serde_json::json!([runner]));
                    let last = commands(job).pop().unwrap();
                    assert!(last.starts_with(&format!("cargo multiarch compile --platform {platform} --out dist/")));
                }
                &workflow["publish"]
            }
            _ => {
                let compile = &workflow["jobs"]["compile"];
                let matrix = compile["strategy"]["matrix"]["include"].as_array().unwrap();
                let found: Vec<&str> = matrix.iter().map(|one| one["runner"].as_str().unwrap()).collect();
                assert_eq!(found, runners);
                let last = commands(compile).pop().unwrap();
                assert_eq!(last, "cargo multiarch compile --platform \"$PLATFORM\" --out dist/");
                assert_eq!(compile["permissions"], serde_json::json!({ "contents": "read" }));
                &workflow["jobs"]["publish"]
            }
        };
        assert!(!publish["needs"].is_null());
        let last = commands(publish).pop().unwrap();
        assert!(last.contains(" --artifacts dist/"), "{last}");
        assert_eq!(last.ends_with(" --checklist \"$GITHUB_STEP_SUMMARY\""), forge == "github", "{last}");
    }
}

#[test]
fn init_ci_installs_system_libraries() {
    let workflow = workflow(&workspace(), &["init", "--ci", "github"]);
    let job = &workflow["jobs"]["publish"];
    assert_eq!(job["container"], "rust:1-trixie", "the container and the base image must use the same Debian release");
    let commands = commands(job);
    for text in ["safe.directory", "config.json"] {
        assert!(commands.iter().any(|line| line.contains(text)), "no '{text}' in {commands:?}");
    }
    assert!(uses(job, "mlugg/setup-zig"), "{job}");
}

/// Reports whether a job has a step that uses an action.
fn uses(job: &Value, action: &str) -> bool {
    let names = job["steps"].as_array().unwrap().iter().filter_map(|step| step["uses"].as_str());
    names.map(|name| name.split('@').next().unwrap()).any(|name| name == action)
}

/// No job that may run code from a pull request has access to secrets or write permissions. Jobs that publish neither
/// read nor write caches.
#[test]
fn init_ci_separates_pull_requests_from_publishing() {
    for forge in ["github", "forgejo"] {
        for native in [&[][..], &["--ci-native"]] {
            let args = [&["init", "--ci", forge, "--force"], native].concat();
            let workflow = workflow(&workspace(), &args);
            assert!(workflow["on"].as_object().unwrap().contains_key("workflow_dispatch"), "{workflow}");
            assert_eq!(workflow["concurrency"]["group"], "multiarch-${{ github.ref }}");
            for (name, job) in workflow["jobs"].as_object().unwrap() {
                assert!(job["timeout-minutes"].is_u64(), "{name}: {job}");
                let text = job.to_string();
                if name == "publish" {
                    assert_eq!(job["if"], "${{ startsWith(github.ref, 'refs/tags/') }}");
                    assert!(!text.contains("cache@") && !text.contains("\"use-cache\":true"), "{text}");
                    assert!(text.contains("secrets."), "{text}");
                } else {
                    assert_eq!(job["permissions"], serde_json::json!({ "contents": "read" }));
                    assert!(!text.contains("secrets.") && !text.contains("publish"), "{text}");
                }
            }
            let build = commands(&workflow["jobs"]["build"]).pop().unwrap();
            assert!(build.starts_with("cargo multiarch build"), "{build}");
        }
    }
}

#[test]
fn init_ci_builds_the_default_branch() {
    let project = Project::app().committed();
    let branches = |args: &[&str]| workflow(&project, args)["on"]["push"]["branches"].clone();
    assert_eq!(branches(&["init", "--ci", "github"]), serde_json::json!(["main", "master"]));
    // A clone knows the default branch of its remote.
    project.git(&["update-ref", "refs/remotes/origin/on", "HEAD"]);
    project.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/on"]);
    assert_eq!(branches(&["init", "--ci", "github", "--force"]), serde_json::json!(["on"]));
}

#[test]
fn init_ci_sets_up_zig_qemu_and_buildx_if_required() {
    const ZIG: &str = "mlugg/setup-zig";
    const QEMU: &str = "docker/setup-qemu-action";
    const BUILDX: &str = "docker/setup-buildx-action";
    const GLIBC: &str = "libc = 'gnu'\nbase = 'debian:trixie-slim'\nplatforms = ['linux/amd64']\n";
    let run = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include 'contents' %}\n{% include 'config' %}\n";
    for (config, expected) in [
        ("", &[][..]),
        ("linker = 'zig'", &[ZIG]),
        (&format!("{GLIBC}glibc = '2.28'"), &[ZIG]),
        (&format!("{GLIBC}smoke = []"), &[]),
        ("smoke = ['--version']", &[QEMU]),
        ("engine = 'buildx'", &[BUILDX]),
        ("base = 'alpine:3.22'\ntemplate = 'run.j2'", &[QEMU, BUILDX]),
    ] {
        let project = Project::with_config(config).file("run.j2", run);
        let workflow = workflow(&project, &["init", "--ci", "github"]);
        for name in ["build", "publish"] {
            let job = &workflow["jobs"][name];
            let found: Vec<&str> = [ZIG, QEMU, BUILDX].into_iter().filter(|action| uses(job, action)).collect();
            assert_eq!(found, expected, "{name}: {config}");
        }
    }
}

#[test]
fn init_ci_leaves_out_loopback_registries() {
    let seen = [
        ("github", "registry = 'localhost:5000'"),
        ("gitlab", "registry = ['127.0.0.1:5000/x', 'r.example/team', 'ghcr.io/you']"),
        ("forgejo", "registry = 'localhost:5000/team'\nengine = 'buildx'"),
    ]
    .map(|(forge, config)| {
        let project = Project::with_config(config);
        let written = project.run(&["init", "--ci", forge]).finish();
        let path = match forge {
            "github" => ".github/workflows/multiarch.yml",
            "gitlab" => ".gitlab-ci.yml",
            _ => ".forgejo/workflows/multiarch.yml",
        };
        let text = project.read(path);
        assert!(!text.contains("localhost") && !text.contains("127.0.0.1"), "{text}");
        let publish = text.lines().find(|line| line.contains("cargo multiarch publish ")).unwrap().trim().to_owned();
        (written, publish)
    });
    let (written, commands): (Vec<_>, Vec<_>) = seen.into_iter().unzip();
    snapshot!(written, commands.join("\n"));
}

#[test]
fn init_ci_writes_to_the_root_of_the_repository() {
    let project = Project::empty()
        .file("server/Cargo.toml", HEAD)
        .file("server/Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.2.3\"\n")
        .file("server/src/main.rs", "fn main() {}\n")
        .file("server/multiarch.toml", "registry = \"registry.example/team\"\n")
        .committed();
    for native in [&[][..], &["--ci-native"]] {
        let args = [&["init", "--ci", "github", "--force"], native].concat();
        project.run(&args).in_dir("server").finish();
        let text = project.read(".github/workflows/multiarch.yml");
        let workflow: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(workflow["defaults"]["run"]["working-directory"], "server");
        let publish = &workflow["jobs"]["publish"];
        let last = commands(publish).pop().unwrap();
        assert_eq!(
            last,
            if native.is_empty() {
                "cargo multiarch publish --checklist \"$GITHUB_STEP_SUMMARY\""
            } else {
                "cargo multiarch publish --artifacts dist/ --checklist \"$GITHUB_STEP_SUMMARY\""
            }
        );
        for expected in ["registry: registry.example\n", "secrets.REGISTRY_PASSWORD", "workspaces: server\n"] {
            assert!(text.contains(expected), "no '{expected}' in\n{text}");
        }
        // The job's token is not used, so it needs no permission to write packages.
        assert_eq!(publish["permissions"], serde_json::json!({ "contents": "read" }));
        assert_eq!(native.is_empty(), !text.contains("path: server/dist/\n"), "{text}");
    }
}

/// Runs the part of a job's script that writes Docker's config.json. Returns each host's `user:password`.
fn logged_in(project: &Project, script: &str, env: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut bash = Command::new("bash");
    bash.args(["-e", "-c", script]).env("HOME", project.path()).envs(env.iter().copied());
    assert!(bash.status().unwrap().success(), "{script}");
    let config: Value = serde_json::from_str(&project.read(".docker/config.json")).unwrap();
    let decoded = |login: &Value| {
        let mut base64 = Command::new("bash");
        let output = base64.args(["-c", "base64 -d <<< \"$0\"", login["auth"].as_str().unwrap()]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let auths = config["auths"].as_object().unwrap();
    auths.iter().map(|(host, login)| (host.clone(), decoded(login))).collect()
}

#[test]
fn init_ci_logs_in_to_every_registry() {
    const HUB: &str = "https://index.docker.io/v1/";
    let project = Project::with_config("registry = ['ghcr.io/you', 'docker.io/you', 'r.example:5000/x']");
    let workflow = |forge: &str, path: &str| -> (String, Value) {
        project.run(&["init", "--ci", forge]).finish();
        let text = project.read(path);
        let parsed = serde_saphyr::from_str(&text).unwrap();
        (text, parsed)
    };
    let (text, github) = workflow("github", ".github/workflows/multiarch.yml");
    let steps = github["jobs"]["publish"]["steps"].as_array().unwrap();
    let logins = steps
        .iter()
        .filter(|step| step["uses"].as_str().is_some_and(|name| name.starts_with("docker/login-action@")))
        .map(|step| &step["with"]);
    let logins: Vec<[&str; 2]> =
        logins.map(|with| ["registry", "username"].map(|name| with[name].as_str().unwrap())).collect();
    let expected = [
        ["ghcr.io", "${{ github.actor }}"],
        [HUB, "${{ secrets.REGISTRY_DOCKER_HUB_USERNAME }}"],
        ["r.example:5000", "${{ secrets.REGISTRY_R_EXAMPLE_5000_USERNAME }}"],
    ];
    assert_eq!(logins, expected, "{text}");
    assert!(
        text.contains("# Requires the secrets REGISTRY_DOCKER_HUB_USERNAME and REGISTRY_DOCKER_HUB_PASSWORD to log in"),
        "{text}"
    );
    assert!(!text.contains("REGISTRY_GHCR_IO"), "{text}");

    let (text, forgejo) = workflow("forgejo", ".forgejo/workflows/multiarch.yml");
    let steps = forgejo["jobs"]["publish"]["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == "Log in").unwrap();
    let secret = |value: &Value| value.as_str().unwrap().replace("${{ secrets.", "").replace(" }}", "");
    let env: Vec<(String, String)> =
        step["env"].as_object().unwrap().iter().map(|(name, value)| (name.clone(), secret(value))).collect();
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [("ghcr.io", "GHCR_IO"), (HUB, "DOCKER_HUB"), ("r.example:5000", "R_EXAMPLE_5000")]
        .map(|(host, name)| (host.to_owned(), format!("REGISTRY_{name}_USERNAME:REGISTRY_{name}_PASSWORD")));
    assert_eq!(logged_in(&project, step["run"].as_str().unwrap(), &env), expected, "{text}");

    let (text, gitlab) = workflow("gitlab", ".gitlab-ci.yml");
    let lines = gitlab["publish"]["script"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with("cargo ")).collect();
    let names = ["GHCR_IO", "DOCKER_HUB", "R_EXAMPLE_5000"]
        .into_iter()
        .flat_map(|name| ["USERNAME", "PASSWORD"].map(|suffix| format!("REGISTRY_{name}_{suffix}")));
    let names: Vec<String> = names.collect();
    let env: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), name.as_str())).collect();
    assert_eq!(logged_in(&project, &lines.join("\n"), &env), expected, "{text}");
}
