//! What is sent to a registry, when, and what becomes of a registry that misbehaves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::embedded;
use crate::support::{FakeRegistry, Fakes, Project};

const ONE: [&str; 3] = ["publish", "--platform", "linux/amd64"];

fn publish(project: &Project, registry: &FakeRegistry) -> crate::support::Run {
    embedded(project, &[&ONE[..], &["--registry", &registry.host]].concat())
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn an_unchanged_publish_sends_nothing() {
    let registry = FakeRegistry::storing();
    let project = Project::app().file(".gitignore", "/target\n/cache\n").committed();
    let first = publish(&project, &registry).finish().stdout;
    let before = registry.requests().len();
    let again = publish(&project, &registry).finish().stdout;
    assert_eq!(first, again);
    let writes = |request: &&crate::support::Request| request.method == "PUT" || request.method == "PATCH";
    let requests = registry.requests();
    assert_eq!(requests[before..].iter().filter(writes).map(|request| &request.path).collect::<Vec<_>>(), [""; 0]);
    // And nothing is compressed anew: the notes of the layers are as old as the first run's blobs.
    let layers = project.path().join("target/multiarch/+layers");
    let blobs = std::fs::read_dir(layers)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "blob"));
    assert_eq!(blobs.count(), 2, "the files and the binary");

    let changed = project.file("src/main.rs", "fn main() { println!(\"changed\"); }\n");
    let uploads = registry.uploads();
    publish(&changed, &registry).finish();
    assert_eq!(registry.uploads() - uploads, 2, "a changed binary is one layer and the config");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_run_is_told_in_its_order() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let args = ["publish", "--platform", "linux/amd64,linux/arm64,linux/riscv64", "--registry", &registry.host];
    // cargo has next to nothing to do but for the first, and tells of all its binaries at once.
    for _ in 0..10 {
        let finished = embedded(&project, &args).env("SOURCE_DATE_EPOCH", "1").finish();
        let mut told: Vec<&str> = finished.stderr.lines().filter_map(|line| line.split_whitespace().next()).collect();
        told.dedup();
        let order = ["Using", "Checked", "Compiling", "Compiled", "Finished", "Pushing", "Tagging", "Published"];
        assert_eq!(told, order, "{finished}");
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_registry_is_asked_once_where_a_tag_leads() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    for tagged in [2, 0] {
        let before = registry.requests().len();
        publish(&project, &registry).finish();
        let requests = registry.requests().split_off(before);
        let count = |method: &str| {
            let of = |tag: &str| format!("/v2/app/manifests/{tag}");
            let tags = [of("1.2.3"), of("latest")];
            requests.iter().filter(|request| request.method == method && tags.contains(&request.path)).count()
        };
        // Once for each before it moves, and it is read once when it has.
        assert_eq!([count("HEAD"), count("PUT"), count("GET")], [2, tagged, 2], "{requests:#?}");
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_template_is_rendered_once_where_no_base_is_pinned() {
    let project = Project::with_config("template = 'my.j2'\n");
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let project = project.file("my.j2", template);
    // Docker is looked at when the template has been read.
    let spoils = "echo '{{ nobody }}' > my.j2; echo 'Cannot connect to the Docker daemon' >&2; exit 1";
    let fakes = Fakes::new().program("docker", spoils);
    project.run(&["build", "--platform", "linux/amd64"]).path_first(&fakes).finish();
    assert_eq!(std::fs::read_to_string(project.path().join("my.j2")).unwrap(), "{{ nobody }}\n");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn layers_are_sent_while_cargo_still_compiles() {
    // `slow` compiles only when a layer of `fast` has arrived; without overlap both wait for ever, so it gives up.
    let mark = Project::empty();
    let file = mark.path().join("arrived");
    let script = format!(
        "fn main() {{ for _ in 0..600 {{ if std::path::Path::new({file:?}).exists() {{ return }} std::thread::sleep(std::time::Duration::from_millis(100)); }} eprintln!(\"no layer came\"); std::process::exit(1) }}"
    );
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    let project = Project::empty()
        .file("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"fast\", \"slow\"]\n")
        .file("fast/Cargo.toml", &package("fast"))
        .file("fast/src/main.rs", "fn main() {}\n")
        .file("slow/Cargo.toml", &package("slow"))
        .file("slow/src/main.rs", "fn main() {}\n")
        .file("slow/build.rs", &script)
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"fast\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"slow\"\nversion = \"1.0.0\"\n");
    let files = Mutex::new(0);
    let registry = FakeRegistry::storing_with(move |request, _| {
        // The files' layer needs no binary, and is taken over by the second image: the next blob is `fast` itself.
        if request.method == "PUT" && request.path.contains("/blobs/uploads/") {
            let mut count = files.lock().unwrap();
            *count += 1;
            if *count == 2 {
                std::fs::write(&file, "").unwrap();
            }
        }
        assert!(file.exists() || !request.path.contains("/manifests/") || request.method != "PUT", "tagged early");
        None
    });
    publish(&project, &registry).finish();
    assert_eq!(
        (registry.tags("fast"), registry.tags("slow")),
        (vec!["1.0.0".to_owned(), "latest".to_owned()], vec!["1.0.0".to_owned(), "latest".to_owned()])
    );
    let (_, index) = registry.stored_manifest("slow", "latest").unwrap();
    assert!(serde_json::from_slice::<Value>(&index).unwrap()["manifests"].is_array());
    // The tags came after everything else.
    let puts: Vec<String> =
        registry.requests().into_iter().filter(|request| request.method == "PUT").map(|request| request.path).collect();
    let is_tag = |path: &String| path.contains("/manifests/") && !path.contains("sha256:");
    let first = puts.iter().position(is_tag).unwrap();
    assert!(puts[first..].iter().all(is_tag), "{puts:?}");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn runs_in_one_workspace_take_turns() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| publish(&project, &registry).finish().stdout)).collect();
        let said: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(said.iter().all(|line| *line == said[0]), "{said:?}");
    });
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_second_repository_takes_blobs_over() {
    let registry = FakeRegistry::storing();
    let hosts = format!("{0}/a,{0}/b", registry.host);
    embedded(&Project::app(), &[&ONE[..], &["--registry", &hosts]].concat()).finish();
    assert_eq!(registry.uploads(), 3, "two layers and a config, once");
    assert_eq!(registry.tags("b/app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_busy_registry_is_asked_again_when_it_says() {
    // Busy once for each kind of request; for manifests it says for how long.
    let counts: Arc<Mutex<std::collections::BTreeMap<String, usize>>> = Arc::default();
    let times: Arc<Mutex<Vec<std::time::Instant>>> = Arc::default();
    let asked = times.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        let kind =
            ["/blobs/uploads/", "/blobs/", "/manifests/"].into_iter().find(|kind| request.path.contains(kind))?;
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(format!("{}{kind}", request.method)).or_default();
        *count += 1;
        if request.method == "PUT" && kind == "/manifests/" {
            asked.lock().unwrap().push(std::time::Instant::now());
        }
        match (*count, request.method.as_str()) {
            (1, "PUT") if kind == "/manifests/" => Some((429, vec![("Retry-After", "1".to_owned())], vec![])),
            // A connection that breaks off, a gateway's page, and a code of the registry's own.
            (1, "PUT") => Some((0, vec![], vec![])),
            (1, "POST") => Some((503, vec![], b"<html>".to_vec())),
            (1, "HEAD") if kind == "/blobs/" => Some((429, vec![], br#"{"errors":[{"code":"THROTTLED"}]}"#.to_vec())),
            _ => None,
        }
    });
    publish(&Project::app(), &registry).finish();
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= std::time::Duration::from_secs(1), "{times:?}");
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn registries_that_do_not_keep_what_they_take() {
    for (name, lie) in [
        ("blobs", ["/blobs/uploads/", "201"]),
        ("blobs with 202", ["/blobs/uploads/", "202"]),
        ("manifests", ["/manifests/", "201"]),
        ("manifests with 202", ["/manifests/", "202"]),
    ] {
        let manifests: Mutex<std::collections::BTreeMap<String, Vec<u8>>> = Mutex::default();
        let tags: Arc<Mutex<Vec<String>>> = Arc::default();
        let tagged = tags.clone();
        let registry = FakeRegistry::storing_with(move |request, _| {
            let status = lie[1].parse().unwrap();
            let location = vec![("Location", "/v2/app/nowhere".to_owned())];
            if let Some((_, which)) = request.path.split_once("/manifests/").filter(|_| lie[0] != "/manifests/") {
                // It takes manifests without a look at what they list, and serves them.
                if request.method == "PUT" && !which.starts_with("sha256:") {
                    tagged.lock().unwrap().push(which.to_owned());
                }
                let mut manifests = manifests.lock().unwrap();
                if request.method == "PUT" {
                    manifests.insert(which.to_owned(), request.body.clone());
                    return Some((201, location, vec![]));
                }
                let bytes = manifests.get(which)?;
                let index = String::from_utf8_lossy(bytes).contains("\"manifests\"");
                let kind = if index { "index" } else { "manifest" };
                let kind = ("Content-Type", format!("application/vnd.oci.image.{kind}.v1+json"));
                return Some((200, vec![kind], bytes.clone()));
            }
            (request.method == "PUT" && request.path.contains(lie[0])).then_some((status, location, vec![]))
        });
        let (mut command, _dirs) = publish(&Project::app(), &registry).into_command();
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(7 | 8)), "{name}: {stderr}");
        assert!(stderr.contains("error: ") && stderr.contains("hint: "), "{name}: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name}");
        assert!(registry.tags("app").is_empty() && tags.lock().unwrap().is_empty(), "{name}");
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn no_tag_moves_when_one_image_fails() {
    let project = Project::app()
        .file("src/bin/other.rs", "fn main() {}\n")
        .file("multiarch.toml", "[images.app]\nbins = ['app']\n[images.other]\nbins = ['other']\n");
    let registry = FakeRegistry::storing_with(|request, _| {
        (request.method == "PUT" && request.path.contains("/other/manifests/")).then(|| (403, vec![], vec![]))
    });
    publish(&project, &registry).fails(7).finish().says(&["other@sha256:"]);
    assert!(registry.tags("app").is_empty() && registry.tags("other").is_empty());
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn an_identity_token_is_exchanged() {
    let exchanges = Arc::new(AtomicUsize::new(0));
    let counted = exchanges.clone();
    let host: Arc<Mutex<String>> = Arc::default();
    let here = host.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        if request.path == "/token" {
            counted.fetch_add(1, Ordering::SeqCst);
            let body = String::from_utf8_lossy(&request.body).into_owned();
            let good = request.method == "POST"
                && body.contains("grant_type=refresh_token")
                && body.contains("refresh_token=identity-word")
                && body.contains("service=the-service")
                && body.contains("scope=repository%3Aapp%3Apull");
            let answer = if good { r#"{"access_token":"access-word","expires_in":300}"# } else { "{}" };
            return Some((if good { 200 } else { 400 }, vec![], answer.as_bytes().to_vec()));
        }
        if request.authorization.as_deref() == Some("Bearer access-word") {
            return None;
        }
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"the-service\"", here.lock().unwrap());
        Some((401, vec![("WWW-Authenticate", challenge)], vec![]))
    });
    *host.lock().unwrap() = registry.host.clone();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"","identitytoken":"identity-word"}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    let finished = publish(&Project::app(), &registry).env("DOCKER_CONFIG", docker.path()).finish();
    finished.keeps_quiet_about("identity-word").keeps_quiet_about("access-word");
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
    let exchanges = exchanges.load(Ordering::SeqCst);
    assert!((1..=3).contains(&exchanges), "{exchanges} exchanges: a token is used while it lasts");
}

