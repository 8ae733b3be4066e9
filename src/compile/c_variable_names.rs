//! Names of the target-specific environment variables that the `cc`, `cmake` and `bindgen` crates read.

use std::collections::BTreeSet;

/// The variables that can be set for a single target as `NAME_<target>`.
pub(crate) const C_VARIABLES: [&str; 6] = ["CC", "CXX", "AR", "RANLIB", "CMAKE_TOOLCHAIN_FILE", BINDGEN];
pub(crate) const BINDGEN: &str = "BINDGEN_EXTRA_CLANG_ARGS";

/// Returns a variable's names for a target, such as `CC_<target>` and `TARGET_CC`.
pub(crate) fn spellings(variable: &str, triple: &str) -> [String; 3] {
    [format!("{variable}_{triple}"), format!("{variable}_{}", triple.replace('-', "_")), format!("TARGET_{variable}")]
}

/// Returns the variables in [`C_VARIABLES`] that are set for a target. `variables` contains the names of all variables
/// in the environment.
pub(crate) fn set_for_target(triple: &str, variables: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let is_set = |variable: &&str| {
        // A compiler variable without a target in its name refers to the host's compiler, but CMAKE_TOOLCHAIN_FILE and
        // BINDGEN_EXTRA_CLANG_ARGS apply to all targets.
        let is_for_all = variable.contains('_') && variables.contains(*variable);
        is_for_all || spellings(variable, triple).iter().any(|name| variables.contains(name))
    };
    C_VARIABLES.into_iter().filter(is_set).collect()
}
