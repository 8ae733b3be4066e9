//! The standard library of the targets: there, installed by rustup, compiled along, or a failure that says how.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Result;

use super::facts::Tools;
use super::probe;
use crate::error::{Class, Failure};
use crate::plan::{BuildSettings, Plan};
use crate::platform::{Libc, Platform};
use crate::process::{Cmd, find_program};
use crate::ui::Ui;

/// The way without rustup.
pub const BUILD_IT: &str = "or have cargo compile it: build-std = true, with rust-src and a nightly toolchain";

/// Fails for a target that has no standard library here, and for which Rust comes with none; and where it cannot be
/// compiled.
pub fn check(build: &BuildSettings, tools: &Tools) -> Result<(), Failure> {
    match build.build_std {
        true => can_build(build, tools),
        false => comes_with_rust(build, tools),
    }
}

/// The triples whose standard library is to be installed; not those for which there is none.
pub fn missing(plan: &Plan, tools: &Tools) -> Vec<String> {
    let lacks = |build: &&BuildSettings| {
        tools.targets.get(&build.triple).is_some_and(|facts| !facts.std) && comes_with_rust(build, tools).is_ok()
    };
    let wanted: BTreeSet<&str> =
        plan.builds().filter(|build| !build.build_std).filter(lacks).map(|build| build.triple.as_str()).collect();
    wanted.into_iter().map(str::to_owned).collect()
}

fn comes_with_rust(build: &BuildSettings, tools: &Tools) -> Result<(), Failure> {
    let there = tools.targets.get(&build.triple).is_none_or(|facts| facts.std);
    let lacks = |platform: &Platform| build.triple.contains("-musl") && !platform.has_std(Libc::Musl);
    match Platform::for_triple(&build.triple).next().filter(lacks) {
        Some(platform) if !there => {
            Err(gnu_instead(failure(build, "Rust has no standard library for it"), platform).hint(BUILD_IT))
        }
        _ => Ok(()),
    }
}

/// `-Zbuild-std` is for nightly toolchains; RUSTC_BOOTSTRAP makes others believe that they are, which is for the user to
/// decide.
fn can_build(build: &BuildSettings, tools: &Tools) -> Result<(), Failure> {
    const BOOTSTRAP: &str = "RUSTC_BOOTSTRAP";
    let allowed = tools.nightly || tools.is_set(build, BOOTSTRAP);
    if !allowed {
        let what = format!("build-std wants a nightly toolchain, and this one is {}", tools.rust_version);
        return Err(failure(build, &what)
            .hint(
                "take one: `rustup toolchain install nightly --component rust-src`, then `cargo +nightly multiarch …`",
            )
            .hint("or have this one do it, for which it was not tested: `RUSTC_BOOTSTRAP=1 cargo multiarch …`"));
    }
    match tools.rust_src {
        Some(_) => Ok(()),
        None => Err(failure(build, "build-std wants the source of the standard library, which the toolchain lacks")
            .hint("install it: `rustup component add rust-src`")),
    }
}

fn failure(build: &BuildSettings, what: &str) -> Failure {
    Failure::new(Class::Toolchain, format!("{}: {what}", Platform::describe_triple(&build.triple)))
}

/// Hints at the other libc, for a platform alone.
fn gnu_instead(failure: Failure, platform: Platform) -> Failure {
    failure.hint(format!(
        "link glibc there: platform.\"{platform}\" = {{ libc = \"gnu\", base = \"debian:trixie-slim\" }}"
    ))
}

fn named(triples: &[String]) -> String {
    triples.iter().map(|triple| Platform::describe_triple(triple)).collect::<Vec<_>>().join("; ")
}

fn is_missing(triples: &[String]) -> Failure {
    Failure::new(Class::Toolchain, format!("the standard library is missing for {}", named(triples)))
}

/// The program that installs standard libraries, where some are missing; fails where it cannot.
pub fn installer(plan: &Plan, tools: &Tools) -> Result<Option<PathBuf>, Failure> {
    let missing = missing(plan, tools);
    (!missing.is_empty()).then(|| rustup(&missing, plan.cargo.offline)).transpose()
}

