//! Renders graphs and timings pages in a browser and checks their layout and contrast, in light and dark mode.

#![expect(clippy::disallowed_methods, reason = "tests may start processes and write files")]

use std::path::Path;
use std::process::{Command, Stdio};

use super::{samples, timings_page};
use crate::platform::Platform;

/// A script that reports layout errors on the page that contains it.
const INSPECT_SCRIPT: &str = include_str!("../../tests/fixtures/inspect_page.js");

/// The environment variable that specifies where to save screenshots of the inspected pages.
const SCREENSHOT_DIR: &str = "PICTURES";

/// Returns a page's layout errors in a browser window of the given width. Screenshot file names start with `name`.
fn layout_errors(name: &str, page: &str, width: u32, dark: bool) -> String {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page.html");
    let inspected_page = page.replacen("</body>", &format!("<script>{INSPECT_SCRIPT}</script></body>"), 1);
    std::fs::write(&file, inspected_page).unwrap();
    let browse = |action: &str, height: u32| {
        let browser = ["chromium-headless-shell", "chromium", "google-chrome"]
            .into_iter()
            .find_map(|name| which::which(name).ok());
        Command::new(browser.expect("no browser found: run `scripts/setup browser`"))
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--virtual-time-budget=2000", action])
            .arg(format!("--user-data-dir={}", dir.path().join("profile").display()))
            .arg(format!("--window-size={width},{height}"))
            .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
            .arg(format!("file://{}", file.display()))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let output = browse("--dump-dom", 900);
    if let Some(screenshots) = std::env::var_os(SCREENSHOT_DIR) {
        std::fs::write(&file, page).unwrap();
        let file = format!("{name}-{width}-{}.png", if dark { "dark" } else { "light" });
        browse(&format!("--screenshot={}", Path::new(&screenshots).join(file).display()), 1600);
    }
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = dom.split("<pre id=\"found\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let result = result.unwrap_or_else(|| panic!("{dom}\n{}", String::from_utf8_lossy(&output.stderr)));
    let (color_scheme, errors) = result.split_once('\n').unwrap();
    assert_eq!(color_scheme, if dark { "dark" } else { "light" });
    errors.trim().to_owned()
}

fn page_with(svg: &str) -> String {
    format!("<!DOCTYPE html><html><head><meta charset=\"utf-8\"></head><body style=\"margin:0\">{svg}</body></html>")
}

/// Creates the page header of a failed run with an error message that is longer than one line.
fn header(name: &str) -> timings_page::PageHeader {
    timings_page::PageHeader {
        title: format!("cargo multiarch publish: {name} 1.2.3 (failed)"),
        facts: ["2026-01-02 03:04:05 UTC", "commit 27f166ea3373 with uncommitted changes", "linux/amd64, linux/arm64"]
            .map(str::to_owned)
            .to_vec(),
        failure: Some("registry r.example denied access: ".to_owned() + &"a/long/repository/path/".repeat(12)),
        cargo_pages: vec![timings_page::Link {
            text: format!("{name} for linux/amd64, linux/arm64"),
            href: "../cargo-timings/cargo-timing-20260102T030405Z.html".to_owned(),
        }],
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn pages_have_no_layout_errors() {
    let all_platforms: Vec<Platform> = Platform::all().collect();
    let long_name = "an-image-with-a-name-that-is-much-longer-than-the-names-of-most-container-images-are";
    let three = "platforms = ['linux/amd64', 'linux/arm64', 'linux/riscv64']\nbase = 'alpine:3'";
    for dark in [false, true] {
        let one = "platforms = ['linux/amd64']\n[images.core]";
        for (name, config) in
            [("one", one), ("three", three), ("shared", samples::SHARED), ("large", &samples::large())]
        {
            let svg = samples::svg(&samples::graph(config));
            assert_eq!(layout_errors(&format!("graph-{name}"), &page_with(&svg), 1200, dark), "", "{config}");
        }
        for (platforms, name) in [(1, "app"), (3, "app"), (12, long_name)] {
            let (total, spans) = samples::spans(&all_platforms[..platforms], name);
            let page = timings_page::render(&header(name), total, &spans).unwrap();
            for width in [500, 600, 1900] {
                let errors = layout_errors(&format!("timings-{platforms}"), &page, width, dark);
                assert_eq!(errors, "", "{platforms} platforms, {width} pixels");
            }
        }
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn browser_detects_layout_errors() {
    let svg = samples::svg(&samples::graph(samples::SHARED));
    for (from, to, expected) in [
        ("font: 12px", "font: 20px", "extends outside its box"),
        ("--text: #1f2328", "--text: #f0f0f0", "has too little contrast"),
        ("width=\"213.0\"", "width=\"313.0\"", "overlaps"),
    ] {
        assert!(svg.contains(from), "{from} not in {svg}");
        let errors = layout_errors("wrong", &page_with(&svg.replace(from, to)), 1200, false);
        assert!(errors.contains(expected), "{expected} not in {errors}");
    }
    let (total, spans) = samples::spans(&Platform::all().collect::<Vec<_>>()[..3], "app");
    let page = timings_page::render(&header("app"), total, &spans).unwrap();
    let errors = layout_errors("wrong", &page.replace("text-anchor=\"end\">", ">"), 600, false);
    assert!(errors.contains("extends outside the chart"), "{errors}");
}
