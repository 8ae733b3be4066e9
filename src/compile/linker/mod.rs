//! Selects a build's linker, based on facts about the machine and the target.

pub(crate) mod errors;
pub(crate) mod known_issue_check;
pub(crate) mod requested;
pub(crate) mod system_library_check;
pub(crate) mod types;
pub(crate) mod zig_args;

use self::errors::{no_c_compiler, no_linker, sysroot_by_hand};
use self::requested::requested;
use self::types::{Linker, LinkerSelection};
use super::facts::{BuildFacts, HostTools, RustToolchain};
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};

/// Selects a build's linker: the one set in cargo's configuration, or else the one requested in the settings, or else
/// the first one that can link for the target.
pub(crate) fn select(
    build: &BuildFacts<'_>,
    rust: &RustToolchain,
    tools: &HostTools,
) -> Result<LinkerSelection, Failure> {
    check_sysroot_packages(build, tools)?;
    check_zig_can_link(build)?;
    check_glibc_floor(build)?;
    let selected = |linker, why: &str| Ok(LinkerSelection { linker, why: why.to_owned() });
    if let Some(linker) = &build.target.configured_linker {
        let why = match build.settings.linker {
            None => "set in cargo's configuration".to_owned(),
            Some(requested) => format!("set in cargo's configuration, which overrides linker = \"{requested}\""),
        };
        return selected(Linker::Configured(linker.clone()), &why);
    }
    if let Some(linker) = build.settings.linker {
        return requested(linker, build, rust, tools);
    }
    if build.settings.glibc.is_some() {
        if tools.zig.is_some() {
            return selected(Linker::Zig, "can target a specific glibc version");
        }
        let problem = "the `glibc` setting requires zig, which is not installed";
        return Err(no_linker(build.triple(), problem, Some(LinkerChoice::Zig), build.target));
    }
    if build.target.is_host {
        return selected(Linker::Host, "this machine's native target");
    }
    first_usable(build, rust, tools)
}

/// Selects the first usable linker for a target other than the host's.
fn first_usable(build: &BuildFacts<'_>, rust: &RustToolchain, tools: &HostTools) -> Result<LinkerSelection, Failure> {
    let selected = |linker, why: &str| Ok(LinkerSelection { linker, why: why.to_owned() });
    let (triple, target) = (build.triple(), build.target);
    let static_glibc = is_static_glibc(build);
    let compiles_c = if build.is_set_by_user("CC") { None } else { build.dependencies.needs_c.as_deref() };
    if build.is_musl() && target.self_contained && rust.has_rust_lld && compiles_c.is_none() {
        return selected(Linker::RustLld, "pure-Rust musl binaries do not need a separate linker");
    }
    if tools.zig.is_some() && !static_glibc {
        return match compiles_c {
            Some(package) => selected(Linker::Zig, &format!("{package} compiles C code")),
            None => selected(Linker::Zig, "can link for any target"),
        };
    }
    if let Some(gcc) = &target.gcc {
        return selected(Linker::Gcc(gcc.clone()), "found on PATH");
    }
    let has_cross = tools.cross.as_ref().is_some_and(|cross| cross.check(triple).is_ok());
    if has_cross && build.settings.sysroot_packages.is_empty() {
        return selected(Linker::Cross, "no other linker found for this target");
    }
    if static_glibc {
        let problem = "linking glibc statically requires a cross gcc, but none was found";
        return Err(no_linker(triple, problem, Some(LinkerChoice::Gcc), target));
    }
    Err(match compiles_c {
        Some(package) => no_linker(triple, &no_c_compiler(package, build.is_musl(), target), None, target),
        None => no_linker(triple, "no linker found for this target", None, target),
    })
}

/// Reports whether a build links glibc statically. zig does not support this, because it does not include a static
/// glibc.
fn is_static_glibc(build: &BuildFacts<'_>) -> bool {
    !build.is_musl() && build.links_statically()
}

