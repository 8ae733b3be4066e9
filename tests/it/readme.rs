//! README is the manual: its commands are ones that the program takes, its configuration parses, its key table is whole.

use std::path::Path;

use cargo_multiarch::cli::Cli;
use cargo_multiarch::plan::config::Config;
use clap::Parser;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = readme();
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn every_command_is_one_that_the_program_takes() {
    let readme = readme();
    let mut count = 0;
    for rest in readme.split("cargo multiarch ").skip(1) {
        let command: &str = rest.split(['`', '\n', ')']).next().unwrap();
        // The title and prose speak of the program by name only.
        if !command.starts_with(|c: char| c.is_ascii_lowercase()) || command.starts_with("takes") {
            continue;
        }
        let args = ["cargo multiarch"].into_iter().chain(command.split_whitespace());
        if let Err(error) = Cli::try_parse_from(args) {
            panic!("cargo multiarch {command}: {error}");
        }
        count += 1;
    }
    assert!(count >= 8, "only {count} commands found");
}

#[test]
fn every_script_is_there() {
    for block in blocks("sh") {
        for script in block.lines().filter(|line| line.starts_with("scripts/")) {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(script).is_file(), "{script}");
        }
    }
}

#[test]
fn every_configuration_parses() {
    let blocks = blocks("toml");
    assert!(blocks.len() >= 2);
    for block in blocks {
        toml::from_str::<Config>(&block).unwrap_or_else(|error| panic!("{error}\n{block}"));
    }
}

#[test]
fn the_key_table_has_every_key() {
    let unknown = toml::from_str::<Config>("no-such-key = 1").unwrap_err().message().to_owned();
    let keys: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
    assert!(keys.contains(&"registry") && keys.contains(&"buildx-args"), "{keys:?}");
    let readme = readme();
    for key in keys {
        let in_table = readme.lines().any(|line| {
            line.starts_with("| `") && (line.contains(&format!("`{key}`")) || line.contains(&format!("`{key}.")))
        });
        assert!(in_table, "README's table lacks `{key}`");
    }
}
