//! Determines which flags rustc gets, in which order, and where each of them is set.

use super::cargo_command::target_flags;
use super::facts::{BuildFacts, RustToolchain};

/// Flags for rustc from one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FlagSource<'a> {
    /// The name for messages, such as "RUSTFLAGS".
    pub name: &'a str,
    pub flags: &'a [String],
}

const CARGO_CONFIG: &str = "cargo's configuration";

/// Returns all flags that rustc gets for a build, in their order.
pub(super) fn all(build: &BuildFacts<'_>, rust: &RustToolchain) -> Vec<String> {
    let added = target_flags(build, rust);
    sources(build, &added).iter().flat_map(|source| source.flags).cloned().collect()
}

/// Returns the sources of a build's flags, in rustc's order. `added` are the flags that are added to the user's.
pub(super) fn sources<'a>(build: &BuildFacts<'a>, added: &'a [String]) -> Vec<FlagSource<'a>> {
    let added = FlagSource { name: "the key `rustflags`", flags: added };
    if let Some(flags) = &build.env.rustflags {
        let is_encoded = build.env.variables.contains("CARGO_ENCODED_RUSTFLAGS");
        let name = if is_encoded { "CARGO_ENCODED_RUSTFLAGS" } else { "RUSTFLAGS" };
        return vec![FlagSource { name, flags }, added];
    }
    // cargo's order is `[target.<triple>]` or `[build]`, its environment variable, `--config`, `[target.'cfg(…)']`.
    let target = build.target;
    let (first, in_cfg_tables) = split_end(&target.rustflags, target.cfg_rustflags);
    let mut sources = Vec::new();
    match &target.rustflags_variable {
        Some(variable) => {
            let (in_files, in_variable) = split_end(first, variable.flags);
            sources.push(FlagSource { name: CARGO_CONFIG, flags: in_files });
            sources.push(FlagSource { name: &variable.name, flags: in_variable });
        }
        None => sources.push(FlagSource { name: CARGO_CONFIG, flags: first }),
    }
    sources.push(added);
    sources.push(FlagSource { name: CARGO_CONFIG, flags: in_cfg_tables });
    sources
}

/// Splits off the last `count` flags.
fn split_end(flags: &[String], count: usize) -> (&[String], &[String]) {
    flags.split_at(flags.len().saturating_sub(count))
}

/// Returns the values of a codegen option (`-C NAME=VALUE`), in their order.
pub(super) fn codegen_option<'a>(flags: &'a [String], name: &str) -> Vec<&'a str> {
    let mut values = Vec::new();
    let mut flags = flags.iter().map(String::as_str).peekable();
    while let Some(flag) = flags.next() {
        let option = match flag {
            "-C" | "--codegen" => flags.peek().copied(),
            _ => flag.strip_prefix("-C").or_else(|| flag.strip_prefix("--codegen=")),
        };
        if let Some((key, value)) = option.and_then(|option| option.trim_start().split_once('='))
            && key.replace('_', "-") == name
        {
            values.push(value);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::{Facts, RustflagsVariable, TargetFacts};
    use crate::plan::BuildSettings;

    fn flags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn codegen_options_have_several_forms() {
        for (text, expected) in [
            ("", &[][..]),
            ("-Ctarget-cpu=native", &["native"]),
            ("-C target-cpu=native", &["native"]),
            ("--codegen target_cpu=native", &["native"]),
            ("--codegen=target-cpu=native", &["native"]),
            ("-Ctarget-cpu=native -Ctarget-cpu=x86-64-v3", &["native", "x86-64-v3"]),
            ("-Copt-level=3 --cfg target-cpu=native", &[]),
        ] {
            assert_eq!(codegen_option(&flags(text), "target-cpu"), expected, "{text}");
        }
    }

    #[test]
    fn sources_are_in_the_order_of_cargo() {
        let settings = BuildSettings::default();
        let target = TargetFacts {
            rustflags: flags("file variable cfg"),
            cfg_rustflags: 1,
            rustflags_variable: Some(RustflagsVariable { name: "CARGO_TARGET_X_RUSTFLAGS".to_owned(), flags: 1 }),
            ..TargetFacts::default()
        };
        let mut facts = Facts { targets: [(String::new(), target)].into(), ..Facts::default() };
        let added = flags("key");
        let order = |facts: &Facts| {
            let sources = sources(&facts.build(&settings), &added);
            sources.iter().map(|source| format!("{} from {}", source.flags.join(" "), source.name)).collect::<Vec<_>>()
        };
        let expected = [
            "file from cargo's configuration",
            "variable from CARGO_TARGET_X_RUSTFLAGS",
            "key from the key `rustflags`",
            "cfg from cargo's configuration",
        ];
        assert_eq!(order(&facts), expected);
        facts.env.rustflags = Some(flags("user"));
        assert_eq!(order(&facts), ["user from RUSTFLAGS", "key from the key `rustflags`"]);
    }
}
