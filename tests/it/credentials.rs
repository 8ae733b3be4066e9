//! Tests where credentials are found, which servers and programs receive them, and that they are never printed.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::support::base_image::{BaseStyle, base_image, tar_of};
use crate::support::fake_registry::{Answer, Request};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, HEALTHY_DOCKER, Project, Run, embedded};

/// Returns the `Authorization` header for a user name and password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", encoded(user, password))
}

fn encoded(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

pub fn challenge() -> Answer {
    (401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![])
}

/// Starts a registry that requires credentials from everyone and accepts none.
fn rejecting() -> FakeRegistry {
    FakeRegistry::start(|_| challenge())
}

/// Starts a registry that stores content, and requires this user name and password.
fn protected(user: &str, password: &str) -> FakeRegistry {
    let expected = basic(user, password);
    FakeRegistry::storing_with(move |request, _| (request.authorization.as_deref() != Some(&expected)).then(challenge))
}

fn authorizations(registry: &FakeRegistry) -> Vec<String> {
    registry.requests().into_iter().filter_map(|request: Request| request.authorization).collect()
}

/// Returns the end of the names of variables for a registry on the loopback interface.
fn suffix(registry: &FakeRegistry) -> String {
    registry.host.replace('.', "_").replace(':', "___")
}

/// Returns a file with credentials for a key.
fn auth_file(key: &str, user: &str, password: &str) -> String {
    format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, encoded(user, password))
}

/// Prepares a run of `verify` for an image in a registry.
fn verify(registry: &FakeRegistry, fakes: &Fakes) -> Run {
    Project::empty().run(&["verify", &format!("{}/team/app:1", registry.host)]).path_first(fakes).fails(7)
}

#[test]
fn sources_are_tried_in_order() {
    let registry = rejecting();
    let files = ["explicit.json", "docker/config.json", "run/containers/auth.json", "config/containers/auth.json"];
    // Each round removes the source that was used in the round before.
    for first in 0..=files.len() {
        let (project, fakes) = (Project::empty(), Fakes::new());
        let home = files.iter().enumerate().skip(first.max(1) - 1).fold(Project::empty(), |home, (index, path)| {
            home.file(path, &auth_file(&registry.host, &format!("user{}", index + 1), "order-word"))
        });
        let path = |name: &str| home.path().join(name);
        let run = project.run(&["verify", &format!("{}/team/app:1", registry.host)]).path_first(&fakes).fails(7);
        let run = run
            .env("REGISTRY_AUTH_FILE", path("explicit.json"))
            .env("DOCKER_CONFIG", path("docker"))
            .env("XDG_RUNTIME_DIR", path("run"))
            .env("XDG_CONFIG_HOME", path("config"));
        let run = if first > 0 {
            run
        } else {
            run.env(&format!("MULTIARCH_USERNAME_{}", suffix(&registry)), "user0")
                .env(&format!("MULTIARCH_PASSWORD_{}", suffix(&registry)), "order-word")
        };
        run.finish().stderr_lacks("order-word");
        assert_eq!(authorizations(&registry).last(), Some(&basic(&format!("user{first}"), "order-word")));
    }
}

#[test]
fn most_specific_entry_of_a_file_is_used() {
    let registry = rejecting();
    let host = &registry.host;
    let entry = |key: &str, user: &str| format!(r#""{host}{key}":{{"auth":"{}"}}"#, encoded(user, "specific-word"));
    let entries = [entry("", "host"), entry("/team", "team"), entry("/team/other", "other")].join(",");
    let fakes = Fakes::new();
    let home = Project::empty().file("auth.json", &format!(r#"{{"auths":{{{entries}}}}}"#));
    verify(&registry, &fakes).env("REGISTRY_AUTH_FILE", home.path().join("auth.json")).finish();
    assert_eq!(authorizations(&registry), [basic("team", "specific-word")]);
}

/// Starts a registry that contains a base image, and that accepts credentials without requiring them.
fn with_public_base() -> FakeRegistry {
    let registry = FakeRegistry::storing_with(|request, _| (request.path == "/v2/").then(challenge));
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(&registry, "base", "1", &["linux/amd64"], &tar_of(&[]), style);
    registry
}

#[test]
fn variables_without_a_host_are_only_sent_to_the_registry_that_is_published_to() {
    let (registry, bases) = (protected("me", "variable-word"), with_public_base());
    let project = Project::with_config(&format!("base = '{}/base:1'", bases.host));
    let args = ["publish", "-v", "--platform", "linux/amd64", "--registry", &registry.host];
    let run = || project.run(&args).path_only(&crate::support::ready_made::tools());
    let run = run().env("XDG_CACHE_HOME", project.path().join("cache")).env("MULTIARCH_ENGINE", "embedded");
    let run = run.env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "variable-word");
    run.finish().stderr_lacks("variable-word");
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
    assert!(!bases.requests().is_empty());
    assert!(authorizations(&bases).is_empty(), "{:?}", authorizations(&bases));
}

#[test]
fn incomplete_and_ambiguous_variables_are_reported() {
    let [one, other] = [rejecting(), rejecting()];
    let both = format!("{},{}", one.host, other.host);
    let run = |registries: &str| embedded(&Project::app(), &["publish", "-q", "--registry", registries]);
    let seen = [
        run(&both).env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "pair-word").fails(3).finish(),
        run(&one.host).env("MULTIARCH_PASSWORD", "pair-word").fails(3).finish(),
        run(&one.host).env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "").fails(7).finish(),
        run(&one.host).env("MULTIARCH_PASSWORDS", "pair-word").fails(3).finish(),
    ];
    // The order of two registries depends on their ports.
    let first = &seen[0].stderr;
    assert!(first.contains("are for one registry, but the images go to "), "{first}");
    snapshot!(seen.into_iter().skip(1).collect::<Vec<_>>());
}

