//! Looks at graphs and timings pages in a browser: every text is in its place and readable, in light and dark mode.

#![expect(clippy::disallowed_methods, reason = "a test may start processes and write files")]

use std::path::Path;
use std::process::{Command, Stdio};

use super::{samples, timings_page};
use crate::platform::Platform;

/// Looks at what is shown, and says what is wrong with it.
const LOOK: &str = include_str!("../../tests/fixtures/inspect_page.js");

/// Names a folder for screenshots of all that is looked at, for people.
const PICTURES: &str = "PICTURES";

/// What is wrong with a page, as a browser of some width shows it. It is known by a name of its own.
fn faults(name: &str, page: &str, width: u32, dark: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page.html");
    let looked_at = page.replacen("</body>", &format!("<script>{LOOK}</script></body>"), 1);
    std::fs::write(&file, looked_at).unwrap();
    let browse = |does: &str, height: u32| {
        let browser = ["chromium-headless-shell", "chromium", "google-chrome"]
            .into_iter()
            .find_map(|name| which::which(name).ok());
        Command::new(browser.expect("there is no browser: scripts/setup browser"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--virtual-time-budget=2000", does])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = browse("--dump-dom", 900);
    if let Some(pictures) = std::env::var_os(PICTURES) {
        std::fs::write(&file, page).unwrap();
        let file = format!("{name}-{width}-{}.png", if dark { "dark" } else { "light" });
        browse(&format!("--screenshot={}", Path::new(&pictures).join(file).display()), 1600);
    }
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = shown.split("<pre id=\"found\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let result = result.unwrap_or_else(|| panic!("{shown}\n{}", String::from_utf8_lossy(&output.stderr)));
    let (scheme, faults) = result.split_once('\n').unwrap();
    assert_eq!(scheme, if dark { "dark" } else { "light" });
    faults.trim().to_owned()
}

fn page_of(svg: &str) -> String {
    format!("<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body style=\"margin:0\">{svg}</body></html>")
}

/// Of a run that failed, with more words than fit a line.
fn head(name: &str) -> timings_page::PageHeader {
    timings_page::PageHeader {
        title: format!("cargo multiarch publish: {name} 1.2.3, which failed"),
        facts: ["2026-01-02 03:04:05 UTC", "commit 27f166ea3373, with changes", "linux/amd64, linux/arm64"]
            .map(str::to_owned)
            .to_vec(),
        failure: Some("registry r.example refuses the push: ".to_owned() + &"denied/by/somebody/".repeat(12)),
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn pages_have_no_layout_errors() {
    let all: Vec<Platform> = Platform::all().collect();
    let long = "an-image-with-a-name-that-is-longer-than-most-names-of-images-are-and-goes-on-and-on";
    let three = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\nbase = 'alpine:3'";
    for dark in [false, true] {
        let one = "platforms = ['linux/amd64']\n[images.core]";
        for (name, config) in
            [("one", one), ("three", three), ("shared", samples::SHARED), ("large", &samples::large())]
        {
            let svg = samples::svg(&samples::graph(config));
            assert_eq!(faults(&format!("graph-{name}"), &page_of(&svg), 1200, dark), "", "{config}");
        }
        for (platforms, name) in [(1, "app"), (3, "app"), (12, long)] {
            let (total, spans) = samples::spans(&all[..platforms], name);
            let page = timings_page::render(&head(name), total, &spans).unwrap();
            for width in [500, 600, 1900] {
                let found = faults(&format!("timings-{platforms}"), &page, width, dark);
                assert_eq!(found, "", "{platforms} platforms, {width} pixels");
            }
        }
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn layout_errors_are_found() {
    let svg = samples::svg(&samples::graph(samples::SHARED));
    for (from, to, fault) in [
        ("font: 12px", "font: 20px", "is not in its box"),
        ("--text: #1f2328", "--text: #f0f0f0", "cannot be read"),
        ("width=\"213.0\"", "width=\"313.0\"", "lies on"),
    ] {
        assert!(svg.contains(from), "{from} in {svg}");
        let found = faults("wrong", &page_of(&svg.replace(from, to)), 1200, false);
        assert!(found.contains(fault), "{fault} in {found}");
    }
    let (total, spans) = samples::spans(&Platform::all().collect::<Vec<_>>()[..3], "app");
    let page = timings_page::render(&head("app"), total, &spans).unwrap();
    let found = faults("wrong", &page.replace("text-anchor=\"end\">", ">"), 600, false);
    assert!(found.contains("is not in the chart"), "{found}");
}
