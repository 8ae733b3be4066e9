//! Tests `login` and `logout`: which credentials are stored, and which are rejected.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::credentials::{basic, challenge};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, Finished, Project, Run};

/// Starts a registry that accepts one password.
fn registry() -> FakeRegistry {
    FakeRegistry::start(|request| match request.authorization.as_deref() {
        Some(sent) if sent == basic("me", "login-word") => (200, vec![], vec![]),
        _ => challenge(),
    })
}

/// Runs a command with a password on stdin.
fn with_stdin(run: Run, password: &str) -> Finished {
    let input = Project::empty().file("password", password);
    run.stdin(input.path().join("password")).finish()
}

fn login(registry: &FakeRegistry, fakes: &Fakes, home: &Project) -> Run {
    let args = ["login", &registry.host, "--username", "me", "--password-stdin"];
    Project::empty().run(&args).path_first(fakes).env("DOCKER_CONFIG", home.path())
}

fn logout(registry: &FakeRegistry, fakes: &Fakes, home: &Project) -> Finished {
    Project::empty().run(&["logout", &registry.host]).path_first(fakes).env("DOCKER_CONFIG", home.path()).finish()
}

fn config(home: &Project) -> Value {
    serde_json::from_slice(&std::fs::read(home.path().join("config.json")).unwrap()).unwrap()
}

fn shown(finished: &Finished, home: &Project) -> String {
    finished.stderr.replace(&home.path().display().to_string(), "[docker]")
}

#[test]
fn login_is_checked_and_stored_in_the_configuration() {
    let (registry, fakes) = (registry(), Fakes::new());
    let home = Project::empty().file("config.json", r#"{"proxies":{"a":"b"},"auths":{"r.example":{"auth":"eDp5"}}}"#);
    let finished = with_stdin(login(&registry, &fakes, &home), "login-word\n");
    assert_eq!(finished.stdout, "");
    let stored = config(&home);
    assert_eq!(
        stored["auths"][&registry.host],
        json!({ "auth": basic("me", "login-word").trim_start_matches("Basic ") })
    );
    assert_eq!(stored["auths"]["r.example"]["auth"], "eDp5");
    let text = std::fs::read_to_string(home.path().join("config.json")).unwrap();
    assert!(text.starts_with("{\n\t\"proxies\""), "{text}");
    let mode = std::fs::metadata(home.path().join("config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let out = logout(&registry, &fakes, &home);
    assert_eq!(config(&home), json!({ "proxies": { "a": "b" }, "auths": { "r.example": { "auth": "eDp5" } } }));
    let again = logout(&registry, &fakes, &home);
    snapshot!(shown(&finished, &home), shown(&out, &home), shown(&again, &home));
}

#[test]
fn login_through_a_symbolic_link_keeps_the_link() {
    let (registry, fakes, home) = (registry(), Fakes::new(), Project::empty().file("dotfiles/config.json", "{}"));
    let link = Project::empty();
    std::os::unix::fs::symlink(home.path().join("dotfiles/config.json"), link.path().join("config.json")).unwrap();
    with_stdin(login(&registry, &fakes, &link), "login-word");
    assert!(link.path().join("config.json").is_symlink());
    assert!(config(&link)["auths"][&registry.host].is_object());
}

#[test]
fn failed_login_stores_nothing() {
    let (registry, fakes, home) = (registry(), Fakes::new(), Project::empty());
    let wrong = with_stdin(login(&registry, &fakes, &home).fails(7), "wrong-word");
    let empty = with_stdin(login(&registry, &fakes, &home).fails(3), "\n");
    let run = |args: &[&str]| Project::empty().run(args).path_first(&fakes).env("DOCKER_CONFIG", home.path());
    let no_terminal = run(&["login", "ghcr.io"]).fails(3).finish();
    let no_host = run(&["login", "https://ghcr.io"]).fails(2).finish();
    let website = FakeRegistry::start(|_| (404, vec![], vec![]));
    let no_registry = with_stdin(login(&website, &fakes, &home).fails(7), "login-word");
    snapshot!(wrong, empty, no_terminal, no_host, no_registry);
    assert!(!home.path().join("config.json").exists());
    // A file that cannot be read is not overwritten.
    let broken = Project::empty().file("config.json", "{");
    with_stdin(login(&registry, &fakes, &broken).fails(7), "login-word").stderr_has(&["is not valid JSON"]);
    assert_eq!(std::fs::read_to_string(broken.path().join("config.json")).unwrap(), "{");
}

#[test]
fn helper_stores_and_erases_the_password() {
    let registry = registry();
    let script = "case $1 in\n  store) cat > \"$0.log\" ;;\n  get) cat > /dev/null; cat \"$0.log\" ;;\n  \
        erase) cat > /dev/null; rm \"$0.log\" ;;\nesac";
    let fakes = Fakes::new().program("docker-credential-safe", script);
    let home = Project::empty().file("config.json", r#"{"credsStore":"safe"}"#);
    let finished = with_stdin(login(&registry, &fakes, &home), "login-word");
    assert_eq!(config(&home), json!({ "credsStore": "safe", "auths": { &registry.host: {} } }));
    let stored: Value = serde_json::from_str(&fakes.log("docker-credential-safe")).unwrap();
    assert_eq!(stored, json!({ "ServerURL": registry.host, "Username": "me", "Secret": "login-word" }));
    let out = logout(&registry, &fakes, &home);
    assert_eq!(fakes.log("docker-credential-safe"), "");
    assert_eq!(config(&home), json!({ "credsStore": "safe", "auths": {} }));
    snapshot!(shown(&finished, &home), shown(&out, &home));
}

#[test]
fn other_sources_are_mentioned() {
    let (registry, fakes, home) = (registry(), Fakes::new(), Project::empty());
    let file = Project::empty().file("auth.json", &format!(r#"{{"auths":{{"{}":{{"auth":"eDp5"}}}}}}"#, registry.host));
    let path = file.path().join("auth.json");
    let login = login(&registry, &fakes, &home).env("REGISTRY_AUTH_FILE", &path);
    with_stdin(login, "login-word").stderr_has(&["/auth.json also contains credentials for ", "are used instead"]);
    let run = Project::empty().run(&["logout", &registry.host]).path_first(&fakes).env("DOCKER_CONFIG", home.path());
    run.env("REGISTRY_AUTH_FILE", &path).finish().stderr_has(&["/auth.json still contains credentials for "]);
}

/// Uses util-linux's `script` as a terminal.
#[test]
fn password_is_not_shown_on_a_terminal() {
    let (registry, fakes, home) = (registry(), Fakes::new(), Project::empty());
    let (command, _dirs) = Project::empty()
        .run(&["login", &registry.host, "--username", "me"])
        .path_first(&fakes)
        .env("DOCKER_CONFIG", home.path())
        .into_command();
    let line = std::iter::once(command.get_program()).chain(command.get_args());
    let line = shell_words::join(line.map(|word| word.to_str().unwrap()));
    let mut script = std::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut child = script.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Input that arrives before the prompt is discarded, as it may be shown.
    std::thread::sleep(std::time::Duration::from_secs(2));
    std::io::Write::write_all(&mut stdin, b"login-word\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let screen = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{screen}");
    assert!(screen.contains(&format!("Password or token for {}: \r\n", registry.host)), "{screen}");
    assert!(!screen.contains("login-word"), "{screen}");
    assert!(config(&home)["auths"][&registry.host].is_object());
}
