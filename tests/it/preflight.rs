//! What Docker or a registry would refuse is known in the first second: nothing is compiled and nothing is pushed.

use std::os::unix::fs::symlink;

use crate::support::{FakeRegistry, Fakes, Finished, HEALTHY_DOCKER, Project, Run};

/// A run of `publish` with a fake docker in front of the machine's programs.
fn publish(project: &Project, docker: &Fakes, registry: &str) -> Run {
    project.run(&["publish", "--engine", "buildx", "--registry", registry, "-vv"]).path_first(docker)
}

fn healthy() -> Fakes {
    Fakes::new().program("docker", HEALTHY_DOCKER)
}

/// HEALTHY_DOCKER, with one answer changed.
fn docker_with(case: &str) -> Fakes {
    Fakes::new().program("docker", &HEALTHY_DOCKER.replacen("in\n", &format!("in\n{case}\n"), 1))
}

trait Untouched {
    fn untouched(self) -> Finished;
}

impl Untouched for Finished {
    #[track_caller]
    fn untouched(self) -> Finished {
        self.keeps_quiet_about("Compiling").keeps_quiet_about("Tagging")
    }
}

const NO_CONTAINERD: &str = r#"  "info "*) echo '{"ServerErrors":[],"DriverStatus":[["Backing Filesystem","extfs"]],"ClientInfo":{"Plugins":[{"Name":"buildx","Version":"v0.13.1"}]}}' ;;"#;

#[test]
fn docker_is_not_installed() {
    let tools = Fakes::new().real("cargo").real("rustc").real("git");
    let run =
        Project::app().run(&["publish", "--engine", "buildx", "--registry", "r.example"]).path_only(&tools).fails(6);
    let says = ["docker is not installed", "https://docs.docker.com/engine/install/", "or leave out `--engine buildx`"];
    run.finish().says(&says).untouched();
}

#[test]
fn the_daemon_cannot_be_used() {
    for (words, hint) in [
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "sudo systemctl start docker",
        ),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
            "sudo usermod -aG docker",
        ),
    ] {
        let info = format!(
            r#"  "info "*) echo '{{"ServerErrors":["{words}"],"ClientInfo":{{"Plugins":[{{"Name":"buildx","Version":"v0.13.1"}}]}}}}'; exit 1 ;;"#
        );
        let run = publish(&Project::app(), &docker_with(&info), "r.example").fails(6);
        run.finish().says(&[words, hint]).untouched();
    }
}

