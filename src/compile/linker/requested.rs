//! Checks whether the linker requested in the settings can be used.

use super::errors::{no_gcc, no_linker};
use super::types::{Linker, LinkerSelection};
use crate::compile::facts::{BuildFacts, HostTools, RustToolchain};
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// Selects the requested linker, or fails if it cannot be used for the build.
pub(crate) fn requested(
    linker: LinkerChoice,
    build: &BuildFacts<'_>,
    rust: &RustToolchain,
    tools: &HostTools,
) -> Result<LinkerSelection, Failure> {
    let triple = build.triple();
    let selected = |linker| Ok(LinkerSelection { linker, why: "explicitly requested".to_owned() });
    match linker {
        LinkerChoice::Host if links_for(&rust.host, triple) => selected(Linker::Host),
        LinkerChoice::Host => {
            let problem =
                format!("linker = \"host\" is set, but the {} compiler cannot link for this target", rust.host);
            let message = format!("{}: {problem}", Platform::describe_triple(triple));
            Err(Failure::new(Class::Toolchain, message).hint(
                "remove `linker` to choose one automatically, or set it only for platforms that this host's linker \
                 supports",
            ))
        }
        LinkerChoice::RustLld if !build.target.self_contained => {
            let message = format!(
                "{triple}: linker = \"rust-lld\" is set, but the toolchain does not include a C runtime for this target"
            );
            Err(Failure::new(Class::Toolchain, message).hint("use a musl target, or set linker = \"zig\""))
        }
        LinkerChoice::RustLld if rust.has_rust_lld => selected(Linker::RustLld),
        LinkerChoice::RustLld => {
            let message =
                format!("{triple}: linker = \"rust-lld\" is set, but this toolchain does not include rust-lld");
            Err(Failure::new(Class::Toolchain, message).hint("set linker = \"zig\""))
        }
        LinkerChoice::Zig if tools.zig.is_some() => selected(Linker::Zig),
        LinkerChoice::Zig => {
            let problem = "linker = \"zig\" is set, but zig is not installed";
            Err(no_linker(triple, problem, Some(LinkerChoice::Zig), build.target))
        }
        LinkerChoice::Gcc => match &build.target.gcc {
            Some(gcc) => selected(Linker::Gcc(gcc.clone())),
            None => Err(no_gcc(triple, build.target)),
        },
        LinkerChoice::Cross => match &tools.cross {
            Some(cross) => {
                cross.check(triple)?;
                selected(Linker::Cross)
            }
            None => {
                let message = format!("{triple}: linker = \"cross\" is set, but cross is not installed");
                Err(Failure::new(Class::Toolchain, message).hint("install cross: `cargo install cross --locked`"))
            }
        },
    }
}

/// Reports whether the host's compiler can link for a target. On x86-64, it can also link for 32-bit x86. For musl
/// targets, the host's libc does not matter.
fn links_for(host: &str, triple: &str) -> bool {
    let has_libc = triple.contains("-musl") || host.contains("-linux-gnu");
    let [host_architecture, target] = [host, triple].map(|triple| triple.split('-').next().unwrap_or_default());
    let is_supported =
        host_architecture == target || (host_architecture == "x86_64" && ["i686", "i586"].contains(&target));
    host.contains("-linux-") && has_libc && is_supported
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::Facts;
    use crate::plan::BuildSettings;

    #[test]
    fn the_host_linker_supports_only_its_own_architecture() {
        const AMD64: &str = "x86_64-unknown-linux-gnu";
        const ARM64: &str = "aarch64-unknown-linux-gnu";
        for (host, triple, expected) in [
            (AMD64, AMD64, true),
            (AMD64, "x86_64-unknown-linux-musl", true),
            (AMD64, "i686-unknown-linux-gnu", true),
            (AMD64, ARM64, false),
            (ARM64, "armv7-unknown-linux-gnueabihf", false),
            ("x86_64-unknown-linux-musl", AMD64, false),
            ("x86_64-apple-darwin", AMD64, false),
        ] {
            assert_eq!(links_for(host, triple), expected, "{host} {triple}");
        }
        let settings = BuildSettings { triple: ARM64.to_owned(), ..BuildSettings::default() };
        let mut facts = Facts::default();
        facts.rust.host = AMD64.to_owned();
        let failure = requested(LinkerChoice::Host, &facts.build(&settings), &facts.rust, &facts.tools).unwrap_err();
        let problem = "linker = \"host\" is set, but the x86_64-unknown-linux-gnu compiler cannot link for this target";
        assert_eq!(failure.to_string(), format!("linux/arm64, {ARM64}: {problem}"));
    }
}
