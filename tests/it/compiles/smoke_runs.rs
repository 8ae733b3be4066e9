//! Smoke runs with a fake Docker: which commands are run, and how failures are reported.

use crate::reports::assert_valid;
use crate::support::{FakeRegistry, Fakes, Finished, Project, Run};

/// Creates a fake local Docker that accepts every image and executes the shell script `run` for `docker run`.
fn docker(run: &str) -> Fakes {
    docker_at("unix:///x", "linux/amd64", run)
}

/// Creates a fake Docker like [`docker`], with the given daemon address and platform.
fn docker_at(host: &str, platform: &str, run: &str) -> Fakes {
    let script = format!(
        "echo \"$@\" >> \"$0.log\"\ncase \"$1 $2\" in\n  \"version \"*) echo {platform} ;;\n  \
         \"context inspect\") echo {host} ;;\n  \"load \"*|\"image rm\"|\"rm \"*) ;;\n  \
         \"run \"*) {run} ;;\n  *) exit 1 ;;\nesac"
    );
    Fakes::new().program("docker", &script)
}

fn publish(project: &Project, registry: &FakeRegistry, docker: &Fakes, args: &[&str]) -> Run {
    let all = ["publish", "--engine", "embedded", "--platform", "linux/amd64", "--registry", &registry.host];
    project.run(&[&all[..], args].concat()).path_first(docker)
}

/// Returns the commands that the fake Docker received, after checking that every loaded image was removed.
#[track_caller]
fn calls(docker: &Fakes) -> Vec<String> {
    let log = docker.log("docker");
    let calls: Vec<String> = log.lines().map(str::to_owned).collect();
    let loads = calls.iter().filter(|call| call.starts_with("load ")).count();
    assert_eq!(
        calls.iter().filter(|call| call.starts_with("image rm multiarch-smoke/app:linux-amd64-")).count(),
        loads
    );
    calls
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_command_is_split_like_a_shell_command() {
    let (registry, docker) = (FakeRegistry::storing(), docker("echo; echo '  app 1.2.3 '; echo more"));
    let finished = publish(&Project::app(), &registry, &docker, &["--smoke", "--name 'a b'"]).finish();
    finished.stderr_has(&["app --name 'a b'", "app 1.2.3\n"]);
    let calls = calls(&docker);
    let run = calls.iter().find(|call| call.starts_with("run ")).unwrap();
    for part in ["--rm", "--platform linux/amd64", "--network none", "--pull never", "--name a b"] {
        assert!(run.contains(part), "{run}");
    }
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn failed_smoke_run_moves_no_tag() {
    for (run, reason) in
        [("seq 30; echo no luck >&2; exit 1", "`app --version` exited with status 1"), ("kill -SEGV $$", "signal 11")]
    {
        let (registry, docker) = (FakeRegistry::storing(), docker(run));
        let project = Project::with_config("smoke = ['--version']");
        let finished: Finished = publish(&project, &registry, &docker, &[]).fails(8).finish();
        finished
            .stderr_has(&["error: image 'app': linux/amd64: ", reason, " hint: "])
            .stderr_lacks("\n5\n")
            .stderr_lacks("Tagged");
        calls(&docker);
        assert_eq!(registry.tags("app"), [""; 0]);
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn smoke_run_that_cannot_start_is_not_reported_as_passed() {
    let no_format = "echo 'exec /app: exec format error' >&2; exit 255";
    for (docker, reason) in [
        (
            docker("echo 'docker: Error response from daemon: no space.' >&2; exit 125"),
            "docker: Error response from daemon: no",
        ),
        // The program cannot determine in advance which platforms a remote Docker host can run.
        (docker_at("ssh://x", "linux/riscv64", no_format), "exec /app: exec format error"),
    ] {
        let (registry, project) = (FakeRegistry::storing(), Project::app());
        let args = ["--smoke=-V", "--checklist", "-", "--report", "report.json"];
        let finished = publish(&project, &registry, &docker, &args).finish();
        let unchecked = format!("\n- [ ] started on every platform: linux/amd64 not at all ({reason}");
        assert!(finished.stdout.contains(&unchecked), "{finished}");
        assert_valid("report.schema.json", &project.path().join("report.json"));
        finished.stderr_has(&["warning: image 'app': linux/amd64: ", reason]).stderr_lacks(" Ran ");
        calls(&docker);
    }
    let (registry, docker) = (FakeRegistry::storing(), docker(no_format));
    publish(&Project::app(), &registry, &docker, &["--smoke=-V"]).fails(8).finish().stderr_has(&["255"]);
    let broken =
        Fakes::new().program("docker", "case $1 in version) echo linux/amd64 ;; *) echo no >&2; exit 1 ;; esac");
    let registry = FakeRegistry::storing();
    let finished = publish(&Project::app(), &registry, &broken, &["--smoke=-V"]).finish();
    finished.stderr_has(&["`docker load "]).stderr_lacks(" Ran ");
}
