//! Runs the jobs of workflows by plain shell, as a forge's runner does: a checkout and a home of its own for each, steps
//! by `bash`, and what `uses:` names imitated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::support::{Fakes, PROGRAM, Project, find, path};

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
        let machine = Machine {
            runner: self,
            workspace: root.join("work"),
            home: root.join("home"),
            temp: root.join("temp"),
            artifacts: self.dir.path().join("artifacts"),
            folder: None,
            env: BTreeMap::new(),
            ran: Ran {
                name: job.to_owned(),
                code: 0,
                stdout: String::new(),
                stderr: String::new(),
                summary: String::new(),
                outputs: Value::Null,
            },
        };
        [&machine.home, &machine.temp].iter().for_each(|dir| std::fs::create_dir_all(dir).unwrap());
        machine
    }
}

/// One job's machine.
struct Machine<'a> {
    runner: &'a Runner<'a>,
    workspace: PathBuf,
    home: PathBuf,
    temp: PathBuf,
    /// The forge's store, which all machines share.
    artifacts: PathBuf,
    /// Where steps run that do not say where.
    folder: Option<String>,
    env: BTreeMap<String, String>,
    ran: Ran,
}

impl Machine<'_> {
    fn steps(&mut self, steps: &Value, scope: &mut Value) {
        for step in list(steps) {
            if self.ran.code != 0 {
                return;
            }
            if step["if"].as_str().is_some_and(|condition| evaluate(condition, scope) != "true") {
                continue;
            }
            let outputs = match step["uses"].as_str() {
                Some(action) => self.action(action, &expanded(&step["with"], scope)),
                None => {
                    let folder = step["working-directory"].as_str().map(|folder| expand(folder, scope));
                    let env = expanded(&step["env"], scope);
                    self.bash(&expand(step["run"].as_str().unwrap(), scope), &env, folder.or(self.folder.clone()))
                }
            };
            if let Some(id) = step["id"].as_str() {
                scope["steps"][id] = json!({ "outputs": outputs });
            }
        }
    }

    /// What an action does, so far as a job here needs it; its outputs.
    fn action(&mut self, action: &str, with: &BTreeMap<String, String>) -> Map<String, Value> {
        let name = action.trim_start_matches("https://data.forgejo.org/").split('@').next().unwrap();
        match name {
            "actions/checkout" => self.check_out(),
            "Swatinem/rust-cache" | "actions/cache" => {}
            "docker/login-action" => self.log_in(&with["registry"], &with["username"], &with["password"]),
            // Neither hidden files nor modes come through.
            "actions/upload-artifact" | "forgejo/upload-artifact" => {
                let kept = self.artifacts.join(&with["name"]);
                copy(&self.workspace.join(&with["path"]), &kept, |name| !name.starts_with('.'));
                forget_modes(&kept);
            }
            "actions/download-artifact" | "forgejo/download-artifact" => {
                let pattern = with["pattern"].strip_suffix('*').unwrap();
                let mut found = 0;
                for kept in std::fs::read_dir(&self.artifacts).unwrap().map(|entry| entry.unwrap()) {
                    let name = kept.file_name().into_string().unwrap();
                    if name.starts_with(pattern) {
                        copy(&kept.path(), &self.workspace.join(&with["path"]).join(name), |_| true);
                        found += 1;
                    }
                }
                assert!(found > 0, "nothing is called {}", with["pattern"]);
            }
            "./" => return self.our_action(with),
            _ => panic!("nobody knows {action} here"),
        }
        Map::new()
    }

    /// The steps of action.yml.
    fn our_action(&mut self, with: &BTreeMap<String, String>) -> Map<String, Value> {
        let action = super::action();
        let inputs = action["inputs"].as_object().unwrap();
        let mut given: Map<String, Value> =
            inputs.iter().map(|(name, input)| (name.clone(), input["default"].clone())).collect();
        for (name, value) in with {
            assert!(given.insert(name.clone(), value.as_str().into()).is_some(), "action.yml has no input {name}");
        }
        let mut scope = json!({ "inputs": given, "steps": {} });
        self.env.insert("GITHUB_ACTION_PATH".to_owned(), env!("CARGO_MANIFEST_DIR").to_owned());
        let folder = self.folder.take();
        self.steps(&action["runs"]["steps"], &mut scope);
        self.folder = folder;
        let outputs = action["outputs"].as_object().unwrap().iter();
        outputs.map(|(name, output)| (name.clone(), expand(output["value"].as_str().unwrap(), &scope).into())).collect()
    }

    fn check_out(&self) {
        let mut git = Command::new("git");
        git.args(["clone", "-q", "--no-hardlinks"]).arg(self.runner.forge.repository.path()).arg(&self.workspace);
        assert!(git.status().unwrap().success());
    }

    fn log_in(&mut self, registry: &str, user: &str, password: &str) {
        let script = "mkdir -p ~/.docker; auth=$(printf '%s:%s' \"$USERNAME\" \"$PASSWORD\" | base64 -w0)\n\
            printf '{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}\\n' \"$REGISTRY\" \"$auth\" > ~/.docker/config.json";
        let env = [("REGISTRY", registry), ("USERNAME", user), ("PASSWORD", password)];
        self.bash(script, &env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), None);
    }

    /// A step's commands; what they wrote as outputs.
    fn bash(&mut self, script: &str, env: &BTreeMap<String, String>, folder: Option<String>) -> Map<String, Value> {
        let file = |name: &str| {
            let path = self.temp.join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let (output, variables, summary) = (file("output"), file("env"), file("summary"));
        let script_file = self.temp.join("step.sh");
        std::fs::write(&script_file, script).unwrap();
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-e", "-o", "pipefail"]).arg(&script_file).stdin(Stdio::null());
        command.current_dir(self.workspace.join(folder.unwrap_or_default()));
        for (name, _) in std::env::vars() {
            if ["MULTIARCH_", "CARGO", "RUSTFLAGS", "GITHUB_", "CI_", "DOCKER_"]
                .iter()
                .any(|ours| name.starts_with(ours))
            {
                command.env_remove(name);
            }
        }
        // What is installed for whoever runs the tests, who is at home elsewhere.
        let home = PathBuf::from(std::env::var("HOME").unwrap_or_default());
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).unwrap_or_else(|| home.join(folder).into()));
        }
        command
            .env("PATH", format!("{}:{}", self.runner.programs.path().display(), path()))
            .env("HOME", &self.home)
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", &self.workspace)
            .env("GITHUB_REPOSITORY_OWNER", self.runner.forge.owner)
            .env("GITHUB_SERVER_URL", format!("http://{}", self.runner.forge.registry))
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_ENV", &variables)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("RUNNER_TEMP", &self.temp)
            .envs(&self.env)
            .envs(env);
        let finished = command.output().unwrap();
        self.ran.code = finished.status.code().unwrap();
        self.ran.stdout.push_str(&String::from_utf8(finished.stdout).unwrap());
        self.ran.stderr.push_str(&String::from_utf8(finished.stderr).unwrap());
        self.ran.summary.push_str(&std::fs::read_to_string(summary).unwrap());
        self.env.extend(assignments(&std::fs::read_to_string(variables).unwrap()));
        let outputs = assignments(&std::fs::read_to_string(output).unwrap());
        outputs.into_iter().map(|(name, value)| (name, value.into())).collect()
    }
}

