//! Checks that `publish` reports Docker and registry errors before it compiles or pushes anything.

use std::os::unix::fs::symlink;

use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, Finished, HEALTHY_DOCKER, Project, Run};

/// Prepares a run of `publish` with buildx and a fake Docker.
fn publish(project: &Project, docker: &Fakes, registry: &str) -> Run {
    project.run(&["publish", "--engine", "buildx", "--registry", registry, "-vv"]).path_first(docker)
}

fn healthy() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// Creates a fake Docker from [`HEALTHY_DOCKER`] and an additional case that takes precedence over the others.
fn docker_with(case: &str) -> Fakes {
    Fakes::new().program("docker", &HEALTHY_DOCKER.replacen("in\n", &format!("in\n{case}\n"), 1))
}

trait NothingBuilt {
    fn nothing_built(self) -> Finished;
}

impl NothingBuilt for Finished {
    #[track_caller]
    fn nothing_built(self) -> Finished {
        self.stderr_lacks("Compiling").stderr_lacks("Tagged")
    }
}

const NO_CONTAINERD: &str = r#"  "info "*) echo '{"ServerErrors":[],"DriverStatus":[["Backing Filesystem","extfs"]],"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v0.13.1"}]}}' ;;"#;

#[test]
fn missing_docker_is_reported() {
    let tools = Fakes::new().real("cargo").real("rustc").real("git");
    let run =
        Project::app().run(&["publish", "--engine", "buildx", "--registry", "r.example"]).path_only(&tools).fails(6);
    snapshot!(run.finish().nothing_built());
}

#[test]
fn docker_daemon_errors_are_reported() {
    let seen = [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    ]
    .map(|error| {
        let info = format!(
            r#"  "info "*) echo '{{"ServerErrors":["{error}"],"ClientInfo":{{"Plugins":[{{"Name":"buildx","Version":"v0.13.1"}}]}}}}'; exit 1 ;;"#
        );
        publish(&Project::app(), &docker_with(&info), "r.example").fails(6).finish().nothing_built()
    });
    snapshot!(seen);
}

#[test]
fn missing_or_outdated_buildx_is_reported() {
    let seen = ["[]", "null", r#"[{"Name":"buildx","Version":"v0.12.1"}]"#].map(|plugins| {
        let info = format!(r#"  "info "*) echo '{{"ServerErrors":[],"ClientInfo":{{"Plugins":{plugins}}}}}' ;;"#);
        publish(&Project::app(), &docker_with(&info), "r.example").fails(6).finish().nothing_built()
    });
    snapshot!(seen);
}

#[test]
fn failure_to_create_a_builder_is_reported() {
    let seen = [
        "ERROR: failed to pull moby/buildkit: dial tcp: lookup registry-1.docker.io: no such host",
        "ERROR: permission denied while trying to connect to the Docker daemon socket",
        "unknown flag: --bootstrap",
    ]
    .map(|error| {
        let case = format!("{NO_CONTAINERD}\n  \"buildx create\") echo '{error}' >&2; exit 1 ;;\n  \"buildx rm\") ;;");
        let docker = docker_with(&case);
        let finished = publish(&Project::app(), &docker, "r.example").fails(6).finish().nothing_built();
        let log = std::fs::read_to_string(docker.path().join("docker.log")).unwrap();
        assert!(log.contains("buildx create --name multiarch --driver docker-container --bootstrap"), "{log}");
        assert!(log.contains("buildx rm multiarch"), "an incomplete builder must be removed: {log}");
        finished
    });
    snapshot!(seen);
}

#[test]
fn classic_store_gets_a_builder() {
    let registry = FakeRegistry::accepting();
    let docker = docker_with(&format!("{NO_CONTAINERD}\n  \"buildx create\") ;;"));
    let run = publish(&Project::app(), &docker, &registry.host).fails(6);
    run.finish().stderr_has(&["--builder multiarch", "this fake docker cannot build"]);
    let log = std::fs::read_to_string(docker.path().join("docker.log")).unwrap();
    assert!(log.contains("--driver-opt network=host"), "the builder must be able to reach local registries: {log}");
}

#[test]
fn managed_builder_does_not_change_the_engine_of_other_images() {
    let config = "platforms = ['linux/amd64']\n[images.plain]\nbins = ['app']\n[images.web]\nbins = ['app']\nbase = 'b:1'\n\
        template = 't.j2'\n";
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let project = Project::with_config(config).file("t.j2", template);
    // The builder does not exist until a run has created it.
    let existing = "  \"buildx inspect\") [ \"$3\" != multiarch ] || { echo 'Name: multiarch'; echo 'Driver: docker-container'; exit 0; }; echo 'Driver: docker' ;;";
    let seen = ["", existing].map(|case| {
        let docker = docker_with(&format!("{NO_CONTAINERD}\n{case}"));
        let plan = project.run(&["plan"]).path_first(&docker).finish();
        plan.stdout
            .lines()
            .filter(|line| line.contains("embedded") || line.contains("buildx"))
            .collect::<Vec<_>>()
            .join("\n")
    });
    assert!(seen[0].contains("plain  embedded: Docker's classic image store"), "{}", seen[0]);
    let engines = |lines: &str| {
        lines.replace(", will be created: Docker's classic image store does not support multi-platform images", "")
    };
    assert_eq!(engines(&seen[0]), engines(&seen[1]));
}

