//! Tests the program as a cargo subcommand: its two names, help, aliases, toolchains and exit codes.

use std::process::{Command, Output};

use crate::support::{Fakes, PROGRAM, Project, find};

/// Runs the real `cargo` with the program under test on PATH.
fn cargo(project: &Project, args: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    let program_dir = std::path::Path::new(PROGRAM).parent().unwrap().display();
    let mut command = Command::new(find("cargo").expect("cargo not found on PATH"));
    command.args(args).current_dir(project.path()).env("PATH", format!("{program_dir}:{path}"));
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

/// Runs a `cargo` command, which must succeed, and returns its stdout.
#[track_caller]
fn cargo_output(project: &Project, args: &[&str]) -> String {
    let output = cargo(project, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs `cargo-multiarch` directly, which must succeed, and returns its stdout.
fn direct_output(project: &Project, args: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(args).current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn cargo_multiarch_works_under_both_names() {
    let project = Project::app();
    let plan = cargo_output(&project, &["multiarch", "plan", "--message-format", "json"]);
    assert!(plan.contains("\"app\""), "{plan}");
    assert_eq!(plan, direct_output(&project, &["plan", "--message-format", "json"]));
    assert!(cargo_output(&project, &["--list"]).lines().any(|line| line.trim() == "multiarch"));
}

#[test]
fn cargo_help_prints_the_help_of_the_program() {
    let project = Project::empty();
    let help = cargo_output(&project, &["multiarch", "--help"]);
    assert!(help.contains("Usage: cargo multiarch [OPTIONS] <COMMAND>"), "{help}");
    assert_eq!(help, cargo_output(&project, &["help", "multiarch"]), "`cargo help` must run the program with `--help`");
    let publish = cargo_output(&project, &["multiarch", "help", "publish"]);
    assert!(publish.contains("Usage: cargo multiarch publish [OPTIONS]"), "{publish}");
    assert_eq!(publish, cargo_output(&project, &["multiarch", "publish", "--help"]));
    for (alias, command) in [("p", "publish"), ("b", "build")] {
        let help_of = |name: &str| cargo_output(&project, &["multiarch", name, "--help"]);
        assert_eq!(help_of(alias), help_of(command));
    }
    let version = format!("cargo multiarch {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(cargo_output(&project, &["multiarch", "--version"]), version);
    assert_eq!(direct_output(&project, &["-V"]), version);
}

#[test]
fn exit_codes_pass_through_cargo() {
    for (args, code) in [(&["multiarch", "plan"][..], 3), (&["multiarch", "no-such-command"], 2)] {
        assert_eq!(cargo(&Project::empty(), args).status.code(), Some(code), "{args:?}");
    }
}

/// Creates a fake cargo named `calling-cargo` that logs its toolchain and arguments, fails on `build`, and passes other
/// commands to the real cargo. The fake `cargo` on PATH always fails.
fn fake_cargo() -> Fakes {
    let real = find("cargo").unwrap();
    let script = format!(
        "echo \"$RUSTUP_TOOLCHAIN $*\" >> \"$0.log\"\ncase $1 in build) echo 'error: no builds' >&2; exit 101 ;; esac\n\
         exec '{}' \"$@\"",
        real.display()
    );
    Fakes::new().program("calling-cargo", &script).program("cargo", "echo \"$*\" >> \"$0.log\"\nexit 101")
}

#[test]
fn builds_use_the_cargo_that_started_the_program() {
    let fakes = fake_cargo();
    let args = ["build", "--engine", "embedded", "--platform", "linux/amd64"];
    let run = Project::with_config("auditable = false")
        .run(&args)
        .path_first(&fakes)
        .env("CARGO", fakes.path().join("calling-cargo"));
    // `cargo +NAME` sets this variable for its subcommands.
    run.env("RUSTUP_TOOLCHAIN", "my-own").fails(5).finish().stderr_has(&["error: no builds"]);
    let calls = fakes.log("calling-cargo");
    for call in ["my-own metadata ", "my-own build "] {
        assert!(calls.lines().any(|line| line.starts_with(call)), "no '{call}' in\n{calls}");
    }
    assert!(calls.lines().all(|line| line.starts_with("my-own ")), "{calls}");
    assert_eq!(fakes.log("cargo"), "", "the cargo on PATH must not be used");
}

/// cargo-binstall 1 supports only these keys (see its `gh_crate_meta.rs` and `bins.rs`).
#[test]
fn binstall_metadata_uses_known_template_keys() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    let metadata = manifest["package"]["metadata"]["binstall"].as_table().unwrap();
    let common = ["name", "repo", "target", "version", "binary-ext"];
    for (key, own) in [("pkg-url", ["archive-suffix", "archive-format"]), ("bin-dir", ["bin", "format"])] {
        let template = metadata[key].as_str().unwrap();
        let names: Vec<&str> = template.split("{ ").skip(1).map(|rest| rest.split(" }").next().unwrap()).collect();
        assert_eq!(names.len(), template.matches(['{', '}']).count() / 2, "{template}");
        for name in &names {
            assert!(common.contains(name) || own.contains(name), "{key}: {name}");
        }
        assert!(["version", "target"].iter().all(|name| names.contains(name)), "{template}");
    }
    assert!(metadata["pkg-url"].as_str().unwrap().starts_with("{ repo }/"));
    assert_eq!(metadata["pkg-fmt"].as_str(), Some("tgz"));
    assert_eq!(metadata.len(), 3, "unexpected keys in {metadata:?}");
}
