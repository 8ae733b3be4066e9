//! Errors for invalid smoke commands.

use crate::support::Project;
use crate::support::snapshot::snapshot;

#[test]
fn smoke_command_is_validated() {
    let run = |args: &[&str]| Project::app().run(&[&["build"], args].concat()).fails(2).finish();
    let project = Project::with_config("[platform.'linux/arm64']\nsmoke = ['-V']\n");
    snapshot!(run(&["--smoke", "'open"]), run(&["--smoke", ""]), project.run(&["plan"]).fails(3).finish());
}
