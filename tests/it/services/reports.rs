//! Validates the JSON report of a publish with smoke runs.

use serde_json::Value;

use crate::reports::assert_valid;
use crate::support::{FakeRegistry, Project};

#[test]
#[ignore = "run by scripts/test"]
fn publish_report_with_smoke_runs_matches_the_schema() {
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
