//! Checks every command, configuration and output in README.md and the book (docs/) against the program.
//!
//! A code block's info string may have attributes after the language, as in `sh in=examples/hello name=first-steps`:
//!
//! - `name=NAME` allows a test to find the block.
//! - `in=DIRECTORY` makes `services::docs` run a block of shell commands in a copy of the directory. Blocks on the same
//!   page with the same directory share the copy, and run from top to bottom.
//! - `no-run=REASON` marks a block of shell commands that no test can run.
//! - `file=PATH` marks TOML that is an excerpt of a file other than multiarch.toml.
//!
//! Output is stored in docs/output. The book includes these files, README.md repeats them, and tests compare them with
//! real output. With `UPDATE_DOCS=1`, the tests update the files instead.

mod action;
mod commands;
mod configuration;
mod graph;
mod migrating;
mod output;
mod owner;
mod pages;
mod tags;
mod templates;
mod troubleshooting;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// The environment variable that makes tests update outdated documentation instead of failing.
const UPDATE: &str = "UPDATE_DOCS";

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn updates() -> bool {
    std::env::var_os(UPDATE).is_some()
}

/// Returns README.md and the pages of the book, each with its path relative to the root of the repository.
pub fn pages() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    paths.push(root().join("README.md"));
    paths.sort_unstable();
    let page = |path: PathBuf| {
        let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read_to_string(path).unwrap())
    };
    paths.into_iter().map(page).collect()
}

/// A fenced code block.
#[derive(Debug)]
pub struct Block {
    pub page: String,
    pub language: String,
    attributes: Vec<String>,
    pub text: String,
}

impl Block {
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find_map(|attribute| attribute.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Returns all code blocks, page by page.
pub fn blocks() -> Vec<Block> {
    static FENCED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?ms)^```(\S+)([^\n]*)\n(.*?)^```$").unwrap());
    let blocks_of = |(page, text): (String, String)| {
        let block = |found: regex::Captures<'_>| Block {
            page: page.clone(),
            language: found[1].to_owned(),
            attributes: found[2].split_whitespace().map(str::to_owned).collect(),
            text: found[3].to_owned(),
        };
        FENCED.captures_iter(&text).map(block).collect::<Vec<_>>()
    };
    pages().into_iter().flat_map(blocks_of).collect()
}

/// Returns the block with the given name.
#[track_caller]
pub fn block(name: &str) -> Block {
    let found = blocks().into_iter().find(|block| block.attribute("name") == Some(name));
    found.unwrap_or_else(|| panic!("no page has a block with name={name}"))
}

/// Compares the output of a run with docs/output/NAME.txt. Digests, sizes, times and versions may differ, and platforms may
/// finish in another order.
#[track_caller]
pub fn check_output(name: &str, actual: &str) {
    let path = root().join(format!("docs/output/{name}.txt"));
    let recorded = std::fs::read_to_string(&path).unwrap_or_default();
    let actual = format!("{}\n", actual.trim_end());
    if comparable(&recorded) == comparable(&actual) {
        return;
    }
    assert!(updates(), "docs/output/{name}.txt is out of date ({UPDATE}=1 updates it). The output is now:\n{actual}");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, actual).unwrap();
}

/// Returns the lines of an output without text that may differ. Sorts lines about compiled binaries, because platforms
/// finish in any order.
fn comparable(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = without_numbers(text).lines().map(str::to_owned).collect();
    let is_compiled = |line: &String| line.trim_start().starts_with("Compiled ");
    for compiled in lines.chunk_by_mut(|a, b| is_compiled(a) && is_compiled(b)) {
        compiled.sort();
    }
    lines
}

/// Replaces text that depends on the commit, the toolchain or the machine.
fn without_numbers(text: &str) -> String {
    static PATTERNS: LazyLock<[Regex; 4]> = LazyLock::new(|| {
        [
            r"[0-9a-f]{12,64}",                         // digests and commits
            r"\b\d+(\.\d+)? (B|kB|MB|GB|ms|s)\b",       // sizes and durations
            r"\b\d+\.\d+s\b",                           // durations as cargo prints them
            r"(rustc|zig|zig [a-z]+) \d+\.\d+\.\d+\S*", // tool versions
        ]
        .map(|pattern| Regex::new(pattern).unwrap())
    });
    PATTERNS.iter().fold(text.to_owned(), |text, pattern| pattern.replace_all(&text, "#").into_owned())
}
