//! Checks the reports of a publish: JSON, checklist and printed references.

use std::path::Path;
use std::process::Command;

use crate::support::ready_made;
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Project};

/// Asserts that a file matches a schema in `docs`.
#[track_caller]
pub fn assert_valid(schema: &str, file: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut validate = Command::new(root.join("scripts/validate-json"));
    let output = validate.arg(root.join("docs").join(schema)).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Publishes with all reports, and then publishes another image under the same tag.
#[test]
fn publish_writes_all_reports() {
    let registry = FakeRegistry::storing();
    let config = format!("registry = '{}/team'\nexpose = [8080]\nworkdir = '/data'\n", registry.host);
    let project =
        Project::with_config(&config).file(".gitignore", "/target\n/cache\n/checklist.md\n/report.json\n").committed();
    let publish = |args: &[&str]| {
        let run = project.run(&[&["publish", "--engine", "embedded"], args].concat()).path_only(&ready_made::tools());
        run.env("XDG_CACHE_HOME", project.path().join("cache")).finish()
    };
    let first = publish(&["--checklist", "checklist.md", "--report", "report.json"]);
    let [checklist, report] =
        ["checklist.md", "report.json"].map(|file| std::fs::read_to_string(project.path().join(file)).unwrap());
    std::fs::write(project.path().join("multiarch.toml"), format!("{config}user = '0'\n")).unwrap();
    let second = publish(&["--tag", "1.2.3,latest", "--platform", "linux/amd64", "--checklist", "-"]);
    snapshot!(first, checklist, report, second);
}

#[test]
fn reports_must_go_to_different_files() {
    let files = [
        &["--refs-file", "-"][..],
        &["--refs-file", "x", "--digests-file", "x"],
        &["--report", "x", "--digests-file", "x"],
    ]
    .map(|args| {
        let args = [&["publish", "--registry", "r.example"], args].concat();
        Project::app().run(&args).fails(3).finish()
    });
    let stdout = ["build", "publish"]
        .map(|command| Project::app().run(&[command, "--report", "-", "--checklist", "-"]).fails(3).finish());
    snapshot!(files, stdout);
}
