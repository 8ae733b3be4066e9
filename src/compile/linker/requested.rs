//! The linker that the settings request, or why it cannot be used.

use super::errors::{no_gcc, no_linker};
use super::types::{Linker, LinkerSelection};
use crate::compile::facts::{BuildFacts, HostTools, RustToolchain};
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// Selects the linker that the settings name.
pub(crate) fn requested(
    linker: LinkerChoice,
    build: &BuildFacts<'_>,
    rust: &RustToolchain,
    tools: &HostTools,
) -> Result<LinkerSelection, Failure> {
    let triple = build.triple();
    let selected = |linker| Ok(LinkerSelection { linker, why: "the settings ask for it".to_owned() });
    match linker {
        LinkerChoice::Host if links_for(&rust.host, triple) => selected(Linker::Host),
        LinkerChoice::Host => {
            let problem = format!("linker = \"host\", and the compiler of {} does not link for it", rust.host);
            let message = format!("{}: {problem}", Platform::describe_triple(triple));
            Err(Failure::new(Class::Toolchain, message)
                .hint("leave `linker` out, and one that serves is chosen; or ask for it on one platform only"))
        }
        LinkerChoice::RustLld if !build.target.self_contained => {
            let message =
                format!("{triple}: linker = \"rust-lld\", and the toolchain has no start files for this target");
            Err(Failure::new(Class::Toolchain, message).hint("take a musl target, or linker = \"zig\""))
        }
        LinkerChoice::RustLld if rust.has_rust_lld => selected(Linker::RustLld),
        LinkerChoice::RustLld => {
            Err(Failure::new(Class::Toolchain, format!("{triple}: this toolchain has no rust-lld"))
                .hint("take linker = \"zig\""))
        }
        LinkerChoice::Zig if tools.has_zig => selected(Linker::Zig),
        LinkerChoice::Zig => {
            Err(no_linker(triple, "linker = \"zig\", and zig is missing", Some(LinkerChoice::Zig), build.target))
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
            None => Err(Failure::new(Class::Toolchain, format!("{triple}: linker = \"cross\", and it is missing"))
                .hint("install it: `cargo install cross --locked`")),
        },
    }
}

/// Does this machine's own compiler link for a target? x86-64's does for 32 bits as well; musl brings its own libc along.
fn links_for(host: &str, triple: &str) -> bool {
    let has_libc = triple.contains("-musl") || host.contains("-linux-gnu");
    let [host_architecture, target] = [host, triple].map(|triple| triple.split('-').next().unwrap_or_default());
    let is_its_own =
        host_architecture == target || (host_architecture == "x86_64" && ["i686", "i586"].contains(&target));
    host.contains("-linux-") && has_libc && is_its_own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::Facts;
    use crate::plan::BuildSettings;

    #[test]
    fn the_hosts_compiler_is_for_its_own_architecture() {
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
        let problem = "linker = \"host\", and the compiler of x86_64-unknown-linux-gnu does not link for it";
        assert_eq!(failure.to_string(), format!("linux/arm64, {ARM64}: {problem}"));
    }
}
