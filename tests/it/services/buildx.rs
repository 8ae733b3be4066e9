//! Configuration values, build arguments, secrets, and credentials that the buildx engine must pass on unchanged.

use serde_json::json;

use super::registry::config;
use super::{base_image, docker_run, open_registry, reference};
use crate::support::{Project, endless_cargo, service};

#[test]
#[ignore = "run by scripts/test"]
fn buildx_keeps_special_characters() {
    let values = [
        ("QUOTES", r#"say "hi", it's"#),
        ("DOLLARS", "$HOME ${x} $$ %PATH%"),
        ("BACKSLASHES", r"a\b\\ \n\"),
        ("LINES", "one\ntwo\r\n\nend\n"),
        ("SPACES", "  \tinside  out  "),
        ("UNICODE", "ünï ✓ 🦀"),
        ("HASH", "# no comment"),
        ("EMPTY", ""),
    ];
    let words: Vec<&str> = values.iter().map(|(_, value)| *value).collect();
    let entrypoint = [&["/usr/local/bin/app"], &words[..]].concat();
    let settings = json!({
        "platforms": ["linux/amd64", "linux/arm64"],
        "env": values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "labels": { "com.example/a b": r#"v "q" $d"#, "lines": "a\nb" },
        "entrypoint": entrypoint,
        "cmd": words,
        "user": "1000:1000",
        "workdir": "/work dir/$x",
        "volumes": ["/data $v", "/plain"],
        "expose": [8080, "53/udp"],
        "stop-signal": "SIGINT",
        "healthcheck": { "cmd": ["/usr/local/bin/app", "$x \"y\""], "interval": "30s", "start-period": "1m", "retries": 3 },
        "platform": { "linux/arm64": { "env": { "HASH": "arm's own" } } },
    });
    let main = "fn main() { println!(\"{:?}\", std::env::args().skip(1).collect::<Vec<_>>()); }\n";
    let project = Project::app().file("src/main.rs", main).file("multiarch.toml", &toml::to_string(&settings).unwrap());
    let registry = format!("{}/values", open_registry());
    let published = reference(&project.run(&["publish", "--registry", &registry]).finish().stdout);

    for platform in ["linux/amd64", "linux/arm64"] {
        let config = &config(&published, platform)["config"];
        for (name, value) in values {
            let value = if (name, platform) == ("HASH", "linux/arm64") { "arm's own" } else { value };
            let env = config["Env"].as_array().unwrap();
            assert!(env.contains(&json!(format!("{name}={value}"))), "{platform} {name}: {env:?}");
        }
        assert_eq!(config["Labels"]["com.example/a b"], settings["labels"]["com.example/a b"]);
        assert_eq!(config["Labels"]["lines"], "a\nb");
        assert_eq!(config["Entrypoint"], settings["entrypoint"]);
        assert_eq!(config["Cmd"], settings["cmd"]);
        assert_eq!(config["User"], "1000:1000");
        assert_eq!(config["WorkingDir"], "/work dir/$x");
        assert_eq!(config["Volumes"], json!({ "/data $v": {}, "/plain": {} }));
        assert_eq!(config["ExposedPorts"], json!({ "8080/tcp": {}, "53/udp": {} }));
        assert_eq!(config["StopSignal"], "SIGINT");
        let check = &config["Healthcheck"];
        assert_eq!(check["Test"], json!(["CMD", "/usr/local/bin/app", "$x \"y\""]));
        assert_eq!((check["Interval"].as_u64(), check["Retries"].as_u64()), (Some(30_000_000_000), Some(3)));
        let printed = docker_run(platform, &published, &[]);
        assert_eq!(printed, format!("{:?}", [&words[..], &words].concat()));
    }
}

/// Pushes a base image that contains a shell, for two platforms.
fn base() -> String {
    base_image("busybox:1", &["linux/amd64", "linux/arm64"])
}

#[test]
#[ignore = "run by scripts/test"]
fn buildx_receives_build_arguments_secrets_and_caches() {
    let template = "FROM {{ base }} AS {{ stage }}\nARG GREETING\nRUN --mount=type=secret,id=word \
        echo \"$GREETING $(wc -c < /run/secrets/word)\" > /greeting\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let main = "fn main() { print!(\"{}\", std::fs::read_to_string(\"/greeting\").unwrap()); }";
    let config = format!("base = '{}'\ntemplate = 'app.j2'\nplatforms = ['linux/amd64']", base());
    let project =
        Project::with_config(&config).file("src/main.rs", main).file("app.j2", template).file("word", "hunter2");
    let registry = format!("{}/args", open_registry());
    let args = [
        "publish",
        "-vv",
        "--registry",
        &registry,
        "--build-arg",
        "GREETING=good morning",
        "--secret",
        "id=word,src=word",
    ];
    let caches = ["--cache-to", "type=local,dest=cache", "--cache-from", "type=local,src=cache"];
    let finished = project.run(&[&args[..], &caches].concat()).finish().stderr_lacks("hunter2");
    assert_eq!(docker_run("linux/amd64", &reference(&finished.stdout), &[]), "good morning 7");
    assert!(project.path().join("cache/index.json").is_file(), "{finished}");
}

#[test]
#[ignore = "run by scripts/test"]
fn run_instructions_run_while_cargo_is_compiling() {
    let template = "FROM {{ base }} AS {{ stage }}\nRUN echo web:x:7:7::/:/bin/sh > /etc/passwd\n\
        {% include \"contents\" %}\n{% include \"config\" %}\n";
    let config = |user: &str| {
        format!("base = '{}'\nuser = '{user}'\ntemplate = 'app.j2'\nplatforms = ['linux/amd64', 'linux/arm64']", base())
    };
    let missing = Project::with_config(&config("nobody")).file("app.j2", template);
    let finished = missing.run(&["build"]).path_first(&endless_cargo()).fails(8).finish();
    finished.stderr_has(&[
        "error[MA052]: linux/amd64: user 'nobody' is not in the image's /etc/passwd",
        "error[MA052]: linux/arm64: user 'nobody' is not in the image's /etc/passwd",
    ]);
    let failing = Project::with_config(&config("web")).file("app.j2", &template.replace("RUN echo", "RUN false"));
    let finished = failing.run(&["build"]).path_first(&endless_cargo()).fails(6).finish();
    finished.stderr_has(&["failed to build image 'app'", "exit code: 1"]);

    // The build for publishing uses the results of the trial build. No earlier build has run this instruction.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let new = template.replace("7:7::", &format!("7:7:{now}:"));
    let project = Project::with_config(&config("web")).file("app.j2", &new);
    let finished = project.run(&["build", "-vv"]).finish();
    let (trial, build) = finished.stderr.split_once("Building").unwrap();
    assert!(trial.contains("Checking app without its binaries"), "{finished}");
    let cached = |text: &str| {
        let lines: Vec<&str> = text.lines().collect();
        lines.windows(2).filter(|pair| pair[0].contains("RUN echo") && pair[1].ends_with(" CACHED")).count()
    };
    assert_eq!((cached(trial), cached(build)), (0, 2), "{finished}");
}

#[test]
#[ignore = "run by scripts/test"]
fn buildx_uses_credentials_of_docker_login() {
    let host = service("MULTIARCH_TEST_AUTH_REGISTRY");
    let project = Project::app();
    let publish = |config: &Project| {
        project
            .run(&["publish", "-vv", "--registry", &host, "--platform", "linux/amd64"])
            .env("DOCKER_CONFIG", config.path())
    };
    let unauthorized = publish(&Project::empty()).fails(7).finish();
    unauthorized.stderr_has(&["(401 Unauthorized", &format!("docker login {host}")]).stderr_lacks("Compiling");
    // base64 of ci:wrong and ci:secret-word
    let with_auth = |auth: &str| {
        Project::empty().file("config.json", &json!({ "auths": { host.as_str(): { "auth": auth } } }).to_string())
    };
    publish(&with_auth("Y2k6d3Jvbmc=")).fails(7).finish().stderr_has(&["(401 Unauthorized"]).stderr_lacks("Compiling");
    let finished = publish(&with_auth("Y2k6c2VjcmV0LXdvcmQ="))
        .finish()
        .stderr_lacks("secret-word")
        .stderr_lacks("Y2k6c2VjcmV0LXdvcmQ");
    assert!(reference(&finished.stdout).starts_with(&host));
}