#[test]
fn engine_of_one_image_overrides_that_of_the_workspace() {
    let config = "engine = 'embedded'\nplatforms = ['linux/amd64']\n[images.plain]\nbins = ['app']\n[images.web]\nbins = ['app']\n\
        base = 'b:1'\ntemplate = 't.j2'\n";
    let template = "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let project = Project::with_config(config).file("t.j2", template);
    let failed = project.run(&["plan"]).path_first(&healthy()).finds(3).finish();
    let project = project.file("multiarch.toml", &format!("{config}engine = 'buildx'\n"));
    snapshot!(failed, project.run(&["plan"]).path_first(&healthy()).finish());
}

#[test]
fn builder_created_by_another_run_is_used() {
    let registry = FakeRegistry::accepting();
    // Simulate another run that creates the builder after this run has found it missing.
    let create = "  \"buildx create\") echo 'ERROR: existing instance for \"multiarch\" but no append mode' >&2; exit 1 ;;\n  \
        \"buildx rm\") echo removed >> \"$0.log\" ;;";
    let docker = docker_with(&format!("{NO_CONTAINERD}\n{create}"));
    let run = publish(&Project::app(), &docker, &registry.host).fails(6);
    run.finish().stderr_has(&["this fake docker cannot build"]);
    assert!(
        !docker.log("docker").contains("removed"),
        "another run's builder must not be removed: {}",
        docker.log("docker")
    );
}

#[test]
fn missing_builder_is_reported() {
    let docker = docker_with("  \"buildx inspect\") echo 'ERROR: no builder \"mine\" found' >&2; exit 1 ;;");
    let run = Project::app().run(&["publish", "--registry", "r.example", "--builder", "mine"]).path_first(&docker);
    snapshot!(run.fails(6).finish().nothing_built());
}

#[test]
fn base_on_an_insecure_registry_needs_a_builder_that_allows_it() {
    let allowed = r#""RegistryConfig":{"IndexConfigs":{"r.example:5000":{"Secure":false}}},"ClientInfo""#;
    let allowing = || Fakes::new().program("docker", &HEALTHY_DOCKER.replace("\"ClientInfo\"", allowed));
    let container = |shown: &str| {
        let inspect = format!(
            "  'buildx inspect') [ \"$3\" = \"${{3#multiarch}}\" ] && printf 'Driver: docker-container\\n{shown}' ;;"
        );
        let version = HEALTHY_DOCKER.replace("v0.13.1", "v0.17.0").replacen("in\n", &format!("in\n{inspect}\n"), 1);
        Fakes::new().program("docker", &version)
    };
    let plan = |docker: &Fakes, args: &[&str]| {
        let config = "base = 'r.example:5000/base:1'\ninsecure-registries = ['r.example:5000']";
        let tools = || Fakes::new().real("cargo").real("rustc").real("git").real("sh");
        let script = std::fs::read_to_string(docker.path().join("docker")).unwrap();
        Project::with_config(config)
            .run(&[&["plan", "-v"], args].concat())
            .path_only(&tools().program("docker", &script))
    };
    let shown = "File#buildkitd.toml:\\n > [registry.\"r.example:5000\"]\\n >   http = true\\n";
    let engines = [allowing(), container(shown), healthy(), container("")].map(|docker| plan(&docker, &[]).finish());
    let made = plan(&healthy(), &["--engine", "buildx"]).finish();
    let others = [healthy(), container("")].map(|docker| plan(&docker, &["--builder", "mine"]).fails(6).finish());
    snapshot!(engines, made, others);
}

#[test]
fn builder_is_created_for_an_insecure_registry() {
    let registry = FakeRegistry::accepting();
    // 0.0.0.0 reaches this machine, but builders do not treat it as a loopback address.
    let host = registry.host.replace("127.0.0.1", "0.0.0.0");
    let config = format!("base = '{host}/base:1'\ninsecure-registries = ['{host}']");
    let docker = docker_with("  \"buildx create\") ;;");
    let project = Project::with_config(&config);
    let finished = publish(&project, &docker, &registry.host).fails(7).finish();
    snapshot!(finished.nothing_built());
    let toml = std::fs::read_to_string(project.path().join("target/multiarch/+buildkitd.toml")).unwrap();
    assert_eq!(toml, format!("[registry.\"{host}\"]\nhttp = true\n"));
}

#[test]
fn missing_registry_is_reported() {
    let run = Project::app().run(&["publish"]).path_first(&healthy()).fails(3);
    snapshot!(run.finish().nothing_built());
}

