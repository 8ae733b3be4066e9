//! Registry and token server behavior that the specification leaves open. These tests do not compile anything.

use std::sync::{Arc, Mutex};

use reqwest::Url;

use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::embedded;
use crate::support::fake_registry::{Answer, Request};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Finished, Project, Run, ready_made};

const ONE: [&str; 3] = ["publish", "--platform", "linux/amd64"];

pub fn publish(project: &Project, host: &str) -> Run {
    embedded(project, &[&ONE[..], &["--registry", host]].concat())
}

/// Starts a registry whose tokens list the requested scopes. `token` may respond instead of the token server, and
/// `hook` instead of the registry.
pub fn with_tokens(
    token: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
    hook: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
) -> FakeRegistry {
    let host: Arc<Mutex<String>> = Arc::default();
    let own_host = host.clone();
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
        let mut required = vec![format!("repository:{repository}:{}", if writes { "pull,push" } else { "pull" })];
        let source = url.query_pairs().find(|(name, _)| name == "from");
        required.extend(source.map(|(_, from)| format!("repository:{from}:pull")));
        let authorization = request.authorization.clone().unwrap_or_default();
        if required.iter().any(|scope| !authorization.contains(scope)) {
            let challenge = format!("Bearer realm=\"http://{}/token\",service=\"s\"", own_host.lock().unwrap());
            return Some((401, vec![("WWW-Authenticate", challenge)], vec![]));
        }
        hook(request)
    });
    *host.lock().unwrap() = registry.host.clone();
    registry
}

pub fn base_on(registry: &FakeRegistry) -> Project {
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    let layer = tar_of(&[("etc/", Entry::Dir(0o755)), ("etc/hello", Entry::File(b"hello", 0o644))]);
    base_image(registry, "base", "1", &["linux/amd64"], &layer, style);
    Project::with_config(&format!("base = '{}/base:1'", registry.host))
}

#[test]
fn token_server_that_is_down_is_reported() {
    let registry = with_tokens(|_| Some((503, vec![], vec![])), |_| None);
    let finished = publish(&Project::app(), &registry.host).fails(7).finish();
    finished.stderr_has(&["HTTP 503"]).stderr_lacks("multiarch login");
}

#[test]
fn identity_token_is_not_sent_to_another_host() {
    let other = FakeRegistry::storing();
    let elsewhere = format!("http://{}/token", other.host);
    let registry = with_tokens(move |_| Some((307, vec![("Location", elsewhere.clone())], vec![])), |_| None);
    let config = format!(r#"{{"auths":{{"{}":{{"auth":"","identitytoken":"identity-word"}}}}}}"#, registry.host);
    let docker = Project::empty().file("config.json", &config);
    let run = publish(&Project::app(), &registry.host).env("DOCKER_CONFIG", docker.path());
    run.fails(7).finish().stderr_lacks("identity-word");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}

#[test]
fn credentials_are_not_sent_to_other_token_servers() {
    // Blob downloads are redirected to another host, whose token server must not receive the registry's credentials.
    let foreign_token_server = FakeRegistry::start(|_| (200, vec![], br#"{"token":"x"}"#.to_vec()));
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"s\"", foreign_token_server.host);
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
    assert!(!elsewhere.requests().is_empty());
    let requests = foreign_token_server.requests();
    assert!(requests.is_empty(), "{requests:?}");
}

/// `verify` must work with credentials that only allow pulling.
#[test]
fn verify_requests_only_pull_access() {
    let registry = with_tokens(
        |request| {
            let query = String::from_utf8_lossy(&request.body).into_owned() + &request.path;
            query.contains("push").then(|| (403, vec![], vec![]))
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
    // The second run downloads fewer blobs, because the contents of the layer are cached.
    assert!(verify() > verify());
}

/// Publishes an image, and then another one with the same tags to the same registry. The registry's rule protects tags
/// that exist. `answer` is its response to a request that would overwrite one.
fn overwrite(status: u16, code: &'static str, message: &'static str) -> (FakeRegistry, Finished) {
    let registry = FakeRegistry::storing_with(move |request, stored| {
        let tag = request.path.strip_prefix("/v2/app/manifests/").filter(|tag| !tag.starts_with("sha256:"))?;
        let is_protected = request.method == "PUT" && stored.manifest("app", tag).is_some();
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        is_protected.then(|| (status, vec![], body.to_string().into_bytes()))
    });
    let run = |project: &Project| {
        let args = [&ONE[..], &["-q", "--engine", "embedded", "--registry", &registry.host]].concat();
        project.run(&args).path_only(&ready_made::tools()).env("XDG_CACHE_HOME", project.path().join("cache"))
    };
    let project = Project::app();
    run(&project).finish();
    // The same image is not sent again, so the rule does not apply.
    run(&project).finish();
    let finished = run(&project.file("multiarch.toml", "env = { MODE = 'other' }\n")).fails(7).finish();
    (registry, finished)
}

#[test]
fn immutable_tags_of_registries_are_reported() {
    let seen = [
        (
            400,
            "TAG_INVALID",
            "The image tag '1.2.3' already exists in the 'app' repository and cannot be overwritten because the tag is immutable.",
        ),
        (412, "PRECONDITION", "Failed to process request due to 'app:1.2.3' configured as immutable."),
        (409, "TAG_IMMUTABLE", "tag 1.2.3 is immutable"),
        (403, "DENIED", "tag 1.2.3 matches an immutable tag rule"),
    ]
    .map(|(status, code, message)| {
        let (registry, finished) = overwrite(status, code, message);
        assert_eq!(registry.stored_manifest("app", "1.2.3"), registry.stored_manifest("app", "latest"));
        finished
    });
    snapshot!(seen);
}
