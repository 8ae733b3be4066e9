//! Configures `cross`, a program that runs cargo in a container with the compiler and libraries of one target.

use std::path::PathBuf;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::{Class, Failure};
use crate::fs;
use crate::plan::Paths;
use crate::process::{Cmd, quote};

/// An installed `cross` and the tools that it depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cross {
    pub program: PathBuf,
    /// The path of rustup, which `cross` runs to inspect the toolchain.
    pub rustup: Option<PathBuf>,
    /// Whether Docker or Podman is installed.
    pub has_containers: bool,
    /// The user's CROSS_CONTAINER_OPTS.
    pub container_opts: String,
    /// The user's PATH.
    pub path: String,
}

/// The path of the target directory in the container.
const MOUNTED_TARGET_DIR: &str = "/target";

impl Cross {
    /// Fails if `cross` cannot run because Docker, Podman or rustup is missing.
    pub(crate) fn check(&self, triple: &str) -> Result<(), Failure> {
        let missing = |problem: &str, hint: &str| {
            Err(Failure::new(Class::Toolchain, format!("{triple}: linker = \"cross\" is set, but {problem}"))
                .hint(hint))
        };
        if !self.has_containers {
            return missing(
                "neither Docker nor Podman is installed",
                "install Docker or Podman, or set linker = \"zig\"",
            );
        }
        if self.rustup.is_none() {
            return missing("rustup is not installed", "install rustup: https://rustup.rs");
        }
        Ok(())
    }

    /// Turns a cargo command line into one for `cross`. The variables in `passed` are forwarded to the container by
    /// name, so that their values do not appear in process lists.
    pub(crate) fn configure(&self, cmd: Cmd, paths: &Paths, passed: &[String]) -> Cmd {
        let options =
            passed.iter().fold(self.container_opts.clone(), |options, name| format!("{options} --env {name}"));
        let cmd = cmd
            // `cross` detects the workspace from the current directory and mounts it in the container.
            .dir(paths.root.as_str())
            .args(["--target-dir", target_dir(paths).as_str()])
            .env("PATH", format!("{}:{}", programs_dir(paths), self.path));
        match options.trim() {
            "" => cmd,
            options => cmd.env("CROSS_CONTAINER_OPTS", options),
        }
    }

    /// Writes a `rustup` wrapper that ignores requests to change the toolchain. cross 0.2.5 cannot parse the
    /// `rustup toolchain list` output of rustup 1.28 or later, and would update the toolchain in use.
    pub(crate) fn write_rustup_wrapper(&self, paths: &Paths) -> Result<()> {
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
        // Write the script atomically, because a concurrent `cross` would skip a script that is not yet executable and
        // find the real rustup on PATH.
        let file = fs::temporary_file(&program)?;
        fs_err::write(file.path(), script)?;
        fs_err::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fs::persist(file, &program)
    }
}

/// Returns the target directory for `cross`. `cross` needs a separate directory because build scripts that were linked
/// on this machine may not run in the container.
pub(crate) fn target_dir(paths: &Paths) -> Utf8PathBuf {
    paths.work_dir().join("+cross/target")
}

fn programs_dir(paths: &Paths) -> Utf8PathBuf {
    paths.work_dir().join("+cross/bin")
}

/// Converts a path in the container to a path on this machine.
pub(crate) fn on_host(file: &Utf8Path, paths: &Paths) -> Utf8PathBuf {
    file.strip_prefix(MOUNTED_TARGET_DIR).map_or_else(|_| file.to_owned(), |rest| target_dir(paths).join(rest))
}