#[test]
fn missing_helper_is_named() {
    let registry = rejecting();
    let fakes = Fakes::new();
    let helpers = format!(r#"{{"credHelpers":{{"{}":"ecr-login"}}}}"#, registry.host);
    let home = Project::empty().file("config.json", &helpers);
    let finished = verify(&registry, &fakes).env("DOCKER_CONFIG", home.path()).finish();
    let dir = home.path().display().to_string();
    snapshot!(finished.stderr.replace(&dir, "[docker]"));
}

#[test]
fn hung_helper_is_killed_with_its_children() {
    let registry = rejecting();
    let fakes = Fakes::new().program("docker-credential-asleep", "sleep 600 &\necho $! > \"$0.log\"; wait");
    let home = Project::empty().file("config.json", r#"{"credsStore":"asleep"}"#);
    let start = Instant::now();
    let run = verify(&registry, &fakes).env("DOCKER_CONFIG", home.path()).env("MULTIARCH_REGISTRY_TIMEOUT", "1");
    run.finish()
        .stderr_has(&["credential helper docker-credential-asleep did not respond within 1 s", "`credsStore` in"]);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let child = fakes.log("docker-credential-asleep");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    // A killed process stays a zombie if nothing in the container reaps it.
    assert!(state.is_empty() || state.contains(") Z "), "{state}");
}

/// A fake Docker that logs its configuration instead of building.
fn logging_docker(before_exit: &str) -> Fakes {
    let log = "{ echo \"$DOCKER_CONFIG\"; stat -c %a \"$DOCKER_CONFIG\" \"$DOCKER_CONFIG/config.json\"; \
        ls \"$DOCKER_CONFIG\"; echo \"$BUILDX_CONFIG\"; env | grep -c hidden-word; cat \"$DOCKER_CONFIG/config.json\"; } \
        > \"$0.config.log\"";
    let case = format!("  \"buildx build\") {log}; {before_exit} exit 1 ;;\n");
    Fakes::new().program("docker", &HEALTHY_DOCKER.replacen("in\n", &format!("in\n{case}"), 1))
}

fn publish_with_buildx(registry: &FakeRegistry, docker: &Fakes, home: &Project) -> Run {
    let run = Project::app().run(&["publish", "--engine", "buildx", "--registry", &registry.host]).path_first(docker);
    run.env("DOCKER_CONFIG", home.path().join("docker")).env("XDG_RUNTIME_DIR", home.path()).fails(6)
}

/// Returns the names of the private directories that are left.
fn left_over(home: &Project) -> Vec<String> {
    let entries = home.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    entries.filter(|name| name.starts_with("cargo-multiarch-")).collect()
}

#[test]
fn docker_gets_the_same_credentials_from_a_private_directory() {
    let registry = protected("me", "hidden-word");
    let home = Project::empty()
        .file(
            "docker/config.json",
            r#"{"credsStore":"none","proxies":{"default":{"noProxy":"x"}},"currentContext":"mine"}"#,
        )
        .file("docker/contexts/meta/x", "");
    let docker = logging_docker("").program("docker-credential-none", "echo 'credentials not found'; exit 1");
    let run = publish_with_buildx(&registry, &docker, &home);
    run.env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "hidden-word").finish().stderr_lacks("hidden-word");
    let log = docker.log("docker.config");
    let mut lines = log.lines();
    let dir = lines.next().unwrap();
    assert!(dir.contains("/cargo-multiarch-docker-"), "{log}");
    assert!(!std::path::Path::new(dir).exists(), "{dir} was not removed");
    let config = log[log.find('{').unwrap()..].replace(&registry.host, "HOST");
    let auth = encoded("me", "hidden-word");
    let lines: Vec<&str> = lines.take_while(|line| !line.starts_with('{')).collect();
    let buildx = home.path().join("docker/buildx").display().to_string();
    assert_eq!(lines, ["700", "600", "config.json", "contexts", &buildx, "0"], "{log}");
    snapshot!(config.replace(&auth, "[auth]"));
    // Docker reads its own configuration if it contains everything.
    let own = home.file("docker/config.json", &auth_file(&registry.host, "me", "hidden-word"));
    publish_with_buildx(&registry, &docker, &own).finish();
    assert_eq!(docker.log("docker.config").lines().next(), own.path().join("docker").to_str());
}

#[test]
fn private_directory_is_removed_after_interrupts() {
    for signals in [1, 2] {
        let registry = protected("me", "hidden-word");
        let home = Project::empty().file("docker/config.json", "{}");
        // The second signal is needed because the first one is ignored.
        let docker = logging_docker("trap '' TERM; sleep 2;");
        let run = publish_with_buildx(&registry, &docker, &home);
        let run = run.env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "hidden-word");
        let tools = crate::support::ready_made::tools();
        let path = format!("{}:{}:{}", docker.path().display(), tools.path().display(), crate::support::path());
        let (mut command, _dirs) = run.env("PATH", path).into_command();
        let mut child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        while docker.log("docker.config").is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(left_over(&home).len(), 1);
        for _ in 0..signals {
            Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
            std::thread::sleep(Duration::from_millis(300));
        }
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert_eq!(left_over(&home), Vec::<String>::new());
    }
}

