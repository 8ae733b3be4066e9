//! Tests bash completion of `cargo-multiarch`, and of `cargo multiarch` alongside cargo's own completions.

use std::process::Command;

use crate::support::Project;

/// Inputs typed after the program's name, each with its expected completions.
pub const CASES: [(&str, &[&str]); 7] = [
    ("pub", &["publish"]),
    ("publish --pl", &["--platform"]),
    ("p --pus", &["--push"]),
    ("publish --engine ", &["auto", "buildx", "embedded"]),
    ("publish --registry r.example --engine em", &["embedded"]),
    ("publish --platform linux/s", &["linux/s390x"]),
    ("verify --explain MA01", &["MA010", "MA011", "MA012"]),
];

/// The ways to run the program.
pub const PROGRAMS: [&str; 3] = ["cargo-multiarch", "cargo multiarch", "cargo +nightly multiarch"];

/// Writes a shell's completion script to a file in a new directory.
pub fn script(shell: &str, file: &str) -> Project {
    let project = Project::empty();
    let text = project.run(&["completions", shell]).finish().stdout;
    project.file(file, &text)
}

/// Runs a shell with the project as its home directory, and returns the lines of its output.
#[track_caller]
pub fn lines(project: &Project, command: &mut Command) -> Vec<String> {
    let output = command.env("HOME", project.path()).env_remove("XDG_DATA_HOME").output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(stderr, "", "{stdout}");
    stdout.lines().map(str::to_owned).collect()
}

/// A script that completes the line `$2` as readline does. It evaluates `$3` before the completion script `$1`, and
/// `$4` after it.
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

/// Returns bash's completions of a line. `before` and `after` are evaluated before and after the completion script.
#[track_caller]
pub fn bash(project: &Project, line: &str, before: &str, after: &str) -> Vec<String> {
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", BASH, "bash"]).arg(project.path().join("ours")).args([line, before, after]);
    lines(project, &mut command)
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let project = script("bash", "ours");
    for program in PROGRAMS {
        for (typed, candidates) in CASES {
            let line = format!("{program} {typed}");
            assert_eq!(bash(&project, &line, "", ""), candidates, "{line}");
        }
    }
}

#[test]
fn bash_keeps_the_completions_of_cargo() {
    let project = script("bash", "ours");
    let others = "others() { COMPREPLY=(\"$1 others\"); }; complete -F others cargo";
    for line in ["cargo ", "cargo multi", "cargo build --re", "cargo build multiarch "] {
        assert_eq!(bash(&project, line, others, ""), ["cargo others"], "{line}");
        assert_eq!(bash(&project, line, others, "source \"$1\""), ["cargo others"], "loaded twice: {line}");
    }
    assert_eq!(bash(&project, "cargo multiarch pub", others, ""), ["publish"]);
    assert_eq!(bash(&project, "cargo multi", "", ""), [""], "cargo must have no other completions");
}
