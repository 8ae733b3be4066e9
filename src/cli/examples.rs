//! Examples for the end of the help and for the manual pages.

use std::fmt::Write;

use clap::builder::StyledStr;

use super::styles::STYLES;
use crate::error::EXIT_CODES;

/// A command line that the help and the manual pages show.
pub(crate) struct Example {
    pub purpose: &'static str,
    pub command_line: &'static str,
}

const fn example(purpose: &'static str, command_line: &'static str) -> Example {
    Example { purpose, command_line }
}

/// Examples for the program as a whole.
pub(crate) const PROGRAM: &[Example] = &[
    example("Publish the images of a workspace, for amd64 and arm64", "cargo multiarch publish --registry ghcr.io/you"),
    example("What that would do, without compiling", "cargo multiarch plan --registry ghcr.io/you"),
    example("Build an image, and run it here", "docker run --rm $(cargo multiarch build -q --load -p app)"),
];

/// Examples by command.
pub(crate) const COMMANDS: &[(&str, &[Example])] = &[
    (
        "publish",
        &[
            example(
                "All images of the workspace, for amd64 and arm64",
                "cargo multiarch publish --registry ghcr.io/you",
            ),
            example(
                "Other platforms, and a tag of your own, where the configuration has the registry",
                "cargo multiarch publish --platform linux/amd64,linux/riscv64 -t edge",
            ),
            example("Run what was pushed", "docker run --rm $(cargo multiarch publish -q --registry localhost:5000)"),
            example(
                "From binaries that other machines have compiled",
                "cargo multiarch publish --registry ghcr.io/you --artifacts dist",
            ),
        ],
    ),
    (
        "build",
        &[
            example("An OCI layout per image in target/multiarch", "cargo multiarch build"),
            example(
                "Into the local Docker or Podman, and run it",
                "docker run --rm $(cargo multiarch build -q --load -p app)",
            ),
            example("Into an archive", "cargo multiarch build --output oci-archive:images.tar"),
        ],
    ),
    (
        "compile",
        &[example(
            "A bundle of one platform, for `publish --artifacts dist`",
            "cargo multiarch compile --platform linux/arm64 --out dist/arm64",
        )],
    ),
    (
        "plan",
        &[
            example("With the commands that would run", "cargo multiarch plan -v"),
            example("As a picture", "cargo multiarch plan --graph > plan.svg"),
            example("The jobs of a workflow with a runner per platform", "cargo multiarch plan --matrix github"),
        ],
    ),
    (
        "verify",
        &[
            example("An image in a registry", "cargo multiarch verify debian:12"),
            example(
                "It must have these platforms",
                "cargo multiarch verify ghcr.io/you/app:latest --require linux/amd64,linux/arm64",
            ),
            example("What `build` has made", "cargo multiarch verify oci:target/multiarch/app/oci"),
            example("What a finding means, and how to mend it", "cargo multiarch verify --explain MA010"),
        ],
    ),
    (
        "init",
        &[
            example("What would be written", "cargo multiarch init --dry-run"),
            example("A template to edit", "cargo multiarch init --template alpine"),
            example("A workflow with a runner for each platform", "cargo multiarch init --ci github --ci-native"),
        ],
    ),
    (
        "doctor",
        &[
            example(
                "This machine, and whether the registry takes a push",
                "cargo multiarch doctor --registry ghcr.io/you",
            ),
            example("Install what is missing", "cargo multiarch doctor --fix"),
        ],
    ),
    (
        "dockerfile",
        &[
            example("Of one package's image", "cargo multiarch dockerfile -p app"),
            example("What a template of your own can use", "cargo multiarch dockerfile --variables"),
        ],
    ),
    (
        "completions",
        &[
            example("In ~/.bashrc", "source <(cargo multiarch completions bash)"),
            example("In a folder of $fpath", "cargo multiarch completions zsh > ~/.zfunc/_cargo-multiarch"),
            example(
                "In fish's own folder",
                "cargo multiarch completions fish > ~/.config/fish/conf.d/cargo-multiarch.fish",
            ),
        ],
    ),
    (
        "man",
        &[
            example("Read a command's page", "cargo multiarch man publish | man -l -"),
            example("All pages, for `man cargo-multiarch`", "cargo multiarch man --out ~/.local/share/man/man1"),
        ],
    ),
    (
        "schema",
        &[example(
            "For the first line of multiarch.toml, `#:schema ./multiarch.schema.json`",
            "cargo multiarch schema > multiarch.schema.json",
        )],
    ),
];

/// Returns the examples of a command, or of the program if there is no such command.
pub(crate) fn examples_of(command: &str) -> &'static [Example] {
    COMMANDS.iter().find(|(name, _)| *name == command).map_or(PROGRAM, |(_, examples)| examples)
}

/// Renders the end of a command's help.
pub(crate) fn command_help(command: &str) -> StyledStr {
    examples_section(examples_of(command))
}

fn examples_section(examples: &[Example]) -> StyledStr {
    let mut text = StyledStr::new();
    let header = STYLES.get_header();
    // Writing to a string cannot fail.
    let _ = write!(text, "{header}Examples:{header:#}");
    for Example { purpose, command_line } in examples {
        let _ = write!(text, "\n  # {purpose}\n  {command_line}");
    }
    text
}

/// Renders the end of the program's help, with the exit codes.
pub(crate) fn program_help() -> StyledStr {
    let codes: Vec<String> = EXIT_CODES.iter().map(|exit| format!("{} {}", exit.code, exit.name)).collect();
    let header = STYLES.get_header();
    let mut text = examples_section(PROGRAM);
    let lines: Vec<String> = codes.chunks(5).map(|codes| codes.join(", ")).collect();
    let _ = write!(text, "\n\n{header}Exit codes:{header:#}\n  {}", lines.join(",\n  "));
    text
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_has_examples_that_it_takes() {
        let named: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
        let program = Cli::command();
        assert_eq!(named, program.get_subcommands().map(clap::Command::get_name).collect::<Vec<_>>());
        let of_commands = COMMANDS
            .iter()
            .flat_map(|(name, examples)| examples.iter().map(move |example| (*name, example.command_line)));
        for (name, line) in of_commands.chain(PROGRAM.iter().map(|example| ("", example.command_line))) {
            let (_, args) = line.split_once("cargo multiarch ").unwrap();
            let args = args.split([')', '|', '>']).next().unwrap();
            assert!(args.starts_with(name), "{name}: {line}");
            let args = std::iter::once("cargo multiarch").chain(args.split_whitespace());
            Cli::try_parse_from(args).map_or_else(|error| panic!("{line}: {error}"), drop);
        }
    }
}
