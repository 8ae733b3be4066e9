//! Runs the steps of a job in a separate checkout and with a separate home directory. Commands run in bash, and actions
//! are simulated.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use super::expressions::{expand, expanded, is_true, list};
use super::runner::{Forge, JobResult};
use crate::support::{Fakes, path};

/// A simulated machine that runs one job.
pub struct Machine<'a> {
    forge: &'a Forge<'a>,
    programs: &'a Fakes,
    pub workspace: PathBuf,
    home: PathBuf,
    temp: PathBuf,
    /// The artifact store, which all machines share.
    pub artifacts: PathBuf,
    /// The default working directory for steps.
    pub working_dir: Option<String>,
    pub env: BTreeMap<String, String>,
    pub result: JobResult,
}

impl<'a> Machine<'a> {
    pub fn new(forge: &'a Forge<'a>, programs: &'a Fakes, job: &str, root: &Path, artifacts: PathBuf) -> Machine<'a> {
        let machine = Machine {
            forge,
            programs,
            workspace: root.join("work"),
            home: root.join("home"),
            temp: root.join("temp"),
            artifacts,
            working_dir: None,
            env: BTreeMap::new(),
            result: JobResult {
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

    pub fn steps(&mut self, steps: &Value, scope: &mut Value) {
        for step in list(steps) {
            if self.result.code != 0 {
                return;
            }
            if !is_true(&step["if"], scope) {
                continue;
            }
            let outputs = match step["uses"].as_str() {
                Some(action) => self.action(action, &expanded(&step["with"], scope)),
                None => {
                    let dir = step["working-directory"].as_str().map(|dir| expand(dir, scope));
                    let env = expanded(&step["env"], scope);
                    self.bash(&expand(step["run"].as_str().unwrap(), scope), &env, dir.or(self.working_dir.clone()))
                }
            };
            if let Some(id) = step["id"].as_str() {
                scope["steps"][id] = json!({ "outputs": outputs });
            }
        }
    }

    /// Simulates the parts of an action that the tested jobs need, and returns its outputs.
    fn action(&mut self, action: &str, with: &BTreeMap<String, String>) -> Map<String, Value> {
        let name = action.trim_start_matches("https://data.forgejo.org/").split('@').next().unwrap();
        match name {
            "actions/checkout" => {
                assert_eq!(with["persist-credentials"], "false", "the checkout must not keep the job's token");
                self.check_out();
            }
            "Swatinem/rust-cache" | "actions/cache" | "mlugg/setup-zig" | "docker/setup-qemu-action" => {}
            "rust-lang/crates-io-auth-action" => {
                return Map::from_iter([("token".to_owned(), "token-of-the-registry".into())]);
            }
            "actions/attest" => assert!(self.workspace.join(&with["subject-checksums"]).is_file()),
            "docker/login-action" => self.log_in(&with["registry"], &with["username"], &with["password"]),
            // These actions do not preserve hidden files or file modes.
            "actions/upload-artifact" | "forgejo/upload-artifact" => {
                let kept = self.artifacts.join(&with["name"]);
                copy(&self.workspace.join(&with["path"]), &kept, |name| !name.starts_with('.'));
                reset_modes(&kept);
            }
            "actions/download-artifact" if with.contains_key("name") => {
                copy(&self.artifacts.join(&with["name"]), &self.workspace.join(&with["path"]), |_| true);
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
                assert!(found > 0, "no artifact matches {}", with["pattern"]);
            }
            "./" => return self.action_yml(with),
            _ => panic!("unsupported action: {action}"),
        }
        Map::new()
    }

    /// Runs the steps of action.yml and returns its outputs.
    fn action_yml(&mut self, with: &BTreeMap<String, String>) -> Map<String, Value> {
        let action = super::action();
        let inputs = action["inputs"].as_object().unwrap();
        let mut values: Map<String, Value> =
            inputs.iter().map(|(name, input)| (name.clone(), input["default"].clone())).collect();
        for (name, value) in with {
            assert!(values.insert(name.clone(), value.as_str().into()).is_some(), "action.yml has no input {name}");
        }
        let mut scope = json!({ "inputs": values, "steps": {} });
        self.env.insert("GITHUB_ACTION_PATH".to_owned(), env!("CARGO_MANIFEST_DIR").to_owned());
        let dir = self.working_dir.take();
        self.steps(&action["runs"]["steps"], &mut scope);
        self.working_dir = dir;
        let outputs = action["outputs"].as_object().unwrap().iter();
        outputs.map(|(name, output)| (name.clone(), expand(output["value"].as_str().unwrap(), &scope).into())).collect()
    }

    pub fn check_out(&self) {
        let mut git = Command::new("git");
        // GitLab clones with an empty template, so `.git/info` does not exist.
        git.args(["clone", "-q", "--no-hardlinks", "--template="])
            .arg(self.forge.repository.path())
            .arg(&self.workspace);
        assert!(git.status().unwrap().success());
    }

    fn log_in(&mut self, registry: &str, user: &str, password: &str) {
        let script = "mkdir -p ~/.docker; auth=$(printf '%s:%s' \"$USERNAME\" \"$PASSWORD\" | base64 -w0)\n\
            printf '{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}\\n' \"$REGISTRY\" \"$auth\" > ~/.docker/config.json";
        let env = [("REGISTRY", registry), ("USERNAME", user), ("PASSWORD", password)];
        self.bash(script, &env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(), None);
    }

    /// Runs a script in bash and returns the outputs that the script sets.
    pub fn bash(&mut self, script: &str, env: &BTreeMap<String, String>, dir: Option<String>) -> Map<String, Value> {
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
        command.current_dir(self.workspace.join(dir.unwrap_or_default()));
        for (name, _) in std::env::vars() {
            if ["MULTIARCH_", "CARGO", "RUSTFLAGS", "GITHUB_", "CI_", "DOCKER_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        // HOME is changed below, so point cargo and rustup to their directories in the real home directory.
        let home = PathBuf::from(std::env::var("HOME").unwrap_or_default());
        for (name, dir) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            command.env(name, std::env::var_os(name).unwrap_or_else(|| home.join(dir).into()));
        }
        command
            .env("PATH", format!("{}:{}", self.programs.path().display(), path()))
            .env("HOME", &self.home)
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", &self.workspace)
            .env("GITHUB_REPOSITORY_OWNER", self.forge.owner)
            .env("GITHUB_REPOSITORY", format!("{}/cargo-multiarch", self.forge.owner))
            .env("GITHUB_REF_NAME", "v1.2.3")
            .env("GITHUB_SERVER_URL", format!("http://{}", self.forge.registry))
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_ENV", &variables)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("RUNNER_TEMP", &self.temp)
            .envs(&self.env)
            .envs(env);
        let finished = command.output().unwrap();
        self.result.code = finished.status.code().unwrap();
        self.result.stdout.push_str(&String::from_utf8(finished.stdout).unwrap());
        self.result.stderr.push_str(&String::from_utf8(finished.stderr).unwrap());
        self.result.summary.push_str(&std::fs::read_to_string(summary).unwrap());
        self.env.extend(assignments(&std::fs::read_to_string(variables).unwrap()));
        let outputs = assignments(&std::fs::read_to_string(output).unwrap());
        outputs.into_iter().map(|(name, value)| (name, value.into())).collect()
    }
}

/// Parses `name=value` lines, and `name<<END` blocks that end with the line `END`.
pub fn assignments(text: &str) -> Vec<(String, String)> {
    let (mut found, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        let (name, value) = match line.split_once("<<") {
            Some((name, end)) => {
                let mut value = Vec::new();
                loop {
                    match lines.next() {
                        Some(line) if line == end => break,
                        Some(line) => value.push(line),
                        None => panic!("no line '{end}' after the value of {name}"),
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

/// Copies a directory's files, except those whose names `keep` rejects.
pub fn copy(from: &Path, to: &Path, keep: fn(&str) -> bool) {
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

fn reset_modes(dir: &Path) {
    let status = Command::new("find").arg(dir).args(["-type", "f", "-exec", "chmod", "0644", "{}", "+"]).status();
    assert!(status.unwrap().success());
}
