//! Which linker serves a target triple, and why: data in, a choice or a hint out.

pub mod choice;
pub mod cross;
pub mod errors;
pub mod known_issue_check;
pub mod requested;

use self::choice::{Choice, Linker};
use self::errors::{no_c_compiler, no_linker, sysroot_by_hand};
use self::requested::requested;
use super::facts::{TargetFacts, Tools};
use super::target_env;
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};
use crate::plan::BuildSettings;

/// Chooses the linker of a build, first that serves.
pub fn choose(build: &BuildSettings, tools: &Tools) -> Result<Choice, Failure> {
    let triple = build.triple.as_str();
    let default = TargetFacts::default();
    let facts = tools.targets.get(triple).unwrap_or(&default);
    let musl = triple.contains("-musl");
    let chosen = |linker, why: &str| Ok(Choice { linker, why: why.to_owned() });

    if build.linker == Some(LinkerChoice::Cross) && !build.sysroot_packages.is_empty() {
        let what = format!("{triple}: linker = \"cross\", whose container does not see sysroot-packages");
        return Err(Failure::new(Class::Toolchain, what)
            .hint("install them in the container: `pre-build` in Cross.toml; or take another linker"));
    }
    if let Some(program) = tools.missing_apt.filter(|_| !build.sysroot_packages.is_empty()) {
        let packages = build.sysroot_packages.join(", ");
        return Err(Failure::new(
            Class::Toolchain,
            format!("{triple}: {packages} is fetched by apt, and {program} is missing"),
        )
        .hint("on Debian and Ubuntu: `apt-get install apt dpkg`")
        .hint(sysroot_by_hand(triple)));
    }
    // zig has glibc's symbols to link against, and no static one.
    let static_glibc = !musl && tools.links_statically(build);
    let zig_is_asked_for = build.linker == Some(LinkerChoice::Zig) || (build.linker.is_none() && build.glibc.is_some());
    if static_glibc && zig_is_asked_for && facts.configured_linker.is_none() {
        let failure = no_linker(triple, "zig, which is asked for, does not link glibc statically", Some("gcc"), facts);
        return Err(failure.hint("take linker = \"gcc\" and no glibc floor, which a static binary has no use for"));
    }
    let another = facts.configured_linker.is_some() || build.linker.is_some_and(|linker| linker != LinkerChoice::Zig);
    if let Some(floor) = build.glibc.as_ref().filter(|_| another) {
        let what =
            format!("{triple}: glibc = \"{floor}\" is a floor that only zig keeps, and another linker is asked for");
        return Err(Failure::new(Class::Toolchain, what)
            .hint("leave `glibc` out, or the linker: `linker`, or the one in cargo's configuration"));
    }
    if let Some(linker) = &facts.configured_linker {
        let why = match build.linker {
            None => "cargo's configuration names it".to_owned(),
            Some(wanted) => format!("cargo's configuration names it, and wins over linker = \"{wanted}\""),
        };
        return chosen(Linker::Configured(linker.clone()), &why);
    }
    if let Some(wanted) = build.linker {
        return requested(wanted, triple, facts, tools);
    }
    if build.glibc.is_some() {
        return match tools.zig {
            Some(_) => chosen(Linker::Zig, "a glibc floor is asked for"),
            None => Err(no_linker(triple, "a glibc floor needs zig", Some("zig"), facts)),
        };
    }
    if triple == tools.host {
        return chosen(Linker::Host, "it is the host's own target");
    }
    let has_cc = target_env::is_own(build, "CC", tools);
    let graph = tools.graph(build);
    let c = graph.needs_c.as_deref().filter(|_| !has_cc);
    if musl && facts.self_contained && tools.rust_lld && c.is_none() {
        return chosen(Linker::RustLld, "the toolchain has all that a pure-Rust musl binary needs");
    }
    if tools.zig.is_some() && !static_glibc {
        return match c {
            Some(package) => chosen(Linker::Zig, &format!("{package} compiles C")),
            None => chosen(Linker::Zig, "it links for every target"),
        };
    }
    if let Some(gcc) = &facts.gcc {
        return chosen(Linker::Gcc(gcc.clone()), "it is on PATH");
    }
    if build.sysroot_packages.is_empty() && tools.cross.as_ref().is_some_and(|cross| cross.lacks().is_none()) {
        return chosen(Linker::Cross, "nothing else here links for it");
    }
    Err(match c {
        _ if static_glibc => no_linker(triple, "glibc is linked statically by gcc alone", Some("gcc"), facts),
        Some(package) => no_linker(triple, &no_c_compiler(package, musl, facts), None, facts),
        None => no_linker(triple, "there is no linker for this target", None, facts),
    })
}

