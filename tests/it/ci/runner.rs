//! Runs workflow jobs in a plain shell, with the same order, matrix and variables as a CI service.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::expressions::{expand, expanded, is_true, list};
use super::machine::{Machine, copy};
use crate::support::{Fakes, PROGRAM, Project, find};

/// A forge with a single repository, its owner, and credentials for a registry.
pub struct Forge<'a> {
    pub repository: &'a Project,
    pub owner: &'a str,
    pub registry: &'a str,
    pub user: &'a str,
    pub password: &'a str,
}

/// The result of a job.
#[derive(Debug)]
pub struct JobResult {
    pub name: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// Markdown that the job added to its summary.
    pub summary: String,
    /// Outputs that dependent jobs can read.
    pub outputs: Value,
}

/// The event that starts the jobs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Tag,
    PullRequest,
}

/// Runs the jobs of a forge, each on a separate simulated machine.
pub struct Runner<'a> {
    forge: Forge<'a>,
    event: Event,
    programs: Fakes,
    dir: TempDir,
}

impl<'a> Runner<'a> {
    pub fn new(forge: Forge<'a>, event: Event) -> Runner<'a> {
        let cargo = find("cargo").unwrap();
        // Make `cargo install` and `apt-get` do nothing, because the program is already on PATH.
        let install = format!(
            "echo \"$@\" >> \"$0.log\"\nif [ \"$1\" = install ]; then exit 0; fi\nexec '{}' \"$@\"",
            cargo.display()
        );
        let programs = Fakes::new().program("cargo", &install).program("apt-get", "exit 0");
        std::os::unix::fs::symlink(PROGRAM, programs.path().join("cargo-multiarch")).unwrap();
        Runner::with_programs(forge, event, programs)
    }

    /// Creates a runner whose machines have these programs first on PATH.
    pub fn with_programs(forge: Forge<'a>, event: Event, programs: Fakes) -> Runner<'a> {
        Runner { forge, event, programs, dir: tempfile::tempdir().unwrap() }
    }

    pub fn into_programs(self) -> Fakes {
        self.programs
    }

    /// Returns the arguments of all cargo calls, one call per line.
    pub fn cargo_calls(&self) -> String {
        self.programs.log("cargo")
    }

    /// Runs the jobs of a GitHub or Forgejo workflow, once per matrix entry, until one fails.
    pub fn run(&self, workflow: &Value) -> Vec<JobResult> {
        let mut all: Vec<JobResult> = Vec::new();
        let git_ref = match self.event {
            Event::Tag => "refs/tags/v1.2.3",
            Event::PullRequest => "refs/pull/1/merge",
        };
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            if !is_true(&job["if"], &json!({ "github": { "ref": git_ref } })) {
                continue;
            }
            let done = |needed: &str| all.iter().any(|result| result.name == needed);
            let needs = if job["needs"].is_string() { vec![job["needs"].clone()] } else { list(&job["needs"]) };
            assert!(needs.iter().all(|needed| done(needed.as_str().unwrap())), "{name} ran before one of {needs:?}");
            let outputs: Map<String, Value> =
                all.iter().map(|result| (result.name.clone(), json!({ "outputs": result.outputs }))).collect();
            let needs = json!({ "needs": outputs });
            let matrix = match job["strategy"]["matrix"].as_str() {
                Some(expression) => {
                    let json = expression.replace("fromJSON(", "").replace(") }}", " }}");
                    serde_json::from_str(&expand(&json, &needs)).unwrap()
                }
                None => job["strategy"]["matrix"].clone(),
            };
            for matrix in matrix["include"].as_array().cloned().unwrap_or_else(|| vec![Value::Null]) {
                let mut machine = self.machine(name, all.len());
                let mut scope = json!({
                    "matrix": matrix, "github": { "actor": self.forge.user, "ref": git_ref }, "steps": {},
                });
                // Pull requests from forks have no secrets, so evaluating one fails.
                if self.event == Event::Tag {
                    scope["secrets"] = json!({
                        "GITHUB_TOKEN": self.forge.password,
                        "REGISTRY_USERNAME": self.forge.user,
                        "REGISTRY_PASSWORD": self.forge.password,
                    });
                }
                machine.working_dir = workflow["defaults"]["run"]["working-directory"].as_str().map(str::to_owned);
                assert_eq!(workflow["defaults"]["run"]["shell"], "bash");
                // A job that calls another workflow has no steps.
                machine.steps(&job["steps"], &mut scope);
                machine.result.outputs = json!(expanded(&job["outputs"], &scope));
                let failed = machine.result.code != 0;
                all.push(machine.result);
                if failed {
                    return all;
                }
            }
        }
        all
    }

    /// Runs the jobs of a GitLab pipeline in the order in which the file lists them, until one fails.
    pub fn run_gitlab(&self, jobs: &Value) -> Vec<JobResult> {
        let mut all: Vec<JobResult> = Vec::new();
        let is_job = |name: &str| !name.starts_with('.') && !["default", "workflow"].contains(&name);
        assert!(self.matches_rules(&jobs["workflow"]["rules"]), "the event must start a pipeline");
        for (name, job) in jobs.as_object().unwrap().iter().filter(|(name, _)| is_job(name)) {
            let mut merged = jobs[job["extends"].as_str().unwrap()].as_object().unwrap().clone();
            merged.extend(job.as_object().unwrap().clone());
            let job = Value::Object(merged);
            if !self.matches_rules(&job["rules"]) {
                continue;
            }
            let mut machine = self.machine(name, all.len());
            machine.check_out();
            for needed in &list(&job["needs"]) {
                let needed = needed.as_str().unwrap();
                assert!(all.iter().any(|result| result.name == needed), "{name} needs {needed}, which has not run");
                copy(&machine.artifacts.join(needed), &machine.workspace, |_| true);
            }
            let project = machine.workspace.display().to_string();
            let image = format!("{}/{}", self.forge.registry, self.forge.owner.to_lowercase());
            let mut env = vec![
                ("CI_PROJECT_DIR", project.as_str()),
                ("CI_REGISTRY", self.forge.registry),
                ("CI_REGISTRY_IMAGE", &image),
            ];
            if self.event == Event::Tag {
                env.extend([
                    ("CI_REGISTRY_USER", self.forge.user),
                    ("CI_REGISTRY_PASSWORD", self.forge.password),
                    ("REGISTRY_USERNAME", self.forge.user),
                    ("REGISTRY_PASSWORD", self.forge.password),
                ]);
            }
            machine.env.extend(env.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
            for (name, value) in job["variables"].as_object().into_iter().flatten() {
                machine.env.insert(name.clone(), value.as_str().unwrap().replace("$CI_PROJECT_DIR", &project));
            }
            let lines = [list(&job["before_script"]), list(&job["script"])].concat();
            let script = lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n");
            machine.bash(&script, &BTreeMap::new(), None);
            for path in &list(&job["artifacts"]["paths"]) {
                let path = path.as_str().unwrap();
                copy(&machine.workspace.join(path), &machine.artifacts.join(name).join(path), |_| true);
            }
            let failed = machine.result.code != 0;
            all.push(machine.result);
            if failed {
                break;
            }
        }
        all
    }

    /// Reports whether the event matches one of a GitLab job's rules. A job without rules always runs.
    fn matches_rules(&self, rules: &Value) -> bool {
        let matches = |rule: &Value| match rule["if"].as_str().unwrap() {
            "$CI_PIPELINE_SOURCE == \"merge_request_event\"" => self.event == Event::PullRequest,
            "$CI_COMMIT_TAG =~ /^v/" => self.event == Event::Tag,
            "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" => false,
            other => panic!("unsupported rule: {other}"),
        };
        rules.as_array().is_none_or(|rules| rules.iter().any(matches))
    }

    fn machine(&self, job: &str, number: usize) -> Machine<'_> {
        let root = self.dir.path().join(format!("machine-{number}"));
        Machine::new(&self.forge, &self.programs, job, &root, self.dir.path().join("artifacts"))
    }
}
