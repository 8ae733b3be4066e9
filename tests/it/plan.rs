//! Checks the output of `plan`, and how `plan` combines flags, environment variables and configuration.

use serde_json::Value;

use crate::support::snapshot::{Show, snapshot};
use crate::support::{Fakes, HEALTHY_DOCKER, Project, Run};

fn json(run: Run) -> Value {
    let finished = run.finish();
    serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"))
}

fn plan(project: &Project, args: &[&str]) -> Value {
    json(project.run(&[&["plan", "--message-format", "json"], args].concat()))
}

fn names(plan: &Value) -> Vec<&str> {
    plan["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect()
}

/// Creates a virtual workspace with the packages `a` (binary a), `b` (binaries b1 and b2) and `c` (a library). `a` is
/// the default member.
fn workspace() -> Project {
    let member =
        |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"0.{}.0\"\nedition = \"2021\"\n", name.len());
    let lock = ["a", "b", "c"].map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"0.1.0\"\n")).join("\n");
    Project::empty()
        .file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\ndefault-members = [\"crates/a\"]\nresolver = \"2\"\n",
        )
        .file("Cargo.lock", &format!("version = 4\n\n{lock}"))
        .file("crates/a/Cargo.toml", &member("a"))
        .file("crates/a/src/main.rs", "fn main() {}")
        .file("crates/b/Cargo.toml", &member("b"))
        .file("crates/b/src/bin/b1.rs", "fn main() {}")
        .file("crates/b/src/bin/b2.rs", "fn main() {}")
        .file("crates/c/Cargo.toml", &member("c"))
        .file("crates/c/src/lib.rs", "")
}

fn no_docker() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git")
}

fn healthy() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

#[test]
fn plan_prints_a_table() {
    let run = Project::app().run(&["plan", "--registry", "r.example/me"]).env("SOURCE_DATE_EPOCH", "1");
    snapshot!(run.path_only(&no_docker()).finish());
}

#[test]
fn plan_prints_json() {
    let config = "env = { A = '1' }\nexpose = [8080]\nfiles = [{ from = 'src', to = '/src' }]\n\
        [platform.'linux/arm64']\nbase = 'busybox'\n";
    let project = Project::with_config(config).file(".gitignore", "/target\n").committed();
    let run = project.run(&["plan", "--registry", "r.example/me", "--message-format", "json"]);
    snapshot!(run.path_only(&no_docker()).finish());
}

#[test]
fn plan_groups_linkers_by_reason() {
    let config = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\n\
        [platform.'linux/riscv64']\nlinker = 'rust-lld'";
    snapshot!(Project::with_config(config).run(&["plan"]).path_only(&no_docker()).finish());
}

/// Images may have different linkers on the same platform.
#[test]
fn plan_groups_linkers_by_image() {
    let config = "platforms = ['linux/amd64', 'linux/arm64']\n[images.one]\nbins = ['app']\n\
        [images.two]\nbins = ['app']\nlinker = 'rust-lld'\n[images.three]\nbins = ['app']\nplatforms = ['linux/amd64']";
    snapshot!(Project::with_config(config).run(&["plan"]).path_only(&no_docker()).finish());
}

#[test]
fn plan_prints_commands() {
    let args = ["plan", "--registry", "r.example", "-v", "-F", "x,y", "--builder", "mine"];
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[features]\nx = []\ny = []\n";
    let docker = no_docker().program("docker", HEALTHY_DOCKER);
    let run = Project::app().file("Cargo.toml", manifest).run(&args).path_only(&docker);
    snapshot!(run.finish());
}

