//! Timing reports of complete `build` and `publish` runs.

use crate::support::{FakeRegistry, Project};
use crate::timings_page::{bars, embedded};

/// Creates a package that builds slowly enough for other stages to start in the meantime, even on a busy machine.
fn slow_app() -> Project {
    Project::app().file("build.rs", "fn main() { std::thread::sleep(std::time::Duration::from_secs(3)); }\n")
}

#[test]
#[ignore = "run by scripts/test"]
fn timings_page_has_a_bar_for_every_platform_and_phase() {
    let project = slow_app();
    let args = ["build", "--platform", "linux/amd64,linux/arm64", "--output", "oci:out"];
    let first = bars(&project, embedded(&project, &args).finish());
    let bar = |phase: &str, name: &str| {
        let found = first.get(&(phase.to_owned(), name.to_owned()));
        *found.unwrap_or_else(|| panic!("no bar '{name}' in phase {phase}: {first:#?}"))
    };
    let cargo = bar("cargo", "app for linux/amd64, linux/arm64");
    for platform in ["linux/amd64", "linux/arm64"] {
        let binary = bar("binary", &format!("{platform} app"));
        let files = bar("layer", &format!("{platform} app: files"));
        let layer = bar("layer", &format!("{platform} app: app"));
        let verified = bar("verify", &format!("{platform} app"));
        assert!((binary.start - cargo.start).abs() < 0.01 && binary.end <= cargo.end + 0.01, "{binary:?} {cargo:?}");
        assert!(
            files.start < cargo.end,
            "layers without binaries must be packed while cargo runs: {files:?} {cargo:?}"
        );
        assert!(binary.end <= layer.start + 0.01, "{binary:?} {layer:?}");
        assert!(layer.end <= verified.start + 0.01, "{layer:?} {verified:?}");
    }
    bar("layout", "app: layout");
    bar("output", "out");
    assert!(first.keys().all(|(phase, _)| phase != "upload"), "{first:#?}");
    assert!(first.values().all(|bar| bar.end <= 100.01), "{first:#?}");

    let page = || std::fs::read_to_string(project.path().join("target/multiarch/timings.html")).unwrap();
    let link =
        page().split_once("<a href=\"").and_then(|(_, rest)| Some(rest.split_once('"')?.0.replace("&#x2f;", "/")));
    let link = link.unwrap_or_else(|| panic!("no link to cargo's page in {}", page()));
    assert!(link.starts_with("../cargo-timings/cargo-timing-"), "{link}");
    let linked = std::fs::read_to_string(project.path().join("target/multiarch").join(&link)).unwrap();
    assert!(linked.contains("<title>Cargo Build Timings"), "{link}");
    // Both platforms share the layer with the files, so it is packed only once.
    assert_eq!(page().matches("<td>reused</td>").count(), 1, "{}", page());
    assert_eq!(page().matches("<rect class=\"idle\"").count(), 1, "{}", page());
    embedded(&project, &args).finish();
    assert_eq!(page().matches("<td>reused</td>").count(), 4, "{}", page());
}

#[test]
#[ignore = "run by scripts/test"]
fn timings_page_shows_uploads() {
    let project = slow_app();
    let registry = FakeRegistry::storing();
    let args = ["publish", "--platform", "linux/amd64", "--registry", &registry.host];
    let bars = bars(&project, embedded(&project, &args).finish());
    let repository = format!("{}/app", registry.host);
    let bar = |phase: &str, name: &str| {
        let found = bars.get(&(phase.to_owned(), name.to_owned()));
        *found.unwrap_or_else(|| panic!("no bar '{name}' in phase {phase}: {bars:#?}"))
    };
    let binary = bar("upload", &format!("linux/amd64 app: app → {repository}"));
    let files = bar("upload", &format!("linux/amd64 app: files → {repository}"));
    assert!(bar("layer", "linux/amd64 app: app").end <= binary.start + 0.01, "{bars:#?}");
    assert!(
        files.start < bar("cargo", "app for linux/amd64").end,
        "the files must be uploaded while cargo compiles: {bars:#?}"
    );
    let tags = ["look up tags", "write tags", "read back tags"].map(|name| bar("publish", name));
    let manifests = bar("publish", &format!("manifests of {repository}"));
    let read_back = bar("publish", &format!("read back {repository}"));
    assert!(manifests.end <= read_back.start + 0.01 && read_back.end <= tags[0].start + 0.01, "{bars:#?}");
    assert!(binary.end <= manifests.start + 0.01 && tags[0].end <= tags[1].start + 0.01, "{bars:#?}");
    assert!(tags[1].end <= tags[2].start + 0.01, "{bars:#?}");
    bar("verify", "linux/amd64 app: app, read");
}
