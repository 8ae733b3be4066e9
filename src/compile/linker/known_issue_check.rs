//! Refuses builds that are known to fail with the chosen linker.

use super::choice::{Choice, Linker};
use crate::compile::facts::Tools;
use crate::compile::target_env;
use crate::error::{Class, Failure};
use crate::plan::{BuildSettings, Plan};

/// Fails for a build that is known to, whatever links.
pub fn check(plan: &Plan, build: &BuildSettings, tools: &Tools) -> Result<(), Failure> {
    refuse(plan, build, tools, false)
}

/// Fails for a build whose C code zig is to compile, and is known not to.
pub fn check_zig(plan: &Plan, build: &BuildSettings, choice: &Choice, tools: &Tools) -> Result<(), Failure> {
    let is_ours = ["CC", "CMAKE_TOOLCHAIN_FILE"].iter().all(|name| !target_env::is_own(build, name, tools));
    match choice.linker == Linker::Zig && is_ours {
        true => refuse(plan, build, tools, true),
        false => Ok(()),
    }
}

pub fn refuse(plan: &Plan, build: &BuildSettings, tools: &Tools, by_zig: bool) -> Result<(), Failure> {
    let graph = tools.graph(build);
    let Some(known) = graph.unsupported.iter().find(|known| known.by_zig == by_zig) else { return Ok(()) };
    let platform = plan.name_of(build);
    let what = format!("{platform}: {} does not compile there: it {}", known.package, known.why);
    Err(Failure::new(Class::Compile, what)
        .hint(known.fix)
        .hint(format!("or leave {platform} out: `platforms`, `--platform`")))
}