/// buildx cannot write the results of several nodes to a single OCI layout.
#[test]
fn multi_node_builder_is_called_for_each_platform() {
    let nodes = "Name: a\\nPlatforms: linux/amd64*, linux/386\\n\\nName: b\\nPlatforms: linux/arm64*\\n";
    for driver in ["remote", "docker-container"] {
        let inspected = format!("Name: both\\nDriver: {driver}\\n\\nNodes:\\n{nodes}");
        let script =
            HEALTHY_DOCKER.replace("Name: default\\nDriver: docker\\n\\nNodes:\\nName: default\\n", &inspected);
        let docker = Fakes::new().program("docker", &script);
        // The RUN instruction is accepted, because the nodes may be able to run platforms that this machine cannot.
        let template =
            "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n{% include \"config\" %}\n";
        let project =
            Project::with_config("template = 't.j2'\nbase = 'debian'\nplatforms = ['linux/amd64', 'linux/loong64']\n");
        let finished =
            project.file("t.j2", template).run(&["plan", "-v", "--builder", "both"]).path_first(&docker).finish();
        let calls: Vec<&str> = finished.stderr.lines().filter(|line| line.contains("docker buildx build")).collect();
        for (call, platform) in calls.iter().zip(["linux/amd64", "linux/loong64"]) {
            let layout = format!("target/multiarch/+nodes/app/{}", platform.replace('/', "-"));
            assert!(
                call.contains(&format!("--platform {platform} --builder both")) && call.contains(&layout),
                "{call}"
            );
        }
        assert_eq!(calls.len(), 2, "{finished}");
    }
}

#[test]
fn plan_shows_the_engine() {
    let docker = || healthy().real("cargo").real("rustc").real("git");
    const PROVENANCE: [&str; 2] = ["--provenance", "mode=max"];
    let seen = [
        (no_docker(), &[][..], "embedded"),
        (docker(), &[], "buildx"),
        (docker(), &["--engine", "embedded"], "embedded"),
        (docker(), &PROVENANCE, "buildx"),
        (classic_docker(), &[], "embedded"),
        (classic_docker(), &PROVENANCE, "buildx"),
    ]
    .map(|(tools, args, engine)| {
        let project = Project::app();
        let human = project.run(&[&["plan", "-v"], args].concat()).path_only(&tools).finish();
        let json = json(project.run(&[&["plan", "--message-format", "json"], args].concat()).path_only(&tools));
        assert_eq!(json["engine"], engine);
        assert!(human.stdout.contains(&format!("({})\n", json["engine_why"].as_str().unwrap())), "{human}");
        assert!(!tools.log("docker").contains("create"), "plan must not create a builder: {}", tools.log("docker"));
        human
    });
    snapshot!(seen);
}

