//! Registry and token server behavior that the distribution specification leaves open or forbids.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::registry_quirks::{base_on, publish, with_tokens};
use crate::support::fake_registry::{Answer, Request};
use crate::support::{FakeRegistry, Project};

const BOTH: [&str; 2] = ["1.2.3", "latest"];

/// Creates a project with a file of incompressible bytes.
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

/// Starts a proxy that limits uploads to a server to 1 MB per second, and returns the proxy's address.
fn slow_proxy(host: &str) -> String {
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
#[ignore = "run by scripts/test"]
fn slow_upload_succeeds() {
    let registry = FakeRegistry::storing();
    // The file is much larger than the socket buffers, which hold several megabytes.
    publish(&with_noise(44), &slow_proxy(&registry.host)).finish();
    assert_eq!(registry.tags("app"), BOTH);
    let started = registry.requests().iter().filter(|r| r.method == "POST" && !r.path.contains("mount=")).count();
    assert_eq!(started, 4, "one permission probe and one upload per blob");
}

/// Starts a registry whose responses are modified by `change`.
fn changed(change: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static) -> FakeRegistry {
    FakeRegistry::storing_with(move |request, stored| Some(change(request, stored.answer(request))))
}

#[test]
#[ignore = "run by scripts/test"]
fn registry_may_omit_headers_and_use_other_error_codes() {
    type Change = fn(&Request, Answer) -> Answer;
    let cases: [(&str, Change); 3] = [
        ("no Location and Docker-Content-Digest headers", |_, (status, mut headers, body)| {
            headers.retain(|(name, _)| *name != "Docker-Content-Digest" && (*name != "Location" || status == 202));
            (status, headers, body)
        }),
        ("nonstandard error code", |request, (status, headers, body)| match (status, request.method.as_str()) {
            (404, _) => (404, headers, br#"{"errors":[{"code":"NOT_FOUND","message":"artifact not found"}]}"#.to_vec()),
            _ => (status, headers, body),
        }),
        ("403 for a repository that does not exist yet", |_, (status, headers, body)| match status {
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
#[ignore = "run by scripts/test"]
fn deleted_manifest_is_pushed_again() {
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

#[test]
#[ignore = "run by scripts/test"]
fn base_layers_are_mounted_with_tokens() {
    for declines in [false, true] {
        // A registry that does not mount a blob starts an upload instead.
        let registry = with_tokens(
            |_| None,
            move |request| {
                let mount = declines && request.path.contains("mount=");
                mount.then(|| (202, vec![("Location", "/v2/app/blobs/uploads/other".to_owned())], vec![]))
            },
        );
        let project = base_on(&registry);
        let run = publish(&project, &registry.host);
        if declines {
            // The client continues that upload, which fails because this registry accepts no data for it.
            run.fails(7).finish();
            let used = registry.requests().iter().filter(|r| r.path.starts_with("/v2/app/blobs/uploads/other")).count();
            assert!(used > 0);
            continue;
        }
        run.finish();
        assert_eq!(registry.tags("app"), BOTH);
        assert_eq!(
            (registry.uploads(), registry.open_uploads()),
            (2, 0),
            "only the layer with the binary and the config are uploaded"
        );
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn busy_token_server_is_retried() {
    let requests = AtomicUsize::new(0);
    let registry = with_tokens(
        move |_| requests.fetch_add(1, Ordering::SeqCst).is_multiple_of(2).then(|| (503, vec![], vec![])),
        |_| None,
    );
    publish(&Project::app(), &registry.host).finish();
    assert_eq!(registry.tags("app"), BOTH);
}

#[test]
#[ignore = "run by scripts/test"]
fn token_may_be_in_either_field() {
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
    let without_token = with_tokens(|_| Some((200, vec![], b"{}".to_vec())), |_| None);
    publish(&Project::app(), &without_token.host).fails(7).finish();
}

#[test]
#[ignore = "run by scripts/test"]
fn blob_is_uploaded_if_the_token_for_mounting_is_denied() {
    let has_two_scopes = |request: &Request| request.path.matches("scope=").count() > 1;
    let registry = with_tokens(move |request| has_two_scopes(request).then(|| (403, vec![], vec![])), |_| None);
    publish(&base_on(&registry), &registry.host).finish();
    assert_eq!(registry.tags("app"), BOTH);
    assert_eq!((registry.uploads(), registry.open_uploads()), (3, 0), "the base's layer is uploaded, too");
}

#[test]
#[ignore = "run by scripts/test"]
fn upload_on_another_host_gets_no_credentials() {
    let store = FakeRegistry::storing_with(|request, _| match request.method.as_str() {
        "DELETE" => Some((204, vec![], vec![])),
        _ => None,
    });
    // Another port on the same host is a different server, which must not receive the credentials. Status 202 redirects
    // the upload, and status 307 the request that starts it.
    for status in [202, 307] {
        assert_no_credentials_sent(&store, status);
    }
}

fn assert_no_credentials_sent(store: &FakeRegistry, status: u16) {
    let store_host = store.host.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        if request.authorization.as_deref() != Some("Basic dXNlcjpzZWNyZXQ=") {
            return Some((401, vec![("WWW-Authenticate", "Basic realm=\"r\"".to_owned())], vec![]));
        }
        let starts_upload = request.method == "POST";
        starts_upload
            .then(|| (status, vec![("Location", format!("http://{store_host}/v2/app/blobs/uploads/"))], vec![]))
    });
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"dXNlcjpzZWNyZXQ="}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    // The blobs never reach the registry, so `publish` fails.
    publish(&Project::app(), &registry.host).env("DOCKER_CONFIG", docker.path()).fails(7).finish();
    assert!(!store.requests().is_empty());
    let leaked: Vec<Request> = store.requests().into_iter().filter(|request| request.authorization.is_some()).collect();
    assert!(leaked.is_empty(), "{status}: {leaked:?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn busy_registry_is_retried_after_the_requested_delay() {
    // Rejects the first request of each kind. For manifests, the response has a `Retry-After` header.
    let counts: Arc<Mutex<std::collections::BTreeMap<String, usize>>> = Arc::default();
    let times: Arc<Mutex<Vec<std::time::Instant>>> = Arc::default();
    let recorded = times.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        let kind =
            ["/blobs/uploads/", "/blobs/", "/manifests/"].into_iter().find(|kind| request.path.contains(kind))?;
        let mut counts = counts.lock().unwrap();
        let count = counts.entry(format!("{}{kind}", request.method)).or_default();
        *count += 1;
        if request.method == "PUT" && kind == "/manifests/" {
            recorded.lock().unwrap().push(std::time::Instant::now());
        }
        match (*count, request.method.as_str()) {
            (1, "PUT") if kind == "/manifests/" => Some((429, vec![("Retry-After", "1".to_owned())], vec![])),
            // A dropped connection, an HTML page from a gateway, and a nonstandard error code.
            (1, "PUT") => Some((0, vec![], vec![])),
            (1, "POST") => Some((503, vec![], b"<html>".to_vec())),
            (1, "HEAD") if kind == "/blobs/" => Some((429, vec![], br#"{"errors":[{"code":"THROTTLED"}]}"#.to_vec())),
            _ => None,
        }
    });
    publish(&Project::app(), &registry.host).finish();
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
    let times = times.lock().unwrap();
    assert!(times[1] - times[0] >= std::time::Duration::from_secs(1), "{times:?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn registry_that_loses_uploads_is_detected() {
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
                // Accepts and serves manifests without checking that the blobs exist.
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
        let (mut command, _dirs) = publish(&Project::app(), &registry.host).into_command();
        let output = command.output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(7 | 8)), "{name}: {stderr}");
        assert!(stderr.contains("error: ") && stderr.contains("hint: "), "{name}: {stderr}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{name}");
        assert!(registry.tags("app").is_empty() && tags.lock().unwrap().is_empty(), "{name}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn identity_token_is_exchanged() {
    let exchanges = Arc::new(AtomicUsize::new(0));
    let counter = exchanges.clone();
    let host: Arc<Mutex<String>> = Arc::default();
    let token_host = host.clone();
    let registry = FakeRegistry::storing_with(move |request, _| {
        if request.path == "/token" {
            counter.fetch_add(1, Ordering::SeqCst);
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
        let challenge = format!("Bearer realm=\"http://{}/token\",service=\"the-service\"", token_host.lock().unwrap());
        Some((401, vec![("WWW-Authenticate", challenge)], vec![]))
    });
    *host.lock().unwrap() = registry.host.clone();
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"","identitytoken":"identity-word"}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    let finished = publish(&Project::app(), &registry.host).env("DOCKER_CONFIG", docker.path()).finish();
    finished.stderr_lacks("identity-word").stderr_lacks("access-word");
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
    let exchanges = exchanges.load(Ordering::SeqCst);
    assert!((1..=3).contains(&exchanges), "{exchanges} exchanges: a token must be reused until it expires");
}
