//! Test images for `verify`, built from code: broken ones with one defect each, and good ones that look suspicious but
//! run. `services::corpus` runs them with Docker, to confirm which ones are broken.

mod binaries;
pub mod broken;
mod cache_file;
pub mod case;
pub mod good;
pub mod history;
pub mod image;
pub mod layer;
mod roots;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use case::{Case, Finding};

use crate::support::PROGRAM;

/// Returns how the output of `verify` differs from what a case expects.
fn differences(case: &Case) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    case.layout.write(directory.path());
    let mut command = Command::new(PROGRAM);
    command.args(["multiarch", "verify", "--message-format", "json"]).args(case.args);
    let output = command.arg(format!("oci:{}", directory.path().display())).stdin(Stdio::null()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    let mut wrong = Vec::new();
    let errors = case.findings.iter().any(|finding| !finding.is_warning());
    let code = if errors { 8 } else { 0 };
    if output.status.code() != Some(code) {
        wrong.push(format!("exit code {:?}, expected {code}", output.status.code()));
    }
    let Ok(report) = serde_json::from_slice::<Value>(&output.stdout) else {
        return vec![format!("no JSON on stdout, {}: {stderr}", output.status)];
    };
    let image = &report["images"][0];
    let empty = Vec::new();
    let list = |value: &Value| value.as_array().unwrap_or(&empty).clone();
    let mut found = list(&image["findings"]);
    found.extend(list(&image["platforms"]).iter().flat_map(|platform| list(&platform["findings"])));
    for expected in &case.findings {
        if !found.iter().any(|found| matches(found, expected)) {
            wrong.push(format!("missing {expected:?}"));
        }
    }
    for found in &found {
        let code = found["code"].as_str().unwrap_or_default();
        let is_optional = errors && case.optional.contains(&code);
        if !(is_optional || case.findings.iter().any(|expected| matches(found, expected))) {
            wrong.push(format!("unexpected {code}"));
        }
        for text in ["name", "reason", "fix"] {
            if found[text].as_str().unwrap_or_default().is_empty() {
                wrong.push(format!("{code} has no {text}"));
            }
        }
    }
    if !wrong.is_empty() {
        wrong.push(format!("found: {found:#?}"));
    }
    wrong
}

fn matches(found: &Value, expected: &Finding) -> bool {
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    let severity = if expected.is_warning() { "warning" } else { "error" };
    // An expected file matches any path that ends with it.
    let is_file = |path: &str, file: &str| path == file || path.ends_with(&format!("/{file}"));
    let is_in_reason = |file: &str| {
        let words = text("reason").split([' ', ',', ':', '(', ')']);
        words.into_iter().any(|word| is_file(word, file))
    };
    (text("code") == expected.code || Some(text("code")) == expected.alternative)
        && text("severity") == severity
        && expected.platform.is_none_or(|platform| text("platform") == platform)
        && expected.file.is_none_or(|file| is_file(text("file"), file) || is_in_reason(file))
}

#[track_caller]
fn check(cases: &[Case]) {
    let mut failed = Vec::new();
    for case in cases {
        let wrong = differences(case);
        if !wrong.is_empty() {
            failed.push(format!("{}:\n  {}", case.name, wrong.join("\n  ")));
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn corpus_is_large_enough() {
    let (broken, good) = (broken::cases(), good::cases());
    assert!(broken.len() >= 40 && good.len() >= 25, "only {} broken and {} good cases", broken.len(), good.len());
    let names: BTreeSet<&str> = broken.iter().chain(&good).map(|case| case.name).collect();
    assert_eq!(names.len(), broken.len() + good.len(), "two cases have the same name");
}

#[test]
fn verify_accepts_good_images() {
    check(&good::cases());
}

#[test]
fn verify_finds_programs_for_another_machine() {
    check(&broken::machines::cases());
}

#[test]
fn verify_finds_missing_and_wrong_libraries() {
    check(&broken::libraries::cases());
}

#[test]
fn verify_finds_programs_that_cannot_start() {
    check(&broken::programs::cases());
}

#[test]
fn verify_finds_health_checks_that_cannot_run() {
    check(&broken::health_checks::cases());
}

#[test]
fn verify_finds_missing_permissions() {
    check(&broken::permissions::cases());
}

#[test]
fn verify_finds_invalid_manifests_and_configs() {
    check(&broken::manifests::cases());
}