/// The program that installs the standard libraries of some triples; fails where it cannot.
pub fn rustup(missing: &[String], offline: bool) -> Result<PathBuf, Failure> {
    let wanted = missing.join(" ");
    let Some(rustup) = find_program("rustup") else {
        return Err(is_missing(missing)
            .hint(format!("with rustup: `rustup target add {wanted}`"))
            .hint(
                "without it, install your distribution's package of the target's standard library for this very rustc",
            )
            .hint(BUILD_IT));
    };
    if offline {
        return Err(is_missing(missing).hint(format!("run `rustup target add {wanted}` while online")));
    }
    Ok(rustup)
}

/// Installs the standard library of every target that lacks it, by rustup. Was there any to install?
pub fn install(plan: &Plan, tools: &mut Tools, ui: &Ui) -> Result<bool> {
    let Some(rustup) = installer(plan, tools)? else { return Ok(false) };
    let missing = missing(plan, tools);
    let wanted = missing.join(" ");
    let failure = || is_missing(&missing);
    ui.status("Installing", format!("the standard library for {}", named(&missing)));
    let cmd = Cmd::new(rustup).args(["target", "add"]).args(&missing).env("RUST_BACKTRACE", "0");
    ui.command(&cmd);
    let output = cmd.output()?;
    if !output.status.success() {
        let words = output.stderr.trim();
        let said = words.lines().find(|line| line.starts_with("error")).or(words.lines().last()).unwrap_or_default();
        let failure = failure().hint(format!("`rustup target add {wanted}` says: {said}")).hint(BUILD_IT);
        // Some musl targets are newer than the toolchain.
        let lacks = missing.iter().filter(|triple| said.contains("does not") && said.contains(*triple));
        let musl = lacks.filter(|triple| triple.contains("-musl"));
        let platforms = musl.filter_map(|triple| Platform::for_triple(triple).next());
        return Err(platforms.fold(failure, gnu_instead).into());
    }
    *tools = probe::probe(plan)?;
    match self::missing(plan, tools).is_empty() {
        true => Ok(true),
        false => Err(failure()
            .hint(format!(
                "rustup has added it to a toolchain that is not this one: see `{} --print sysroot`",
                tools.rustc.display()
            ))
            .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::TargetFacts;

    const ARM64: &str = "aarch64-unknown-linux-musl";

    #[test]
    fn a_target_that_rust_does_not_come_with() {
        let check = |triple: &str, std| {
            let targets = [(triple.to_owned(), TargetFacts { std, ..TargetFacts::default() })].into();
            let build = BuildSettings { triple: triple.to_owned(), ..BuildSettings::default() };
            comes_with_rust(&build, &Tools { targets, ..Tools::default() })
        };
        for (triple, std) in [(ARM64, false), ("s390x-unknown-linux-gnu", false), ("s390x-unknown-linux-musl", true)] {
            assert!(check(triple, std).is_ok(), "{triple}");
        }
        let failure = check("s390x-unknown-linux-musl", false).unwrap_err();
        let what = "linux/s390x, s390x-unknown-linux-musl: Rust has no standard library for it";
        assert_eq!(failure.to_string(), what);
        let gnu = "platform.\"linux/s390x\" = { libc = \"gnu\", base = \"debian:trixie-slim\" }";
        assert!(failure.hints()[0].contains(gnu) && failure.hints()[1] == BUILD_IT, "{:?}", failure.hints());
    }

    #[test]
    fn who_may_compile_the_standard_library() {
        for (nightly, variable, in_build_env, rust_src, expected) in [
            (true, false, false, true, None),
            (false, true, false, true, None),
            (false, false, true, true, None),
            (false, false, false, true, Some("build-std wants a nightly toolchain, and this one is 1.95.0")),
            (
                true,
                false,
                false,
                false,
                Some("build-std wants the source of the standard library, which the toolchain lacks"),
            ),
        ] {
            let set = |on: bool| on.then(|| "RUSTC_BOOTSTRAP".to_owned());
            let tools = Tools {
                nightly,
                rust_src: rust_src.then(|| "/rust".to_owned()),
                rust_version: "1.95.0".into(),
                variables: set(variable).into_iter().collect(),
                ..Tools::default()
            };
            let env = set(in_build_env).map(|name| (name, "1".to_owned())).into_iter().collect();
            let build = BuildSettings { triple: ARM64.into(), env, build_std: true, ..BuildSettings::default() };
            let failure = can_build(&build, &tools).err();
            let expected = expected.map(|what| format!("linux/arm64, {ARM64}: {what}"));
            assert_eq!(failure.as_ref().map(ToString::to_string), expected);
            assert!(failure.is_none_or(|failure| !failure.hints().is_empty()));
        }
    }
}
