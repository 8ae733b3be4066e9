//! Names of environment variables that the crate `cc` reads for a target.

use super::facts::Tools;
use crate::plan::BuildSettings;

/// The names under which `cc`, `cmake` and `bindgen` look for a tool of a target.
pub fn spellings(tool: &str, triple: &str) -> [String; 3] {
    [format!("{tool}_{triple}"), format!("{tool}_{}", triple.replace('-', "_")), format!("TARGET_{tool}")]
}

/// Has the user set a variable for a build's target, in any of the forms that `cc` and `pkg-config` look for?
pub fn is_set_for(build: &BuildSettings, name: &str, tools: &Tools) -> bool {
    let [dashed, plain, for_targets] = spellings(name, &build.triple);
    let by_kind = if build.triple == tools.host { format!("HOST_{name}") } else { for_targets };
    [dashed, plain, by_kind].iter().any(|name| tools.is_set(build, name))
}

/// Has the user set a tool of a build, in the environment or in `build-env`?
pub fn is_own(build: &BuildSettings, tool: &str, tools: &Tools) -> bool {
    let in_environment = tools.targets.get(&build.triple).is_some_and(|facts| facts.env_tools.contains(tool));
    in_environment || spellings(tool, &build.triple).iter().any(|name| build.env.contains_key(name))
}
