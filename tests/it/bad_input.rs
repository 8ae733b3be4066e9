//! Errors for invalid input, such as duplicate names, invalid values and hosts that are not registries. They must be
//! reported before anything is compiled or pushed.

use sha2::{Digest, Sha256};

use crate::support::snapshot::snapshot;
use crate::support::{Answer, FakeRegistry, Fakes, Finished, HEALTHY_DOCKER, Project, Request};

/// Runs `publish` with a fake Docker, and asserts that it fails before it compiles or builds anything.
#[track_caller]
fn refused(project: &Project, args: &[&str], code: i32) -> Finished {
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    let run = project.run(&[&["publish", "-vv"], args].concat()).path_first(&docker).fails(code);
    let finished = run.finish().stderr_lacks("Compiling");
    assert!(!docker.log("docker").contains("buildx build"), "{}", docker.log("docker"));
    finished
}

/// Asserts that `publish` rejects a configuration. Passes `--registry`, so that `publish` does not fail because of a
/// missing registry.
#[track_caller]
fn refused_config(config: &str) -> Finished {
    refused(&Project::with_config(config), &["--registry", "r.example"], 3)
}

/// Returns the programs that `plan` needs, without Docker.
fn no_docker() -> Fakes {
    Fakes::new().real("cargo").real("rustc").real("git")
}

/// Creates a workspace of packages with the given binaries. Each package is in a directory with the same name.
fn workspace(packages: &[(&str, &[&str])]) -> Project {
    let locked = |(name, _): &(&str, _)| format!("[[package]]\nname = \"{name}\"\nversion = \"1.2.3\"\n\n");
    let root = Project::empty()
        .file("Cargo.toml", "[workspace]\nmembers = ['*']\nexclude = ['target']\nresolver = '2'\n")
        .file("Cargo.lock", &format!("version = 4\n\n{}", packages.iter().map(locked).collect::<String>()));
    packages.iter().fold(root, |project, (package, bins)| {
        let manifest = format!("[package]\nname = '{package}'\nversion = '1.2.3'\nedition = '2021'\n");
        let project = project.file(&format!("{package}/Cargo.toml"), &manifest);
        bins.iter().fold(project, |project, bin| project.file(&format!("{package}/src/bin/{bin}.rs"), "fn main() {}"))
    })
}

