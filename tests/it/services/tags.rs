//! Tags in a real registry: published twice, by another commit, and by a lower version.

use super::open_registry;
use super::registry::digest;
use crate::support::{Project, Run};
use crate::tags::commit;

/// Publishes to a registry through an address that does not count as a loopback address.
fn publish(project: &Project, registry: &str, args: &[&str]) -> Run {
    let host = registry.split('/').next().unwrap();
    let all = ["publish", "--engine", "embedded", "--platform", "linux/amd64", "--registry", registry];
    project.run(&[&all, &["--insecure-registry", host][..], args].concat())
}

#[test]
#[ignore = "run by scripts/test"]
fn releases_are_neither_overwritten_nor_downgraded() {
    let (_, port) = open_registry().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let registry = format!("0.0.0.0:{port}/releases-{}", std::process::id());
    let tag = |tag: &str| digest(&format!("{registry}/app:{tag}"));
    let project = Project::app().file(".gitignore", "/target\n").committed();
    let first = publish(&project, &registry, &[]).finish().stdout;
    let published = tag("1.2.3");
    assert!(published.is_some() && published == tag("latest"));

    assert_eq!(publish(&project, &registry, &[]).finish().stdout, first, "the same commit");

    let project = commit(project, "1.2.3");
    publish(&project, &registry, &[]).fails(7).finish().stderr_has(&["already published from another commit"]);
    assert_eq!((tag("1.2.3"), tag("latest")), (published.clone(), published.clone()));

    let project = commit(project, "1.1.9");
    publish(&project, &registry, &[]).finish().stderr_has(&["from 1.2.3 down to 1.1.9"]);
    assert_eq!(tag("latest"), published);
    assert_ne!(tag("1.1.9"), published);

    let project = commit(project, "1.2.3");
    publish(&project, &registry, &["--allow-overwrite"]).finish();
    assert_ne!(tag("1.2.3"), published);
    assert_eq!(tag("1.2.3"), tag("latest"));
}
