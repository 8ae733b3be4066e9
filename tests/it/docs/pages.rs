//! Checks that the pages are consistent: table of contents, block names, included files and length.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::{blocks, pages, root, updates, without_numbers};

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

#[test]
fn summary_lists_every_page() {
    let link = Regex::new(r"\]\(([\w-]+\.md)\)").unwrap();
    let summary = read("docs/SUMMARY.md");
    let listed: BTreeSet<String> = link.captures_iter(&summary).map(|link| format!("docs/{}", &link[1])).collect();
    let existing = pages().into_iter().map(|(page, _)| page);
    let existing: BTreeSet<String> =
        existing.filter(|page| page.starts_with("docs/") && page != "docs/SUMMARY.md").collect();
    assert_eq!(listed, existing);
}

#[test]
fn readme_fits_on_150_lines() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
}

#[test]
fn block_names_are_unique() {
    let blocks = blocks();
    let names: Vec<&str> = blocks.iter().filter_map(|block| block.attribute("name")).collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len(), "{names:?}");
}

#[test]
fn pages_include_every_recorded_output() {
    let include = Regex::new(r"\{\{#include ([^}]+)\}\}").unwrap();
    let mut included = BTreeSet::new();
    for (page, text) in pages() {
        for found in include.captures_iter(&text) {
            let path = root().join("docs").join(&found[1]);
            assert!(path.is_file(), "{page} includes {}", &found[1]);
            included.insert(path);
        }
    }
    let shown_in_readme = blocks().into_iter().filter(|block| block.page == "README.md");
    let names = shown_in_readme.filter_map(|block| block.attribute("name").map(str::to_owned));
    included.extend(names.map(|name| root().join(format!("docs/output/{name}.txt"))));
    let recorded = std::fs::read_dir(root().join("docs/output")).unwrap().map(|entry| entry.unwrap().path());
    for path in recorded {
        assert!(included.contains(&path), "no page includes {}", path.display());
    }
}

/// README.md repeats the files, because GitHub cannot include them.
#[test]
fn readme_repeats_recorded_output() {
    let readme = read("README.md");
    let block = Regex::new(r"(?ms)^```console name=([\w-]+)\n.*?^```$").unwrap();
    let current = block.replace_all(&readme, |found: &regex::Captures<'_>| {
        let output = read(&format!("docs/output/{}.txt", &found[1]));
        format!("```console name={}\n{output}```", &found[1])
    });
    if updates() {
        std::fs::write(root().join("README.md"), current.as_bytes()).unwrap();
    } else {
        assert!(
            readme == current,
            "README.md does not match docs/output: run `UPDATE_DOCS=1 cargo test --test it docs`"
        );
    }
    let shown = blocks().into_iter().filter(|block| block.page == "README.md" && block.language == "console");
    for block in shown {
        assert!(block.attribute("name").is_some(), "README.md contains output without a name:\n{}", block.text);
    }
}

/// Ignores the order of lines, because the picture shows another run of the command and platforms finish in any order.
#[test]
fn picture_shows_the_recorded_output_of_publish() {
    let svg = read("docs/publish.svg");
    let document = roxmltree::Document::parse(&svg).unwrap();
    let texts = document.descendants().filter(|node| node.has_tag_name("text") && node.has_attribute("clip-path"));
    let mut lines: BTreeMap<&str, String> = BTreeMap::new();
    for text in texts {
        let line = lines.entry(text.attribute("y").unwrap()).or_default();
        line.push_str(&text.text().unwrap_or_default().replace('\u{a0}', " "));
    }
    let sorted = |lines: Vec<&str>| {
        let lines = lines.into_iter().map(|line| without_numbers(line.trim())).filter(|line| !line.is_empty());
        lines.collect::<BTreeSet<String>>()
    };
    let recorded = read("docs/output/publish-hello.txt");
    let shown = sorted(lines.values().map(String::as_str).collect());
    assert_eq!(shown, sorted(recorded.lines().collect()), "docs/publish.svg is out of date: run scripts/picture");
}

#[test]
fn book_includes_output_instead_of_repeating_it() {
    for block in blocks().iter().filter(|block| block.page != "README.md" && block.language == "console") {
        assert!(
            block.text.starts_with("{{#include output/"),
            "{}: move this to docs/output:\n{}",
            block.page,
            block.text
        );
    }
}

#[test]
fn examples_page_lists_every_example() {
    let entries = std::fs::read_dir(root().join("examples")).unwrap();
    for entry in entries {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = read("docs/getting-started.md");
        assert!(page.contains(&format!("examples/{name}")), "docs/getting-started.md does not mention examples/{name}");
    }
}

#[test]
fn contributing_names_existing_files() {
    let tour = read("CONTRIBUTING.md");
    let words = tour.split([' ', '`', '\n', ',', ';', ':', ')', '(']);
    let directories = ["src/", "tests/", "scripts/", "templates/", "examples/", "docs/"];
    let paths: Vec<&str> =
        words.filter(|word| directories.iter().any(|directory| word.starts_with(directory))).collect();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        assert!(root().join(path.trim_end_matches('.')).exists(), "{path}");
    }
}