/// Creates the packages `plain` and `runs`, whose template has a RUN instruction that only buildx supports.
fn with_run_in_one_image() -> Project {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let member = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    let lock = ["plain", "runs"].map(|name| format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n"));
    Project::empty()
        .file("Cargo.toml", "[workspace]\nmembers = [\"plain\", \"runs\"]\nresolver = \"2\"\n")
        .file("Cargo.lock", &format!("version = 4\n\n{}", lock.join("\n")))
        .file("multiarch.toml", "platforms = ['linux/amd64']\n[images.plain]\nbins = ['plain']\n[images.runs]\nbins = ['runs']\ntemplate = 't.j2'\n")
        .file("t.j2", template)
        .file("plain/Cargo.toml", &member("plain"))
        .file("plain/src/main.rs", "fn main() {}")
        .file("runs/Cargo.toml", &member("runs"))
        .file("runs/src/main.rs", "fn main() {}")
}

/// Docker's classic image store: buildx needs a builder that does not exist yet.
fn classic_docker() -> Fakes {
    let script = HEALTHY_DOCKER
        .replace("io.containerd.snapshotter.v1", "classic")
        .replace("in\n", "in\n  \"buildx inspect\") [ $# = 2 ] && echo 'Driver: docker' ;;\n");
    no_docker().program("docker", &script)
}

#[test]
fn engine_is_selected_per_image() {
    let project = with_run_in_one_image();
    let human = project.run(&["plan", "-v"]).path_only(&classic_docker()).finish();
    let json = json(project.run(&["plan", "--message-format", "json"]).path_only(&classic_docker()));
    let engines = json["images"].as_array().unwrap().iter().map(|image| image["engine"].as_str().unwrap());
    assert_eq!(engines.collect::<Vec<_>>(), ["embedded", "buildx"]);
    assert_eq!(json["engine"], Value::Null);
    let doctor = project.run(&["doctor"]).path_only(&classic_docker()).finish();
    snapshot!(human, doctor);
}

#[test]
fn missing_docker_fails_only_the_image_that_needs_it() {
    let project = with_run_in_one_image();
    let all = project.run(&["plan"]).path_only(&no_docker()).finds(6).finish();
    assert!(all.stdout.contains("plain 1.0.0") && !all.stdout.contains("runs 1.0.0"), "{all}");
    // A program that reads the output must not mistake a part of the plan for all of it.
    project.run(&["plan", "--message-format", "json"]).path_only(&no_docker()).fails(6).finish();
    snapshot!(all, project.run(&["plan", "-p", "plain"]).path_only(&no_docker()).finish());
}

#[test]
fn plan_fails_if_publish_would_fail_at_once() {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n";
    let seen = [
        ("template = 't.j2'", &["--engine", "embedded"][..], 3),
        ("", &["--engine", "embedded", "--builder", "x"], 3),
        ("files = [{ from = 'missing', to = '/x' }]", &[], 3),
        ("", &["--engine", "buildx"], 6),
        ("template = 't.j2'", &[], 6),
    ]
    .map(|(config, args, code)| {
        let project = Project::with_config(config).file("t.j2", template);
        project.run(&[&["plan"], args].concat()).path_only(&no_docker()).fails(code).finish()
    });
    snapshot!(seen);
}

#[test]
fn packages_are_selected_as_in_cargo() {
    let project = workspace();
    assert_eq!(names(&plan(&project, &[])), ["a"]);
    assert_eq!(names(&plan(&project, &["-p", "b"])), ["b1", "b2"]);
    assert_eq!(names(&plan(&project, &["-p", "a", "-p", "b", "--bin", "b2"])), ["b2"]);
    assert_eq!(names(&plan(&project, &["--manifest-path", "crates/b/Cargo.toml"])), ["b1", "b2"]);
    assert_eq!(names(&json(project.run(&["plan", "--message-format", "json"]).in_dir("crates/b/src"))), ["b1", "b2"]);
    let beside = project.run(&["plan", "--message-format", "json", "--manifest-path", "../b/Cargo.toml"]);
    assert_eq!(names(&json(beside.in_dir("crates/a"))), ["b1", "b2"]);
    snapshot!(project.run(&["plan", "-p", "c"]).fails(3).finish());
}

#[test]
fn images_are_configured_by_tables() {
    let config = "registry = ['r.example/x', 'localhost:5000']\n[images.one]\nbins = ['b1', 'a']\n[images.two]\nbins = ['b2']\ntags = ['t']";
    let project = workspace().file("multiarch.toml", config);
    let all = plan(&project, &[]);
    assert_eq!(names(&all), ["one", "two"]);
    assert_eq!(all["images"][0]["repositories"], serde_json::json!(["r.example/x/one", "localhost:5000/one"]));
    assert_eq!(all["images"][0]["package"], "b");
    assert_eq!(all["images"][0]["platforms"][0]["container"]["entrypoint"][0], "/usr/local/bin/b1");
    assert_eq!(all["images"][1]["tags"], serde_json::json!(["t"]));
    assert_eq!(names(&plan(&project, &["-p", "a"])), ["one"]);
    assert_eq!(names(&json(project.run(&["plan", "--message-format", "json"]).in_dir("crates/a"))), ["one"]);
}

#[test]
fn binaries_are_selected() {
    let config = "[images.one]\nbins = ['b1', 'a']\n[images.two]\nbins = ['b2']";
    let configured = workspace().file("multiarch.toml", config);
    let one = plan(&configured, &["--bin", "a"]);
    assert_eq!(names(&one), ["one"]);
    assert_eq!(
        one["images"][0]["platforms"][0]["binaries"].as_array().unwrap().len(),
        2,
        "an image keeps all of its binaries"
    );
    snapshot!(configured.run(&["plan", "-p", "c"]).fails(3).finish());

    let member = "[package]\nname = 'b'\nversion = '0.1.0'\n[package.metadata.multiarch]\nbins = ['b2']\n";
    let project = workspace().file("crates/b/Cargo.toml", member);
    assert_eq!(names(&plan(&project, &["-p", "a", "-p", "b"])), ["a", "b2"]);
    assert_eq!(names(&plan(&project, &["-p", "b", "--bin", "b1"])), ["b1"]);
}

#[test]
fn images_have_separate_directories() {
    let project = Project::with_config("[images.'a/b']\nbins = ['app']\n[images.a-b]\nbins = ['app']");
    let run = project.run(&["plan", "-v", "--engine", "buildx"]).path_first(&healthy());
    run.finish().stderr_has(&["multiarch/a+b/oci", "multiarch/a-b/oci"]);
}

#[test]
fn empty_environment_variables_are_ignored() {
    let project = Project::with_config("tags = ['t']\nbase = 'b'\nregistry = 'r.example'");
    let run = project.run(&["plan", "--message-format", "json"]);
    let names = [
        "REGISTRY",
        "PLATFORMS",
        "TAGS",
        "BASE",
        "TEMPLATE",
        "LIBC",
        "LINKER",
        "GLIBC",
        "PROFILE",
        "FEATURES",
        "ENGINE",
        "INSECURE_REGISTRIES",
        "BUILDER",
        "PROVENANCE",
        "SBOM",
    ];
    let run = run.env("SOURCE_DATE_EPOCH", "");
    let plan = json(names.iter().fold(run, |run, name| run.env(&format!("MULTIARCH_{name}"), "")));
    assert_eq!(plan, self::plan(&project, &[]));
    let variable = project.run(&["plan", "--message-format", "json"]).env("MULTIARCH_PLATFORMS", "linux/riscv64");
    assert_eq!(json(variable)["images"][0]["platforms"][0]["platform"], "linux/riscv64");
    let spaced = self::plan(&project, &["--platform", "linux/arm64, linux/riscv64 ", "--tag", "a, b"]);
    assert_eq!(spaced["images"][0]["platforms"].as_array().unwrap().len(), 2);
    assert_eq!(spaced["images"][0]["tags"], serde_json::json!(["a", "b"]));
}

#[test]
fn plan_uses_the_target_directory_of_cargo() {
    let project = Project::app();
    let by_variable =
        json(project.run(&["plan", "--message-format", "json"]).env("CARGO_TARGET_DIR", "/somewhere/else"));
    assert_eq!(by_variable["target_dir"], "/somewhere/else");
    let project = project.file(".cargo/config.toml", "[build]\ntarget-dir = 'out'\n");
    assert_eq!(plan(&project, &[])["target_dir"], project.path().join("out").to_str().unwrap());
}

#[test]
fn settings_are_applied_in_order_of_precedence() {
    let manifest = "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n\
        [profile.w]\ninherits = 'release'\n[workspace]\n[workspace.metadata.multiarch]\nprofile = 'w'\nuser = 'w'\nbase = 'w'\ntags = ['w']\n\
        [package.metadata.multiarch]\nuser = 'p'\nbase = 'p'\ntags = ['p']\n";
    let project = Project::app().file("Cargo.toml", manifest);
    let run = project.run(&["plan", "--message-format", "json", "--tag", "flag"]);
    let plan = json(run.env("MULTIARCH_BASE", "env").env("MULTIARCH_TAGS", "env"));
    let image = &plan["images"][0];
    let platform = &image["platforms"][0];
    assert_eq!(platform["build"]["profile"], "w");
    assert_eq!(platform["container"]["user"], "p");
    assert_eq!(platform["base"], "env");
    assert_eq!(image["tags"], serde_json::json!(["flag"]));
}

#[test]
fn settings_may_differ_by_platform() {
    let config = "platforms = ['linux/arm64', 'linux/amd64', 'linux/amd64/v3']\nenv = { A = '1', B = '1' }\n\
        [platform.'linux/arm64']\nbase = 'x'\nlibc = 'gnu'\nenv = { B = '2' }";
    let plan = plan(&Project::with_config(config), &[]);
    let platforms = plan["images"][0]["platforms"].as_array().unwrap();
    let seen: Vec<_> =
        platforms.iter().map(|p| (p["platform"].as_str().unwrap(), p["build"]["triple"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [
            ("linux/amd64", "x86_64-unknown-linux-musl"),
            ("linux/amd64/v3", "x86_64-unknown-linux-musl"),
            ("linux/arm64", "aarch64-unknown-linux-gnu")
        ]
    );
    assert_eq!(platforms[1]["build"]["rustflags"], serde_json::json!(["-Ctarget-cpu=x86-64-v3"]));
    assert_eq!(platforms[2]["container"]["env"], serde_json::json!({ "A": "1", "B": "2" }));
    assert_eq!((platforms[0]["base"].as_str(), platforms[2]["base"].as_str()), (Some("scratch"), Some("x")));
}

#[test]
fn missing_git_program_is_reported() {
    let project = Project::app().committed();
    let without = Fakes::new().real("cargo").real("rustc");
    let run = project.run(&["plan", "--engine", "embedded"]).path_only(&without);
    snapshot!(run.fails(3).finish());
    Project::app().run(&["plan", "--engine", "embedded"]).path_only(&without).finish();
}

#[test]
fn git_tag_of_another_version_is_reported() {
    let seen = [
        ("v9.9.9", &["plan"][..], 3),
        ("app-v9.9.9", &["plan"], 3),
        ("v9.9.9", &["plan", "--allow-tag-mismatch"], 0),
        ("v9.9.9", &["plan", "--tag", "mine"], 0),
        ("v1.2.3", &["plan"], 0),
        ("other-v9.9.9", &["plan"], 0),
    ]
    .map(|(tag, args, code)| {
        let project = Project::app().file(".gitignore", "/target\n").committed();
        project.git(&["tag", tag]);
        let finished = project.run(args).path_only(&no_docker()).fails(code).finish();
        format!("git tag {tag}\n{}", finished.show())
    });
    snapshot!(seen);
    let project = Project::app().file(".gitignore", "/target\n").committed();
    project.git(&["tag", "v9.9.9"]);
    let local = project.run(&["dockerfile"]).path_only(&no_docker()).finish();
    local.stderr_has(&["note: the commit is tagged v9.9.9, but the version of app is 1.2.3"]);
}

#[test]
fn all_git_tags_of_the_commit_are_considered() {
    let project = Project::app().file(".gitignore", "/target\n").committed();
    for tag in ["v1.2.3", "v9.9.9", "nightly"] {
        project.git(&["tag", tag]);
    }
    let git_tag = |name: &str, value: &str| {
        let run = project.run(&["plan", "--message-format", "json", "--tag", "{{git.tag}}"]).path_only(&no_docker());
        let plan: Value = serde_json::from_str(&run.env(name, value).finish().stdout).unwrap();
        plan["images"][0]["tags"][0].clone()
    };
    assert_eq!(git_tag("CI_COMMIT_TAG", ""), "v1.2.3");
    assert_eq!(git_tag("CI_COMMIT_TAG", "app-v1.2.3"), "app-v1.2.3");
    project.run(&["plan"]).path_only(&no_docker()).finish();

    // A shallow clone does not contain the tag that a CI job runs for.
    let untagged = Project::app().file(".gitignore", "/target\n").committed();
    let run = untagged.run(&["plan"]).path_only(&no_docker());
    let run = run.env("GITHUB_REF_TYPE", "tag").env("GITHUB_REF_NAME", "v1.2.4").fails(3);
    run.finish().stderr_has(&["the commit is tagged v1.2.4, but the version of app is 1.2.3"]);
}

#[test]
fn git_tags_of_packages_concern_only_these() {
    let package = |name: &str, version: &str| format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\n");
    let project = Project::empty()
        .file("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"api\", \"web\"]\n")
        .file("api/Cargo.toml", &package("api", "1.0.0"))
        .file("api/src/main.rs", "fn main() {}\n")
        .file("web/Cargo.toml", &package("web", "2.0.0"))
        .file("web/src/main.rs", "fn main() {}\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"api\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"web\"\nversion = \"2.0.0\"\n")
        .file("multiarch.toml", "tags = ['{{version}}', '{{git.tag}}']\n")
        .file(".gitignore", "/target\n")
        .committed();
    project.git(&["tag", "api-v1.0.0"]);
    let run = |args: &[&str]| project.run(&[&["plan"], args].concat()).path_only(&no_docker());
    let plan: Value = serde_json::from_str(&run(&["--message-format", "json"]).finish().stdout).unwrap();
    assert_eq!(plan["images"][0]["tags"], serde_json::json!(["1.0.0", "api-v1.0.0"]));
    assert_eq!(plan["images"][1]["tags"], serde_json::json!(["2.0.0"]));

    project.git(&["tag", "web/v2.0.1"]);
    run(&["-p", "api"]).finish();
    snapshot!(run(&[]).fails(3).finish(), run(&["-p", "web"]).fails(3).finish());
}

#[test]
fn git_provides_tags_and_labels() {
    let templates = ["{{git.short}}", "{{git.branch}}", "{{git.tag}}", "latest"];
    let args: Vec<&str> = templates.iter().flat_map(|template| ["--tag", template]).collect();
    let project = Project::app().file(".gitignore", "/target\n").committed();
    project.git(&["tag", "v1.2.3"]);
    let clean = plan(&project, &args);
    let tags: Vec<&str> =
        clean["images"][0]["tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap()).collect();
    assert_eq!(&tags[1..], ["main", "v1.2.3", "latest"]);
    assert_eq!(tags[0].len(), 7);
    assert_eq!(clean["source_date_epoch"], 1_767_323_045);
    assert!(
        clean["images"][0]["annotations"]["org.opencontainers.image.revision"].as_str().unwrap().starts_with(tags[0])
    );

    let project = project.file("src/main.rs", "fn main() { println!(\"changed\"); }");
    let revision = clean["images"][0]["annotations"]["org.opencontainers.image.revision"].as_str().unwrap();
    snapshot!(project.run(&["plan"]).path_only(&no_docker()).finish());
    let explicit_tags = plan(&project, &["--tag", "1.2.3,latest"]);
    assert_eq!(explicit_tags["images"][0]["tags"], serde_json::json!(["1.2.3", "latest"]));
    let labels = &explicit_tags["images"][0]["platforms"][0]["container"]["labels"];
    assert_eq!(labels["org.opencontainers.image.revision"], format!("{revision}-dirty"));
}

#[test]
fn git_repository_without_a_commit_is_reported() {
    let project = Project::app().file(".gitignore", "/target\n");
    project.git(&["init", "-q"]);
    snapshot!(project.run(&["plan"]).path_only(&no_docker()).finish());
}

#[test]
fn usage_errors_are_the_same_without_cargo() {
    let project = Project::app();
    let cargo = std::process::Command::new(crate::support::PROGRAM)
        .args(["plan", "-q"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(cargo.status.success());
    snapshot!(
        project.run(&["--version"]).finish(),
        project.run(&["push"]).fails(2).finish(),
        project.run(&["plan", "--max-size", "10lb"]).fails(2).finish(),
        project.run(&["plan", "--matrix", "git"]).fails(2).finish(),
        project.run(&["pubish"]).fails(2).finish(),
    );
}

#[test]
fn dockerfile_is_printed() {
    let config = "cmd = ['a b']\n[env]\nA = '''it's \"$5\"'''";
    let two = Project::with_config("[images.one]\nbins = ['app']\n[images.two]\nbins = ['app']");
    snapshot!(
        Project::with_config(config).run(&["dockerfile", "--platform", "linux/arm/v7"]).finish(),
        two.run(&["dockerfile"]).finish(),
        Project::app().run(&["dockerfile", "--variables"]).finish(),
    );
}

#[test]
fn secrets_are_not_printed() {
    let project = Project::with_config("build-env = { A_PASSWORD = 'hunter1', PLAIN = 'shown' }");
    let args = [
        "--build-arg",
        "NPM_TOKEN=hunter2",
        "--buildx-arg=--build-arg=X_TOKEN=hunter3",
        "--cache-to",
        "type=s3,secret_access_key=hunter4",
    ];
    for format in ["json", "human"] {
        let run = project.run(&[&["plan", "-v", "--message-format", format], &args[..]].concat());
        let finished = run.path_first(&healthy()).finish();
        assert!(!finished.stdout.contains("hunter"), "{finished}");
        finished.stderr_has(&["PLAIN=shown"]).stderr_lacks("hunter");
    }
}

#[test]
fn uncommitted_changes_of_path_dependencies_are_found() {
    let package = |name: &str, rest: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n{rest}")
    };
    let project = Project::empty()
        .file(".gitignore", "target\n")
        .file("app/Cargo.toml", &package("app", "[dependencies]\nlib = { path = \"../lib\" }\n"))
        .file("app/src/main.rs", "fn main() {}\n")
        .file("app/Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"1.0.0\"\ndependencies = [\n \"lib\",\n]\n\n[[package]]\nname = \"lib\"\nversion = \"1.0.0\"\n")
        .file("lib/Cargo.toml", &package("lib", ""))
        .file("lib/src/lib.rs", "")
        .committed();
    let plan = |project: &Project| project.run(&["plan", "--engine", "embedded"]).in_dir("app").finish();
    plan(&project).stderr_lacks("uncommitted changes");
    plan(&project.file("lib/src/lib.rs", "pub fn changed() {}\n")).stderr_has(&["uncommitted changes"]);
}

#[test]
fn binary_in_two_packages_is_ambiguous() {
    Project::app().run(&["plan", "-p", "app", "-p", "app", "--engine", "embedded"]).finish();
    let package = |name: &str| {
        format!(
            "[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n[[bin]]\nname = \"srv\"\npath = \"src/main.rs\"\n"
        )
    };
    let project = Project::empty()
        .file("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"a\", \"b\"]\n")
        .file("a/Cargo.toml", &package("a"))
        .file("a/src/main.rs", "fn main() {}\n")
        .file("b/Cargo.toml", &package("b"))
        .file("b/src/main.rs", "fn main() {}\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"1.0.0\"\n")
        .file("multiarch.toml", "[images.one]\nbins = ['srv']\n");
    snapshot!(project.run(&["plan", "--engine", "embedded"]).fails(3).finish());
    project.run(&["plan", "--engine", "embedded", "-p", "b"]).finish();
}

#[test]
fn graph_is_printed() {
    let project = workspace().file(
        "multiarch.toml",
        "registry = 'r.example/me'\nbase = 'busybox:1.37'\n[images.one]\nbins = ['b1', 'b2']\n[images.two]\nbins = ['b1']\n",
    );
    let graph = |args: &[&str]| project.run(&[&["plan"], args].concat()).path_only(&no_docker()).finish().stdout;
    let svg = graph(&["--graph"]);
    assert_eq!(svg, graph(&["--graph", "svg"]));
    let document = roxmltree::Document::parse(&svg).unwrap();
    assert_eq!(document.root_element().tag_name().name(), "svg");
    snapshot!(
        project.run(&["plan", "--graph", "dot"]).path_only(&no_docker()).finish(),
        project.run(&["plan", "--graph", "--message-format", "json"]).fails(2).finish(),
    );
}

#[test]
fn health_check_of_the_base_can_be_disabled() {
    let dockerfile = |config: &str| {
        let config = format!("platforms = ['linux/amd64']\nbase = 'x'\n{config}");
        Project::with_config(&config).run(&["dockerfile"]).finish().stdout
    };
    assert!(dockerfile("healthcheck = false").contains("\nHEALTHCHECK NONE\n"));
    assert!(dockerfile("healthcheck = { cmd = ['a'] }").contains("\nHEALTHCHECK CMD [\"a\"]\n"));
    assert!(!dockerfile("").contains("HEALTHCHECK"));
}
