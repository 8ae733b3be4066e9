//! Rejects builds for the CPU of this machine (`target-cpu=native`), because images run on other machines.

use super::facts::BuildFacts;
use crate::error::{Class, Failure};

/// Fails if a build would be compiled for the CPU of this machine. `platforms` is the display name of the build's
/// platforms.
pub(crate) fn check(build: &BuildFacts<'_>, platforms: &str) -> Result<(), Failure> {
    const NATIVE: Option<&str> = Some("native");
    // rustc uses the last target-cpu. The flags in the settings follow the user's, except for those in `[target.*]`
    // tables of cargo's configuration, which cargo may append.
    let (in_settings, of_user) = (target_cpu(&build.settings.rustflags), target_cpu(&build.target.rustflags));
    let settings_are_last = build.env.rustflags.is_some() || !build.target.global_rustflags.is_empty();
    let is_native = in_settings == NATIVE || (of_user == NATIVE && (in_settings.is_none() || !settings_are_last));
    if !is_native {
        return Ok(());
    }
    let source = if in_settings == NATIVE {
        "the key `rustflags`"
    } else if build.env.rustflags.is_none() {
        "cargo's configuration"
    } else if build.env.variables.contains("CARGO_ENCODED_RUSTFLAGS") {
        "CARGO_ENCODED_RUSTFLAGS"
    } else {
        "RUSTFLAGS"
    };
    let message = format!(
        "{platforms}: {source} sets target-cpu=native: programs compiled for this machine's CPU can crash on other \
         machines with an illegal instruction"
    );
    Err(Failure::new(Class::Config, message).hint(hint(build.triple())))
}

fn hint(triple: &str) -> String {
    match triple.split('-').next() {
        Some("x86_64") => "remove it, or require a CPU level: use the platform linux/amd64/v3, or set \
                           `-C target-cpu=x86-64-v3`"
            .to_owned(),
        _ => format!(
            "remove it, or set `-C target-cpu` to the oldest CPU that the image must run on: `rustc --print target-cpus \
             --target {triple}` lists the names"
        ),
    }
}

/// Returns the last CPU that rustc's flags select.
fn target_cpu(flags: &[String]) -> Option<&str> {
    let mut selected = None;
    let mut flags = flags.iter().map(String::as_str).peekable();
    while let Some(flag) = flags.next() {
        let option = match flag {
            "-C" | "--codegen" => flags.peek().copied(),
            _ => flag.strip_prefix("-C").or_else(|| flag.strip_prefix("--codegen=")),
        };
        if let Some((name, value)) = option.and_then(|option| option.trim_start().split_once('='))
            && ["target-cpu", "target_cpu"].contains(&name)
        {
            selected = Some(value);
        }
    }
    selected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::facts::{Facts, TargetFacts};
    use crate::plan::BuildSettings;

    fn flags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_last_target_cpu_counts() {
        for (text, expected) in [
            ("", None),
            ("-Ctarget-cpu=native", Some("native")),
            ("-C target-cpu=native", Some("native")),
            ("--codegen target_cpu=native", Some("native")),
            ("--codegen=target-cpu=native", Some("native")),
            ("-Ctarget-cpu=native -Ctarget-cpu=x86-64-v3", Some("x86-64-v3")),
            ("-Copt-level=3 --cfg target-cpu=native", None),
        ] {
            assert_eq!(target_cpu(&flags(text)), expected, "{text}");
        }
    }

    #[test]
    fn rejects_the_cpu_of_this_machine() {
        const NATIVE: &str = "-Ctarget-cpu=native";
        const V3: &str = "-Ctarget-cpu=x86-64-v3";
        for (in_settings, in_variable, global, for_target, expected) in [
            ("", "", "", "", true),
            ("", V3, "", "", true),
            ("", NATIVE, "", "", false),
            ("", "", NATIVE, "", false),
            ("", "", "", NATIVE, false),
            (NATIVE, "", "", "", false),
            (NATIVE, V3, "", "", false),
            (V3, NATIVE, "", "", true),
            (V3, "", NATIVE, "", true),
            (V3, "", "", NATIVE, false),
        ] {
            let build = BuildSettings { rustflags: flags(in_settings), ..BuildSettings::default() };
            let target = TargetFacts {
                rustflags: flags([in_variable, global, for_target].concat().as_str()),
                global_rustflags: flags(global),
                ..TargetFacts::default()
            };
            let mut facts = Facts { targets: [(String::new(), target)].into(), ..Facts::default() };
            facts.env.rustflags = (!in_variable.is_empty()).then(|| flags(in_variable));
            let found = check(&facts.build(&build), "linux/amd64").is_ok();
            assert_eq!(found, expected, "{in_settings} {in_variable} {global} {for_target}");
        }
    }
}
