//! Whether cargo runs by way of cargo-auditable, which puts the list of dependencies into binaries. Pure.

use super::facts::Tools;
use crate::config::choices::Auditable;
use crate::error::{Class, Failure};

/// What was decided, and what is to be said of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    pub on: bool,
    pub note: Option<String>,
}

/// cargo-auditable is a wrapper of rustc for the workspace's own crates, of which there can be one: it takes the place of
/// the user's. RUSTC_WRAPPER, such as sccache, is another thing and stays.
/// It does not run in the containers of `cross`.
pub fn decide(wanted: Auditable, tools: &Tools, by_cross: bool) -> Result<Decision, Failure> {
    let other = tools.workspace_wrapper.as_deref();
    let decision = |on: bool, note: Option<String>| Ok(Decision { on, note });
    match (wanted, tools.auditable, other) {
        (Auditable::Never, ..) | (Auditable::Auto, false, _) => decision(false, None),
        (Auditable::Auto, true, _) if by_cross => {
            decision(false, Some("cargo-auditable is not used: `cross` compiles without it".to_owned()))
        }
        (Auditable::Always, ..) if by_cross => {
            Err(Failure::new(Class::Config, "auditable = true, and `cross` compiles without cargo-auditable")
                .hint("take another linker, as in linker = \"zig\", or auditable = false"))
        }
        (Auditable::Auto, true, Some(other)) => decision(
            false,
            Some(format!("cargo-auditable is not used: it would take the place of RUSTC_WORKSPACE_WRAPPER, {other}")),
        ),
        (Auditable::Auto, true, None) => decision(
            true,
            Some(
                "cargo-auditable is here and lists the dependencies in binaries; where it is not, their digest is \
                 another one: auditable = true or false makes it the same everywhere"
                    .to_owned(),
            ),
        ),
        (Auditable::Always, false, _) => {
            Err(Failure::new(Class::Toolchain, "auditable = true, and cargo-auditable is missing")
                .hint("install it: `cargo install cargo-auditable --locked`"))
        }
        (Auditable::Always, true, Some(other)) => Err(Failure::new(
            Class::Config,
            format!("auditable = true, and RUSTC_WORKSPACE_WRAPPER is {other}, whose place cargo-auditable takes"),
        )
        .hint("take one of them: unset RUSTC_WORKSPACE_WRAPPER (a cache such as sccache is RUSTC_WRAPPER, and stays)")
        .hint("or auditable = false")),
        (Auditable::Always, true, None) => decision(true, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_dependencies_are_listed() {
        use Auditable::{Always, Auto, Never};
        for (wanted, installed, wrapper, on, says) in [
            (Auto, false, None, Some(false), ""),
            (Auto, true, None, Some(true), "auditable = true or false"),
            (Auto, true, Some("w"), Some(false), "RUSTC_WORKSPACE_WRAPPER, w"),
            (Always, true, None, Some(true), ""),
            (Always, false, None, None, "cargo-auditable is missing"),
            (Always, true, Some("w"), None, "RUSTC_WORKSPACE_WRAPPER is w"),
            (Never, true, None, Some(false), ""),
        ] {
            let tools =
                Tools { auditable: installed, workspace_wrapper: wrapper.map(str::to_owned), ..Tools::default() };
            let decided = decide(wanted, &tools, false);
            assert_eq!(decided.as_ref().ok().map(|it| it.on), on, "{wanted:?} {installed} {wrapper:?}");
            let said = decided.map_or_else(|failure| failure.to_string(), |it| it.note.unwrap_or_default());
            assert!(said.contains(says) && said.is_empty() == says.is_empty(), "{said}");
        }
    }
}