/// What is not as the settings ask for it.
pub fn note(build: &BuildSettings, choice: &Choice, platforms: &str) -> Option<String> {
    match (&choice.linker, build.linker) {
        (Linker::Configured(configured), Some(wanted)) => Some(format!(
            "{platforms}: linker = \"{wanted}\" is not taken: cargo's configuration names {configured} for {}",
            build.triple
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {

    use super::cross::Cross;
    use super::*;
    use crate::compile::dependency_summary::DependencySummary;

    const MUSL: &str = "aarch64-unknown-linux-musl";
    const GNU: &str = "aarch64-unknown-linux-gnu";

    fn build(triple: &str) -> BuildSettings {
        BuildSettings { triple: triple.to_owned(), profile: "release".into(), ..BuildSettings::default() }
    }

    /// The builds of `build` compile C.
    fn c(tools: &mut Tools) {
        let summary =
            || DependencySummary { packages: 1, needs_c: Some("ring".into()), ..DependencySummary::default() };
        tools.graphs = [MUSL, GNU].map(|triple| (build(triple), summary())).into();
    }

    fn tools(change: impl FnOnce(&mut Tools, &mut TargetFacts)) -> Tools {
        let mut facts = TargetFacts { std: true, self_contained: true, crt_static: true, ..TargetFacts::default() };
        let mut tools = Tools { host: "x86_64-unknown-linux-gnu".into(), rust_lld: true, ..Tools::default() };
        change(&mut tools, &mut facts);
        tools.targets = [MUSL, GNU].iter().map(|triple| ((*triple).to_owned(), facts.clone())).collect();
        tools
    }

    #[test]
    fn the_first_that_serves() {
        let gcc = |facts: &mut TargetFacts| facts.gcc = Some("aarch64-linux-gnu-gcc".into());
        let zig = |tools: &mut Tools| tools.zig = Some("zig".into());
        type Change = Box<dyn Fn(&mut Tools, &mut TargetFacts)>;
        let cases: Vec<(&str, &str, Change, &str)> = vec![
            ("pure Rust, musl", MUSL, Box::new(|_, _| ()), "rust-lld"),
            ("pure Rust, musl, zig there", MUSL, Box::new(move |t, _| zig(t)), "rust-lld"),
            (
                "C, musl",
                MUSL,
                Box::new(move |t, _| {
                    zig(t);
                    c(t);
                }),
                "zig",
            ),
            (
                "C, musl, own CC",
                MUSL,
                Box::new(move |t, f| {
                    c(t);
                    f.env_tools.insert("CC");
                }),
                "rust-lld",
            ),
            (
                "no self-contained musl",
                MUSL,
                Box::new(move |t, f| {
                    zig(t);
                    f.self_contained = false
                }),
                "zig",
            ),
            (
                "gnu, zig and gcc",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    gcc(f)
                }),
                "zig",
            ),
            (
                "static glibc",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    gcc(f);
                    t.env_rustflags = Some(vec!["-Ctarget-feature=+crt-static".into()]);
                }),
                "aarch64-linux-gnu-gcc",
            ),
            ("gnu, gcc", GNU, Box::new(move |_, f| gcc(f)), "aarch64-linux-gnu-gcc"),
            (
                "cargo's configuration first",
                GNU,
                Box::new(move |t, f| {
                    zig(t);
                    f.configured_linker = Some("my-ld".into())
                }),
                "my-ld (cargo config)",
            ),
            (
                "the host's own",
                GNU,
                Box::new(move |t, _| {
                    zig(t);
                    t.host = GNU.into()
                }),
                "host",
            ),
        ];
        for (name, triple, change, linker) in cases {
            assert_eq!(choose(&build(triple), &tools(change)).unwrap().linker.to_string(), linker, "{name}");
        }
    }

    #[test]
    fn cargos_configuration_wins_over_every_setting() {
        let tools = tools(|tools, facts| {
            facts.configured_linker = Some("my-ld".into());
            facts.gcc = Some("aarch64-linux-gnu-gcc".into());
            tools.zig = Some("zig".into());
        });
        for wanted in
            [LinkerChoice::Host, LinkerChoice::RustLld, LinkerChoice::Zig, LinkerChoice::Gcc, LinkerChoice::Cross]
        {
            let build = BuildSettings { linker: Some(wanted), ..build(GNU) };
            let choice = choose(&build, &tools).unwrap();
            assert_eq!(choice.linker, Linker::Configured("my-ld".into()), "{wanted}");
            assert_eq!(choice.why, format!("cargo's configuration names it, and wins over linker = \"{wanted}\""));
            let note = note(&build, &choice, "linux/arm64").unwrap();
            assert!(note.starts_with(&format!("linux/arm64: linker = \"{wanted}\" is not taken: ")), "{note}");
            let floor = BuildSettings { glibc: Some("2.28".into()), ..build };
            assert!(choose(&floor, &tools).unwrap_err().to_string().contains("a floor that only zig keeps"));
        }
        let plain = choose(&build(GNU), &tools).unwrap();
        assert_eq!(note(&build(GNU), &plain, "linux/arm64"), None);
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        let all = crate::platform::Platform::all().flat_map(|platform| {
            [crate::platform::Libc::Gnu, crate::platform::Libc::Musl].map(|libc| platform.triple(libc).to_owned())
        });
        for triple in all {
            for linker in
                [LinkerChoice::Host, LinkerChoice::RustLld, LinkerChoice::Zig, LinkerChoice::Gcc, LinkerChoice::Cross]
            {
                let build = BuildSettings { linker: Some(linker), ..build(&triple) };
                if let Err(failure) = choose(&build, &Tools { host: GNU.to_owned(), ..Tools::default() }) {
                    assert!(!failure.hints().is_empty(), "{failure}");
                }
            }
        }
    }

    #[test]
    fn cross_is_the_last_and_needs_containers() {
        let with = |has_containers| {
            tools(|tools, facts| {
                facts.self_contained = false;
                tools.cross = Some(Cross { has_containers, rustup: Some("rustup".into()), ..Cross::default() });
            })
        };
        assert_eq!(choose(&build(GNU), &with(true)).unwrap().linker, Linker::Cross);
        assert!(choose(&build(GNU), &with(false)).is_err());
        let forced = BuildSettings { linker: Some(LinkerChoice::Cross), ..build(GNU) };
        assert_eq!(choose(&forced, &with(true)).unwrap().why, "the settings ask for it");
        assert!(choose(&forced, &with(false)).unwrap_err().to_string().contains("no docker and no podman"));
        let packages = BuildSettings { sysroot_packages: vec!["libssl-dev".into()], ..forced.clone() };
        assert!(choose(&packages, &with(true)).unwrap_err().hints()[0].contains("`pre-build` in Cross.toml"));
        let none = choose(&forced, &tools(|_, _| ())).unwrap_err();
        assert_eq!(none.hints(), ["install it: `cargo install cross --locked`"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let none = tools(|_, facts| facts.self_contained = false);
        let failure = choose(&build(GNU), &none).unwrap_err();
        assert_eq!(failure.to_string(), "linux/arm64, aarch64-unknown-linux-gnu: there is no linker for this target");
        assert_eq!(
            failure.hints(),
            ["install zig: `pip install ziglang`", "or install gcc for it: `apt-get install gcc-aarch64-linux-gnu`"]
        );

        let failure = choose(&build(MUSL), &tools(|tools, _| c(tools))).unwrap_err();
        assert!(failure.to_string().contains("ring compiles C"), "{failure}");
        let only_gnu = tools(|tools, facts| {
            c(tools);
            facts.other_gcc = Some("aarch64-linux-gnu-gcc".into());
        });
        let failure = choose(&build(MUSL), &only_gnu).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "linux/arm64, aarch64-unknown-linux-musl: ring compiles C, and aarch64-linux-gnu-gcc compiles it for glibc, \
             which musl cannot link"
        );
        assert_eq!(failure.hints(), ["install zig: `pip install ziglang`"]);

        let floor = BuildSettings { glibc: Some("2.28".into()), ..build(GNU) };
        let gcc = BuildSettings { linker: Some(LinkerChoice::Gcc), ..floor.clone() };
        assert!(choose(&gcc, &none).unwrap_err().to_string().contains("a floor that only zig keeps"));
        assert!(choose(&floor, &none).unwrap_err().to_string().contains("glibc floor needs zig"));
        let zig = BuildSettings { linker: Some(LinkerChoice::Zig), ..build(GNU) };
        let linked_statically = BuildSettings { rustflags: vec!["-Ctarget-feature=+crt-static".into()], ..zig.clone() };
        assert!(choose(&linked_statically, &none).unwrap_err().to_string().contains("does not link glibc statically"));
        assert!(choose(&zig, &none).unwrap_err().to_string().contains("zig is missing"));

        let gcc = |triple| BuildSettings { linker: Some(LinkerChoice::Gcc), ..build(triple) };
        let failure = choose(&gcc(MUSL), &only_gnu).unwrap_err();
        let what = "linker = \"gcc\", and there is no aarch64-linux-musl-gcc; aarch64-linux-gnu-gcc links glibc";
        assert_eq!(failure.to_string(), format!("linux/arm64, {MUSL}: {what}"));
        assert!(failure.hints()[1].contains("`--libc gnu`"), "{:?}", failure.hints());
        assert_eq!(
            choose(&gcc(GNU), &none).unwrap_err().hints()[0],
            "install gcc for it: `apt-get install gcc-aarch64-linux-gnu`"
        );
    }
}
