//! Layouts and archives for elsewhere, and what is said of the engine.

use std::process::Command;

use serde_json::Value;

use super::embedded;
use crate::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, HEALTHY_DOCKER, PROGRAM, Project};

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn outputs_compose_with_a_push() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let args = [
        "publish",
        "--platform",
        "linux/amd64",
        "--output",
        "oci:out",
        "--output",
        "oci-archive:out.tar",
        "--registry",
    ];
    let finished = embedded(&project, &[&args[..], &[&registry.host]].concat()).finish();
    let digest = finished.stdout.trim().rsplit_once('@').unwrap().1.to_owned();
    let top: Value = serde_json::from_slice(&std::fs::read(project.path().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(top["manifests"][0]["digest"], digest.as_str());
    assert_eq!(top["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "app:1.2.3");
    let mut archive = tar::Archive::new(std::fs::File::open(project.path().join("out.tar")).unwrap());
    let names: Vec<String> =
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert!(names.contains(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"))), "{names:?}");
    assert!(names.ends_with(&["index.json".to_owned(), "oci-layout".to_owned()]), "{names:?}");
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);

    // Without a push it is the same digest, and one more image in the same layout.
    let unpushed = embedded(&project, &["publish", "--push=false", "--platform", "linux/amd64"]).finish();
    assert_eq!(unpushed.stdout, format!("app:1.2.3@{digest}\n"));
    let built =
        embedded(&project, &["build", "--platform", "linux/amd64", "--tag", "two", "--output", "oci:out"]).finish();
    assert_eq!(built.stdout, format!("app:two@{digest}\n"));
    let top: Value = serde_json::from_slice(&std::fs::read(project.path().join("out/index.json")).unwrap()).unwrap();
    assert_eq!(top["manifests"].as_array().unwrap().len(), 2);
    assert!(project.path().join("target/multiarch/app/oci/index.json").is_file());
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_layout_is_whole_and_for_all() {
    use std::os::unix::fs::PermissionsExt;
    let shared = Project::empty();
    let out = format!("oci:{}", shared.path().join("out").display());
    let archive = format!("oci-archive:{}", shared.path().join("out.tar").display());
    let args = ["build", "--platform", "linux/amd64", "--output", &out, "--output", &archive];
    let index =
        || -> Value { serde_json::from_slice(&std::fs::read(shared.path().join("out/index.json")).unwrap()).unwrap() };
    embedded(&Project::app(), &args).finish();
    // What an interrupted run has left is mended.
    let blobs = shared.path().join("out/blobs/sha256");
    for blob in std::fs::read_dir(&blobs).unwrap().flatten() {
        std::fs::write(blob.path(), "half").unwrap();
    }
    embedded(&Project::app(), &args).finish();
    for blob in std::fs::read_dir(&blobs).unwrap().flatten() {
        let name = format!("sha256:{}", blob.file_name().to_str().unwrap());
        assert_eq!(crate::fake_registry::digest(&std::fs::read(blob.path()).unwrap()), name);
        assert_eq!(blob.metadata().unwrap().permissions().mode() & 0o444, 0o444, "others may read it");
    }
    let archive = std::fs::metadata(shared.path().join("out.tar")).unwrap();
    assert_eq!(archive.permissions().mode() & 0o444, 0o444);
    assert_eq!(index()["manifests"].as_array().unwrap().len(), 1);
    // Another package is another image.
    let other = Project::empty()
        .file("Cargo.toml", "[package]\nname = \"other\"\nversion = \"1.2.3\"\nedition = \"2021\"\n")
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"other\"\nversion = \"1.2.3\"\n")
        .file("src/main.rs", "fn main() {}\n");
    embedded(&other, &args).finish();
    let names: Vec<Value> = index()["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].clone())
        .collect();
    assert_eq!(names, ["app:1.2.3", "other:1.2.3"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn loading_takes_one_platform_and_says_its_name() {
    let script = HEALTHY_DOCKER.replacen(
        "in\n",
        "in\n  \"version \"*) echo linux/arm64 ;;\n  \"load \"*) cp \"$4\" \"$LOADED\" ;;\n",
        1,
    );
    let docker = Fakes::new().program("docker", &script);
    let project = Project::app();
    let loaded = project.path().join("loaded.tar");
    let run = project.run(&["build", "--load", "--engine", "embedded", "--platform", "linux/amd64,linux/arm64"]);
    let finished = run.path_first(&docker).env("LOADED", &loaded).finish();
    assert_eq!(finished.stdout, "app:1.2.3\n", "what `docker run` takes");
    let mut archive = tar::Archive::new(std::fs::File::open(loaded).unwrap());
    let names = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    assert_eq!(names.filter(|name| name.starts_with("blobs/")).count(), 4, "two layers, a config, a manifest");

    let script = HEALTHY_DOCKER.replacen(
        "in\n",
        "in\n  \"version \"*) echo linux/amd64 ;;\n  \"load \"*) echo > \"$LOADED\"; exec sleep 60 ;;\n",
        1,
    );
    let docker = Fakes::new().program("docker", &script);
    let mark = project.path().join("loading");
    let run = project.run(&["build", "--load", "--engine", "embedded", "--platform", "linux/amd64"]);
    let (mut command, _dirs) = run.path_first(&docker).env("LOADED", &mark).into_command();
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while !mark.exists() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn outputs_that_cannot_be_written() {
    let project = Project::app().file("full/something", "x");
    let seen = ["oci:full", "oci:Cargo.toml", "oci-archive:Cargo.lock", "oci-archive:full", "oci-archive:none/x.tar"]
        .map(|output| {
            embedded(&project, &["build", "--output", output]).fails(3).finish().keeps_quiet_about("Compiling")
        });
    let transport = embedded(&project, &["build", "--output", "docker-archive:x"]).fails(2);
    snapshot!(seen, transport.finish());
}

#[test]
fn loading_needs_somebody_to_load_into() {
    let none = Fakes::new().real("cargo").real("rustc").real("git");
    let run = Project::app().run(&["build", "--load", "--engine", "embedded"]).path_only(&none).fails(6);
    let nobody = run.finish().keeps_quiet_about("Compiling");

    let script = HEALTHY_DOCKER.replacen("in\n", "in\n  \"version \"*) echo linux/s390x ;;\n", 1);
    let docker = Fakes::new().program("docker", &script);
    let run = Project::app().run(&["build", "--load", "--engine", "embedded"]).path_first(&docker).fails(3);
    snapshot!(nobody, run.finish().keeps_quiet_about("Compiling"));
}

#[test]
fn the_first_line_says_which_engine_and_why() {
    let registry = FakeRegistry::refusing(403);
    let args = ["publish", "--registry", &registry.host];
    let first = |docker: Option<&str>, more: &[&str]| {
        let fakes = Fakes::new().real("cargo").real("rustc").real("git").real("sh");
        let fakes = docker.iter().fold(fakes, |fakes, script| fakes.program("docker", script));
        let finished = Project::app().run(&[&args[..], more].concat()).path_only(&fakes).fails(7).finish();
        finished.stderr.lines().next().unwrap_or_default().trim().to_owned()
    };
    let down = HEALTHY_DOCKER.replacen("in\n", "in\n  \"info \"*) echo '{\"ServerErrors\":[\"it sleeps\"],\"ClientInfo\":{\"Plugins\":[{\"Name\":\"buildx\",\"Version\":\"v0.13.1\"}]}}'; exit 1 ;;\n", 1);
    let none =
        down.replace("it sleeps", "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?");
    let classic = HEALTHY_DOCKER.replace("io.containerd.snapshotter.v1", "overlay2");
    let made = classic.replacen("in\n", "in\n  \"buildx create\") ;;\n", 1);
    let lines = [
        (None, &[][..]),
        (Some(HEALTHY_DOCKER), &[]),
        (Some(HEALTHY_DOCKER), &["--engine", "embedded"]),
        (Some(&down), &[]),
        (Some(&none), &[]),
        (Some(&classic), &[]),
        (Some(&made), &["--engine", "buildx"]),
        (Some(HEALTHY_DOCKER), &["--provenance", "mode=max"]),
    ]
    .map(|(docker, more)| first(docker, more));
    // What only reading an instruction shows is known to `auto` as well.
    let template = "FROM {{ base }} AS {{ stage }}\nCOPY --chmod=u+x rootfs /x\n{% include \"contents\" %}\n";
    let project = Project::with_config("template = 'my.j2'").file("my.j2", template);
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    snapshot!(lines, project.run(&args).path_first(&docker).fails(7).finish());
}

#[test]
fn what_needs_buildx_is_refused_by_name() {
    let template = |lines: &str| {
        Project::with_config("template = 'my.j2'")
            .file("my.j2", &format!("FROM {{{{ base }}}} AS {{{{ stage }}}}\n{lines}\n{{% include \"contents\" %}}\n"))
    };
    let embedded = [
        (template("RUN true"), &[][..]),
        (template("ADD https://x.example/y /y"), &[]),
        (template("COPY <<E /x\nhi\nE"), &[]),
        (template("COPY --chmod=u+x rootfs /x"), &[]),
        (template("COPY ./linux/ /x"), &[]),
        (template("ARG BUILDPLATFORM"), &[]),
        (Project::app(), &["--cache-to", "type=local,dest=c"]),
        (Project::app(), &["--secret", "id=x"]),
        (Project::app(), &["--builder", "x"]),
    ]
    .map(|(project, args)| {
        embedded(&project, &[&["build"], args].concat()).fails(3).finish().keeps_quiet_about("Compiling")
    });
    // Where nothing else will do, a missing Docker is said together with what needs it.
    let none = Fakes::new().real("cargo").real("rustc").real("git");
    let without = template("RUN true").run(&["build"]).path_only(&none).fails(6).finish();
    // What no engine can do fails before either begins.
    let none_can = ["auto", "buildx", "embedded"].map(|engine| {
        let project = template("RUN true\nSTOPSIGNAL SIGNOPE");
        let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
        project.run(&["build", "--engine", engine]).path_first(&docker).fails(3).finish()
    });
    snapshot!(embedded, without, none_can);
}

/// An image that begins with nothing has to bring its own program and users.
#[test]
fn what_could_not_start_on_scratch_is_not_compiled() {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let seen =
        ["entrypoint = ['/opt/app']", "entrypoint = ['ap']", "user = 'bob'", "template = 'my.j2'\nuser = 'nonroot'"]
            .map(|config| {
                let project =
                    Project::with_config(&format!("platforms = ['linux/amd64']\n{config}")).file("my.j2", template);
                ["embedded", "buildx"].map(|engine| {
                    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
                    let finished = project.run(&["build", "--engine", engine]).path_first(&docker).fails(3).finish();
                    finished.keeps_quiet_about("Compiling").keeps_quiet_about("Building")
                })
            });
    snapshot!(seen);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn zstd_and_levels() {
    let project = Project::with_config("platforms = ['linux/amd64']\ncompression = 'zstd'\ncompression-level = 19");
    embedded(&project, &["build", "--output", "oci:out"]).finish();
    let types = Command::new("grep")
        .args(["-rho", "layer.v1.tar+zstd", "out/blobs"])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&types.stdout).lines().count(), 2);
    let wrong = Project::with_config("compression-level = 12");
    embedded(&wrong, &["build"]).fails(3).finish().says(&["compression-level 12"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn nothing_but_rust_is_needed() {
    let registry = FakeRegistry::storing();
    let only = Fakes::new().real("cargo").real("rustc");
    let run = Project::app().run(&["publish", "--platform", "linux/amd64,linux/arm64", "--registry", &registry.host]);
    run.path_only(&only).finish();
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn ctrl_c_leaves_no_bar_on_the_screen() {
    use std::io::{Read, Write};
    let slow = "fn main() { std::thread::sleep(std::time::Duration::from_secs(60)); }";
    let project = Project::app().file("build.rs", slow);
    let (run, _dirs) = embedded(&project, &["build", "--platform", "linux/amd64"]).into_command();
    // A terminal of 80 columns, which writes `^C` for what is typed.
    let line = format!("stty cols 80; exec {} multiarch build --platform linux/amd64 --engine embedded", PROGRAM);
    let mut terminal = Command::new("script");
    terminal.args(["-qfec", &line, "/dev/null"]).current_dir(project.path()).env("TERM", "xterm").env("NO_COLOR", "1");
    terminal.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.env_remove("CI").env_remove("TF_BUILD");
    let streams = terminal.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = streams.spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut text, mut piece) = (String::new(), [0; 4096]);
    let mut typed = false;
    while let Ok(size @ 1..) = screen.read(&mut piece) {
        text.push_str(&String::from_utf8_lossy(&piece[..size]));
        if !typed && text.contains("build-script-build") {
            keys.write_all(b"\x03").unwrap();
            typed = true;
        }
    }
    child.wait().unwrap();
    // It may be typed while the bar is drawn anew.
    let (screen, _) = text.split_once("error: interrupted").unwrap_or_else(|| panic!("{text:?}"));
    let lines = screen.split(['\r', '\n']).map(|line| line.trim_start_matches("\x1b[2K"));
    let bars: Vec<&str> = lines.filter(|line| line.contains("build-script-build")).collect();
    assert!(!bars.is_empty() && text.contains("^C"), "{text:?}");
    assert!(bars.iter().all(|bar| bar.trim_end_matches("^C").chars().count() + 2 <= 80), "{text:?}");
    assert!(screen.rfind("\x1b[2K") > screen.rfind("build-script-build"), "{text:?}");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn what_a_run_writes_makes_no_tree_dirty() {
    let registry = FakeRegistry::storing();
    let project = Project::app().file(".gitignore", "/target\n/cache\n").committed();
    let outputs =
        ["--output", "oci:out", "--output", "oci-archive:out.tar", "--refs-file", "refs", "--digests-file", "d"];
    for _ in 0..2 {
        let args = [&["publish", "--platform", "linux/amd64", "--registry", &registry.host][..], &outputs].concat();
        embedded(&project, &args).finish().keeps_quiet_about("dirty");
    }
    // Of other runs' files only the layout is known.
    let args = ["build", "--platform", "linux/amd64"];
    let finished = embedded(&project, &args).finish();
    finished.says(&["not committed (d, out.tar and 1 more): tags end in '-dirty'"]);
}
