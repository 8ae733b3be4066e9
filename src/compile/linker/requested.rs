//! The linker that the settings ask for, or why it cannot serve. Pure.

use super::choice::{Choice, Linker};
use super::cross::Cross;
use super::errors::{no_gcc, no_linker};
use crate::compile::facts::{TargetFacts, Tools};
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// The choice of a linker by name.
pub fn requested(wanted: LinkerChoice, triple: &str, facts: &TargetFacts, tools: &Tools) -> Result<Choice, Failure> {
    let chosen = |linker| Ok(Choice { linker, why: "the settings ask for it".to_owned() });
    match wanted {
        LinkerChoice::Host if links_for(&tools.host, triple) => chosen(Linker::Host),
        LinkerChoice::Host => {
            let what = format!("linker = \"host\", and the compiler of {} does not link for it", tools.host);
            let what = format!("{}: {what}", Platform::describe_triple(triple));
            Err(Failure::new(Class::Toolchain, what)
                .hint("leave `linker` out, and one that serves is chosen; or ask for it on one platform only"))
        }
        LinkerChoice::RustLld if !facts.self_contained => {
            let what = format!("{triple}: linker = \"rust-lld\", and the toolchain has no start files for this target");
            Err(Failure::new(Class::Toolchain, what).hint("take a musl target, or linker = \"zig\""))
        }
        LinkerChoice::RustLld if tools.rust_lld => chosen(Linker::RustLld),
        LinkerChoice::RustLld => {
            Err(Failure::new(Class::Toolchain, format!("{triple}: this toolchain has no rust-lld"))
                .hint("take linker = \"zig\""))
        }
        LinkerChoice::Zig if tools.zig.is_some() => chosen(Linker::Zig),
        LinkerChoice::Zig => Err(no_linker(triple, "linker = \"zig\", and zig is missing", Some("zig"), facts)),
        LinkerChoice::Gcc => match &facts.gcc {
            Some(gcc) => chosen(Linker::Gcc(gcc.clone())),
            None => Err(no_gcc(triple, facts)),
        },
        LinkerChoice::Cross => match tools.cross.as_ref().map(Cross::lacks) {
            Some(None) => chosen(Linker::Cross),
            Some(Some((what, hint))) => {
                Err(Failure::new(Class::Toolchain, format!("{triple}: linker = \"cross\", and {what}")).hint(hint))
            }
            None => Err(Failure::new(Class::Toolchain, format!("{triple}: linker = \"cross\", and it is missing"))
                .hint("install it: `cargo install cross --locked`")),
        },
    }
}

/// Does this machine's own compiler link for a target? x86-64's does for 32 bits as well; musl brings its own libc along.
fn links_for(host: &str, triple: &str) -> bool {
    let has_libc = triple.contains("-musl") || host.contains("-linux-gnu");
    let [of_host, target] = [host, triple].map(|triple| triple.split('-').next().unwrap_or_default());
    let is_its_own = of_host == target || (of_host == "x86_64" && ["i686", "i586"].contains(&target));
    host.contains("-linux-") && has_libc && is_its_own
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let tools = Tools { host: AMD64.to_owned(), ..Tools::default() };
        let failure = requested(LinkerChoice::Host, ARM64, &TargetFacts::default(), &tools).unwrap_err();
        let what = "linker = \"host\", and the compiler of x86_64-unknown-linux-gnu does not link for it";
        assert_eq!(failure.to_string(), format!("linux/arm64, {ARM64}: {what}"));
    }
}