fn check_sysroot_packages(build: &BuildFacts<'_>, tools: &HostTools) -> Result<(), Failure> {
    let triple = build.triple();
    if build.settings.sysroot_packages.is_empty() {
        return Ok(());
    }
    if build.settings.linker == Some(LinkerChoice::Cross) {
        let message = format!("{triple}: sysroot-packages cannot be used with linker = \"cross\"");
        return Err(Failure::new(Class::Toolchain, message)
            .hint("install the packages in the container with `pre-build` in Cross.toml, or use another linker"));
    }
    if let Some(program) = tools.missing_for_sysroots {
        let packages = build.settings.sysroot_packages.join(", ");
        let message = format!("{triple}: fetching {packages} requires {program}, which is not installed");
        return Err(Failure::new(Class::Toolchain, message)
            .hint("install it on Debian or Ubuntu: `apt-get install apt dpkg`")
            .hint(sysroot_by_hand(triple)));
    }
    Ok(())
}

/// Fails if a build requests zig, by name or by setting a minimum glibc version, but zig cannot link it.
fn check_zig_can_link(build: &BuildFacts<'_>) -> Result<(), Failure> {
    let is_requested = match build.settings.linker {
        Some(linker) => linker == LinkerChoice::Zig,
        None => build.settings.glibc.is_some(),
    };
    if !is_requested || !is_static_glibc(build) || build.target.configured_linker.is_some() {
        return Ok(());
    }
    let message = "zig cannot link glibc statically";
    Err(no_linker(build.triple(), message, Some(LinkerChoice::Gcc), build.target)
        .hint("set linker = \"gcc\" and remove `glibc`, which has no effect on static binaries"))
}

/// Fails if `glibc` is set but the configured linker would ignore it.
fn check_glibc_floor(build: &BuildFacts<'_>) -> Result<(), Failure> {
    let Some(floor) = &build.settings.glibc else { return Ok(()) };
    let requests_another = build.settings.linker.is_some_and(|linker| linker != LinkerChoice::Zig);
    if build.target.configured_linker.is_none() && !requests_another {
        return Ok(());
    }
    let triple = build.triple();
    let message = format!("{triple}: glibc = \"{floor}\" requires zig, but another linker is configured");
    Err(Failure::new(Class::Toolchain, message)
        .hint("remove `glibc`, or remove the other linker, which is set by `linker` or by cargo's configuration"))
}

