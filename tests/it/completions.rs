//! Completions in real shells: of `cargo-multiarch`, and of `cargo multiarch`, where cargo's own come before ours.

use std::process::Command;

use crate::support::Project;

/// What is typed after the program's name, and what there is to choose from.
const CASES: [(&str, &[&str]); 7] = [
    ("pub", &["publish"]),
    ("publish --pl", &["--platform"]),
    ("p --pus", &["--push"]),
    ("publish --engine ", &["auto", "buildx", "embedded"]),
    ("publish --registry r.example --engine em", &["embedded"]),
    ("publish --platform linux/s", &["linux/s390x"]),
    ("verify --explain MA01", &["MA010", "MA011", "MA012"]),
];

/// How the program is called.
const PROGRAMS: [&str; 3] = ["cargo-multiarch", "cargo multiarch", "cargo +nightly multiarch"];

/// A folder with the script of a shell.
fn script(shell: &str, file: &str) -> Project {
    let project = Project::empty();
    let text = project.run(&["completions", shell]).finish().stdout;
    project.file(file, &text)
}

/// A shell's lines, with a home of its own and a cargo that says how it was called.
#[track_caller]
fn lines(project: &Project, command: &mut Command) -> Vec<String> {
    let output = command.env("HOME", project.path()).env_remove("XDG_DATA_HOME").output().unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(complained, "", "{said}");
    said.lines().map(str::to_owned).collect()
}

/// What readline does.
const BASH: &str = r#"
eval "$3"
source "$1"
eval "$4"
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<<"$2"
[[ $2 != *' ' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
[[ $(complete -p "${COMP_WORDS[0]}") =~ \ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// What bash offers for a line, when something was read before and after our script.
#[track_caller]
fn bash(project: &Project, line: &str, before: &str, after: &str) -> Vec<String> {
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", BASH, "bash"]).arg(project.path().join("ours")).args([line, before, after]);
    lines(project, &mut command)
}

#[test]
fn bash_completes() {
    let project = script("bash", "ours");
    for program in PROGRAMS {
        for (typed, candidates) in CASES {
            let line = format!("{program} {typed}");
            assert_eq!(bash(&project, &line, "", ""), candidates, "{line}");
        }
    }
}

#[test]
fn bash_completes_the_rest_of_cargo_as_before() {
    let project = script("bash", "ours");
    let others = "others() { COMPREPLY=(\"$1 others\"); }; complete -F others cargo";
    for line in ["cargo ", "cargo multi", "cargo build --re", "cargo build multiarch "] {
        assert_eq!(bash(&project, line, others, ""), ["cargo others"], "{line}");
        assert_eq!(bash(&project, line, others, "source \"$1\""), ["cargo others"], "read twice: {line}");
    }
    assert_eq!(bash(&project, "cargo multiarch pub", others, ""), ["publish"]);
    assert_eq!(bash(&project, "cargo multi", "", ""), [""], "there is nothing before");
}

/// The folder of a toolchain.
fn sysroot() -> String {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
#[ignore = "needs bash-completion: scripts/test runs it"]
fn bash_reads_cargos_own_when_it_is_wanted() {
    let own = format!("source {}/etc/bash_completion.d/cargo", sysroot());
    let project = script("bash", "ours").file(".local/share/bash-completion/completions/cargo", &own);
    let library = "source /usr/share/bash-completion/bash_completion";
    for (line, candidates) in [("cargo multiarch pub", ["publish"]), ("cargo build --rele", ["--release"])] {
        assert_eq!(bash(&project, line, library, ""), candidates, "{line}");
    }
    let twice = "_cargo_multiarch_in_cargo cargo '' cargo >/dev/null";
    assert_eq!(bash(&project, "cargo multiarch pub", library, twice), ["publish"], "ours stays in its place");
}

#[test]
#[ignore = "needs fish: scripts/test runs it"]
fn fish_completes() {
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

/// A zsh behind a terminal is typed at; cargo says how it was called. `$1` is the folder of our script, `$2` of cargo's own.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
start="PS1=; fpath=($1 $2 \$fpath); autoload -U compinit; compinit -u -D"
start+="; cargo() { print -r -- ran cargo \$*@ }; cargo-multiarch() { print -r -- ran cargo-multiarch \$*@ }"
zpty -w shell "$start; print rea''dy"
zpty -r shell said '*ready*'
zpty -w -n shell "$3"$'\t\n'
zpty -r -m shell said '*ran *@*'
print -r -- ${${said##*ran }%%@*}
"#;

#[test]
#[ignore = "needs zsh: scripts/test runs it"]
fn zsh_completes() {
    let project = script("zsh", "_cargo-multiarch");
    let cargos = format!("{}/share/zsh/site-functions", sysroot());
    assert!(std::path::Path::new(&cargos).join("_cargo").is_file(), "this toolchain's cargo has no completions");
    for program in PROGRAMS {
        for (typed, candidates) in CASES.into_iter().filter(|(_, candidates)| candidates.len() == 1) {
            let line = format!("{program} {typed}");
            let mut command = Command::new("timeout");
            command.args(["60", "zsh", "-f", "-c", ZSH, "zsh"]).arg(project.path()).args([&cargos, &line]);
            let ran = lines(&project, &mut command);
            let (before, _) = line.rsplit_once(' ').unwrap();
            assert_eq!(ran, [format!("{before} {}", candidates[0])], "{line}");
        }
    }
}