#[test]
#[ignore = "takes as long as a helper may: scripts/test runs it"]
fn a_credential_helper_that_hangs() {
    let challenge = vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())];
    let registry = FakeRegistry::storing_with(move |_, _| Some((401, challenge.clone(), vec![])));
    let helper = Fakes::new().program("docker-credential-asleep", "exec sleep 50");
    let config = Project::empty().file("config.json", r#"{"credsStore":"asleep"}"#);
    let run =
        Project::app().run(&["publish", "--engine", "embedded", "--registry", &registry.host]).path_first(&helper);
    run.env("DOCKER_CONFIG", config.path()).fails(7).finish().says(&["30 s", "credHelpers"]);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_tag_that_loses_a_platform() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let publish = |platforms: &str| {
        embedded(&project, &["publish", "--registry", &registry.host, "--platform", platforms]).finish()
    };
    let first = publish("linux/amd64,linux/arm64").keeps_quiet_about("warning: ");
    let digest = first.stdout.trim().rsplit_once('@').unwrap().1.to_owned();
    publish("linux/amd64").says(&["warning: ", "linux/arm64", &digest[..19]]);
    publish("linux/amd64").keeps_quiet_about("warning: ");
    publish("linux/amd64,linux/riscv64").keeps_quiet_about("warning: ");
}
