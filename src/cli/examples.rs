//! What people type, and what for: at the end of the help, and in the manual pages.

use std::fmt::Write;

use clap::builder::StyledStr;

use super::STYLES;
use crate::error::EXIT_CODES;

/// What a command line does, and the line.
pub type Example = (&'static str, &'static str);

/// Of the program itself.
pub const PROGRAM: &[Example] = &[
    ("Publish the images of a workspace, for amd64 and arm64", "cargo multiarch publish --registry ghcr.io/you"),
    ("What that would do, without compiling", "cargo multiarch plan --registry ghcr.io/you"),
    ("Build an image, and run it here", "docker run --rm $(cargo multiarch build -q --load -p app)"),
];

/// By command.
pub const COMMANDS: &[(&str, &[Example])] = &[
    (
        "publish",
        &[
            ("All images of the workspace, for amd64 and arm64", "cargo multiarch publish --registry ghcr.io/you"),
            (
                "Other platforms, and a tag of your own, where the configuration has the registry",
                "cargo multiarch publish --platform linux/amd64,linux/riscv64 -t edge",
            ),
            ("Run what was pushed", "docker run --rm $(cargo multiarch publish -q --registry localhost:5000)"),
            (
                "From binaries that other machines have compiled",
                "cargo multiarch publish --registry ghcr.io/you --artifacts dist",
            ),
        ],
    ),
    (
        "build",
        &[
            ("An OCI layout per image in target/multiarch", "cargo multiarch build"),
            (
                "Into the local Docker or Podman, and run it",
                "docker run --rm $(cargo multiarch build -q --load -p app)",
            ),
            ("Into an archive", "cargo multiarch build --output oci-archive:images.tar"),
        ],
    ),
    (
        "compile",
        &[(
            "A bundle of one platform, for `publish --artifacts dist`",
            "cargo multiarch compile --platform linux/arm64 --out dist/arm64",
        )],
    ),
    (
        "plan",
        &[
            ("With the commands that would run", "cargo multiarch plan -v"),
            ("As a picture", "cargo multiarch plan --graph > plan.svg"),
            ("The jobs of a workflow with a runner per platform", "cargo multiarch plan --matrix github"),
        ],
    ),
    (
        "verify",
        &[
            ("An image in a registry", "cargo multiarch verify debian:12"),
            (
                "It must have these platforms",
                "cargo multiarch verify ghcr.io/you/app:latest --require linux/amd64,linux/arm64",
            ),
            ("What `build` has made", "cargo multiarch verify oci:target/multiarch/app/oci"),
            ("What a finding means, and how to mend it", "cargo multiarch verify --explain MA010"),
        ],
    ),
    (
        "init",
        &[
            ("What would be written", "cargo multiarch init --dry-run"),
            ("A template to edit", "cargo multiarch init --template alpine"),
            ("A workflow with a runner for each platform", "cargo multiarch init --ci github --ci-native"),
        ],
    ),
    (
        "doctor",
        &[
            ("This machine, and whether the registry takes a push", "cargo multiarch doctor --registry ghcr.io/you"),
            ("Install what is missing", "cargo multiarch doctor --fix"),
        ],
    ),
    (
        "dockerfile",
        &[
            ("Of one package's image", "cargo multiarch dockerfile -p app"),
            ("What a template of your own can use", "cargo multiarch dockerfile --variables"),
        ],
    ),
    (
        "completions",
        &[
            ("In ~/.bashrc", "source <(cargo multiarch completions bash)"),
            ("In a folder of $fpath", "cargo multiarch completions zsh > ~/.zfunc/_cargo-multiarch"),
            ("In fish's own folder", "cargo multiarch completions fish > ~/.config/fish/conf.d/cargo-multiarch.fish"),
        ],
    ),
    (
        "man",
        &[
            ("Read a command's page", "cargo multiarch man publish | man -l -"),
            ("All pages, for `man cargo-multiarch`", "cargo multiarch man --out ~/.local/share/man/man1"),
        ],
    ),
    (
        "schema",
        &[(
            "For the first line of multiarch.toml, `#:schema ./multiarch.schema.json`",
            "cargo multiarch schema > multiarch.schema.json",
        )],
    ),
];

/// Those of a command; of the program where it is none of its commands.
pub fn of(command: &str) -> &'static [Example] {
    COMMANDS.iter().find(|(name, _)| *name == command).map_or(PROGRAM, |(_, examples)| examples)
}

/// As the end of a command's help.
pub fn help(command: &str) -> StyledStr {
    listed(of(command))
}

fn listed(examples: &[Example]) -> StyledStr {
    let mut text = StyledStr::new();
    let header = STYLES.get_header();
    // A string takes all that is written.
    let _ = write!(text, "{header}Examples:{header:#}");
    for (what, line) in examples {
        let _ = write!(text, "\n  # {what}\n  {line}");
    }
    text
}

/// As the end of the program's help, with its exit codes.
pub fn help_of_program() -> StyledStr {
    let codes: Vec<String> = EXIT_CODES.iter().map(|(code, word, _)| format!("{code} {word}")).collect();
    let header = STYLES.get_header();
    let mut text = listed(PROGRAM);
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
        let of_commands =
            COMMANDS.iter().flat_map(|(name, examples)| examples.iter().map(move |(_, line)| (*name, *line)));
        for (name, line) in of_commands.chain(PROGRAM.iter().map(|(_, line)| ("", *line))) {
            let (_, args) = line.split_once("cargo multiarch ").unwrap();
            let args = args.split([')', '|', '>']).next().unwrap();
            assert!(args.starts_with(name), "{name}: {line}");
            let args = std::iter::once("cargo multiarch").chain(args.split_whitespace());
            Cli::try_parse_from(args).map(drop).unwrap_or_else(|error| panic!("{line}: {error}"));
        }
    }
}