#[test]
fn publish_rejects_two_binaries_with_the_same_name() {
    let project = workspace(&[("a", &["server"]), ("b", &["server"])]);
    snapshot!(refused(&project, &["--registry", "r.example"], 3));
    let plan = project.run(&["plan", "-p", "b", "--message-format", "json"]).finish();
    assert!(plan.stdout.contains(r#""package": "b""#) && !plan.stdout.contains(r#""package": "a""#), "{plan}");
}

#[test]
fn publish_rejects_two_images_with_the_same_name() {
    let project = workspace(&[("a", &["x", "y"]), ("x", &["main"])]);
    let config = "tags = ['1']\n[images.'x/y']\nregistry = 'r.example'\nbins = ['app']\n\
        [images.y]\nregistry = 'r.example/x'\nbins = ['app']";
    snapshot!(refused(&project, &["--registry", "r.example"], 3), refused(&Project::with_config(config), &[], 3),);
}

#[test]
fn files_must_not_contain_the_target_directory() {
    let containing = ["", "target", "src/.."].map(|from| {
        let project = Project::with_config(&format!("files = [{{ from = '{from}', to = '/x' }}]")).file("target/x", "");
        refused(&project, &["--registry", "r.example"], 3)
    });
    let project = Project::empty().file("secret", "s").file("in/Cargo.toml", "[package]\nname = 'app'\n");
    let project = project.file("in/src/main.rs", "fn main() {}").file("in/Cargo.lock", "version = 4\n");
    let project = project.file("in/multiarch.toml", "files = [{ from = '../secret', to = '/x' }]");
    let outside = refused(&project, &["--registry", "r.example", "--manifest-path", "in/Cargo.toml"], 3);
    snapshot!(containing, outside);
}

#[test]
fn template_that_copies_a_missing_file_is_rejected() {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\nRUN true\nCOPY nothere /x\n";
    let project = Project::with_config("template = 'app.j2'\nbase = 'x'").file("app.j2", template);
    let by_engine = ["auto", "buildx", "embedded"]
        .map(|engine| refused(&project, &["--registry", "r.example", "--engine", engine], 3));
    snapshot!(by_engine);
}

#[test]
fn files_and_templates_must_be_regular_files() {
    let pipe = |path: &str, config: &str| {
        let project = Project::with_config(config).file("dir/x", "");
        assert!(std::process::Command::new("mkfifo").arg(project.path().join(path)).status().unwrap().success());
        project
    };
    let pipes = [("pipe", "pipe"), ("dir/pipe", "dir")].map(|(path, from)| {
        let project = pipe(path, &format!("files = [{{ from = '{from}', to = '/x' }}]"));
        [refused(&project, &["--registry", "r.example"], 3), project.run(&["plan"]).fails(3).finish()]
    });
    let project = Project::with_config("files = [{ from = 'socket', to = '/x' }]");
    let _socket = std::os::unix::net::UnixListener::bind(project.path().join("socket")).unwrap();
    let socket = refused(&project, &["--registry", "r.example"], 3);
    let template = refused(&pipe("t.j2", "template = 't.j2'"), &["--registry", "r.example"], 3);
    snapshot!(pipes, socket, template);
}

#[test]
fn invalid_config_values_are_rejected() {
    snapshot!(
        [
            "\nregistry = 5",
            "expose = [99999]",
            "base = 'a b'",
            "base = ''",
            "volumes = ['/a', 'data']",
            "workdir = 'data'",
            "profile = ''",
            "platforms = 'linux/arm64'",
            "platforms = []",
            "insecure-registries = ['http://r.example:5000/']",
            "[images.app]\nlocked = false",
        ]
        .map(refused_config)
    );
}

#[test]
fn insecure_registry_must_be_a_host() {
    let args = ["--registry", "r.example", "--insecure-registry", "r.example/me"];
    snapshot!(refused(&Project::app(), &args, 3));
}

#[test]
fn registry_without_a_host_means_docker_hub() {
    let config = "registry = 'me/team'\n[images.a]\nbins = ['app']\n[images.b]\nbins = ['app']";
    let run = Project::with_config(config).run(&["plan"]).path_only(&no_docker());
    snapshot!(run.finish());
}

#[test]
fn package_metadata_rejects_workspace_keys() {
    let in_package = ["builder = 'x'", "locked = false"].map(|key| {
        let manifest = format!(
            "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[package.metadata.multiarch]\n{key}\n"
        );
        refused(&Project::app().file("Cargo.toml", &manifest), &["--registry", "r.example"], 3)
    });
    let member = workspace(&[("a", &["a"])]);
    let manifest = "[package]\nname = 'a'\nversion = '1.2.3'\n[package.metadata.multiarch]\nusr = '1'\n";
    snapshot!(in_package, refused(&member.file("a/Cargo.toml", manifest), &[], 3));
}

#[test]
fn metadata_section_with_a_typo_is_reported() {
    let manifest =
        "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[package.metadata.multi-arch]\nbase = 'x'\n";
    let run = Project::app().file("Cargo.toml", manifest).run(&["plan"]).path_only(&no_docker());
    snapshot!(run.finish());
}

#[test]
fn uppercase_package_name_needs_an_image_name() {
    let manifest = "[package]\nname = 'App'\nversion = '1.2.3'\nedition = '2021'\n";
    let lock = "version = 4\n\n[[package]]\nname = \"App\"\nversion = \"1.2.3\"\n";
    let project = Project::app().file("Cargo.toml", manifest).file("Cargo.lock", lock);
    snapshot!(refused(&project, &["--registry", "r.example"], 3));
    let named = project.file("multiarch.toml", "[images.app]\nbins = ['App']");
    assert!(named.run(&["plan"]).finish().stdout.contains("app:1.2.3"));
}

#[test]
fn usage_errors_are_reported() {
    snapshot!(
        [
            &["publish", "--platform", "linux/arm65"][..],
            &["publish", "--libc", "glibc"],
            &["publish", "--regsitry", "x"],
            &["publish", "--build-arg", "NO_SUCH_VARIABLE"],
            &["build", "--output", "oci:out:1.2.3"],
            &["plan", "-q", "-v"],
            &["plan", "--tag", ""],
            &["plan", "--tag", "a, "],
            &["plan", "--registry", ""],
            &["plan", "--base="],
            &["compile", "--out", ""],
            &["plan", "-p", ""],
            &["build", "--artifacts", ""],
            &["plan", "--platform", ""],
            &["plan", "--platform", "linux/amd64,"],
            &["plan", "--libc", ""],
            &["plan", "--jobs", "many"],
            &[],
        ]
        .map(|args| Project::app().run(args).fails(2).finish())
    );
}

#[test]
fn unwritable_output_is_rejected_before_compiling() {
    let project = Project::app().file("file", "");
    snapshot!(
        ["oci:/proc/missing/image", "oci:file/image", "oci-archive:/proc/image.tar"]
            .map(|output| { project.run(&["build", "--output", output]).fails(3).finish().stderr_lacks("Compiling") })
    );
}

#[test]
fn unwritable_bundle_is_rejected_before_compiling() {
    let finished = Project::app().run(&["compile", "--out", "/proc/missing/dist"]).fails(3).finish();
    snapshot!(finished.stderr_lacks("Compiling"));
}

#[test]
fn scratch_check_needs_no_compiler() {
    let seen = ["entrypoint = ['nope']", "user = 'nobody'"].map(|config| {
        let project = Project::with_config(config);
        let seen = ["auto", "embedded"].map(|engine| {
            let doctor = project.run(&["doctor", "--engine", engine]);
            crate::doctor::run_doctor(doctor, 3).finding("error", "image", "");
            project.run(&["plan", "--engine", engine]).path_only(&no_docker()).fails(3).finish()
        });
        assert!(!project.path().join("target").exists(), "doctor or plan created the target directory");
        seen
    });
    snapshot!(seen);
}

#[test]
fn registry_ending_with_the_image_name_is_reported() {
    let plan = |registry| Project::app().run(&["plan", "--registry", registry]).path_only(&no_docker()).finish();
    snapshot!(plan("r.example/app"), plan("r.example/apps"));
}

#[test]
fn flags_of_the_program_are_rejected_as_smoke_commands() {
    let build = |args: &[&str]| {
        let run = Project::app().run(&[&["build", "--platform", "linux/amd64", "--base", "1://x"], args].concat());
        run.fails(if args[0].contains('=') || args.contains(&"--version") { 3 } else { 2 }).finish()
    };
    snapshot!(
        [
            &["--smoke", "--load"][..],
            &["--smoke", "--report=x"],
            &["--smoke", "-q"],
            &["--smoke", "-v"],
            // These are valid smoke commands, so the error is about the invalid base.
            &["--smoke", "--version"],
            &["--smoke=--load"],
        ]
        .map(build)
    );
}

#[test]
fn environment_variable_with_an_invalid_value_is_rejected() {
    let run = |name, value| Project::app().run(&["plan"]).env(name, value).env("MULTIARCH_ENGINE", "embedded").fails(2);
    let seen = [
        ("MULTIARCH_PLATFORMS", "linux/arm65"),
        ("MULTIARCH_PLATFORMS", "linux/amd64,"),
        ("MULTIARCH_LIBC", "glibc"),
        ("MULTIARCH_LINKER", "ld"),
        ("CARGO_TERM_COLOR", "blue"),
    ]
    .map(|(name, value)| run(name, value).finish());
    // A flag overrides its environment variable, so the error names the flag.
    let flag = Project::app().run(&["plan", "--libc", "clib"]).env("MULTIARCH_LIBC", "glibc").fails(2);
    snapshot!(seen, flag.finish());
}

#[test]
fn empty_environment_variables_are_ignored() {
    let run = ["MULTIARCH_TAGS", "MULTIARCH_REGISTRY", "MULTIARCH_PLATFORMS", "MULTIARCH_BASE"]
        .into_iter()
        .fold(Project::app().run(&["plan", "--features", ""]), |run, name| run.env(name, ""));
    snapshot!(run.path_only(&no_docker()).finish());
}

/// Starts a registry that sends the same response to every request.
fn always(status: u16, headers: &[(&'static str, &str)], body: &str) -> FakeRegistry {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let body = body.as_bytes().to_vec();
    FakeRegistry::start(move |_| (status, headers.clone(), body.clone()))
}

#[test]
fn host_that_is_not_a_registry_is_reported() {
    let bearer = "Bearer realm=\"http://127.0.0.1:1/token\",service=\"x\"";
    let seen = [
        always(200, &[], "<html>"),
        always(405, &[], "<html>"),
        always(302, &[("Location", "http://127.0.0.1:1/")], ""),
        always(401, &[("WWW-Authenticate", bearer)], ""),
        always(401, &[("WWW-Authenticate", "Negotiate")], ""),
    ]
    .map(|host| {
        let finished = refused(&Project::app(), &["--registry", &host.host], 7);
        host.assert_nothing_stored();
        finished
    });
    snapshot!(seen);
}

/// Starts a registry that accepts every push. `answer` responds to requests for the `base` repository.
fn with_base(answer: impl Fn(&Request) -> Answer + Send + 'static) -> FakeRegistry {
    FakeRegistry::start(move |request| match request.path.contains("/base/") {
        true => answer(request),
        false if request.method == "POST" => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        false => (200, vec![], vec![]),
    })
}

#[test]
fn base_of_another_architecture_is_rejected() {
    let digest = |bytes: &[u8]| {
        let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    };
    let config = r#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[]}}"#,
        digest(config.as_bytes()),
        config.len()
    );
    let registry = with_base(move |request| {
        if request.path.contains("/manifests/") {
            (
                200,
                vec![("Content-Type", "application/vnd.oci.image.manifest.v1+json".to_owned())],
                manifest.clone().into_bytes(),
            )
        } else {
            (200, vec![], config.as_bytes().to_vec())
        }
    });
    let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
    snapshot!(refused(&project, &["--registry", &registry.host], 3));
    registry.assert_nothing_stored();
}

#[test]
fn base_that_cannot_be_pulled_is_reported() {
    let answers = [(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#), (401, ""), (200, "<html>")]
        .map(|(status, body)| {
            let registry = with_base(move |_| (status, vec![], body.as_bytes().to_vec()));
            let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
            let finished = refused(&project, &["--registry", &registry.host], 7);
            registry.assert_nothing_stored();
            finished
        });
    let registry = FakeRegistry::accepting();
    // Requests to 0.0.0.0 reach this machine, although it is not a loopback address.
    let unreachable =
        [("127.0.0.1:1", ""), ("0.0.0.0:1", "insecure-registries = ['0.0.0.0:1']")].map(|(host, insecure)| {
            let project = Project::with_config(&format!("base = '{host}/nonsuch'\n{insecure}"));
            let args = ["publish", "--engine", "embedded", "--registry", &registry.host];
            project.run(&args).fails(7).finish().stderr_lacks("Compiling")
        });
    snapshot!(answers, unreachable);
}

#[test]
fn docker_config_that_cannot_be_read_is_reported() {
    let registry = always(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], "");
    let seen = ["{ \"auths\": {", "[]"].map(|text| {
        let config = Project::empty().file("config.json", text);
        let run = Project::app().run(&["publish", "--engine", "embedded", "--registry", &registry.host]);
        run.env("DOCKER_CONFIG", config.path()).fails(7).finish().stderr_lacks("Compiling")
    });
    registry.assert_nothing_stored();
    snapshot!(seen);
}

#[test]
fn proxy_is_not_used_for_loopback() {
    let registry = FakeRegistry::accepting();
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    for name in ["HTTP_PROXY", "http_proxy"] {
        let run = Project::app().run(&["publish", "--registry", &registry.host]).path_first(&docker);
        let run = run.env(name, "http://127.0.0.1:1").fails(6);
        run.finish().stderr_has(&["this fake docker cannot build"]);
    }
    registry.assert_nothing_stored();
}

#[test]
fn missing_ca_certificates_are_reported() {
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    let run = |args: &[&str]| {
        Project::app().run(args).path_first(&docker).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere")
    };
    snapshot!(run(&["publish", "--registry", "r.example"]).fails(7).finish());
    // `build` does not need certificates, because it does not connect to a registry.
    run(&["build", "--platform", "linux/amd64"]).fails(6).finish().stderr_has(&["this fake docker cannot build"]);
}
