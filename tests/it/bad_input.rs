//! What looks right and is not: things that cannot be told apart, values that mean nothing, hosts that are no registry.
//! Refused before anything is compiled, and nothing is pushed.

use sha2::{Digest, Sha256};

use crate::support::{Answer, FakeRegistry, Fakes, HEALTHY_DOCKER, Project, Request};

/// Runs `publish` before a healthy docker and checks the failure, and that nothing was started.
#[track_caller]
fn refused(project: &Project, args: &[&str], code: i32, says: &[&str]) {
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    let run = project.run(&[&["publish", "-vv"], args].concat()).path_first(&docker).fails(code);
    run.finish().says(says).keeps_quiet_about("Compiling");
    assert!(!docker.log("docker").contains("buildx build"), "{}", docker.log("docker"));
}

/// The same for a configuration that has no place to push to: it is never asked for.
#[track_caller]
fn refused_config(config: &str, says: &[&str]) {
    refused(&Project::with_config(config), &["--registry", "r.example"], 3, says);
}

/// Packages with binaries: their path is their name.
fn workspace(packages: &[(&str, &[&str])]) -> Project {
    let locked = |(name, _): &(&str, _)| format!("[[package]]\nname = \"{name}\"\nversion = \"1.2.3\"\n\n");
    let start = Project::empty()
        .file("Cargo.toml", "[workspace]\nmembers = ['*']\nexclude = ['target']\nresolver = '2'\n")
        .file("Cargo.lock", &format!("version = 4\n\n{}", packages.iter().map(locked).collect::<String>()));
    packages.iter().fold(start, |project, (package, bins)| {
        let manifest = format!("[package]\nname = '{package}'\nversion = '1.2.3'\nedition = '2021'\n");
        let project = project.file(&format!("{package}/Cargo.toml"), &manifest);
        bins.iter().fold(project, |project, bin| project.file(&format!("{package}/src/bin/{bin}.rs"), "fn main() {}"))
    })
}

