//! Examples for help texts and manual pages.

use std::fmt::Write;

use clap::builder::StyledStr;

use super::styles::STYLES;
use crate::error::EXIT_CODES;

/// A command line shown in help texts and manual pages.
pub(crate) struct Example {
    pub purpose: &'static str,
    pub command_line: &'static str,
}

const fn example(purpose: &'static str, command_line: &'static str) -> Example {
    Example { purpose, command_line }
}

/// Examples for the program's main help text.
pub(crate) const PROGRAM: &[Example] = &[
    example("Publish the images of a workspace for amd64 and arm64", "cargo multiarch publish --registry ghcr.io/you"),
    example("Show what would be published, without compiling", "cargo multiarch plan --registry ghcr.io/you"),
    example("Build an image and run it locally", "docker run --rm $(cargo multiarch build -q --load -p app)"),
];

/// Examples for each command.
pub(crate) const COMMANDS: &[(&str, &[Example])] = &[
    (
        "publish",
        &[
            example(
                "Publish all images of the workspace for amd64 and arm64",
                "cargo multiarch publish --registry ghcr.io/you",
            ),
            example(
                "Publish for other platforms and under another tag, to the configured registry",
                "cargo multiarch publish --platform linux/amd64,linux/riscv64 -t edge",
            ),
            example(
                "Run the published image",
                "docker run --rm $(cargo multiarch publish -q --registry localhost:5000)",
            ),
            example(
                "Publish binaries that were compiled on other machines",
                "cargo multiarch publish --registry ghcr.io/you --artifacts dist",
            ),
        ],
    ),
    (
        "build",
        &[
            example("Build each image as an OCI layout in target/multiarch", "cargo multiarch build"),
            example(
                "Load an image into the local Docker or Podman and run it",
                "docker run --rm $(cargo multiarch build -q --load -p app)",
            ),
            example("Write all images to an archive", "cargo multiarch build --output oci-archive:images.tar"),
        ],
    ),
    (
        "compile",
        &[example(
            "Compile one platform into a bundle for `publish --artifacts dist`",
            "cargo multiarch compile --platform linux/arm64 --out dist/arm64",
        )],
    ),
    (
        "plan",
        &[
            example("Include the commands that would run", "cargo multiarch plan -v"),
            example("Draw the plan as a graph", "cargo multiarch plan --graph > plan.svg"),
            example("Print a CI job matrix with a runner for each platform", "cargo multiarch plan --matrix github"),
        ],
    ),
    (
        "verify",
        &[
            example("Verify an image in a registry", "cargo multiarch verify debian:12"),
            example(
                "Require the image to include certain platforms",
                "cargo multiarch verify ghcr.io/you/app:latest --require linux/amd64,linux/arm64",
            ),
            example("Verify an image created by `build`", "cargo multiarch verify oci:target/multiarch/app/oci"),
            example("Explain a finding and how to fix it", "cargo multiarch verify --explain MA010"),
        ],
    ),
    (
        "init",
        &[
            example("Show the files without writing them", "cargo multiarch init --dry-run"),
            example("Copy a built-in template for editing", "cargo multiarch init --template alpine"),
            example(
                "Create a CI workflow with a runner for each platform",
                "cargo multiarch init --ci github --ci-native",
            ),
        ],
    ),
    (
        "doctor",
        &[
            example(
                "Check this machine, and whether the registry accepts pushes",
                "cargo multiarch doctor --registry ghcr.io/you",
            ),
            example("Install missing tools", "cargo multiarch doctor --fix"),
        ],
    ),
    (
        "login",
        &[
            example(
                "Log in to GitHub's registry, and enter a token at the prompt",
                "cargo multiarch login ghcr.io -u you",
            ),
            example(
                "Log in with a token in an environment variable",
                "echo \"$TOKEN\" | cargo multiarch login ghcr.io --username you --password-stdin",
            ),
        ],
    ),
    ("logout", &[example("Remove the stored password", "cargo multiarch logout ghcr.io")]),
    (
        "dockerfile",
        &[
            example("Print the Dockerfile for a package's image", "cargo multiarch dockerfile -p app"),
            example("List the variables available to templates", "cargo multiarch dockerfile --variables"),
        ],
    ),
    (
        "completions",
        &[
            example("Enable completions in ~/.bashrc", "source <(cargo multiarch completions bash)"),
            example(
                "Install completions for zsh in a directory on $fpath",
                "cargo multiarch completions zsh > ~/.zfunc/_cargo-multiarch",
            ),
            example(
                "Install completions for fish",
                "cargo multiarch completions fish > ~/.config/fish/conf.d/cargo-multiarch.fish",
            ),
        ],
    ),
    (
        "man",
        &[
            example("Read the manual page for a command", "cargo multiarch man publish | man -l -"),
            example("Install all pages for `man cargo-multiarch`", "cargo multiarch man --out ~/.local/share/man/man1"),
        ],
    ),
    (
        "schema",
        &[example(
            "Write the schema that a `#:schema ./multiarch.schema.json` line in multiarch.toml refers to",
            "cargo multiarch schema > multiarch.schema.json",
        )],
    ),
];

/// Returns the examples for a command, or the program's own examples if there is no such command.
pub(crate) fn examples_of(command: &str) -> &'static [Example] {
    COMMANDS.iter().find(|(name, _)| *name == command).map_or(PROGRAM, |(_, examples)| examples)
}

/// Renders the section at the end of a command's `--help` output.
pub(crate) fn command_help(command: &str) -> StyledStr {
    examples_section(examples_of(command))
}

/// Renders the last line of a command's `-h` output.
pub(crate) fn pointer_to_long_help(command: &str) -> StyledStr {
    let literal = STYLES.get_literal();
    let mut text = StyledStr::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "Run `{literal}cargo multiarch help {command}{literal:#}` for all options and examples.");
    text
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

/// Renders the section at the end of the program's `-h` output.
pub(crate) fn short_program_help() -> StyledStr {
    examples_section(PROGRAM)
}

/// Renders the sections at the end of the program's `--help` output: examples and exit codes.
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
    fn every_command_has_valid_examples() {
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