#[test]
fn buildx_is_missing_or_old() {
    for (plugins, says) in [
        ("[]", "docker has no buildx"),
        ("null", "docker has no buildx"),
        (r#"[{"Name":"buildx","Version":"v0.12.1"}]"#, "buildx v0.12.1 is too old, wanted 0.13 or newer"),
    ] {
        let info = format!(r#"  "info "*) echo '{{"ServerErrors":[],"ClientInfo":{{"Plugins":{plugins}}}}}' ;;"#);
        let run = publish(&Project::app(), &docker_with(&info), "r.example").fails(6);
        run.finish().says(&[says, "hint: install it"]).untouched();
    }
}

#[test]
fn the_classic_store_needs_a_builder_that_cannot_be_made() {
    for (words, what, hint) in [
        (
            "ERROR: failed to pull moby/buildkit: dial tcp: lookup registry-1.docker.io: no such host",
            "no network",
            "moby/buildkit:buildx-stable-1 must be pulled",
        ),
        (
            "ERROR: permission denied while trying to connect to the Docker daemon socket",
            "no permission",
            "usermod -aG docker",
        ),
        ("unknown flag: --bootstrap", "buildx is too old", "install a newer docker-buildx"),
    ] {
        let case = format!("{NO_CONTAINERD}\n  \"buildx create\") echo '{words}' >&2; exit 1 ;;\n  \"buildx rm\") ;;");
        let docker = docker_with(&case);
        let run = publish(&Project::app(), &docker, "r.example").fails(6);
        let said = words.trim_start_matches("ERROR: ");
        run.finish().says(&["cannot create builder 'multiarch'", what, said, hint]).untouched();
        let log = std::fs::read_to_string(docker.path().join("docker.log")).unwrap();
        assert!(log.contains("buildx create --name multiarch --driver docker-container --bootstrap"), "{log}");
        assert!(log.contains("buildx rm multiarch"), "half a builder is left: {log}");
    }
}

#[test]
fn the_classic_store_with_a_builder_that_can_be_made() {
    let registry = FakeRegistry::open();
    let docker = docker_with(&format!("{NO_CONTAINERD}\n  \"buildx create\") ;;"));
    let run = publish(&Project::app(), &docker, &registry.host).fails(6);
    run.finish().says(&["Creating builder 'multiarch'", "--builder multiarch", "this docker builds nothing"]);
    let log = std::fs::read_to_string(docker.path().join("docker.log")).unwrap();
    assert!(log.contains("--driver-opt network=host"), "a loopback registry is out of the builder's reach: {log}");
}

#[test]
fn a_builder_that_another_run_makes() {
    let registry = FakeRegistry::open();
    // It comes into being between our look and our call.
    let create = "  \"buildx create\") echo 'ERROR: existing instance for \"multiarch\" but no append mode' >&2; exit 1 ;;\n  \
        \"buildx rm\") echo removed >> \"$0.log\" ;;";
    let docker = docker_with(&format!("{NO_CONTAINERD}\n{create}"));
    let run = publish(&Project::app(), &docker, &registry.host).fails(6);
    run.finish().says(&["Creating builder 'multiarch'", "this docker builds nothing"]);
    assert!(!docker.log("docker").contains("removed"), "it is the other run's: {}", docker.log("docker"));
}

#[test]
fn a_builder_that_is_not_there() {
    let docker = docker_with("  \"buildx inspect\") echo 'ERROR: no builder \"mine\" found' >&2; exit 1 ;;");
    let run = Project::app().run(&["publish", "--registry", "r.example", "--builder", "mine"]).path_first(&docker);
    run.fails(6).finish().says(&["no builder \"mine\" found", "docker buildx ls"]).untouched();
}

#[test]
fn a_base_on_a_registry_without_tls() {
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
        Project::with_config(config).run(&[&["plan", "-v"], args].concat()).path_first(docker)
    };
    let shown = "File#buildkitd.toml:\\n > [registry.\"r.example:5000\"]\\n >   http = true\\n";
    let why = "the current builder speaks no plain HTTP to r.example:5000, where r.example:5000/base:1";
    for (docker, engine) in [
        (allowing(), "buildx (Docker is here".to_owned()),
        (container(shown), "buildx (Docker is here".to_owned()),
        (healthy(), format!("embedded ({why}")),
        (container(""), format!("embedded ({why}")),
    ] {
        let finished = plan(&docker, &[]).finish();
        assert!(finished.stdout.contains(&format!("Engine: {engine}")), "{finished}");
    }
    let made = plan(&healthy(), &["--engine", "buildx"]).finish();
    assert!(made.stdout.contains(&format!(", made first: {why}")), "{made}");
    made.says(&[
        "docker buildx create --name multiarch-",
        "--buildkitd-config",
        "build --progress plain",
        "--builder multiarch-",
    ]);
    for docker in [healthy(), container("")] {
        let says =
            ["builder 'mine' speaks no plain HTTP to r.example:5000, where r.example:5000/base:1", "--engine embedded"];
        plan(&docker, &["--builder", "mine"]).fails(6).finish().says(&says);
    }
}

#[test]
fn a_builder_that_is_made_for_a_registry_without_tls() {
    let registry = FakeRegistry::open();
    // An address of this machine that no builder takes for loopback.
    let host = registry.host.replace("127.0.0.1", "0.0.0.0");
    let config = format!("base = '{host}/base:1'\ninsecure-registries = ['{host}']");
    let docker = docker_with("  \"buildx create\") ;;");
    let project = Project::with_config(&config);
    let finished = publish(&project, &docker, &registry.host).fails(7).finish();
    let first = finished.stderr.lines().find(|line| !line.contains("Running")).unwrap().trim();
    assert_eq!(first, "Using docker buildx: as asked for");
    finished.says(&["Creating builder 'multiarch-", &format!("speaks no plain HTTP to {host}")]).untouched();
    let toml = std::fs::read_to_string(project.path().join("target/multiarch/+buildkitd.toml")).unwrap();
    assert_eq!(toml, format!("[registry.\"{host}\"]\nhttp = true\n"));
}

#[test]
fn no_registry() {
    let run = Project::app().run(&["publish"]).path_first(&healthy()).fails(3);
    run.finish()
        .says(&["image 'app': no registry to push to", "--registry ghcr.io/you", "cargo multiarch build"])
        .untouched();
}

#[test]
fn what_is_wrong_here_is_told_before_a_registry_is_asked() {
    let registry = FakeRegistry::open();
    let unlocked = Project::app();
    std::fs::remove_file(unlocked.path().join("Cargo.lock")).unwrap();
    let without_std = Project::with_config("platforms = ['linux/s390x']");
    let bundles = Project::app().file("dist/none", "");
    for (project, args, code, says) in [
        (unlocked, &[][..], 3, "Cargo.lock is missing"),
        (without_std, &[], 4, "Rust has no standard library for it"),
        (bundles, &["--artifacts", "dist"], 3, "there is no bundle in dist"),
    ] {
        let args = [&["publish", "--engine", "embedded", "--registry", &registry.host], args].concat();
        project.run(&args).fails(code).finish().says(&[says]).keeps_quiet_about("Checked").untouched();
    }
    assert!(registry.requests().is_empty(), "{:?}", registry.requests());
}

#[test]
fn the_registry_is_down() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let finished = publish(&Project::app(), &healthy(), &closed).fails(7).finish();
    finished.says(&[&format!("registry {closed} cannot be reached"), "connection refused", "hint:"]).untouched();
}