#[test]
fn two_binaries_of_one_name() {
    let project = workspace(&[("a", &["server"]), ("b", &["server"])]);
    refused(
        &project,
        &["--registry", "r.example"],
        3,
        &[
            "packages 'a' and 'b' both have a binary 'server', and cargo makes one file of them",
            "hint: rename one",
            "-p NAME",
        ],
    );
    let plan = project.run(&["plan", "-p", "b", "--message-format", "json"]).finish();
    assert!(plan.stdout.contains(r#""package": "b""#) && !plan.stdout.contains(r#""package": "a""#), "{plan}");
}

#[test]
fn two_images_of_one_name() {
    let project = workspace(&[("a", &["x", "y"]), ("x", &["main"])]);
    let says = ["packages 'a' and 'x' would both make an image 'x'", "hint: name the images: images.NAME = { bins"];
    refused(&project, &["--registry", "r.example"], 3, &says);
    let config = "tags = ['1']\n[images.'x/y']\nregistry = 'r.example'\nbins = ['app']\n\
        [images.y]\nregistry = 'r.example/x'\nbins = ['app']";
    let says = ["images 'x/y' and 'y' would both be r.example/x/y:1", "hint: give one of them another name"];
    refused(&Project::with_config(config), &[], 3, &says);
}

#[test]
fn files_that_hold_the_target_folder() {
    for from in ["", "target", "src/.."] {
        let project = Project::with_config(&format!("files = [{{ from = '{from}', to = '/x' }}]")).file("target/x", "");
        let says = [&format!("files.from '{from}' holds the target folder"), "hint: name the folders and files"];
        refused(&project, &["--registry", "r.example"], 3, &says);
    }
    let says = ["files.from '../secret' is outside of the workspace", "hint: copy it below"];
    let project = Project::empty().file("secret", "s").file("in/Cargo.toml", "[package]\nname = 'app'\n");
    let project = project.file("in/src/main.rs", "fn main() {}").file("in/Cargo.lock", "version = 4\n");
    let project = project.file("in/multiarch.toml", "files = [{ from = '../secret', to = '/x' }]");
    refused(&project, &["--registry", "r.example", "--manifest-path", "in/Cargo.toml"], 3, &says);
}

#[test]
fn a_template_that_copies_what_is_not_there() {
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\nRUN true\nCOPY nothere /x\n";
    let project = Project::with_config("template = 'app.j2'\nbase = 'x'").file("app.j2", template);
    for engine in ["auto", "buildx", "embedded"] {
        let args = ["--registry", "r.example", "--engine", engine];
        refused(&project, &args, 3, &["/app.j2:4: 'nothere' is not in the build context: COPY nothere /x", "hint: "]);
    }
}

#[test]
fn what_is_no_file_and_no_folder() {
    let pipe = |path: &str, config: &str| {
        let project = Project::with_config(config).file("dir/x", "");
        assert!(std::process::Command::new("mkfifo").arg(project.path().join(path)).status().unwrap().success());
        project
    };
    for (path, from) in [("pipe", "pipe"), ("dir/pipe", "dir")] {
        let project = pipe(path, &format!("files = [{{ from = '{from}', to = '/x' }}]"));
        let says = [&format!("image 'app': files.from '{from}': "), "/pipe is a named pipe", "hint: "];
        refused(&project, &["--registry", "r.example"], 3, &says);
        project.run(&["plan"]).fails(3).finish().says(&says);
    }
    let project = Project::with_config("files = [{ from = 'socket', to = '/x' }]");
    let _socket = std::os::unix::net::UnixListener::bind(project.path().join("socket")).unwrap();
    refused(&project, &["--registry", "r.example"], 3, &["/socket is a socket"]);
    let project = pipe("t.j2", "template = 't.j2'");
    refused(&project, &["--registry", "r.example"], 3, &["/t.j2 is no file"]);
}

#[test]
fn values_that_mean_nothing() {
    for (config, says) in [
        ("\nregistry = 5", "multiarch.toml:2: registry: wanted a string or a list of strings"),
        ("expose = [99999]", "multiarch.toml:1: expose: wanted a port: 8080 or \"53/udp\""),
        ("base = 'a b'", "image 'app': base 'a b' is not valid"),
        ("base = ''", "image 'app': base '' is not valid"),
        ("volumes = ['/a', 'data']", "image 'app': volumes 'data' is not valid"),
        ("workdir = 'data'", "image 'app': workdir 'data' is not valid"),
        ("profile = ''", "image 'app': profile '' is not valid"),
        ("platforms = 'linux/arm64'", "multiarch.toml:1: platforms is the string \"linux/arm64\", wanted a list"),
        ("platforms = []", "image 'app' has no platform"),
        (
            "insecure-registries = ['http://r.example:5000/']",
            "insecure-registries 'http://r.example:5000/' has a scheme",
        ),
        ("[images.app]\nlocked = false", "key 'images.app.locked' cannot differ per image"),
    ] {
        refused_config(config, &[says]);
    }
}

#[test]
fn an_insecure_registry_that_is_no_host() {
    let args = ["--registry", "r.example", "--insecure-registry", "r.example/me"];
    let says =
        ["insecure-registries 'r.example/me' has a path", "hint: write a host", "`--insecure-registry r.example`"];
    refused(&Project::app(), &args, 3, &says);
}

#[test]
fn a_registry_that_is_docker_hub() {
    let config = "registry = 'me/team'\n[images.a]\nbins = ['app']\n[images.b]\nbins = ['app']";
    let finished = Project::with_config(config).run(&["plan"]).finish();
    assert_eq!(finished.stderr.matches("registry 'me/team' is on Docker Hub").count(), 1, "{finished}");
}

#[test]
fn keys_that_a_package_cannot_have() {
    for key in ["builder = 'x'", "locked = false"] {
        let manifest = format!(
            "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[package.metadata.multiarch]\n{key}\n"
        );
        let says = ["cannot differ per package", "hint: move it to [workspace.metadata.multiarch] or multiarch.toml"];
        refused(&Project::app().file("Cargo.toml", &manifest), &["--registry", "r.example"], 3, &says);
    }
    let member = workspace(&[("a", &["a"])]);
    let manifest = "[package]\nname = 'a'\nversion = '1.2.3'\n[package.metadata.multiarch]\nusr = '1'\n";
    refused(&member.file("a/Cargo.toml", manifest), &[], 3, &["/a/Cargo.toml:5: unknown key 'usr'", "'user'"]);
}

#[test]
fn a_section_whose_name_is_nearly_ours() {
    let manifest =
        "[package]\nname = 'app'\nversion = '1.2.3'\nedition = '2021'\n[package.metadata.multi-arch]\nbase = 'x'\n";
    let finished = Project::app().file("Cargo.toml", manifest).run(&["plan"]).finish();
    finished
        .says(&["/Cargo.toml: [package.metadata.multi-arch] is not read: the section's name is package.metadata.mult"]);
}

#[test]
fn a_package_in_capitals() {
    let manifest = "[package]\nname = 'App'\nversion = '1.2.3'\nedition = '2021'\n";
    let lock = "version = 4\n\n[[package]]\nname = \"App\"\nversion = \"1.2.3\"\n";
    let project = Project::app().file("Cargo.toml", manifest).file("Cargo.lock", lock);
    let says = ["'App' is not a name for an image", "hint: names are in lower case: images.app = { bins = "];
    refused(&project, &["--registry", "r.example"], 3, &says);
    let named = project.file("multiarch.toml", "[images.app]\nbins = ['App']");
    assert!(named.run(&["plan"]).finish().stdout.contains("app:1.2.3"));
}

#[test]
fn usage() {
    for (args, says) in [
        (&["publish", "--platform", "linux/arm65"][..], "unknown platform 'linux/arm65' (did you mean 'linux/arm64'?)"),
        (&["publish", "--libc", "glibc"], "invalid value 'glibc' for '--libc <LIBC>'"),
        (&["publish", "--regsitry", "x"], "'--registry'"),
        (&["publish", "--build-arg", "NO_SUCH_VARIABLE"], "'NO_SUCH_VARIABLE' is not NAME=VALUE, and no variable"),
        (&["build", "--output", "oci:out:1.2.3"], "give oci:out, the image's name and tag come from the plan"),
        (&["plan", "-q", "-v"], "cannot be used with"),
        (&["plan", "--tag", ""], "error: --tag is empty\n hint: is it a shell variable that is not set?"),
        (&["plan", "--tag", "a, "], "error: --tag has an empty value"),
        (&["plan", "--registry", ""], "error: --registry is empty"),
        (&["plan", "--base="], "error: --base is empty"),
        (&["compile", "--out", ""], "error: --out is empty\n hint: is it a shell variable that is not set?\n"),
        (&["plan", "-p", ""], "error: --package is empty"),
        (&["build", "--artifacts", ""], "error: --artifacts is empty"),
        (&["plan", "--platform", ""], "'--platform <PLATFORM>': an empty platform"),
        (&["plan", "--platform", "linux/amd64,"], "'--platform <PLATFORM>': an empty platform"),
        (&["plan", "--libc", ""], "a value is required for '--libc <LIBC>'"),
        (&["plan", "--jobs", "many"], "invalid value 'many'"),
        (&[], "Usage: cargo multiarch"),
    ] {
        Project::app().run(args).fails(2).finish().says(&[says]);
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_is_compiled() {
    let project = Project::app().file("file", "");
    for output in ["oci:/proc/nobody/image", "oci:file/image", "oci-archive:/proc/image.tar"] {
        let says = ["the output ", "cannot be written: ", "hint: name one in a folder of yours: `--output oci"];
        project.run(&["build", "--output", output]).fails(3).finish().says(&says).keeps_quiet_about("Compiling");
    }
}

#[test]
fn a_bundle_that_cannot_be_written_is_refused_before_anything_is_compiled() {
    let finished = Project::app().run(&["compile", "--out", "/proc/nobody/dist"]).fails(3).finish();
    finished
        .says(&["--out /proc/nobody/dist cannot be written: ", "hint: name a folder of yours"])
        .keeps_quiet_about("Compiling");
}

#[test]
fn what_cannot_start_on_scratch_is_known_without_compiling() {
    for (config, says, hint) in [
        ("entrypoint = ['nope']", "it would start 'nope'", "hint: "),
        ("user = 'nobody'", "'nobody' is not in its /etc/passwd", "hint: write it in numbers"),
    ] {
        let project = Project::with_config(config);
        for engine in ["auto", "embedded"] {
            project.run(&["plan", "--engine", engine]).fails(3).finish().says(&[says, hint]);
            let doctor = project.run(&["doctor", "--engine", engine]);
            crate::doctor::told(doctor, 3).found("error", "image", says);
        }
        assert!(!project.path().join("target").exists(), "it writes nothing");
    }
}

#[test]
fn a_registry_that_ends_in_the_images_name() {
    let finished = Project::app().run(&["plan", "--registry", "r.example/app"]).finish();
    finished
        .says(&["note: registry 'r.example/app' ends in the image's name, which is added to it: r.example/app/app"]);
    Project::app().run(&["plan", "--registry", "r.example/apps"]).finish().keeps_quiet_about("ends in");
}

#[test]
fn a_smoke_run_takes_no_flag_of_ours() {
    let with = |words: &[&str]| {
        let run = Project::app().run(&[&["build", "--platform", "linux/amd64", "--base", "1://x"], words].concat());
        run.fails(if words[0].contains('=') || words.contains(&"--version") { 3 } else { 2 }).finish()
    };
    for words in [&["--smoke", "--load"][..], &["--smoke", "--report=x"], &["--smoke", "-q"], &["--smoke", "-v"]] {
        let hint = format!("hint: or, if the image is to be run with it: `--smoke={}`", words[1]);
        with(words).says(&[&format!("--smoke would run the images with {}", words[1]), &hint]);
    }
    for words in [&["--smoke", "--version"][..], &["--smoke=--load"]] {
        with(words).says(&["base '1://x' is not valid"]);
    }
}

#[test]
fn a_variable_with_a_wrong_value() {
    for (name, value, says) in [
        (
            "MULTIARCH_PLATFORMS",
            "linux/arm65",
            "invalid value 'linux/arm65' for 'MULTIARCH_PLATFORMS': unknown platform",
        ),
        ("MULTIARCH_PLATFORMS", "linux/amd64,", "invalid value '' for 'MULTIARCH_PLATFORMS': an empty platform"),
        ("MULTIARCH_LIBC", "glibc", "invalid value 'glibc' for 'MULTIARCH_LIBC'"),
        ("MULTIARCH_LINKER", "ld", "invalid value 'ld' for 'MULTIARCH_LINKER'"),
        ("CARGO_TERM_COLOR", "blue", "invalid value 'blue' for 'CARGO_TERM_COLOR'"),
    ] {
        let run = Project::app().run(&["plan"]).env(name, value).env("MULTIARCH_ENGINE", "embedded").fails(2);
        run.finish().says(&[says]).keeps_quiet_about("for '--");
    }
    // The flag wins, and so it is the flag's.
    let run = Project::app().run(&["plan", "--libc", "clib"]).env("MULTIARCH_LIBC", "glibc").fails(2);
    run.finish().says(&["invalid value 'clib' for '--libc <LIBC>'"]);
}

#[test]
fn an_empty_variable_is_as_if_not_set() {
    let run = ["MULTIARCH_TAGS", "MULTIARCH_REGISTRY", "MULTIARCH_PLATFORMS", "MULTIARCH_BASE"]
        .into_iter()
        .fold(Project::app().run(&["plan", "--features", ""]), |run, name| run.env(name, ""));
    let finished = run.finish().says(&["note: no registry: `publish` will want one: `--registry"]);
    assert!(finished.stdout.contains("app:1.2.3 (no registry)"), "{finished}");
}

/// An answer to everything.
fn always(status: u16, headers: &[(&'static str, &str)], body: &str) -> FakeRegistry {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let body = body.as_bytes().to_vec();
    FakeRegistry::start(move |_| (status, headers.clone(), body.clone()))
}

#[test]
fn hosts_that_are_no_registry() {
    let bearer = "Bearer realm=\"http://127.0.0.1:1/token\",service=\"x\"";
    for (host, says) in [
        (always(200, &[], "<html>"), "does not answer HOST/app as a registry does (HTTP 200)"),
        (always(405, &[], "<html>"), "does not answer HOST/app as a registry does (HTTP 405)"),
        (
            always(302, &[("Location", "http://127.0.0.1:1/")], ""),
            "registry HOST cannot be reached: connection refused",
        ),
        (always(401, &[("WWW-Authenticate", bearer)], ""), "registry HOST cannot be reached at 127.0.0.1:1: "),
        (always(401, &[("WWW-Authenticate", "Negotiate")], ""), "wants valid credentials for HOST/app (401"),
    ] {
        refused(&Project::app(), &["--registry", &host.host], 7, &[&says.replace("HOST", &host.host), "hint: "]);
        host.is_untouched();
    }
}

/// A registry that takes every push and serves one base.
fn with_base(answer: impl Fn(&Request) -> Answer + Send + 'static) -> FakeRegistry {
    FakeRegistry::start(move |request| match request.path.contains("/base/") {
        true => answer(request),
        false if request.method == "POST" => (202, vec![("Location", "/v2/upload/1".to_owned())], vec![]),
        false => (200, vec![], vec![]),
    })
}

#[test]
fn a_base_that_is_one_manifest_of_another_architecture() {
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
    let registry = with_base(move |request| match request.path.contains("/manifests/") {
        true => (
            200,
            vec![("Content-Type", "application/vnd.oci.image.manifest.v1+json".to_owned())],
            manifest.clone().into_bytes(),
        ),
        false => (200, vec![], config.as_bytes().to_vec()),
    });
    let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
    let says = ["/base:1 has no linux/amd64", "hint: it has linux/arm64"];
    refused(&project, &["--registry", &registry.host], 3, &says);
    registry.is_untouched();
}

#[test]
fn a_base_that_cannot_be_had() {
    for (status, body, says) in [
        (
            404,
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no"}]}"#,
            "base HOST/base:1: HOST/base:1 does not exist (404",
        ),
        (401, "", "base HOST/base:1: registry HOST wants valid credentials for HOST/base:1 (401"),
        (200, "<html>", "what is served as HOST/base:1 is not a manifest"),
    ] {
        let registry = with_base(move |_| (status, vec![], body.as_bytes().to_vec()));
        let project = Project::with_config(&format!("base = '{}/base:1'", registry.host));
        let says = [&says.replace("HOST", &registry.host), "hint: "];
        refused(&project, &["--registry", &registry.host], 7, &says);
        registry.is_untouched();
    }
    let registry = FakeRegistry::open();
    // An address of this machine that is not on loopback.
    for (host, insecure) in [("127.0.0.1:1", ""), ("0.0.0.0:1", "insecure-registries = ['0.0.0.0:1']")] {
        let project = Project::with_config(&format!("base = '{host}/nonsuch'\n{insecure}"));
        let says = [
            &format!("base {host}/nonsuch: registry {host} cannot be reached: connection refused"),
            &*format!("`curl -i http://{host}/v2/`"),
        ];
        let args = ["publish", "--engine", "embedded", "--registry", &registry.host];
        project.run(&args).fails(7).finish().says(&says).keeps_quiet_about("Compiling");
    }
}

#[test]
fn a_docker_config_that_cannot_be_read() {
    let registry = always(401, &[("WWW-Authenticate", "Basic realm=\"x\"")], "");
    for (text, says) in [("{ \"auths\": {", "/config.json is not JSON: EOF"), ("[]", "/config.json is not what Docker")]
    {
        let config = Project::empty().file("config.json", text);
        let run = Project::app().run(&["publish", "--engine", "embedded", "--registry", &registry.host]);
        let finished = run.env("DOCKER_CONFIG", config.path()).fails(7).finish();
        finished.says(&["no credentials for ", says, "hint: mend it, or move it away"]).keeps_quiet_about("Compiling");
    }
    registry.is_untouched();
}

#[test]
fn a_proxy_is_not_for_loopback() {
    let registry = FakeRegistry::open();
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    for name in ["HTTP_PROXY", "http_proxy"] {
        let run = Project::app().run(&["publish", "--registry", &registry.host]).path_first(&docker);
        let run = run.env(name, "http://127.0.0.1:1").fails(6);
        run.finish().says(&["takes a push", "this docker builds nothing"]);
    }
    registry.is_untouched();
}

#[test]
fn a_machine_without_ca_certificates() {
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    let run = |args: &[&str]| {
        Project::app().run(args).path_first(&docker).env("SSL_CERT_FILE", "/dev/null").env("SSL_CERT_DIR", "/nowhere")
    };
    let finished = run(&["publish", "--registry", "r.example"]).fails(7).finish();
    finished.says(&["no ca certificates were loaded from the system", "hint: ", "`apt-get install ca-certificates`"]);
    // No registry, no connection.
    run(&["build", "--platform", "linux/amd64"]).fails(6).finish().says(&["this docker builds nothing"]);
}
