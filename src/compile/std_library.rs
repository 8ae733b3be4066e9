//! Checks whether the standard library is available for each target, and installs it with rustup if it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::facts::{BuildFacts, RustToolchain, TargetFacts};
use crate::error::{Class, Failure};
use crate::plan::Build;
use crate::platform::{Libc, Platform};
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// The hint for users who cannot install a standard library with rustup.
pub(crate) const BUILD_STD_HINT: &str =
    "or compile the standard library from source: set build-std = true, and use a nightly toolchain with rust-src";

/// Fails if a build's standard library is not installed and can be neither installed nor compiled. The target must be
/// supported by rustc.
pub(crate) fn check(build: &BuildFacts<'_>, rust: &RustToolchain) -> Result<(), Failure> {
    if build.settings.build_std {
        check_can_build(build, rust)
    } else {
        check_is_distributed(build.triple(), build.target)
    }
}

/// Returns the triples whose standard library is missing but can be installed.
pub(crate) fn missing(builds: &[Build], targets: &BTreeMap<String, TargetFacts>) -> Vec<String> {
    let used: BTreeSet<&str> =
        builds.iter().filter(|build| !build.settings.build_std).map(|build| build.settings.triple.as_str()).collect();
    let is_missing = |triple: &&str| {
        targets.get(*triple).is_some_and(|target| !target.has_std && check_is_distributed(triple, target).is_ok())
    };
    used.into_iter().filter(is_missing).map(str::to_owned).collect()
}

/// Fails if a target's standard library is neither installed nor distributed by the Rust project.
fn check_is_distributed(triple: &str, target: &TargetFacts) -> Result<(), Failure> {
    if target.has_std || !triple.contains("-musl") {
        return Ok(());
    }
    match Platform::for_triple(triple).next() {
        Some(platform) if !platform.has_std(Libc::Musl) => {
            let message = "Rust does not distribute a standard library for this target";
            Err(gnu_instead(failure(triple, message), platform).hint(BUILD_STD_HINT))
        }
        _ => Ok(()),
    }
}

/// Fails if the toolchain cannot compile the standard library. `-Zbuild-std` requires a nightly toolchain, or
/// RUSTC_BOOTSTRAP, which only the user may set.
fn check_can_build(build: &BuildFacts<'_>, rust: &RustToolchain) -> Result<(), Failure> {
    if !rust.is_nightly && !build.is_set("RUSTC_BOOTSTRAP") {
        let message = format!("build-std requires a nightly toolchain, but the current toolchain is {}", rust.version);
        return Err(failure(build.triple(), &message)
            .hint(
                "install nightly: `rustup toolchain install nightly --component rust-src`, then run \
                 `cargo +nightly multiarch …`",
            )
            .hint("or use the current toolchain, which is not officially supported: `RUSTC_BOOTSTRAP=1 cargo multiarch …`"));
    }
    if rust.rust_src.is_none() {
        let message = "build-std requires the standard library source, which is not installed";
        return Err(failure(build.triple(), message).hint("install rust-src: `rustup component add rust-src`"));
    }
    Ok(())
}

fn failure(triple: &str, message: &str) -> Failure {
    Failure::new(Class::Toolchain, format!("{}: {message}", Platform::describe_triple(triple)))
}

/// Adds a hint to use glibc on one platform.
fn gnu_instead(failure: Failure, platform: Platform) -> Failure {
    failure.hint(format!(
        "use glibc on this platform: platform.\"{platform}\" = {{ libc = \"gnu\", base = \"debian:trixie-slim\" }}"
    ))
}

fn with_platforms(triples: &[String]) -> String {
    triples.iter().map(|triple| Platform::describe_triple(triple)).collect::<Vec<_>>().join("; ")
}

fn not_installed(triples: &[String]) -> Failure {
    Failure::new(Class::Toolchain, format!("the standard library is not installed for {}", with_platforms(triples)))
}

/// Returns the path of rustup. Fails if rustup is missing, or if it would need network access while offline.
pub(crate) fn find_rustup(missing: &[String], offline: bool) -> Result<PathBuf, Failure> {
    let triples = missing.join(" ");
    let Some(rustup) = find_program("rustup") else {
        return Err(not_installed(missing)
            .hint(format!("install rustup (https://rustup.rs), then run `rustup target add {triples}`"))
            .hint("or install your distribution's standard library package for this target and rustc version")
            .hint(BUILD_STD_HINT));
    };
    if offline {
        return Err(not_installed(missing).hint(format!("run `rustup target add {triples}` while online")));
    }
    Ok(rustup)
}

