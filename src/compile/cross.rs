//! The program `cross`, which runs cargo in a container that has a target's compiler and libraries: one target a run.

use std::path::PathBuf;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Class, Failure};
use crate::fs;
use crate::plan::Paths;
use crate::process::{Cmd, quote};

/// An installed `cross`, and what it needs beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cross {
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

/// Where it mounts the target directory.
const MOUNTED_TARGET_DIR: &str = "/target";

impl Cross {
    /// Fails if something that it needs is missing.
    pub(crate) fn check(&self, triple: &str) -> Result<(), Failure> {
        let missing = |problem: &str, hint: &str| {
            Err(Failure::new(Class::Toolchain, format!("{triple}: linker = \"cross\", and {problem}")).hint(hint))
        };
        if !self.has_containers {
            return missing("there is no docker and no podman for it", "install one of them, or take linker = \"zig\"");
        }
        if self.rustup.is_none() {
            return missing("there is no rustup for it", "install it: https://rustup.rs");
        }
        Ok(())
    }

    /// Turns a command line of cargo's into one of cross's. The container has its own variables, but for those that are
    /// `passed`: by their names, so that no value shows in a process list.
    pub(crate) fn configure(&self, cmd: Cmd, paths: &Paths, passed: &[String]) -> Cmd {
        let options =
            passed.iter().fold(self.container_opts.clone(), |options, name| format!("{options} --env {name}"));
        let cmd = cmd
            // It mounts the workspace elsewhere, and knows it by the current directory.
            .dir(paths.root.as_str())
            .args(["--target-dir", target_dir(paths).as_str()])
            .env("PATH", format!("{}:{}", programs_dir(paths), self.path));
        match options.trim() {
            "" => cmd,
            options => cmd.env("CROSS_CONTAINER_OPTS", options),
        }
    }

    /// Writes a `rustup` for it that leaves the toolchain as it is: cross 0.2.5 does not understand the list that rustup
    /// prints since 1.28, and would update the toolchain that is in use.
    pub(crate) fn write_c_env(&self, paths: &Paths) -> Result<()> {
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
        let program = programs_dir(paths).join("rustup");
        fs_err::create_dir_all(programs_dir(paths))?;
        // It must not be there before it can run: rustup itself would be found instead.
        let file = fs::temporary_file(&program)?;
        fs_err::write(file.path(), script)?;
        fs_err::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::persist(file, &program)
    }
}

/// A target directory of its own: build scripts that were linked here may not run in its container.
pub(crate) fn target_dir(paths: &Paths) -> Utf8PathBuf {
    paths.work_dir().join("+cross/target")
}

fn programs_dir(paths: &Paths) -> Utf8PathBuf {
    paths.work_dir().join("+cross/bin")
}

/// Where a file in the container is on this machine.
pub(crate) fn on_host(file: &Utf8Path, paths: &Paths) -> Utf8PathBuf {
    file.strip_prefix(MOUNTED_TARGET_DIR).map_or_else(|_| file.to_owned(), |rest| target_dir(paths).join(rest))
}
