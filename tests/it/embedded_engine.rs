//! Checks which engine is selected, and the errors for features that the embedded engine does not support.

use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, HEALTHY_DOCKER, Project};
use crate::support::{embedded, ready_made};

#[test]
fn engine_and_its_reason_are_printed_first() {
    let registry = FakeRegistry::rejecting(403);
    let args = ["publish", "--registry", &registry.host];
    let first = |docker: Option<&str>, more: &[&str]| {
        let fakes = Fakes::new().real("cargo").real("rustc").real("git").real("sh");
        let fakes = docker.iter().fold(fakes, |fakes, script| fakes.program("docker", script));
        let finished = Project::app().run(&[&args[..], more].concat()).path_only(&fakes).fails(7).finish();
        finished.stderr.lines().next().unwrap_or_default().trim().to_owned()
    };
    let down = HEALTHY_DOCKER.replacen("in\n", "in\n  \"info \"*) echo '{\"ServerErrors\":[\"the daemon is paused\"],\"ClientInfo\":{\"Plugins\":[{\"Name\":\"buildx\",\"Version\":\"v0.13.1\"}]}}'; exit 1 ;;\n", 1);
    let not_running = down.replace(
        "the daemon is paused",
        "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
    );
    let classic = HEALTHY_DOCKER.replace("io.containerd.snapshotter.v1", "overlay2");
    let creates_builders = classic.replacen("in\n", "in\n  \"buildx create\") ;;\n", 1);
    let lines = [
        (None, &[][..]),
        (Some(HEALTHY_DOCKER), &[]),
        (Some(HEALTHY_DOCKER), &["--engine", "embedded"]),
        (Some(&down), &[]),
        (Some(&not_running), &[]),
        (Some(&classic), &[]),
        (Some(&creates_builders), &["--engine", "buildx"]),
        (Some(HEALTHY_DOCKER), &["--provenance", "mode=max"]),
    ]
    .map(|(docker, more)| first(docker, more));
    // `--engine auto` also detects options that only buildx supports, such as `--chmod=u+x`.
    let template = "FROM {{ base }} AS {{ stage }}\nCOPY --chmod=u+x rootfs /x\n{% include \"contents\" %}\n";
    let project = Project::with_config("template = 'my.j2'").file("my.j2", template);
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    snapshot!(lines, project.run(&args).path_first(&docker).fails(7).finish());
}

#[test]
fn embedded_engine_names_what_needs_buildx() {
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
        embedded(&project, &[&["build"], args].concat()).fails(3).finish().stderr_lacks("Compiling")
    });
    // If a template needs buildx but Docker is missing, the error names the instruction that needs it.
    let none = Fakes::new().real("cargo").real("rustc").real("git");
    let without = template("RUN true").run(&["build"]).path_only(&none).fails(6).finish();
    // A template that no engine supports is rejected before an engine starts.
    let unsupported = ["auto", "buildx", "embedded"].map(|engine| {
        let project = template("RUN true\nSTOPSIGNAL SIGNOPE");
        let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
        project.run(&["build", "--engine", engine]).path_first(&docker).fails(3).finish()
    });
    snapshot!(embedded, without, unsupported);
}

/// An image based on scratch must contain its entrypoint, its user and the program of its health check.
#[test]
fn image_that_cannot_start_is_rejected_before_compiling() {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let seen = [
        "entrypoint = ['/opt/app']",
        "entrypoint = ['ap']",
        "user = 'bob'",
        "template = 'my.j2'\nuser = 'nonroot'",
        "healthcheck = { cmd = ['curl', '-f', 'localhost'] }",
    ]
    .map(|config| {
        let project = Project::with_config(&format!("platforms = ['linux/amd64']\n{config}")).file("my.j2", template);
        ["embedded", "buildx"].map(|engine| {
            let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
            let finished = project.run(&["build", "--engine", engine]).path_first(&docker).fails(3).finish();
            finished.stderr_lacks("Compiling").stderr_lacks("Building")
        })
    });
    snapshot!(seen);
}

#[test]
fn images_of_one_run_are_built_by_different_engines() {
    let template = |instruction: &str| {
        format!(
            "FROM {{{{ base }}}} AS {{{{ stage }}}}\n{instruction}{{% include \"contents\" %}}\n\
             {{% include \"config\" %}}\n"
        )
    };
    let config = "platforms = ['linux/amd64']\n[images.plain]\nbins = ['app']\n\
        [images.runs]\nbins = ['app']\ntemplate = 't.j2'\n[images.zzz]\nbins = ['app']\n";
    let project = Project::with_config(config).file("t.j2", &template(""));
    embedded(&project, &["build"]).path_only(&ready_made::tools()).finish();
    let copy = project.path().join("copy");
    std::fs::rename(project.path().join("target/multiarch/runs/oci"), &copy).unwrap();

    // This buildx "builds" the image that the embedded engine has built from the template without RUN.
    let build = format!(
        "  \"buildx build\") for arg; do case $arg in type=oci*) dest=${{arg##*dest=}};; esac; done\n    \
         mkdir -p \"$(dirname \"$dest\")\" && cp -r '{}' \"$dest\" ;;\n",
        copy.display()
    );
    let docker = HEALTHY_DOCKER.replace("io.containerd.snapshotter.v1", "overlay2").replacen(
        "in\n",
        &format!("in\n  \"buildx create\") ;;\n{build}"),
        1,
    );
    let tools = ready_made::tools().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{docker}"));
    let project = project.file("t.j2", &template("RUN true\n"));
    let registry = FakeRegistry::storing();
    let run = project.run(&["publish", "--registry", &registry.host]).path_only(&tools);
    let finished = run.finish().stderr_has(&["docker buildx for runs", "the embedded engine for plain, zzz"]);
    for image in ["plain", "runs", "zzz"] {
        assert_eq!(registry.tags(image), ["1.2.3", "latest"], "{finished}");
    }
    let builds = tools.log("docker").lines().filter(|line| line.starts_with("buildx build")).count();
    // One to check the image while cargo is compiling, and one to publish it.
    assert_eq!(builds, 2, "{}", tools.log("docker"));
}
