//! What `publish` promises if registries fail, lie, forget or are slow, and if runs are interrupted: docs/reliability.md.

use std::io::Read;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::registry_quirks::base_on;
use crate::support::fake_registry::{self, Answer, Request, Stored};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Project, Run, ready_made};
use crate::tags::commit;

/// Creates a committed project whose configuration is not under version control.
fn project() -> Project {
    Project::app().file(".gitignore", "/target\n/cache\n/multiarch.toml\n/refs\n/report.json\n").committed()
}

/// Returns the address of a registry that does not count as a loopback address, so that version tags are immutable.
fn remote(registry: &FakeRegistry) -> String {
    registry.host.replace("127.0.0.1", "0.0.0.0")
}

fn publish(project: &Project, registry: &FakeRegistry, args: &[&str]) -> Run {
    let host = remote(registry);
    let all = ["publish", "--engine", "embedded", "--platform", "linux/amd64", "--registry", &host];
    let all = [&all, &["--insecure-registry", &host][..], args].concat();
    project.run(&all).path_only(&ready_made::tools()).env("XDG_CACHE_HOME", project.path().join("cache"))
}

/// Returns the digest that a tag of `app` points to.
fn digest(registry: &FakeRegistry, tag: &str) -> String {
    fake_registry::digest(&registry.stored_manifest("app", tag).unwrap().1)
}

/// Returns the tag of `app` that a request reads or writes.
fn tag_of(request: &Request) -> Option<&str> {
    request.path.strip_prefix("/v2/app/manifests/").filter(|reference| !reference.contains(':'))
}

