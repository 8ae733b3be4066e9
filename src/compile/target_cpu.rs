//! Rejects builds for the CPU of this machine (`target-cpu=native`), because images run on other machines.

use super::facts::BuildFacts;
use super::rustflags::{self, codegen_option};
use crate::error::{Class, Failure};

/// Fails if a build would be compiled for the CPU of this machine. `platforms` is the display name of the build's
/// platforms.
pub(crate) fn check(build: &BuildFacts<'_>, platforms: &str) -> Result<(), Failure> {
    let sources = rustflags::sources(build, &build.settings.rustflags);
    // rustc uses the last target-cpu.
    let selected = sources.iter().rev().find_map(|source| Some((source.name, target_cpu(source.flags)?)));
    let Some((source, "native")) = selected else { return Ok(()) };
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
    codegen_option(flags, "target-cpu").pop()
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
    fn rejects_the_cpu_of_this_machine() {
        const NATIVE: &str = "-Ctarget-cpu=native";
        const V3: &str = "-Ctarget-cpu=x86-64-v3";
        let check_flags = |in_settings: &str, in_variable: &str, in_files: &str, in_cfg_tables: &str| {
            let build = BuildSettings { rustflags: flags(in_settings), ..BuildSettings::default() };
            let target = TargetFacts {
                rustflags: flags(&format!("{in_files} {in_cfg_tables}")),
                cfg_rustflags: flags(in_cfg_tables).len(),
                ..TargetFacts::default()
            };
            let mut facts = Facts { targets: [(String::new(), target)].into(), ..Facts::default() };
            facts.env.rustflags = (!in_variable.is_empty()).then(|| flags(in_variable));
            check(&facts.build(&build), "linux/amd64").map_err(|failure| failure.to_string())
        };
        for accepted in
            [["", "", "", ""], ["", V3, "", ""], [V3, NATIVE, "", ""], [V3, "", NATIVE, ""], ["", "", NATIVE, V3]]
        {
            let [in_settings, in_variable, in_files, in_cfg_tables] = accepted;
            assert_eq!(check_flags(in_settings, in_variable, in_files, in_cfg_tables), Ok(()), "{accepted:?}");
        }
        for (rejected, source) in [
            (["", NATIVE, "", ""], "RUSTFLAGS"),
            (["", "", NATIVE, ""], "cargo's configuration"),
            (["", "", "", NATIVE], "cargo's configuration"),
            ([NATIVE, "", "", ""], "the key `rustflags`"),
            ([NATIVE, V3, "", ""], "the key `rustflags`"),
            ([V3, "", "", NATIVE], "cargo's configuration"),
        ] {
            let [in_settings, in_variable, in_files, in_cfg_tables] = rejected;
            let error = check_flags(in_settings, in_variable, in_files, in_cfg_tables).unwrap_err();
            assert!(error.contains(&format!("{source} sets target-cpu=native")), "{rejected:?}: {error}");
        }
    }
}