/// Returns a note if cargo's configuration overrides the linker in the settings. `platforms` names the build's
/// platforms in the note.
pub(crate) fn note(build: &BuildFacts<'_>, linker: &Linker, platforms: &str) -> Option<String> {
    match (linker, build.settings.linker) {
        (Linker::Configured(configured), Some(requested)) => Some(format!(
            "{platforms}: linker = \"{requested}\" is ignored: cargo's configuration sets the linker for {} \
             to {configured}",
            build.triple()
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::cross::Cross;
    use crate::compile::dependency_summary::DependencySummary;
    use crate::compile::facts::{Facts, TargetFacts};
    use crate::compile::zig_program::ZigProgram;
    use crate::plan::BuildSettings;

    const MUSL: &str = "aarch64-unknown-linux-musl";
    const GNU: &str = "aarch64-unknown-linux-gnu";

    fn build(triple: &str) -> BuildSettings {
        BuildSettings { triple: triple.to_owned(), profile: "release".into(), ..BuildSettings::default() }
    }

    /// Adds a dependency with C code to all builds.
    fn compile_c(facts: &mut Facts) {
        let summary =
            || DependencySummary { packages: 1, needs_c: Some("ring".into()), ..DependencySummary::default() };
        facts.dependencies = [MUSL, GNU].map(|triple| (build(triple), summary())).into();
    }

    /// Returns the facts about an x86-64 machine with rust-lld, as modified by `change`.
    fn facts(change: impl FnOnce(&mut Facts, &mut TargetFacts)) -> Facts {
        let mut target =
            TargetFacts { has_std: true, self_contained: true, crt_static: true, ..TargetFacts::default() };
        let mut facts = Facts::default();
        facts.rust.has_rust_lld = true;
        change(&mut facts, &mut target);
        facts.targets = [MUSL, GNU].iter().map(|triple| ((*triple).to_owned(), target.clone())).collect();
        facts
    }

    fn select(build: &BuildSettings, facts: &Facts) -> Result<LinkerSelection, Failure> {
        super::select(&facts.build(build), &facts.rust, &facts.tools)
    }

    #[test]
    fn selects_the_first_usable_linker() {
        let gcc = |target: &mut TargetFacts| target.gcc = Some("aarch64-linux-gnu-gcc".into());
        let zig = |facts: &mut Facts| facts.tools.zig = Some(ZigProgram::sample());
        type Change = Box<dyn Fn(&mut Facts, &mut TargetFacts)>;
        let cases: Vec<(&str, &str, Change, &str)> = vec![
            ("pure Rust, musl", MUSL, Box::new(|_, _| ()), "rust-lld"),
            ("pure Rust, musl, zig installed", MUSL, Box::new(move |t, _| zig(t)), "rust-lld"),
            (
                "C, musl",
                MUSL,
                Box::new(move |t, _| {
                    zig(t);
                    compile_c(t);
                }),
                "zig",
            ),
            (
                "C, musl, CC set",
                MUSL,
                Box::new(move |t, f| {
                    compile_c(t);
                    f.user_variables.insert("CC");
                }),
                "rust-lld",
            ),
            (
                "no self-contained musl",
                MUSL,
                Box::new(move |t, f| {
                    zig(t);
                    f.self_contained = false;
                }),
                "zig",
            ),
            (
                "gnu, zig and gcc",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    gcc(f);
                }),
                "zig",
            ),
            (
                "static glibc",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    gcc(f);
                    t.env.rustflags = Some(vec!["-Ctarget-feature=+crt-static".into()]);
                }),
                "aarch64-linux-gnu-gcc",
            ),
            ("gnu, gcc", GNU, Box::new(move |_, f| gcc(f)), "aarch64-linux-gnu-gcc"),
            (
                "cargo's configuration first",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    f.configured_linker = Some("my-ld".into());
                }),
                "my-ld (cargo config)",
            ),
            (
                "host target",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    f.is_host = true;
                }),
                "host",
            ),
        ];
        for (name, triple, change, linker) in cases {
            assert_eq!(select(&build(triple), &facts(change)).unwrap().linker.to_string(), linker, "{name}");
        }
    }

    #[test]
    fn cargos_configuration_overrides_every_setting() {
        let facts = facts(|facts, target| {
            target.configured_linker = Some("my-ld".into());
            target.gcc = Some("aarch64-linux-gnu-gcc".into());
            facts.tools.zig = Some(ZigProgram::sample());
        });
        for choice in
            [LinkerChoice::Host, LinkerChoice::RustLld, LinkerChoice::Zig, LinkerChoice::Gcc, LinkerChoice::Cross]
        {
            let build = BuildSettings { linker: Some(choice), ..build(GNU) };
            let selection = select(&build, &facts).unwrap();
            assert_eq!(selection.linker, Linker::Configured("my-ld".into()), "{choice}");
            assert_eq!(selection.why, format!("set in cargo's configuration, which overrides linker = \"{choice}\""));
            let note = note(&facts.build(&build), &selection.linker, "linux/arm64").unwrap();
            assert!(note.starts_with(&format!("linux/arm64: linker = \"{choice}\" is ignored: ")), "{note}");
            let floor = BuildSettings { glibc: Some("2.28".into()), ..build };
            assert!(select(&floor, &facts).unwrap_err().to_string().contains("glibc = \"2.28\" requires zig"));
        }
        let plain = build(GNU);
        let selection = select(&plain, &facts).unwrap();
        assert_eq!(note(&facts.build(&plain), &selection.linker, "linux/arm64"), None);
    }

    #[test]
    fn every_failure_has_a_hint() {
        let all = crate::platform::Platform::all().flat_map(|platform| {
            [crate::platform::Libc::Gnu, crate::platform::Libc::Musl].map(|libc| platform.triple(libc).to_owned())
        });
        for triple in all {
            for linker in
                [LinkerChoice::Host, LinkerChoice::RustLld, LinkerChoice::Zig, LinkerChoice::Gcc, LinkerChoice::Cross]
            {
                let build = BuildSettings { linker: Some(linker), ..build(&triple) };
                let mut facts = Facts::default();
                facts.rust.host = GNU.to_owned();
                if let Err(failure) = select(&build, &facts) {
                    assert!(!failure.hints().is_empty(), "{failure}");
                }
            }
        }
    }

    #[test]
    fn cross_is_the_last_choice_and_requires_containers() {
        let with = |has_containers| {
            facts(|facts, target| {
                target.self_contained = false;
                facts.tools.cross = Some(Cross { has_containers, rustup: Some("rustup".into()), ..Cross::default() });
            })
        };
        assert_eq!(select(&build(GNU), &with(true)).unwrap().linker, Linker::Cross);
        assert!(select(&build(GNU), &with(false)).is_err());
        let forced = BuildSettings { linker: Some(LinkerChoice::Cross), ..build(GNU) };
        assert_eq!(select(&forced, &with(true)).unwrap().why, "explicitly requested");
        assert!(select(&forced, &with(false)).unwrap_err().to_string().contains("neither Docker nor Podman"));
        let packages = BuildSettings { sysroot_packages: vec!["libssl-dev".into()], ..forced.clone() };
        assert!(select(&packages, &with(true)).unwrap_err().hints()[0].contains("`pre-build` in Cross.toml"));
        let none = select(&forced, &facts(|_, _| ())).unwrap_err();
        assert_eq!(none.hints(), ["install cross: `cargo install cross --locked`"]);
    }

    #[test]
    fn errors_name_what_is_missing() {
        let none = facts(|_, target| target.self_contained = false);
        let failure = select(&build(GNU), &none).unwrap_err();
        assert_eq!(failure.to_string(), "linux/arm64, aarch64-unknown-linux-gnu: no linker found for this target");
        assert_eq!(
            failure.hints(),
            [
                "install zig: `cargo multiarch doctor --fix`, or put `zig` on PATH",
                "or install a cross gcc: `apt-get install gcc-aarch64-linux-gnu`"
            ]
        );

        let failure = select(&build(MUSL), &facts(|facts, _| compile_c(facts))).unwrap_err();
        assert!(failure.to_string().contains("ring compiles C code"), "{failure}");
        let only_gnu = facts(|facts, target| {
            compile_c(facts);
            target.other_libc_gcc = Some("aarch64-linux-gnu-gcc".into());
        });
        let failure = select(&build(MUSL), &only_gnu).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "linux/arm64, aarch64-unknown-linux-musl: ring compiles C code, but aarch64-linux-gnu-gcc supports \
             only glibc, not musl"
        );
        assert_eq!(failure.hints(), ["install zig: `cargo multiarch doctor --fix`, or put `zig` on PATH"]);

        let floor = BuildSettings { glibc: Some("2.28".into()), ..build(GNU) };
        let gcc = BuildSettings { linker: Some(LinkerChoice::Gcc), ..floor.clone() };
        assert!(select(&gcc, &none).unwrap_err().to_string().contains("glibc = \"2.28\" requires zig"));
        let failure = select(&floor, &none).unwrap_err().to_string();
        assert!(failure.contains("the `glibc` setting requires zig, which is not installed"), "{failure}");
        let zig = BuildSettings { linker: Some(LinkerChoice::Zig), ..build(GNU) };
        let linked_statically = BuildSettings { rustflags: vec!["-Ctarget-feature=+crt-static".into()], ..zig.clone() };
        assert!(select(&linked_statically, &none).unwrap_err().to_string().contains("cannot link glibc statically"));
        assert!(select(&zig, &none).unwrap_err().to_string().contains("zig is not installed"));

        let gcc = |triple| BuildSettings { linker: Some(LinkerChoice::Gcc), ..build(triple) };
        let failure = select(&gcc(MUSL), &only_gnu).unwrap_err();
        let problem = "linker = \"gcc\" is set, but aarch64-linux-musl-gcc is not on PATH (aarch64-linux-gnu-gcc \
                       supports only glibc)";
        assert_eq!(failure.to_string(), format!("linux/arm64, {MUSL}: {problem}"));
        assert!(failure.hints()[1].contains("`--libc gnu`"), "{:?}", failure.hints());
        assert_eq!(
            select(&gcc(GNU), &none).unwrap_err().hints()[0],
            "install a cross gcc: `apt-get install gcc-aarch64-linux-gnu`"
        );
    }
}