#[test]
fn directories_of_killed_runs_are_removed() {
    let registry = protected("me", "hidden-word");
    let home = Project::empty().file("docker/config.json", "{}");
    let home = home.file("cargo-multiarch-docker-1/.cargo-multiarch-lock", "");
    // A directory that is in use stays.
    let home = home.file("cargo-multiarch-docker-2/.cargo-multiarch-lock", "");
    let used = std::fs::File::open(home.path().join("cargo-multiarch-docker-2/.cargo-multiarch-lock")).unwrap();
    used.lock().unwrap();
    let run = publish_with_buildx(&registry, &logging_docker(""), &home);
    run.env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "hidden-word").finish();
    assert_eq!(left_over(&home), ["cargo-multiarch-docker-2"]);
}

#[test]
fn secrets_in_responses_are_masked_everywhere() {
    const TOKEN: &str = "token-0123456789-abcdef";
    let own_host: std::sync::Arc<std::sync::Mutex<String>> = std::sync::Arc::default();
    let host = own_host.clone();
    let registry = FakeRegistry::start(move |request| match request.path.split('?').next().unwrap() {
        "/token" => (200, vec![], format!(r#"{{"token":"{TOKEN}"}}"#).into_bytes()),
        "/v2/" => {
            let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", host.lock().unwrap());
            (401, vec![("WWW-Authenticate", realm)], vec![])
        }
        _ => {
            let message = format!(
                "you sent {TOKEN} for {} or p%2Fss%20word%21 or p/ss word!",
                basic("me", "p/ss word!").trim_end_matches('=')
            );
            (403, vec![], format!(r#"{{"errors":[{{"code":"DENIED","message":"{message}"}}]}}"#).into_bytes())
        }
    });
    own_host.lock().unwrap().clone_from(&registry.host);
    let project = Project::app();
    let run = embedded(&project, &["publish", "-vv", "--timings", "--registry", &registry.host]);
    let run = run.env("MULTIARCH_USERNAME", "me").env("MULTIARCH_PASSWORD", "p/ss word!").fails(7);
    let finished = run.env("GITHUB_ACTIONS", "true").finish().stderr_has(&["you sent … for Basic … or … or …"]);
    let page = std::fs::read_to_string(project.path().join("target/multiarch/timings.html")).unwrap();
    assert!(page.contains("you sent … for Basic … or … or …"));
    let secrets = [TOKEN, "p/ss word!", "p%2Fss", &encoded("me", "p/ss word!")];
    for secret in secrets {
        assert!(!finished.stderr.contains(secret) && !page.contains(secret), "{secret}");
    }
    // The whole target directory and the cache.
    let grep =
        Command::new("grep").args(["-rlF", "-e", TOKEN, "-e", "p/ss word!"]).arg(project.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
}

#[test]
fn token_server_without_https_gets_no_password() {
    // The token server uses plain HTTP, and is neither on loopback nor in `insecure-registries`.
    let realm = "Bearer realm=\"http://auth.invalid:5001/token\",service=\"s\"";
    let registry = FakeRegistry::start(move |_| (401, vec![("WWW-Authenticate", realm.to_owned())], vec![]));
    let fakes = Fakes::new();
    let home = Project::empty().file("config.json", &auth_file(&registry.host, "me", "realm-word"));
    let run = || verify(&registry, &fakes).env("DOCKER_CONFIG", home.path());
    snapshot!(run().finish());
    // A host that the user trusts is contacted.
    let trusted = run().env("MULTIARCH_INSECURE_REGISTRIES", "auth.invalid:5001").finish();
    trusted.stderr_has(&["cannot reach registry", "at auth.invalid:5001"]);
}

#[test]
fn registry_that_does_not_answer_is_reported_and_given_up() {
    let registry = FakeRegistry::start(|_| {
        std::thread::sleep(Duration::from_secs(60));
        (200, vec![], vec![])
    });
    let start = Instant::now();
    let run = verify(&registry, &Fakes::new()).env("MULTIARCH_REGISTRY_TIMEOUT", "7");
    snapshot!(run.finish());
    assert!((7..15).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}
