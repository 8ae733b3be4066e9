//! Verification before a push: exceptions, policies, and the checklist.

use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::embedded;
use crate::support::{FakeRegistry, Finished, Project};

/// Publishes `app` for arm64 on a base image whose index claims arm64 but whose programs are for amd64.
fn publish(config: &str, args: &[&str], code: i32) -> (FakeRegistry, Finished) {
    let registry = FakeRegistry::storing();
    let shell = std::fs::read("/bin/true").unwrap();
    let layer = tar_of(&[("bin/", Entry::Dir(0o755)), ("bin/sh", Entry::File(&shell, 0o755))]);
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(&registry, "base", "1", &["linux/arm64"], &layer, style);
    let host = &registry.host;
    let config = format!("registry = '{host}'\nbase = '{host}/base:1'\nplatforms = ['linux/arm64']\n{config}");
    let run = embedded(&Project::with_config(&config), &[&["publish"], args].concat());
    let finished = if code == 0 { run.finish() } else { run.fails(code).finish() };
    (registry, finished)
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_rejects_a_base_for_another_architecture() {
    let (registry, finished) = publish("", &[], 8);
    finished.stderr_has(&["error[MA060]: linux/arm64: /bin/sh", "`--allow MA060`"]);
    assert!(registry.tags("app").is_empty());
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_applies_exceptions_and_policies() {
    let (registry, finished) = publish("allow = ['wrong-base']", &[], 0);
    finished.stderr_lacks("MA060");
    assert_eq!(registry.tags("app").len(), 2);

    let rules = "user = '0'\nnon-root-only = true\nmax-size = '10kB'\nrequire-labels = ['org.example.owner']\n\
                 require-annotations = ['org.opencontainers.image.version=9.*']";
    // The user and the labels are known before compiling, but not the size and the annotations.
    for (allow, found) in [
        ("MA060", &["error[MA072]: linux/arm64", "error[MA074]: linux/arm64"][..]),
        ("MA060,MA072,MA074", &["error[MA073]: linux/arm64", "error[MA075]"]),
    ] {
        let (registry, finished) = publish(rules, &["--allow", allow], 8);
        finished.stderr_has(found);
        assert!(registry.tags("app").is_empty());
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn checklist_shows_where_tags_pointed_before() {
    let registry = FakeRegistry::storing();
    let config = format!("registry = '{}'\nplatforms = ['linux/arm64']\ntags = ['1']", registry.host);
    let project = Project::with_config(&config);
    let publish = |args: &[&str]| embedded(&project, &[&["publish"], args].concat()).finish().stdout;
    let tag = |text: &str| format!("- [x] `{}/app:1` {text}", registry.host);
    let first = publish(&["--checklist", "-"]);
    let digest = registry.stored_manifest("app", "1").unwrap().1;
    let digest = crate::support::fake_registry::digest(&digest);
    let short = &digest[..19];
    assert!(first.starts_with("## app 1.2.3\n"), "{first}");
    assert!(first.contains(&tag(&format!("created at `{short}`"))), "{first}");
    assert!(first.contains("- [x] 1 of 1 platforms verified without findings\n"), "{first}");
    assert!(first.contains("\n- [ ] built from a git commit\n"), "{first}");

    let second = publish(&["--checklist", "list.md", "--report", "report.json"]);
    assert!(second.ends_with(&format!("@{digest}\n")), "{second}");
    let list = std::fs::read_to_string(project.path().join("list.md")).unwrap();
    assert!(list.contains(&tag(&format!("stays at `{short}`"))), "{list}");
    let report = std::fs::read(project.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let image = &report["images"][0];
    assert_eq!(image["moved"][0]["from"], image["moved"][0]["to"]);
    assert_eq!(
        (&image["platforms"][0]["libc"], &image["platforms"][0]["program"]),
        (&"static".into(), &"/usr/local/bin/app".into())
    );
    assert!(image["platforms"][0]["size"].as_u64().unwrap() > 100_000);

    std::fs::write(project.path().join("src/main.rs"), "fn main() {}").unwrap();
    let third = publish(&["--checklist", "-"]);
    let new_digest = crate::support::fake_registry::digest(&registry.stored_manifest("app", "1").unwrap().1);
    assert!(third.contains(&tag(&format!("moved from `{short}` to `{}`", &new_digest[..19]))), "{third}");
}