/// Installs the missing standard libraries with rustup, into the toolchain that rustup selects.
pub(crate) fn install(missing: &[String], offline: bool, ui: &Ui) -> Result<()> {
    let rustup = find_rustup(missing, offline)?;
    ui.status("Installing", format!("the standard library for {}", with_platforms(missing)));
    let cmd = Cmd::new(rustup).args(["target", "add"]).args(missing).env("RUST_BACKTRACE", "0");
    ui.command(&cmd);
    let output = cmd.output()?;
    if output.status.success() { Ok(()) } else { Err(install_failure(missing, &output.stderr).into()) }
}

fn install_failure(missing: &[String], stderr: &str) -> Failure {
    let mut lines = stderr.trim().lines();
    let message = lines.clone().find(|line| line.starts_with("error")).or(lines.next_back()).unwrap_or_default();
    let failure = not_installed(missing)
        .hint(format!("`rustup target add {}` failed: {message}", missing.join(" ")))
        .hint(BUILD_STD_HINT);
    // Suggest glibc if rustup has no standard library for a musl target, as is the case for some older toolchains.
    let is_unavailable =
        |triple: &&String| triple.contains("-musl") && message.contains("does not") && message.contains(*triple);
    let unavailable = missing.iter().filter(is_unavailable);
    unavailable.filter_map(|triple| Platform::for_triple(triple).next()).fold(failure, gnu_instead)
}

/// Returns the error for standard libraries that are still missing after [`install`].
pub(crate) fn installed_elsewhere(missing: &[String], rustc: &Path) -> Failure {
    not_installed(missing).hint(format!(
        "find the toolchain in use with `{} --print sysroot`: rustup installed the library for a different toolchain",
        rustc.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::Facts;
    use crate::plan::BuildSettings;

    const ARM64: &str = "aarch64-unknown-linux-musl";

    #[test]
    fn rejects_targets_without_a_distributed_standard_library() {
        let check =
            |triple: &str, has_std| check_is_distributed(triple, &TargetFacts { has_std, ..TargetFacts::default() });
        for (triple, std) in [(ARM64, false), ("s390x-unknown-linux-gnu", false), ("s390x-unknown-linux-musl", true)] {
            assert!(check(triple, std).is_ok(), "{triple}");
        }
        let failure = check("s390x-unknown-linux-musl", false).unwrap_err();
        let message =
            "linux/s390x, s390x-unknown-linux-musl: Rust does not distribute a standard library for this target";
        assert_eq!(failure.to_string(), message);
        let gnu = "platform.\"linux/s390x\" = { libc = \"gnu\", base = \"debian:trixie-slim\" }";
        assert!(failure.hints()[0].contains(gnu) && failure.hints()[1] == BUILD_STD_HINT, "{:?}", failure.hints());
    }

    #[test]
    fn build_std_requires_nightly_and_rust_src() {
        for (nightly, variable, in_build_env, rust_src, expected) in [
            (true, false, false, true, None),
            (false, true, false, true, None),
            (false, false, true, true, None),
            (
                false,
                false,
                false,
                true,
                Some("build-std requires a nightly toolchain, but the current toolchain is 1.95.0"),
            ),
            (true, false, false, false, Some("build-std requires the standard library source, which is not installed")),
        ] {
            let set = |on: bool| on.then(|| "RUSTC_BOOTSTRAP".to_owned());
            let mut facts = Facts::default();
            facts.env.variables = set(variable).into_iter().collect();
            let rust = RustToolchain {
                is_nightly: nightly,
                rust_src: rust_src.then(|| "/rust".to_owned()),
                version: "1.95.0".into(),
                ..RustToolchain::default()
            };
            let env = set(in_build_env).map(|name| (name, "1".to_owned())).into_iter().collect();
            let build = BuildSettings { triple: ARM64.into(), env, build_std: true, ..BuildSettings::default() };
            let failure = check(&facts.build(&build), &rust).err();
            let expected = expected.map(|problem| format!("linux/arm64, {ARM64}: {problem}"));
            assert_eq!(failure.as_ref().map(ToString::to_string), expected);
            assert!(failure.is_none_or(|failure| !failure.hints().is_empty()));
        }
    }
}
