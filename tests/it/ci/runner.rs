//! Runs the jobs of workflows by plain shell, as a forge's runner does: which, in which order, and what each is told.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::expressions::{expand, expanded, list};
use super::machine::{Machine, copy};
use crate::support::{Fakes, PROGRAM, Project, find};

/// What a forge knows: the repository, whose it is, and who may push to which registry.
pub struct Forge<'a> {
    pub repository: &'a Project,
    pub owner: &'a str,
    pub registry: &'a str,
    pub user: &'a str,
    pub password: &'a str,
}

/// A job that has run.
#[derive(Debug)]
pub struct Ran {
    pub name: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    /// What it wrote for the page of its run.
    pub summary: String,
    /// What jobs that need it may read.
    pub outputs: Value,
}

/// The machines that jobs run on.
pub struct Runner<'a> {
    forge: Forge<'a>,
    programs: Fakes,
    dir: TempDir,
}

impl<'a> Runner<'a> {
    pub fn new(forge: Forge<'a>) -> Runner<'a> {
        let cargo = find("cargo").unwrap();
        // The program is there already, and no job gets a package.
        let install = format!(
            "echo \"$@\" >> \"$0.log\"\nif [ \"$1\" = install ]; then exit 0; fi\nexec '{}' \"$@\"",
            cargo.display()
        );
        let programs = Fakes::new().program("cargo", &install).program("apt-get", "exit 0");
        std::os::unix::fs::symlink(PROGRAM, programs.path().join("cargo-multiarch")).unwrap();
        Runner { forge, programs, dir: tempfile::tempdir().unwrap() }
    }

    /// The calls of cargo that steps made.
    pub fn cargo_calls(&self) -> String {
        self.programs.log("cargo")
    }

    /// The jobs of a workflow of GitHub or Forgejo, one for each entry of a matrix, until one fails.
    pub fn run(&self, workflow: &Value) -> Vec<Ran> {
        let mut all = Vec::new();
        for (name, job) in workflow["jobs"].as_object().unwrap() {
            let done = |needed: &str| all.iter().any(|ran: &Ran| ran.name == needed);
            let needs = if job["needs"].is_string() { vec![job["needs"].clone()] } else { list(&job["needs"]) };
            assert!(needs.iter().all(|needed| done(needed.as_str().unwrap())), "{name} runs before one of {needs:?}");
            let outputs: Map<String, Value> =
                all.iter().map(|ran: &Ran| (ran.name.clone(), json!({ "outputs": ran.outputs }))).collect();
            let needs = json!({ "needs": outputs });
            let matrix = match job["strategy"]["matrix"].as_str() {
                Some(of_a_job) => {
                    let json = of_a_job.replace("fromJSON(", "").replace(") }}", " }}");
                    serde_json::from_str(&expand(&json, &needs)).unwrap()
                }
                None => job["strategy"]["matrix"].clone(),
            };
            for matrix in matrix["include"].as_array().cloned().unwrap_or_else(|| vec![Value::Null]) {
                let mut machine = self.machine(name, all.len());
                let login = json!({
                    "GITHUB_TOKEN": self.forge.password,
                    "REGISTRY_USERNAME": self.forge.user,
                    "REGISTRY_PASSWORD": self.forge.password,
                });
                let mut scope = json!({
                    "matrix": matrix, "secrets": login, "github": { "actor": self.forge.user }, "steps": {},
                });
                machine.folder = workflow["defaults"]["run"]["working-directory"].as_str().map(str::to_owned);
                assert_eq!(workflow["defaults"]["run"]["shell"], "bash");
                machine.steps(&job["steps"], &mut scope);
                machine.ran.outputs = json!(expanded(&job["outputs"], &scope));
                let failed = machine.ran.code != 0;
                all.push(machine.ran);
                if failed {
                    return all;
                }
            }
        }
        all
    }

    /// The jobs of GitLab, in the order in which they stand, until one fails.
    pub fn run_gitlab(&self, jobs: &Value) -> Vec<Ran> {
        let mut all: Vec<Ran> = Vec::new();
        let is_job = |name: &str| !name.starts_with('.') && name != "default";
        for (name, job) in jobs.as_object().unwrap().iter().filter(|(name, _)| is_job(name)) {
            let mut merged = jobs[job["extends"].as_str().unwrap()].as_object().unwrap().clone();
            merged.extend(job.as_object().unwrap().clone());
            let job = Value::Object(merged);
            let mut machine = self.machine(name, all.len());
            machine.check_out();
            for needed in &list(&job["needs"]) {
                let needed = needed.as_str().unwrap();
                assert!(all.iter().any(|ran| ran.name == needed), "{name} needs {needed}, which has not run");
                copy(&machine.artifacts.join(needed), &machine.workspace, |_| true);
            }
            let project = machine.workspace.display().to_string();
            let image = format!("{}/{}", self.forge.registry, self.forge.owner.to_lowercase());
            machine.env.extend(
                [
                    ("CI_PROJECT_DIR", project.as_str()),
                    ("CI_REGISTRY", self.forge.registry),
                    ("CI_REGISTRY_IMAGE", &image),
                    ("CI_REGISTRY_USER", self.forge.user),
                    ("CI_REGISTRY_PASSWORD", self.forge.password),
                    ("REGISTRY_USERNAME", self.forge.user),
                    ("REGISTRY_PASSWORD", self.forge.password),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
            for (name, value) in job["variables"].as_object().into_iter().flatten() {
                machine.env.insert(name.clone(), value.as_str().unwrap().replace("$CI_PROJECT_DIR", &project));
            }
            let lines = [list(&job["before_script"]), list(&job["script"])].concat();
            let script = lines.iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n");
            machine.bash(&script, &BTreeMap::new(), None);
            for kept in &list(&job["artifacts"]["paths"]) {
                let kept = kept.as_str().unwrap();
                copy(&machine.workspace.join(kept), &machine.artifacts.join(name).join(kept), |_| true);
            }
            let failed = machine.ran.code != 0;
            all.push(machine.ran);
            if failed {
                break;
            }
        }
        all
    }

    fn machine(&self, job: &str, number: usize) -> Machine<'_> {
        let root = self.dir.path().join(format!("machine-{number}"));
        Machine::new(&self.forge, &self.programs, job, &root, self.dir.path().join("artifacts"))
    }
}