#[test]
fn local_errors_are_reported_before_registry_requests() {
    let registry = FakeRegistry::accepting();
    let unlocked = Project::app();
    std::fs::remove_file(unlocked.path().join("Cargo.lock")).unwrap();
    let without_std = Project::with_config("platforms = ['linux/s390x']");
    let bundles = Project::app().file("dist/none", "");
    let seen = [(unlocked, &[][..], 3), (without_std, &[], 4), (bundles, &["--artifacts", "dist"], 3)].map(
        |(project, args, code)| {
            let args = [&["publish", "--engine", "embedded", "--registry", &registry.host], args].concat();
            project.run(&args).fails(code).finish().nothing_built()
        },
    );
    snapshot!(seen);
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
}

#[test]
fn registry_that_is_down_is_reported() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let finished = publish(&Project::app(), &healthy(), &closed).fails(7).finish();
    snapshot!(finished.nothing_built());
}

#[test]
fn registry_rejection_is_reported() {
    let seen = [401, 403, 404].map(|status| {
        let (finished, requests) = publish_with_status(status);
        assert_eq!(requests, 1, "a rejection must not be retried");
        finished
    });
    snapshot!(seen);
}

#[test]
fn registry_failure_is_retried() {
    let (finished, requests) = publish_with_status(500);
    assert_eq!(requests, 4, "a server error must be retried three times");
    snapshot!(finished);
}

/// Publishes to a registry that responds with the given status. Also returns how many uploads were requested.
#[track_caller]
fn publish_with_status(status: u16) -> (Finished, usize) {
    let registry = FakeRegistry::rejecting(status);
    let finished = publish(&Project::app(), &healthy(), &registry.host).fails(7).finish().nothing_built();
    (finished, registry.requests().iter().filter(|request| request.method == "POST").count())
}

#[test]
fn base_without_a_platform_is_reported() {
    let index = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"platform":{"os":"linux","architecture":"amd64"}}]}"#;
    let registry = FakeRegistry::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", _) => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        (_, path) if path.contains("/manifests/") => (
            200,
            vec![("Content-Type", "application/vnd.oci.image.index.v1+json".to_owned())],
            index.as_bytes().to_vec(),
        ),
        _ => (200, vec![], vec![]),
    });
    let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
    let finished = publish(&project, &healthy(), &registry.host).fails(3).finish();
    snapshot!(finished.nothing_built());
    assert!(registry.requests().iter().all(|request| request.method != "PUT"));
}

#[test]
fn files_outside_of_the_workspace_are_rejected() {
    let outside = Project::empty().file("secret", "s");
    let path = outside.path().join("secret");
    let seen = ["missing.toml", path.to_str().unwrap(), "link"].map(|from| {
        let project = Project::with_config(&format!("files = [{{ from = '{from}', to = '/x' }}]"));
        symlink(&path, project.path().join("link")).unwrap();
        publish(&project, &healthy(), "r.example").fails(3).finish().nothing_built()
    });
    snapshot!(seen);
}

#[test]
fn credentials_are_sent_and_never_printed() {
    let registry = FakeRegistry::start(|request| match request.path.as_str() {
        "/v2/" => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]),
        _ => (403, vec![], vec![]),
    });
    // base64 of ci:hunter2
    let config = Project::empty()
        .file("config.json", &format!(r#"{{"auths":{{"{}":{{"auth":"Y2k6aHVudGVyMg=="}}}}}}"#, registry.host));
    let run = publish(&Project::app(), &healthy(), &registry.host).env("DOCKER_CONFIG", config.path()).fails(7);
    run.finish().stderr_lacks("hunter2").stderr_lacks("Y2k6aHVudGVyMg").nothing_built();
    assert!(
        registry.requests().iter().any(|request| request.authorization.as_deref() == Some("Basic Y2k6aHVudGVyMg=="))
    );
}

#[test]
fn credential_helper_failures_are_reported() {
    let registry = FakeRegistry::start(|request| match (request.path.as_str(), request.method.as_str()) {
        ("/v2/", _) => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]),
        (_, "POST") => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        _ => (200, vec![], vec![]),
    });
    let config = Project::empty().file("config.json", r#"{"credsStore":"broken"}"#);
    let seen =
        [None, Some("cat >/dev/null; echo the keychain is locked >&2; exit 1"), Some("cat >/dev/null; echo hunter2")]
            .map(|helper| {
                let docker =
                    helper.iter().fold(healthy(), |docker, script| docker.program("docker-credential-broken", script));
                let run =
                    publish(&Project::app(), &docker, &registry.host).env("DOCKER_CONFIG", config.path()).fails(7);
                run.finish().stderr_lacks("hunter2").nothing_built()
            });
    snapshot!(seen);
    let none = healthy()
        .program("docker-credential-broken", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
    let run = publish(&Project::app(), &none, &registry.host).env("DOCKER_CONFIG", config.path()).fails(6);
    run.finish().stderr_has(&["this fake docker cannot build"]);
}

#[test]
fn ctrl_c_interrupts_registry_requests() {
    let registry = FakeRegistry::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(60));
        (200, vec![], vec![])
    });
    let (mut command, _dirs) = publish(&Project::app(), &healthy(), &registry.host).into_command();
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    while registry.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let start = std::time::Instant::now();
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
}
