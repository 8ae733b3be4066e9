//! `verify --explain`: what a finding means, without an image.

use crate::support::Project;

#[test]
fn a_check_is_explained_by_code_and_by_name() {
    let explain = |code: &str| Project::empty().run(&["verify", "--explain", code]).finish();
    let explained = explain("ma010");
    assert!(explained.stdout.starts_with("## MA010 wrong-machine\n\nA program that the container starts is for "));
    assert!(!explained.stdout.contains("MA011"), "{explained}");
    assert_eq!(explained.stdout, explain("wrong-machine").stdout);
    assert_eq!(explained.stderr, "");
}

#[test]
fn what_cannot_be_explained_is_no_command() {
    let refused = |args: &[&str], said: &str| drop(Project::empty().run(args).fails(2).finish().says(&[said]));
    refused(&["verify", "--explain", "MA009"], "there is no check 'MA009': did you mean MA00");
    refused(&["verify", "--explain", "MA010", "oci:x"], "cannot be used with");
    refused(&["verify"], "IMAGE");
}
