//! Validates the JSON output of `build` and `verify` against the schemas in docs/.

use crate::corpus::history;
use crate::reports::assert_valid;
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn build_report_matches_the_schema() {
    let project = Project::app();
    let args = ["build", "--platform", "linux/riscv64", "--engine", "embedded", "--report", "report.json"];
    project.run(&args).finish();
    assert_valid("report.schema.json", &project.path().join("report.json"));
}

#[test]
#[ignore = "run by scripts/test"]
fn verify_report_matches_the_schema() {
    let project = Project::empty();
    for (dir, layout) in history::layouts() {
        layout.write(&project.path().join(dir));
        let image = format!("oci:{dir}");
        let (mut command, _dirs) = project.run(&["verify", &image, "--message-format", "json"]).into_command();
        let file = project.path().join("found.json");
        std::fs::write(&file, command.output().unwrap().stdout).unwrap();
        assert_valid("verify.schema.json", &file);
    }
}