/// `name=value`, and `name<<END` with lines until that one.
fn assignments(text: &str) -> Vec<(String, String)> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        let (name, value) = match line.split_once("<<") {
            Some((name, end)) => {
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(line) if line == end => break,
                        Some(line) => value.push(line),
                        None => panic!("{name} does not end with {end}"),
                    }
                }
                (name, value.join("\n"))
            }
            None => line.split_once('=').map(|(name, value)| (name, value.to_owned())).unwrap(),
        };
        found.push((name.to_owned(), value));
    }
    found
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The values of a map, with what their expressions come to.
fn expanded(map: &Value, scope: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let entries = map.as_object().into_iter().flatten();
    // A key of a cache is made by a function, and no job here has one.
    let entries = entries.filter(|(_, value)| !text(value).contains("hashFiles("));
    entries.map(|(name, value)| (name.clone(), expand(&text(value), scope))).collect()
}

/// A text with what its `${{ … }}` come to.
pub fn expand(text: &str, scope: &Value) -> String {
    let mut parts = text.split("${{");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| {
        let (expression, rest) = part.split_once("}}").unwrap();
        text + &evaluate(expression, scope) + rest
    })
}

/// `a.b`, `'word'`, `x || y`, `x == y`: all that is written in what is tested.
fn evaluate(expression: &str, scope: &Value) -> String {
    if let Some((left, right)) = expression.split_once("==") {
        return (evaluate(left, scope) == evaluate(right, scope)).to_string();
    }
    if let Some((left, right)) = expression.split_once("||") {
        let left = evaluate(left, scope);
        return if left.is_empty() { evaluate(right, scope) } else { left };
    }
    let expression = expression.trim();
    if let Some(word) = expression.strip_prefix('\'') {
        return word.strip_suffix('\'').unwrap().to_owned();
    }
    let root = expression.split('.').next().unwrap();
    assert!(scope.get(root).is_some(), "there is no '{root}' here: {expression}");
    let value = expression.split('.').fold(scope, |value, name| &value[name]);
    value.as_str().map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned)
}

/// Copies what is in a folder.
fn copy(from: &Path, to: &Path, keep: fn(&str) -> bool) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        match entry.file_type().unwrap().is_dir() {
            _ if !keep(&name) => {}
            true => copy(&entry.path(), &to.join(name), keep),
            false => drop(std::fs::copy(entry.path(), to.join(name)).unwrap()),
        }
    }
}

fn forget_modes(dir: &Path) {
    let status = Command::new("find").arg(dir).args(["-type", "f", "-exec", "chmod", "0644", "{}", "+"]).status();
    assert!(status.unwrap().success());
}
