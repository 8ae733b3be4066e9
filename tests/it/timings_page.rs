//! Checks when the timing report is written, and what it contains.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

use crate::support::{FakeRegistry, Fakes, Finished, Project, Run};

/// The position of a bar on the time axis, in percent.
#[derive(Debug, Clone, Copy)]
pub struct Bar {
    pub start: f64,
    pub end: f64,
}

/// Reads the bars in the timing report saved by a run, by phase and name.
pub fn bars(project: &Project, finished: Finished) -> BTreeMap<(String, String), Bar> {
    let path = project.path().join("target/multiarch/timings.html");
    finished.stderr_has(&["      Timing report saved to ", "/target/multiarch/timings.html\n"]);
    let page = std::fs::read_to_string(path).unwrap();
    let options = ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = Document::parse_with_options(&page, options).unwrap();
    let number = |bar: Node<'_, '_>, name| bar.attribute(name).unwrap().trim_end_matches('%').parse::<f64>().unwrap();
    let bars = document.descendants().filter(|node| node.has_tag_name("rect"));
    let bars = bars.map(|bar| {
        let title = bar.first_element_child().unwrap().text().unwrap();
        let phase = bar.parent().unwrap().attribute("class").unwrap().to_owned();
        let start = number(bar, "x");
        let name = title.rsplit_once(", from ").unwrap().0.rsplit_once(": ").unwrap().0.to_owned();
        ((phase, name), Bar { start, end: start + number(bar, "width") })
    });
    bars.collect()
}

pub fn embedded(project: &Project, args: &[&str]) -> Run {
    let cache = project.path().join("cache");
    let run = project.run(&[args, &["--engine", "embedded", "--timings"]].concat());
    run.path_first(&Fakes::new()).env("XDG_CACHE_HOME", cache)
}

#[test]
fn timings_page_is_written_for_a_run_that_fails() {
    let project = Project::app().committed();
    let registry = FakeRegistry::rejecting(403);
    let run = embedded(&project, &["publish", "--registry", &registry.host]).fails(7);
    let bars = bars(&project, run.finish());
    for name in ["configuration", "engine", "toolchain", &format!("push to {}/app", registry.host)] {
        assert!(bars.contains_key(&("prepare".to_owned(), name.to_owned())), "no bar for {name} in {bars:?}");
    }
    let page = std::fs::read_to_string(project.path().join("target/multiarch/timings.html")).unwrap();
    assert!(page.contains("<h1>cargo multiarch publish: app 1.2.3 (failed)</h1>"), "{page}");
    let failure = format!("<p class=\"failure\">registry {} denied access to ", registry.host);
    assert!(page.contains(&failure), "no '{failure}' in {page}");
    for fact in [" UTC · commit ", " · linux&#x2f;amd64, linux&#x2f;arm64 · cargo-multiarch 0.1.0 · "] {
        assert!(page.contains(fact), "no '{fact}' in {page}");
    }
}

#[test]
fn unwritable_timings_page_is_reported_first() {
    let project = Project::app().file("target/multiarch/timings.html/in-the-way", "");
    let registry = FakeRegistry::accepting();
    let run = embedded(&project, &["publish", "--registry", &registry.host]).fails(3);
    run.finish().stderr_has(&["/target/multiarch/timings.html", "hint: "]);
    registry.assert_nothing_stored();
}

#[test]
fn timings_page_is_written_only_with_the_flag() {
    let project = Project::app();
    let registry = FakeRegistry::rejecting(403);
    let run = project.run(&["publish", "--engine", "embedded", "--registry", &registry.host]).fails(7);
    run.path_first(&Fakes::new()).finish().stderr_lacks("Timing");
    assert!(!project.path().join("target/multiarch/timings.html").exists());
}
