//! What is printed as JSON is what the schemas in docs/ say.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::corpus::history;
use crate::ready_made;
use crate::snapshot::snapshot;
use crate::support::{FakeRegistry, Project};

/// Checks a file against a schema of docs/.
#[track_caller]
pub fn assert_valid(schema: &str, file: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut validate = Command::new(root.join("scripts/validate-json"));
    let output = validate.arg(root.join("docs").join(schema)).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "needs QEMU: scripts/test runs it"]
fn a_report_of_what_was_published_and_started() {
    let registry = FakeRegistry::storing();
    let config = "platforms = ['linux/amd64', 'linux/arm64']\nsmoke = []\nallow = ['missing-workdir']\n";
    let project = Project::with_config(config).file(".gitignore", "/target\n").committed();
    let args = ["publish", "--registry", &registry.host, "--report", "report.json", "--message-format", "json"];
    let run = project.run(&args).env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let printed = run.finish().stdout;
    let file = project.path().join("report.json");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), printed);
    assert_valid("report.schema.json", &file);
    let report: Value = serde_json::from_str(&printed).unwrap();
    let image = &report["images"][0];
    assert_eq!(image["allow"][0], "MA053");
    for (platform, how) in image["platforms"].as_array().unwrap().iter().zip(["native", "qemu"]) {
        let smoke = &platform["smoke"];
        assert_eq!((&smoke["how"], &smoke["said"]), (&how.into(), &"app says hello".into()), "{smoke}");
        assert_eq!((&smoke["command"][0], &smoke["reason"]), (&"/usr/local/bin/app".into(), &Value::Null), "{smoke}");
        assert_eq!((&platform["base"], &platform["distribution"]), (&"scratch".into(), &Value::Null));
    }
}

#[test]
#[ignore = "compiles for real: scripts/test runs it"]
fn a_report_of_what_was_only_built() {
    let project = Project::app();
    let args = ["build", "--platform", "linux/riscv64", "--engine", "embedded", "--report", "report.json"];
    project.run(&args).finish();
    assert_valid("report.schema.json", &project.path().join("report.json"));
}

#[test]
#[ignore = "needs Python's jsonschema: scripts/test runs it"]
fn what_verify_finds() {
    let project = Project::empty();
    for (folder, layout) in history::layouts() {
        layout.write(&project.path().join(folder));
        let image = format!("oci:{folder}");
        let (mut command, _folders) = project.run(&["verify", &image, "--message-format", "json"]).into_command();
        let file = project.path().join("found.json");
        std::fs::write(&file, command.output().unwrap().stdout).unwrap();
        assert_valid("verify.schema.json", &file);
    }
}

/// A publish with all reports, and one that moves the tags to another image.
#[test]
fn reports_of_a_publish() {
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
fn each_file_has_one_thing() {
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