fn denied() -> Option<Answer> {
    Some((403, vec![], br#"{"errors":[{"code":"DENIED","message":"no"}]}"#.to_vec()))
}

/// Starts a registry whose hook is inactive until the returned switch is set.
fn switched(
    hook: impl Fn(&Request, &Stored) -> Option<Answer> + Send + Sync + 'static,
) -> (FakeRegistry, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(false));
    let active = switch.clone();
    let registry = FakeRegistry::storing_with(move |request, stored| {
        hook(request, stored).filter(|_| active.load(Ordering::SeqCst))
    });
    (registry, switch)
}

// Tags

#[test]
fn tags_of_all_images_are_written_back_to_back() {
    let registry = FakeRegistry::storing();
    let config = "[images.one]\nbins = ['app']\n[images.two]\nbins = ['app']\n";
    let project = project().file("multiarch.toml", config);
    publish(&project, &registry, &[]).finish();
    let earlier = registry.requests().len();
    publish(&commit(project, "1.2.4"), &registry, &[]).finish();
    let requests = &registry.requests()[earlier..];
    let is_write = |request: &Request| {
        request.method == "PUT" && request.path.contains("/manifests/") && !request.path.contains(':')
    };
    let first = requests.iter().position(is_write).unwrap();
    let burst: Vec<String> =
        requests[first..first + 4].iter().map(|request| format!("{} {}", request.method, request.path)).collect();
    assert_eq!(
        burst,
        [
            "PUT /v2/one/manifests/1.2.4",
            "PUT /v2/two/manifests/1.2.4",
            "PUT /v2/one/manifests/latest",
            "PUT /v2/two/manifests/latest",
        ]
    );
    let after: Vec<&str> = requests[first + 4..].iter().map(|request| request.method.as_str()).collect();
    assert_eq!(after, ["HEAD"; 4], "the tags are read back");
}

#[test]
fn images_that_cannot_be_read_do_not_block_rolling_tags() {
    const SCHEMA1: &[u8] = br#"{"schemaVersion":1,"name":"app","tag":"latest","fsLayers":[],"history":[]}"#;
    for (status, body, is_noted) in [
        (500, &b""[..], true),
        (403, b"", true),
        (200, b"{\"other\":true}", true),
        (200, b"{", true),
        (200, SCHEMA1, true),
    ] {
        let old: Arc<Mutex<String>> = Arc::default();
        let damaged = old.clone();
        let (registry, switch) = switched(move |request, _| {
            let is_old = request.method == "GET" && request.path.ends_with(&*damaged.lock().unwrap());
            is_old.then(|| (status, vec![], body.to_vec()))
        });
        let project = project();
        publish(&project, &registry, &[]).finish();
        *old.lock().unwrap() = digest(&registry, "latest");
        switch.store(true, Ordering::SeqCst);
        let finished = publish(&commit(project, "1.2.4"), &registry, &[]).finish();
        assert_eq!(finished.stderr.contains("note: cannot compare the new image"), is_noted, "{status} {finished}");
        assert_eq!(digest(&registry, "latest"), digest(&registry, "1.2.4"), "{status}");
    }
}

#[test]
fn tags_whose_digest_is_unknown_move_only_if_they_are_rolling() {
    let seen = ["latest", "1.2.3"].map(|broken| {
        let (registry, switch) = switched(move |request, _| {
            let is_read = request.method != "PUT" && tag_of(request) == Some(broken);
            is_read.then(|| (400, vec![], vec![]))
        });
        let project = project();
        publish(&project, &registry, &[]).finish();
        let before = digest(&registry, "latest");
        let project = project.file("multiarch.toml", "env = { MODE = 'other' }\n");
        switch.store(true, Ordering::SeqCst);
        // The tag cannot be read back either.
        let args = ["--tag", if broken == "latest" { "latest" } else { "1.2.3,latest" }];
        let finished = publish(&project, &registry, &args).fails(7).finish();
        assert_eq!(digest(&registry, "latest") != before, broken == "latest", "{finished}");
        finished
    });
    snapshot!(seen);
}

#[test]
fn immutable_tag_is_protected_by_its_digest_alone() {
    let old: Arc<Mutex<String>> = Arc::default();
    let damaged = old.clone();
    let (registry, switch) = switched(move |request, _| {
        let is_old = request.method == "GET" && request.path.ends_with(&*damaged.lock().unwrap());
        is_old.then(|| (403, vec![], vec![]))
    });
    let project = project();
    publish(&project, &registry, &[]).finish();
    let before = digest(&registry, "1.2.3");
    *old.lock().unwrap() = before.clone();
    switch.store(true, Ordering::SeqCst);
    let project = project.file("multiarch.toml", "env = { MODE = 'other' }\n");
    publish(&project, &registry, &[]).fails(7).finish().stderr_has(&["1.2.3 is already published with another image"]);
    assert_eq!([digest(&registry, "1.2.3"), digest(&registry, "latest")], [before.clone(), before]);
}

#[test]
fn tags_are_restored_only_if_they_still_belong_to_the_run() {
    let other = format!("sha256:{}", "0".repeat(64));
    let seen = [false, true].map(|is_taken| {
        let other = other.clone();
        let (registry, switch) = switched(move |request, stored| match (request.method.as_str(), tag_of(request)?) {
            // The registry writes the tag, but the response does not say so.
            ("PUT", "latest") => {
                stored.answer(request);
                denied()
            }
            ("HEAD", "stable") if is_taken && stored.manifest("app", "1.2.4").is_some() => {
                Some((200, vec![("Docker-Content-Digest", other.clone())], vec![]))
            }
            _ => None,
        });
        let project = project().file("multiarch.toml", "tags = ['{{version}}', 'stable', 'latest']");
        publish(&project, &registry, &[]).finish();
        let before = digest(&registry, "stable");
        switch.store(true, Ordering::SeqCst);
        let finished = publish(&commit(project, "1.2.4"), &registry, &[]).fails(7).finish();
        assert_eq!(digest(&registry, "stable") == before, !is_taken, "{finished}");
        finished
    });
    snapshot!(seen);
}

#[test]
fn run_that_lost_a_race_reports_it() {
    let other = format!("sha256:{}", "0".repeat(64));
    let is_written = AtomicBool::new(false);
    let registry = FakeRegistry::storing_with(move |request, _| {
        let is_latest = tag_of(request) == Some("latest");
        is_written.fetch_or(is_latest && request.method == "PUT", Ordering::SeqCst);
        let is_read_back = is_latest && request.method == "HEAD" && is_written.load(Ordering::SeqCst);
        is_read_back.then(|| (200, vec![("Docker-Content-Digest", other.clone())], vec![]))
    });
    snapshot!(publish(&project(), &registry, &[]).fails(8).finish());
}

/// Publishes, and interrupts the run once or twice while the first of two tags is being written. Returns the exit code,
/// stderr and the tags.
fn interrupt_while_tagging(signals: usize) -> (Option<i32>, String, Vec<String>) {
    let (started, is_started) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let channels = Mutex::new((started, may_go_on));
    let registry = FakeRegistry::storing_with(move |request, _| {
        if request.method == "PUT" && tag_of(request) == Some("1.2.3") {
            let (started, may_go_on) = &*channels.lock().unwrap();
            started.send(()).unwrap();
            let _ = may_go_on.recv_timeout(Duration::from_secs(60));
        }
        None
    });
    let (mut command, _dirs) = publish(&project(), &registry, &[]).into_command();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    is_started.recv().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut text = String::new();
    for _ in 0..signals {
        let id = child.id().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        // Wait until the signal has been handled, so that the next one counts as a second Ctrl-C.
        while signals == 1 && !text.contains("finishing the tags") {
            let mut byte = [0];
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{text}");
            text.push(byte[0] as char);
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    if signals == 1 {
        go_on.send(()).unwrap();
    }
    let status = child.wait().unwrap();
    let _ = go_on.send(());
    stderr.read_to_string(&mut text).unwrap();
    (status.code(), text, registry.tags("app"))
}

#[test]
fn interrupted_run_finishes_its_tags() {
    let (code, stderr, tags) = interrupt_while_tagging(1);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("note: finishing the tags (press Ctrl-C again to stop immediately)"), "{stderr}");
    assert!(stderr.contains("Published app"), "{stderr}");
    assert_eq!(tags, ["1.2.3", "latest"]);
}

#[test]
fn second_interrupt_ends_the_run_at_once() {
    let (code, stderr, _) = interrupt_while_tagging(2);
    assert_eq!(code, Some(130), "{stderr}");
    assert!(!stderr.contains("Published app"), "{stderr}");
}

// Blobs

/// Returns the digest of the largest layer of `app:latest`.
fn layer(registry: &FakeRegistry) -> String {
    let read = |reference: &str| -> Value {
        serde_json::from_slice(&registry.stored_manifest("app", reference).unwrap().1).unwrap()
    };
    let index = read("latest");
    let manifest = read(index["manifests"][0]["digest"].as_str().unwrap());
    let layers = manifest["layers"].as_array().unwrap();
    let largest = layers.iter().max_by_key(|layer| layer["size"].as_u64()).unwrap();
    largest["digest"].as_str().unwrap().to_owned()
}

#[test]
fn damaged_layer_is_uploaded_again() {
    let registry = FakeRegistry::storing();
    let project = project();
    publish(&project, &registry, &[]).finish();
    let layer = layer(&registry);
    let intact = registry.stored_blob("app", &layer).unwrap();
    for damaged in [&[][..], &intact[..intact.len() / 2]] {
        registry.damage_blob("app", &layer, damaged);
        publish(&project, &registry, &[]).finish();
        assert_eq!(registry.stored_blob("app", &layer).unwrap(), intact);
    }
}

#[test]
fn layers_that_are_stored_incompletely_are_reported() {
    let is_layer = |request: &Request, stored: &Stored| {
        let digest = request.path.strip_prefix("/v2/app/blobs/").filter(|path| path.starts_with("sha256:"));
        let bytes = stored.blob("app", digest?)?;
        // Configs are JSON.
        (bytes[0] != b'{').then_some(bytes)
    };
    let truncated = FakeRegistry::storing_with(move |request, stored| {
        let bytes = is_layer(request, stored).filter(|_| request.method == "HEAD")?;
        Some((200, vec![], bytes[1..].to_vec()))
    });
    let changed = FakeRegistry::storing_with(move |request, stored| {
        let mut bytes = is_layer(request, stored).filter(|_| request.method == "GET")?;
        bytes[20] ^= 1;
        Some((200, vec![], bytes))
    });
    let by_size = publish(&project(), &truncated, &[]).fails(8).finish();
    publish(&project(), &changed, &[]).finish().stderr_has(&["verified; stored layers have the right size"]);
    let by_digest = publish(&project(), &changed, &["--read-back", "full"]).fails(8).finish();
    assert!(truncated.tags("app").is_empty());
    let sound = FakeRegistry::storing();
    publish(&project(), &sound, &["--read-back", "full"])
        .finish()
        .stderr_has(&["verified; stored layers have the right digests"]);
    let numbers = |text: String| {
        regex::Regex::new(r"\d+ bytes instead of \d+")
            .unwrap()
            .replace_all(&text, "[n] bytes instead of [n]")
            .into_owned()
    };
    let errors = [by_size, by_digest].map(|finished| {
        let error = finished.stderr.split_once("error: ").unwrap().1;
        let digests = regex::Regex::new("sha256:[0-9a-f]{64}").unwrap();
        digests
            .replace_all(&numbers(error.to_owned()), "sha256:[digest]")
            .replace(&remote(&truncated), "[registry]")
            .replace(&remote(&changed), "[registry]")
    });
    snapshot!(errors[0].as_str(), errors[1].as_str());
}

#[test]
fn registry_that_does_not_answer_questions_about_blobs_gets_them() {
    for status in [400, 405, 500] {
        let registry =
            FakeRegistry::storing_with(move |request, _| (request.method == "HEAD").then(|| (status, vec![], vec![])));
        publish(&project(), &registry, &[]).finish();
        assert_eq!(registry.tags("app"), ["1.2.3", "latest"], "{status}");
    }
}

#[test]
fn uploads_may_be_answered_with_any_success() {
    for status in [200, 202, 204] {
        let registry = FakeRegistry::storing_with(move |request, stored| {
            let is_upload = request.method == "PUT" && request.path.contains("/blobs/uploads/");
            is_upload.then(|| match stored.answer(request) {
                (201, headers, body) => (status, headers, body),
                other => other,
            })
        });
        publish(&project(), &registry, &[]).finish();
        assert_eq!(registry.tags("app"), ["1.2.3", "latest"], "{status}");
    }
}

#[test]
fn uploads_are_sent_in_chunks_if_the_registry_requires_that() {
    for status in [400, 405, 413, 501] {
        let registry = FakeRegistry::storing_with(move |request, _| {
            let is_whole =
                request.method == "PUT" && request.path.contains("/blobs/uploads/") && !request.body.is_empty();
            is_whole.then(|| (status, vec![], vec![]))
        });
        publish(&project(), &registry, &[]).finish();
        assert_eq!(registry.tags("app"), ["1.2.3", "latest"], "{status}");
        assert!(registry.requests().iter().any(|request| request.method == "PATCH"));
    }
}

#[test]
fn layers_that_cannot_be_mounted_are_uploaded() {
    let registry =
        FakeRegistry::storing_with(|request, _| request.path.contains("mount=").then(|| (500, vec![], vec![])));
    let project = base_on(&registry);
    crate::registry_quirks::publish(&project, &registry.host).finish();
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
fn content_may_take_a_moment_to_appear() {
    // After a manifest or tag is written, the first request to read it returns 404.
    let hidden: Mutex<std::collections::BTreeSet<String>> = Mutex::default();
    let registry = FakeRegistry::storing_with(move |request, stored| {
        let is_read = matches!(request.method.as_str(), "GET" | "HEAD");
        let (repo, reference) = request.path.strip_prefix("/v2/")?.split_once("/manifests/")?;
        let is_stored = stored.manifest(repo, reference).is_some();
        let is_first = is_read && is_stored && hidden.lock().unwrap().insert(request.path.clone());
        is_first.then(|| (404, vec![], vec![]))
    });
    publish(&project(), &registry, &[]).finish();
}

#[test]
fn upload_starts_again_if_the_registry_forgot_it() {
    let uploads = AtomicUsize::new(0);
    let registry = FakeRegistry::storing_with(move |request, _| {
        let is_first = request.method == "PUT"
            && request.path.contains("/blobs/uploads/")
            && uploads.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| (404, vec![], br#"{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}"#.to_vec()))
    });
    publish(&project(), &registry, &[]).finish();
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

// Local files

#[test]
fn damaged_record_of_a_layer_is_not_published() {
    let registry = FakeRegistry::storing();
    let project = project();
    publish(&project, &registry, &[]).finish();
    let before = digest(&registry, "latest");
    let dir = project.path().join("target/multiarch/+layers");
    let records = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    for record in records.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        // One bit turns a digit into another.
        let text = std::fs::read_to_string(&record).unwrap();
        let (start, diff_id) = text.split_once("\"diff_id\":\"sha256:").unwrap();
        let digit = if diff_id.starts_with('0') { "1" } else { "0" };
        std::fs::write(&record, format!("{start}\"diff_id\":\"sha256:{digit}{}", &diff_id[1..])).unwrap();
    }
    publish(&project, &registry, &[]).finish();
    assert_eq!(digest(&registry, "latest"), before);
}

#[test]
fn failed_run_leaves_no_files_of_an_earlier_one() {
    let registry = FakeRegistry::storing();
    let project = project();
    let files = ["--refs-file", "refs", "--report", "report.json"];
    publish(&project, &registry, &files).finish();
    assert!(project.path().join("refs").exists() && project.path().join("report.json").exists());
    let project = commit(project, "1.2.3");
    publish(&project, &registry, &files).fails(7).finish();
    assert!(!project.path().join("refs").exists() && !project.path().join("report.json").exists());
}

#[test]
fn proxy_that_is_down_is_reported() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let args = ["publish", "--engine", "embedded", "--registry", "r.example", "--insecure-registry", "r.example"];
    let run = Project::app().run(&args).path_only(&ready_made::tools()).env("NO_PROXY", "");
    let finished = run.env("HTTP_PROXY", format!("http://user:hunter2@{closed}")).fails(7).finish();
    finished.stderr_lacks("hunter2").stderr_has(&[
        &format!("cannot reach registry r.example through the proxy {closed}: "),
        &format!("`curl -i http://{closed}`"),
        "NO_PROXY=r.example",
    ]);
}

// Requests

/// Publishes three images for two platforms, each with two tags. One request finds out how to log in. For each repository,
/// 2 check push access, 1 checks the version tag before the build, 3 look for the layers, 6 upload or 3 mount them, 4
/// upload the configs, 3 the manifests and the index, 8 read all of that back, and each tag is looked up, written and read
/// back. Only 6 of these could be avoided, by reusing the uploads that check push access for the first blobs, but they
/// would often have expired by the end of the build.
#[test]
fn first_publish_sends_few_requests() {
    let registry = FakeRegistry::storing();
    let config: String = ["one", "two", "three"].map(|name| format!("[images.{name}]\nbins = ['app']\n")).concat();
    let project = project().file("multiarch.toml", &config);
    let host = remote(&registry);
    let args = ["publish", "--engine", "embedded", "--platform", "linux/amd64,linux/arm64", "--registry", &host];
    let run = project.run(&[&args[..], &["--insecure-registry", &host]].concat()).path_only(&ready_made::tools());
    run.env("XDG_CACHE_HOME", project.path().join("cache")).finish();
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for request in registry.requests() {
        let kind = ["/blobs/uploads/", "/blobs/", "/manifests/sha256:", "/manifests/"];
        let kind = kind.into_iter().find(|part| request.path.contains(part)).unwrap_or("/v2/");
        *counts.entry(format!("{} {kind}", request.method)).or_default() += 1;
    }
    let counts: String = counts.into_iter().map(|(kind, count)| format!("{count:3} {kind}\n")).collect();
    snapshot!(format!("{counts}{:3} in all\n", registry.requests().len()).as_str());
}
