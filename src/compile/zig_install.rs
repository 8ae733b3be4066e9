//! Installs zig from the Python package `ziglang` into the cache directory. This needs no permissions, and works on systems
//! whose Python packages only the system's package manager may change (PEP 668).

use std::path::Path;

use anyhow::Result;
use camino::Utf8Path;

use super::zig_package::{self, INSTALL_COMMAND};
use super::zig_program;
use crate::error::{Class, Failure};
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// Downloads the package with pip, checks its hash, and installs it into the cache directory.
pub(crate) fn install(cache_dir: &Utf8Path, ui: &Ui) -> Result<()> {
    fs_err::create_dir_all(cache_dir)?;
    // Install next to the final directory, so that a rename completes the installation.
    let staging = tempfile::tempdir_in(cache_dir)?;
    let [package, venv] = ["package", "venv"].map(|name| staging.path().join(name));
    let requirements = staging.path().join("requirements.txt");
    fs_err::write(&requirements, zig_package::requirement())?;
    let cmd = pip(&venv)?
        .args(["install", "--disable-pip-version-check", "--no-input", "--no-compile", "--no-deps"])
        .args(["--only-binary", ":all:", "--require-hashes", "--target"])
        .arg(&package)
        .arg("--requirement")
        .arg(&requirements)
        // Override user settings that conflict with `--target`.
        .env("PIP_USER", "0")
        .env("PIP_REQUIRE_VIRTUALENV", "0");
    ui.command(&cmd);
    let output = cmd.output()?;
    if !output.status.success() {
        return Err(pip_failure(&output.stderr).into());
    }
    let dir = zig_package::dir(cache_dir);
    if dir.exists() {
        fs_err::remove_dir_all(&dir)?;
    }
    fs_err::rename(&package, &dir)?;
    let program = zig_package::program_path(cache_dir);
    if zig_program::check(program.clone().into()).is_none() {
        return Err(Failure::new(Class::Toolchain, format!("zig was installed, but does not run: {program}"))
            .hint(format!("run `{program} version` to see the error, or put another `zig` on PATH"))
            .into());
    }
    Ok(())
}

/// Returns the command line of pip. If Python has no pip, creates a virtual environment, which contains one.
fn pip(venv: &Path) -> Result<Cmd> {
    let Some(python) = find_program("python3") else {
        return Err(no_pip("python3 is not installed").into());
    };
    let has_pip = Cmd::new(&python).args(["-m", "pip", "--version"]).output()?.status.success();
    if has_pip {
        return Ok(Cmd::new(python).args(["-m", "pip"]));
    }
    let created = Cmd::new(&python).args(["-m", "venv"]).arg(venv).output()?;
    if !created.status.success() {
        return Err(no_pip("python3 has neither pip nor venv").into());
    }
    Ok(Cmd::new(venv.join("bin/python3")).args(["-m", "pip"]))
}

fn no_pip(problem: &str) -> Failure {
    Failure::new(Class::Toolchain, format!("cannot install zig: {problem}"))
        .hint(format!("on Debian or Ubuntu, run `apt-get install python3-venv`, then `{INSTALL_COMMAND}` again"))
        .hint("or download zig from https://ziglang.org/download and put `zig` on PATH")
}

fn pip_failure(stderr: &str) -> Failure {
    let errors: Vec<&str> = stderr.lines().filter_map(|line| line.strip_prefix("ERROR: ")).collect();
    // The last error is the most specific one, except for hashes, where a list follows.
    let hashes = errors.iter().find(|error| error.contains("HASHES"));
    let reason = hashes.or(errors.last()).copied().or(stderr.trim().lines().last()).unwrap_or_default();
    Failure::new(Class::Toolchain, format!("pip cannot install zig: {reason}"))
        .hint("check the connection to the package index that pip uses: `pip config list`")
        .hint("or download zig from https://ziglang.org/download and put `zig` on PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_name_the_reason() {
        let no_match = "WARNING: Retrying\nERROR: Could not find a version that satisfies the requirement ziglang\n\
                        ERROR: No matching distribution found for ziglang==0.17.1\n";
        let hashes = "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n    ziglang==0.17.1\n";
        for (stderr, reason) in [
            (no_match, "No matching distribution found for ziglang==0.17.1"),
            (hashes, "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE."),
            ("Traceback\nOSError: No space left on device\n", "OSError: No space left on device"),
        ] {
            assert_eq!(pip_failure(stderr).to_string(), format!("pip cannot install zig: {reason}"));
        }
    }
}
