//! Names of the environment variables that the crates `cc`, `cmake` and `bindgen` read for a target.

use std::collections::BTreeSet;

/// The variables that are read for one target, as `NAME_<target>`.
pub(crate) const C_VARIABLES: [&str; 6] = ["CC", "CXX", "AR", "RANLIB", "CMAKE_TOOLCHAIN_FILE", BINDGEN];
pub(crate) const BINDGEN: &str = "BINDGEN_EXTRA_CLANG_ARGS";

/// The names under which a variable is looked up for a target.
pub(crate) fn spellings(variable: &str, triple: &str) -> [String; 3] {
    [format!("{variable}_{triple}"), format!("{variable}_{}", triple.replace('-', "_")), format!("TARGET_{variable}")]
}

/// Those of [`C_VARIABLES`] that are set for a target among `variables`, the names of the environment.
pub(crate) fn set_for_target(triple: &str, variables: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let is_set = |variable: &&str| {
        // A compiler for all targets is the host's, but a toolchain file or bindgen's arguments for all targets are a
        // decision of the user's.
        let is_for_all = variable.contains('_') && variables.contains(*variable);
        is_for_all || spellings(variable, triple).iter().any(|name| variables.contains(name))
    };
    C_VARIABLES.into_iter().filter(is_set).collect()
}
