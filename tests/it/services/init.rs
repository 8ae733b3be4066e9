//! Checks generated workflows with actionlint.

use crate::init::workspace;
use crate::support::Project;

/// A script that prints actionlint's findings. It ignores unknown runner labels and actions that are not on GitHub,
/// because actionlint does not support them.
const LINT: &str = r#"
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
const { createLinter } = await import(createRequire(process.argv[1] + "/x").resolve("actionlint"));
const lint = await createLinter();
for (const path of process.argv.slice(2))
  for (const found of lint(readFileSync(path, "utf8"), ".github/workflows/multiarch.yml"))
    if (found.kind != "runner-label" && !/https:/.test(found.message)) console.log(path, found.line, found.message);
"#;

#[test]
#[ignore = "run by scripts/test"]
fn init_ci_workflows_pass_actionlint() {
    let cache =
        std::env::var("XDG_CACHE_HOME").unwrap_or_else(|_| format!("{}/.cache", std::env::var("HOME").unwrap()));
    let linter = format!("{cache}/cargo-multiarch/actionlint");
    let projects = [Project::app(), workspace()];
    let mut valid = Vec::new();
    for project in &projects {
        for (forge, path) in
            [("github", ".github/workflows/multiarch.yml"), ("forgejo", ".forgejo/workflows/multiarch.yml")]
        {
            for native in [&[][..], &["--ci-native"]] {
                project.run(&[&["init", "--ci", forge, "--force"], native].concat()).finish();
                let copy = project.path().join(format!("{forge}-{}.yml", native.len()));
                std::fs::copy(project.path().join(path), &copy).unwrap();
                valid.push(copy);
            }
        }
    }
    let with = "          command: build\n          args: --platform linux/arm64\n";
    let action = Project::empty().file("action.yml", &crate::ci::workflow_with_action(with));
    let matrix = Project::empty().file("matrix.yml", &crate::ci::workflow_with_matrix());
    valid.extend([action.path().join("action.yml"), matrix.path().join("matrix.yml")]);
    let invalid = Project::empty().file("wrong.yml", "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n");
    let output = std::process::Command::new("node")
        .args(["--input-type=module", "--eval", LINT, "--", &linter])
        .args(valid)
        .arg(invalid.path().join("wrong.yml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = String::from_utf8(output.stdout).unwrap();
    assert!(found.contains("\"steps\" section is missing"), "actionlint did not report a job without steps: {found}");
    assert_eq!(found.lines().count(), 1, "{found}");
}
