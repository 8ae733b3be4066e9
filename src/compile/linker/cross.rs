//! The program `cross`, which runs cargo in a container that has a target's compiler and libraries: one target a run.

use std::path::PathBuf;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::fs;
use crate::plan::Plan;
use crate::process::{Cmd, find_program, quote};

/// What there is of it on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cross {
    pub program: PathBuf,
    /// It asks rustup about the toolchain.
    pub rustup: Option<PathBuf>,
    /// Docker or Podman is here.
    pub has_containers: bool,
    /// The user's own CROSS_CONTAINER_OPTS.
    pub container_opts: String,
    /// The user's own PATH.
    pub path: String,
}

/// Where it mounts the target folder.
const TARGET: &str = "/target";

pub fn find() -> Option<Cross> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    Some(Cross {
        program: find_program("cross")?,
        rustup: find_program("rustup"),
        has_containers: ["docker", "podman"].iter().any(|engine| find_program(engine).is_some()),
        container_opts: variable("CROSS_CONTAINER_OPTS"),
        path: variable("PATH"),
    })
}

impl Cross {
    /// What is missing beside it, and how to get it.
    pub fn lacks(&self) -> Option<(&'static str, &'static str)> {
        if !self.has_containers {
            return Some(("there is no docker and no podman for it", "install one of them, or take linker = \"zig\""));
        }
        self.rustup.is_none().then_some(("there is no rustup for it", "install it: https://rustup.rs"))
    }

    /// Makes a command line of cargo's one of its own. The container has its own variables, but for those that are
    /// `passed`: by their names, so that no value shows in a process list.
    pub fn configure(&self, cmd: Cmd, plan: &Plan, passed: &[String]) -> Cmd {
        let options =
            passed.iter().fold(self.container_opts.clone(), |options, name| format!("{options} --env {name}"));
        let cmd = cmd
            // It mounts the workspace elsewhere, and knows it by the current folder.
            .dir(plan.paths.root.as_str())
            .args(["--target-dir", target_dir(plan).as_str()])
            .env("PATH", format!("{}:{}", programs_dir(plan), self.path));
        match options.trim() {
            "" => cmd,
            options => cmd.env("CROSS_CONTAINER_OPTS", options),
        }
    }

    /// Writes a `rustup` for it that leaves the toolchain as it is: cross 0.2.5 does not understand the list that rustup
    /// prints since 1.28, and would update the toolchain that is in use.
    pub fn write_programs(&self, plan: &Plan) -> Result<()> {
        let Some(rustup) = &self.rustup else { return Ok(()) };
        let rustup = quote(&rustup.to_string_lossy());
        let script = format!(
            "#!/bin/sh\n\
             case \"$1 $2\" in\n\
             \"toolchain list\") {rustup} toolchain list | sed 's/ (.*//' ;;\n\
             *\" add\" | *\" install\") ;;\n\
             *) exec {rustup} \"$@\" ;;\n\
             esac\n"
        );
        let program = programs_dir(plan).join("rustup");
        fs_err::create_dir_all(programs_dir(plan))?;
        // It must not be there before it can run: rustup itself would be found instead.
        let file = fs::temporary_file(&program)?;
        fs_err::write(file.path(), script)?;
        fs_err::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::persist(file, &program)
    }
}

/// A target folder of its own: build scripts that were linked here may not run in its container.
pub fn target_dir(plan: &Plan) -> Utf8PathBuf {
    plan.paths.work_dir().join("+cross/target")
}

fn programs_dir(plan: &Plan) -> Utf8PathBuf {
    plan.paths.work_dir().join("+cross/bin")
}

/// Where a file in the container is on this machine.
pub fn on_host(file: &Utf8Path, plan: &Plan) -> Utf8PathBuf {
    file.strip_prefix(TARGET).map_or_else(|_| file.to_owned(), |rest| target_dir(plan).join(rest))
}