#[test]
fn the_registry_refuses() {
    for (status, says, hint) in [
        (401, "wants valid credentials", "docker login"),
        (403, "refuses", "may not push there"),
        (404, "does not exist", "check the name"),
    ] {
        assert_eq!(refused(status, says, hint), 1, "a refusal is final");
    }
}

#[test]
fn the_registry_is_broken() {
    assert_eq!(refused(500, "HTTP 500", "try again later"), 4, "what may pass is tried again");
}

/// Publishes to a registry that answers with a status; how often it was asked for an upload.
#[track_caller]
fn refused(status: u16, says: &str, hint: &str) -> usize {
    let registry = FakeRegistry::refusing(status);
    let finished = publish(&Project::app(), &healthy(), &registry.host).fails(7).finish();
    finished.says(&[says, hint, &format!("{}/app", registry.host)]).untouched();
    registry.requests().iter().filter(|request| request.method == "POST").count()
}

#[test]
fn a_base_that_lacks_a_platform() {
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
    finished
        .says(&[
            "/base:1 has no linux/arm64",
            "hint: it has linux/amd64",
            "platform.\"linux/arm64\" = { base = \"…\" }",
        ])
        .untouched();
    assert!(registry.requests().iter().all(|request| request.method != "PUT"));
}

#[test]
fn files_outside_of_the_workspace() {
    let outside = Project::empty().file("secret", "s");
    let path = outside.path().join("secret");
    for (from, says) in [
        ("missing.toml", "does not exist"),
        (path.to_str().unwrap(), "is outside of the workspace"),
        ("link", "is outside of the workspace"),
    ] {
        let project = Project::with_config(&format!("files = [{{ from = '{from}', to = '/x' }}]"));
        symlink(&path, project.path().join("link")).unwrap();
        let finished = publish(&project, &healthy(), "r.example").fails(3).finish();
        finished.says(&[&format!("files.from '{from}' {says}"), "hint:"]).untouched();
    }
}

#[test]
fn credentials_are_sent_and_never_shown() {
    let registry = FakeRegistry::start(|request| match request.path.as_str() {
        "/v2/" => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]),
        _ => (403, vec![], vec![]),
    });
    // base64 of ci:hunter2
    let config = Project::empty()
        .file("config.json", &format!(r#"{{"auths":{{"{}":{{"auth":"Y2k6aHVudGVyMg=="}}}}}}"#, registry.host));
    let run = publish(&Project::app(), &healthy(), &registry.host).env("DOCKER_CONFIG", config.path()).fails(7);
    run.finish().says(&["refuses"]).keeps_quiet_about("hunter2").keeps_quiet_about("Y2k6aHVudGVyMg").untouched();
    assert!(
        registry.requests().iter().any(|request| request.authorization.as_deref() == Some("Basic Y2k6aHVudGVyMg=="))
    );
}

#[test]
fn credential_helpers_that_fail() {
    let registry = FakeRegistry::start(|request| match (request.path.as_str(), request.method.as_str()) {
        ("/v2/", _) => (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]),
        (_, "POST") => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        _ => (200, vec![], vec![]),
    });
    let config = Project::empty().file("config.json", r#"{"credsStore":"broken"}"#);
    for (helper, says) in [
        (None, "unable to communicate with credential helper"),
        (Some("cat >/dev/null; echo no luck >&2; exit 1"), "helper 'docker-credential-broken' failed: no luck"),
        (Some("cat >/dev/null; echo hunter2"), "credential helper response malformed"),
    ] {
        let docker = helper.iter().fold(healthy(), |docker, script| docker.program("docker-credential-broken", script));
        let run = publish(&Project::app(), &docker, &registry.host).env("DOCKER_CONFIG", config.path()).fails(7);
        run.finish().says(&["no credentials for", says, "docker login"]).keeps_quiet_about("hunter2").untouched();
    }
    let none = healthy()
        .program("docker-credential-broken", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
    let run = publish(&Project::app(), &none, &registry.host).env("DOCKER_CONFIG", config.path()).fails(6);
    run.finish().says(&["takes a push", "this docker builds nothing"]);
}

#[test]
fn ctrl_c_while_a_registry_is_silent() {
    let registry = FakeRegistry::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(60));
        (200, vec![], vec![])
    });
    let (mut command, _dirs) = publish(&Project::app(), &healthy(), &registry.host).into_command();
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let start = std::time::Instant::now();
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
}
