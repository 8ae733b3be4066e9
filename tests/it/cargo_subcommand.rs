//! A cargo subcommand as others are: by cargo and by its own name, with cargo's help, aliases, toolchain and variables.

use std::process::{Command, Output};

use crate::support::{Fakes, PROGRAM, Project, find};

/// `cargo ARGS` by the real cargo, with our program on PATH.
fn cargo(project: &Project, args: &[&str]) -> Output {
    let path = std::env::var("PATH").unwrap();
    let ours = std::path::Path::new(PROGRAM).parent().unwrap().display();
    let mut command = Command::new(find("cargo").expect("cargo is on PATH"));
    command.args(args).current_dir(project.path()).env("PATH", format!("{ours}:{path}"));
    for name in ["CARGO", "CARGO_MANIFEST_DIR", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

/// What a run by cargo writes to stdout; it must end with 0.
#[track_caller]
fn said(project: &Project, args: &[&str]) -> String {
    let output = cargo(project, args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// `cargo-multiarch ARGS`, as a shell runs it.
fn by_name(project: &Project, args: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(args).current_dir(project.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn cargo_multiarch_works_under_both_names() {
    let project = Project::app();
    let plan = said(&project, &["multiarch", "plan", "--message-format", "json"]);
    assert!(plan.contains("\"app\""), "{plan}");
    assert_eq!(plan, by_name(&project, &["plan", "--message-format", "json"]));
    assert!(said(&project, &["--list"]).lines().any(|line| line.trim() == "multiarch"));
}

#[test]
fn cargo_help_prints_the_help_of_the_program() {
    let project = Project::empty();
    let help = said(&project, &["multiarch", "--help"]);
    assert!(help.contains("Usage: cargo multiarch [OPTIONS] <COMMAND>"), "{help}");
    assert_eq!(help, said(&project, &["help", "multiarch"]), "cargo has no page of ours, and runs `--help`");
    let publish = said(&project, &["multiarch", "help", "publish"]);
    assert!(publish.contains("Usage: cargo multiarch publish [OPTIONS]"), "{publish}");
    assert_eq!(publish, said(&project, &["multiarch", "publish", "--help"]));
    for (alias, command) in [("p", "publish"), ("b", "build")] {
        let of = |name: &str| said(&project, &["multiarch", name, "--help"]);
        assert_eq!(of(alias), of(command));
    }
    let version = format!("cargo multiarch {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(said(&project, &["multiarch", "--version"]), version);
    assert_eq!(by_name(&project, &["-V"]), version);
}

#[test]
fn exit_codes_pass_through_cargo() {
    for (args, code) in [(&["multiarch", "plan"][..], 3), (&["multiarch", "no-such-command"], 2)] {
        assert_eq!(cargo(&Project::empty(), args).status.code(), Some(code), "{args:?}");
    }
}

/// A cargo that notes its calls and its toolchain, and answers as the real one does, but for builds.
fn fake_cargo() -> Fakes {
    let real = find("cargo").unwrap();
    let script = format!(
        "echo \"$RUSTUP_TOOLCHAIN $*\" >> \"$0.log\"\ncase $1 in build) echo 'error: no builds' >&2; exit 101 ;; esac\n\
         exec '{}' \"$@\"",
        real.display()
    );
    Fakes::new().program("theirs", &script).program("cargo", "echo \"$*\" >> \"$0.log\"\nexit 101")
}

#[test]
fn builds_use_the_cargo_that_started_the_program() {
    let fakes = fake_cargo();
    let args = ["build", "--engine", "embedded", "--platform", "linux/amd64"];
    let run = Project::with_config("auditable = false")
        .run(&args)
        .path_first(&fakes)
        .env("CARGO", fakes.path().join("theirs"));
    // What `cargo +NAME` sets for all that it starts.
    run.env("RUSTUP_TOOLCHAIN", "my-own").fails(5).finish().stderr_has(&["error: no builds"]);
    let calls = fakes.log("theirs");
    for call in ["my-own metadata ", "my-own build "] {
        assert!(calls.lines().any(|line| line.starts_with(call)), "'{call}' is not among\n{calls}");
    }
    assert!(calls.lines().all(|line| line.starts_with("my-own ")), "{calls}");
    assert_eq!(fakes.log("cargo"), "", "the cargo on PATH is another one");
}

/// What cargo-binstall 1 fills in (its `gh_crate_meta.rs` and `bins.rs`).
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
    assert_eq!(metadata.len(), 3, "there are keys that this test does not know");
}
