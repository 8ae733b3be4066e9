//! Checks shell completions in real shells.

use std::process::Command;

use crate::completions::{CASES, PROGRAMS, bash, lines, script};

/// Returns the directory of the active Rust toolchain.
fn sysroot() -> String {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "run by scripts/test"]
fn bash_loads_the_completions_of_cargo_on_demand() {
    let cargo_completions = format!("source {}/etc/bash_completion.d/cargo", sysroot());
    let project = script("bash", "ours").file(".local/share/bash-completion/completions/cargo", &cargo_completions);
    let library = "source /usr/share/bash-completion/bash_completion";
    for (line, candidates) in [("cargo multiarch pub", ["publish"]), ("cargo build --rele", ["--release"])] {
        assert_eq!(bash(&project, line, library, ""), candidates, "{line}");
    }
    let twice = "_cargo_multiarch_in_cargo cargo '' cargo >/dev/null";
    assert_eq!(
        bash(&project, "cargo multiarch pub", library, twice),
        ["publish"],
        "our completions must stay registered"
    );
}

#[test]
#[ignore = "run by scripts/test"]
fn fish_completes_commands_flags_and_values() {
    let project = script("fish", ".config/fish/conf.d/cargo-multiarch.fish");
    for program in PROGRAMS {
        for (typed, candidates) in CASES {
            let line = format!("{program} {typed}");
            let found = lines(&project, Command::new("fish").args(["-c", "complete -C $argv[1]", &line]));
            let mut words: Vec<&str> = found.iter().filter_map(|line| line.split('\t').next()).collect();
            words.sort_unstable();
            assert_eq!(words, candidates, "{line}");
        }
    }
}

/// A script that types into an interactive zsh and prints the command line that the program receives. `$1` is the
/// directory of this program's completions, and `$2` is that of cargo's.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
start="PS1=; fpath=($1 $2 \$fpath); autoload -U compinit; compinit -u -D"
start+="; cargo() { print -r -- ran cargo \$*@ }; cargo-multiarch() { print -r -- ran cargo-multiarch \$*@ }"
zpty -w shell "$start; print rea''dy"
zpty -r shell output '*ready*'
zpty -w -n shell "$3"$'\t\n'
zpty -r -m shell output '*ran *@*'
print -r -- ${${output##*ran }%%@*}
"#;

#[test]
#[ignore = "run by scripts/test"]
fn zsh_completes_commands_flags_and_values() {
    let project = script("zsh", "_cargo-multiarch");
    let cargo_functions = format!("{}/share/zsh/site-functions", sysroot());
    assert!(
        std::path::Path::new(&cargo_functions).join("_cargo").is_file(),
        "the toolchain has no completions for cargo"
    );
    for program in PROGRAMS {
        for (typed, candidates) in CASES.into_iter().filter(|(_, candidates)| candidates.len() == 1) {
            let line = format!("{program} {typed}");
            let mut command = Command::new("timeout");
            command.args(["60", "zsh", "-f", "-c", ZSH, "zsh"]).arg(project.path()).args([&cargo_functions, &line]);
            let received = lines(&project, &mut command);
            let (before, _) = line.rsplit_once(' ').unwrap();
            assert_eq!(received, [format!("{before} {}", candidates[0])], "{line}");
        }
    }
}
