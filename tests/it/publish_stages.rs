//! Parallel stages of a publish: a failed stage stops the others, and a slow stage does not block them.

use std::time::{Duration, Instant};

use crate::support::ready_made;
use crate::support::{FakeRegistry, Fakes, Project};

/// Returns [`ready_made::tools`], except that `cargo build` first runs a script, which may write files to `$dir`.
fn tools(before_build: &str) -> Fakes {
    let fakes = ready_made::tools();
    std::fs::rename(fakes.path().join("cargo"), fakes.path().join("ready-made-cargo")).unwrap();
    let script = format!(
        "PATH=$PATH:/usr/bin:/bin\ndir=$(dirname \"$0\")\nif [ \"$1\" = build ]; then\n{before_build}\nfi\n\
         exec \"$dir/ready-made-cargo\" \"$@\""
    );
    fakes.program("cargo", &script)
}

fn is_blob_upload(request: &crate::support::Request) -> bool {
    matches!(request.method.as_str(), "PUT" | "PATCH") && request.path.contains("/upload")
}

#[test]
fn upload_failure_stops_cargo() {
    let fakes = tools("trap 'touch \"$dir/stopped\"; exit 143' TERM\nsleep 300 &\nwait $!\ntouch \"$dir/finished\"");
    let registry = FakeRegistry::storing_with(|request, _| {
        is_blob_upload(request).then(|| (403, vec![], br#"{"errors":[{"code":"DENIED","message":"quota"}]}"#.to_vec()))
    });
    let project = Project::app().committed();
    let started = Instant::now();
    let run = project.run(&["publish", "--engine", "embedded", "--registry", &registry.host]).path_only(&fakes);
    let finished = run.env("XDG_CACHE_HOME", project.path().join("cache")).fails(7).finish();
    assert!(finished.stderr.contains("quota"), "{finished}");
    assert!(!finished.stderr.contains("cancelled"), "{finished}");
    let exists = |name: &str| fakes.path().join(name).exists();
    assert!(exists("stopped") && !exists("finished"), "cargo kept running for {:?}\n{finished}", started.elapsed());
    assert!(
        registry.requests().iter().all(|request| !request.path.contains("/manifests/")),
        "manifests must not be uploaded"
    );
}

#[test]
fn slow_upload_does_not_block_cargo() {
    // A pipe cannot buffer this much output: cargo would block if nothing read its output during the upload.
    let fakes = tools(
        "i=0\nwhile [ $i -lt 4000 ]; do echo \"line $i of many that cargo prints\" >&2; i=$((i + 1)); done\ntouch \"$dir/printed\"",
    );
    let printed = fakes.path().join("printed");
    let registry = FakeRegistry::storing_with(move |request, _| {
        let deadline = Instant::now() + Duration::from_secs(60);
        while is_blob_upload(request) && !printed.exists() {
            if Instant::now() > deadline {
                return Some((403, vec![], Vec::new()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    });
    let project = Project::app().committed();
    let run = project.run(&["publish", "--engine", "embedded", "--registry", &registry.host]).path_only(&fakes);
    let finished = run.env("XDG_CACHE_HOME", project.path().join("cache")).finish();
    assert!(finished.stdout.contains("@sha256:"), "{finished}");
}

#[test]
fn publish_reports_why_a_layer_failed_and_stops_cargo() {
    let fakes = tools("trap 'touch \"$dir/stopped\"; exit 143' TERM\nsleep 300 &\nwait $!\ntouch \"$dir/finished\"");
    let registry = FakeRegistry::storing();
    // Compressed layers cannot be stored, because a file is in the way of their directory.
    let project = Project::app().file("target/multiarch/+layers", "in the way");
    let run = project.run(&["publish", "--engine", "embedded", "--registry", &registry.host]).path_only(&fakes);
    let finished = run.env("XDG_CACHE_HOME", project.path().join("cache")).fails(1).finish();
    assert!(finished.stderr.contains("target/multiarch/+layers"), "{finished}");
    assert!(!finished.stderr.contains("cancelled"), "{finished}");
    let exists = |name: &str| fakes.path().join(name).exists();
    assert!(exists("stopped") && !exists("finished"), "{finished}");
}
