//! Predicts how the executables of a build will be linked, from the target, the cargo profile and rustc's flags.

use super::facts::{BuildFacts, RustToolchain};
use super::rustflags::{self, codegen_option};
use crate::elf::linking::SymbolKind;

/// How executables will be linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExpectedLinking {
    /// `static-pie`, `pie`, `not pie`, or `static` if it depends on the version of rustc whether a static executable is
    /// position-independent. `None` if linker arguments decide it.
    pub executable: Option<&'static str>,
    pub symbols: SymbolKind,
}

/// Predicts how executables will be linked. `in_profile` is what the cargo profile leaves in them.
pub(crate) fn predict(build: &BuildFacts<'_>, rust: &RustToolchain, in_profile: SymbolKind) -> ExpectedLinking {
    let flags = rustflags::all(build, rust);
    ExpectedLinking { executable: executable_kind(build, &flags), symbols: symbols(&flags, in_profile) }
}

/// Predicts the kind of executable like rustc's `link_output_kind`. Position-independent code is the default of all
/// supported targets.
fn executable_kind(build: &BuildFacts<'_>, flags: &[String]) -> Option<&'static str> {
    if linker_args(flags).any(|arg| arg.contains("pie") || arg.contains("-static")) {
        return None;
    }
    let is_pie = codegen_option(flags, "relocation-model").last().is_none_or(|model| ["pic", "pie"].contains(model));
    // rustc links static executables as PIEs for these targets in all supported versions, and may do so for others.
    let is_known_static_pie = build.triple().starts_with("x86_64-");
    Some(match (is_pie, links_libc_statically(build, flags)) {
        (false, _) => "not pie",
        (true, false) => "pie",
        (true, true) if is_known_static_pie => "static-pie",
        (true, true) => "static",
    })
}

fn links_libc_statically(build: &BuildFacts<'_>, flags: &[String]) -> bool {
    let features = codegen_option(flags, "target-feature");
    let mut switches = features.iter().flat_map(|value| value.split(',')).filter_map(|feature| match feature {
        "+crt-static" => Some(true),
        "-crt-static" => Some(false),
        _ => None,
    });
    switches.next_back().unwrap_or(build.target.crt_static)
}

/// Predicts the symbols. `-C debuginfo` changes nothing: the standard library always has debug information, and cargo
/// requests to strip it according to the profile alone.
fn symbols(flags: &[String], in_profile: SymbolKind) -> SymbolKind {
    const STRIP_ALL: [&str; 4] = ["-s", "--strip-all", "-Wl,-s", "-Wl,--strip-all"];
    if linker_args(flags).any(|arg| STRIP_ALL.contains(&arg)) {
        return SymbolKind::Stripped;
    }
    match codegen_option(flags, "strip").last() {
        Some(&"symbols") => SymbolKind::Stripped,
        Some(&"debuginfo") => SymbolKind::Symbols,
        Some(&"none") => SymbolKind::DebugInfo,
        _ => in_profile,
    }
}

fn linker_args(flags: &[String]) -> impl Iterator<Item = &str> {
    let args = codegen_option(flags, "link-args").into_iter().flat_map(str::split_whitespace);
    codegen_option(flags, "link-arg").into_iter().chain(args)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::{Facts, TargetFacts};
    use crate::plan::BuildSettings;

    #[test]
    fn target_and_flags_determine_how_executables_are_linked() {
        use SymbolKind::{DebugInfo, Stripped, Symbols};
        for (triple, flags, executable, symbols) in [
            ("x86_64-unknown-linux-musl", "", Some("static-pie"), Symbols),
            ("aarch64-unknown-linux-musl", "", Some("static"), Symbols),
            ("riscv64gc-unknown-linux-musl", "", Some("static"), Symbols),
            ("x86_64-unknown-linux-gnu", "", Some("pie"), Symbols),
            ("x86_64-unknown-linux-gnu", "-Ctarget-feature=+aes,+crt-static", Some("static-pie"), Symbols),
            ("x86_64-unknown-linux-musl", "-C relocation-model=static", Some("not pie"), Symbols),
            ("aarch64-unknown-linux-musl", "-Ctarget-feature=-crt-static", Some("pie"), Symbols),
            ("x86_64-unknown-linux-gnu", "-Clink-arg=-no-pie", None, Symbols),
            ("x86_64-unknown-linux-gnu", "-Cstrip=symbols", Some("pie"), Stripped),
            ("x86_64-unknown-linux-gnu", "-C strip=none", Some("pie"), DebugInfo),
            ("x86_64-unknown-linux-gnu", "-Cstrip=symbols -Cstrip=debuginfo", Some("pie"), Symbols),
            ("x86_64-unknown-linux-gnu", "-Cdebuginfo=2", Some("pie"), Symbols),
            ("x86_64-unknown-linux-gnu", "-Clink-args=-Wl,-s", Some("pie"), Stripped),
        ] {
            let rustflags = flags.split_whitespace().map(str::to_owned).collect();
            let build = BuildSettings { triple: triple.to_owned(), rustflags, ..BuildSettings::default() };
            let crt_static = triple.contains("musl") && !triple.contains("riscv64");
            let target = TargetFacts { crt_static, ..TargetFacts::default() };
            let facts = Facts { targets: [(triple.to_owned(), target)].into(), ..Facts::default() };
            let expected = ExpectedLinking { executable, symbols };
            assert_eq!(predict(&facts.build(&build), &facts.rust, Symbols), expected, "{triple} {flags}");
        }
    }
}
