//! What registries do that the specification leaves open, and what their token servers do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::embedded;
use crate::base::{BaseStyle, Entry, base_image, tar_of};
use crate::fake_registry::{Answer, Request};
use crate::support::{FakeRegistry, Project, Run};

const ONE: [&str; 3] = ["publish", "--platform", "linux/amd64"];
const BOTH: [&str; 2] = ["1.2.3", "latest"];

fn publish(project: &Project, host: &str) -> Run {
    embedded(project, &[&ONE[..], &["--registry", host]].concat())
}

/// A project with a file that does not get smaller.
fn with_noise(megabytes: usize) -> Project {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    })
    .take(megabytes << 20)
    .collect();
    let project = Project::with_config("files = [{ from = 'noise', to = '/noise' }]");
    std::fs::write(project.path().join("noise"), noise).unwrap();
    project
}

/// Another address of a server, which takes 1 MB in a second.
fn slowly(host: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, host) = (listener.local_addr().unwrap().to_string(), host.to_owned());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(&host).unwrap());
            let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || {
                std::io::copy(&mut answers, &mut back).map(|_| back.shutdown(std::net::Shutdown::Both))
            });
            std::thread::spawn(move || {
                let mut chunk = vec![0; 100_000];
                while let Ok(read @ 1..) = client.read(&mut chunk) {
                    std::thread::sleep(Duration::from_micros(read as u64));
                    if server.write_all(&chunk[..read]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
#[ignore = "compiles for real, and is slow by intent: scripts/test runs it"]
fn an_upload_may_take_its_time() {
    let registry = FakeRegistry::storing();
    // Sockets hold some megabytes of it.
    publish(&with_noise(44), &slowly(&registry.host)).finish();
    assert_eq!(registry.tags("app"), BOTH);
    let begun = registry.requests().iter().filter(|r| r.method == "POST" && !r.path.contains("mount=")).count();
    assert_eq!(begun, 4, "the probe, and each blob once");
}

/// A registry that answers as the other would, and changes it.
fn changed(change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static) -> FakeRegistry {
    FakeRegistry::storing_with(move |request, stored| Some(change(request, stored.answer(request))))
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn answers_that_say_less_or_other_things() {
    type Change = fn(&Request, Answer) -> Answer;
    let cases: [(&str, Change); 3] = [
        ("no Location and no digest", |_, (status, mut headers, body)| {
            headers.retain(|(name, _)| *name != "Docker-Content-Digest" && (*name != "Location" || status == 202));
            (status, headers, body)
        }),
        ("codes of its own", |request, (status, headers, body)| match (status, request.method.as_str()) {
            (404, _) => (404, headers, br#"{"errors":[{"code":"NOT_FOUND","message":"artifact not found"}]}"#.to_vec()),
            _ => (status, headers, body),
        }),
        ("a repository that nobody may see until it is there", |_, (status, headers, body)| match status {
            404 => (403, headers, br#"{"errors":[{"code":"DENIED"}]}"#.to_vec()),
            _ => (status, headers, body),
        }),
    ];
    for (name, change) in cases {
        let registry = changed(change);
        publish(&Project::app(), &registry.host).finish();
        assert_eq!(registry.tags("app"), BOTH, "{name}");
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn what_a_clean_up_took_is_put_back() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    publish(&project, &registry.host).finish();
    let (_, index) = registry.stored_manifest("app", "latest").unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let child = index["manifests"][0]["digest"].as_str().unwrap();
    registry.forget("app", child);
    publish(&project, &registry.host).finish();
    assert!(registry.stored_manifest("app", child).is_some());
}

/// A registry whose tokens are the scopes that they were asked for. `token` may answer for the token server.
fn with_tokens(
    token: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    hook: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
) -> FakeRegistry {
    let host: Arc<Mutex<String>> = Arc::default();
    let here = host.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        let url = Url::parse("http://registry").unwrap().join(&request.path).unwrap();
        if url.path() == "/token" {
            let form = String::from_utf8_lossy(&request.body).into_owned();
            let scopes: Vec<String> = url
                .query_pairs()
                .chain(form_urlencoded::parse(form.as_bytes()))
                .filter(|(name, _)| name == "scope")
                .map(|(_, scope)| scope.replace(' ', "+"))
                .collect();
            return token(request)
                .or_else(|| Some((200, vec![], format!(r#"{{"token":"{}"}}"#, scopes.join("+")).into_bytes())));
        }
        let (repository, _) = url.path()[1..].split_once('/')?.1.split_once('/').unwrap_or(("", ""));
        let writes = !matches!(request.method.as_str(), "GET" | "HEAD");
        let mut wanted = vec![format!("repository:{repository}:{}", if writes { "pull,push" } else { "pull" })];
        let source = url.query_pairs().find(|(name, _)| name == "from");
        wanted.extend(source.map(|(_, from)| format!("repository:{from}:pull")));
        let shown = request.authorization.clone().unwrap_or_default();
        if wanted.iter().any(|scope| !shown.contains(scope)) {
            let challenge = format!("Bearer realm=\"http://{}/token\",service=\"s\"", here.lock().unwrap());
            return Some((401, vec![("WWW-Authenticate", challenge)], vec![]));
        }
        hook(request)
    });
    *host.lock().unwrap() = registry.host.clone();
    registry
}

fn base_on(registry: &FakeRegistry) -> Project {
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    let layer = tar_of(&[("etc/", Entry::Dir(0o755)), ("etc/hello", Entry::File(b"hello", 0o644))]);
    base_image(registry, "base", "1", &["linux/amd64"], &layer, style);
    Project::with_config(&format!("base = '{}/base:1'", registry.host))
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_base_is_taken_over_where_tokens_guard_it() {
    for refuses in [false, true] {
        // A registry that does not want to take a blob over begins an upload instead.
        let registry = with_tokens(
            |_| None,
            move |request| {
                let mount = refuses && request.path.contains("mount=");
                mount.then(|| (202, vec![("Location", "/v2/app/blobs/uploads/other".to_owned())], vec![]))
            },
        );
        let project = base_on(&registry);
        let run = publish(&project, &registry.host);
        if refuses {
            // What it began is what is used, and this one takes no bytes.
            run.fails(7).finish();
            let used = registry.requests().iter().filter(|r| r.path.starts_with("/v2/app/blobs/uploads/other")).count();
            assert!(used > 0);
            continue;
        }
        run.finish();
        assert_eq!(registry.tags("app"), BOTH);
        assert_eq!((registry.uploads(), registry.open_uploads()), (2, 0), "binary and config");
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_token_server_that_is_busy() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let registry = with_tokens(
        move |_| counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2).then(|| (503, vec![], vec![])),
        |_| None,
    );
    publish(&Project::app(), &registry.host).finish();
    assert_eq!(registry.tags("app"), BOTH);
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn tokens_by_every_name() {
    for answer in [
        r#"{"token":"SCOPES","access_token":"SCOPES"}"#,
        r#"{"token":null,"access_token":"SCOPES"}"#,
        r#"{"token":"","access_token":"SCOPES","issued_at":"2026-01-01T00:00:00Z"}"#,
    ] {
        let token = |request: &Request| {
            let scope = "repository:app:pull,push+repository:app:pull";
            request.path.contains("scope=").then(|| (200, vec![], answer.replace("SCOPES", scope).into_bytes()))
        };
        let registry = with_tokens(token, |_| None);
        publish(&Project::app(), &registry.host).finish();
        assert_eq!(registry.tags("app"), BOTH, "{answer}");
    }
    let none = with_tokens(|_| Some((200, vec![], b"{}".to_vec())), |_| None);
    publish(&Project::app(), &none.host).fails(7).finish();
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_mount_that_the_token_server_refuses_is_an_upload() {
    let two = |request: &Request| request.path.matches("scope=").count() > 1;
    let registry = with_tokens(move |request| two(request).then(|| (403, vec![], vec![])), |_| None);
    publish(&base_on(&registry), &registry.host).finish();
    assert_eq!(registry.tags("app"), BOTH);
    assert_eq!((registry.uploads(), registry.open_uploads()), (3, 0), "the base's layer as well");
}

#[test]
fn a_token_server_that_is_down() {
    let registry = with_tokens(|_| Some((503, vec![], vec![])), |_| None);
    let finished = publish(&Project::app(), &registry.host).fails(7).finish();
    finished.says(&["HTTP 503"]).keeps_quiet_about("docker login");
}

#[test]
fn an_identity_goes_to_nobody_else() {
    let other = FakeRegistry::storing();
    let elsewhere = format!("http://{}/token", other.host);
    let registry = with_tokens(move |_| Some((307, vec![("Location", elsewhere.clone())], vec![])), |_| None);
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"","identitytoken":"identity-word"}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    let run = publish(&Project::app(), &registry.host).env("DOCKER_CONFIG", docker.path());
    run.fails(7).finish().keeps_quiet_about("identity-word");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn uploads_may_go_elsewhere_but_no_credentials() {
    let store = FakeRegistry::storing_with(|request, _| match request.method.as_str() {
        "DELETE" => Some((204, vec![], vec![])),
        _ => None,
    });
    // The same host, another port: another server. The upload goes there, or the request for one.
    for status in [202, 307] {
        credentials_stay(&store, status);
    }
}

fn credentials_stay(store: &FakeRegistry, status: u16) {
    let to = store.host.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        if request.authorization.as_deref() != Some("Basic dXNlcjpzZWNyZXQ=") {
            return Some((401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]));
        }
        let begun = request.method == "POST";
        begun.then(|| (status, vec![("Location", format!("http://{to}/v2/app/blobs/uploads/"))], vec![]))
    });
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    // Nothing arrives at the registry, which it then says itself.
    publish(&Project::app(), &registry.host).env("DOCKER_CONFIG", docker.path()).fails(7).finish();
    let asked = store.requests().len();
    assert!(asked > 0);
    let shown: Vec<Request> = store.requests().into_iter().filter(|request| request.authorization.is_some()).collect();
    assert!(shown.is_empty(), "{status}: {shown:?}");
}

#[test]
fn only_the_registry_asks_for_credentials() {
    // What is kept elsewhere sends whoever comes to a token server of its own.
    let thief = FakeRegistry::start(|_| (200, vec![], br#"{"token":"x"}"#.to_vec()));
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", thief.host);
    let elsewhere = FakeRegistry::start(move |_| (401, vec![("WWW-Authenticate", realm.clone())], vec![]));
    let to = elsewhere.host.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        let moved = request.method == "GET" && request.path.contains("/base/blobs/");
        moved.then(|| (307, vec![("Location", format!("http://{to}{}", request.path))], vec![]))
    });
    let project = base_on(&registry);
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    publish(&project, &registry.host).env("DOCKER_CONFIG", docker.path()).fails(7).finish();
    assert!(!elsewhere.requests().is_empty() && thief.requests().is_empty(), "{:?}", thief.requests());
}

/// Whoever may pull may verify.
#[test]
fn verifying_asks_for_no_more_than_to_pull() {
    let registry = with_tokens(
        |request| {
            let asks = String::from_utf8_lossy(&request.body).into_owned() + &request.path;
            asks.contains("push").then(|| (403, vec![], vec![]))
        },
        |_| None,
    );
    let shell = std::fs::read("/bin/true").unwrap();
    let layer = tar_of(&[("bin/", Entry::Dir(0o755)), ("bin/sh", Entry::File(&shell, 0o755))]);
    let style = BaseStyle { docker: true, index: true, compression: "gzip" };
    base_image(&registry, "base", "1", &["linux/amd64"], &layer, style);
    let project = Project::empty();
    let verify = || {
        let before = registry.requests().len();
        let image = format!("{}/base:1", registry.host);
        let arguments = ["verify", &image, "--allow", "MA020"];
        let finished = project.run(&arguments).env("XDG_CACHE_HOME", project.path().join("cache")).finish();
        assert!(finished.stdout.contains("linux/amd64  /bin/sh  "), "{}", finished.stdout);
        let requests = registry.requests();
        let downloads =
            requests[before..].iter().filter(|request| request.method == "GET" && request.path.contains("/blobs/"));
        downloads.count()
    };
    // The config and the layer; what is in a layer is known from then on.
    assert!(verify() > verify());
}
