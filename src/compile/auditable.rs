//! Whether cargo runs by way of cargo-auditable, which puts the list of dependencies into binaries.

use super::facts::{RustToolchain, UserEnv};
use crate::config::choices::Auditable;
use crate::error::{Class, Failure};

/// Whether cargo-auditable is used, and a note for the user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AuditableDecision {
    pub is_used: bool,
    pub note: Option<String>,
}

impl AuditableDecision {
    fn new(is_used: bool, note: Option<String>) -> AuditableDecision {
        AuditableDecision { is_used, note }
    }
}

/// Decides whether cargo-auditable is used. It is a wrapper of rustc for the workspace's own crates, of which there can
/// be one: it takes the place of the user's. RUSTC_WRAPPER, such as sccache, is another thing and stays. It does not run
/// in the containers of `cross`.
pub(crate) fn decide(
    requested: Auditable,
    rust: &RustToolchain,
    env: &UserEnv,
    by_cross: bool,
) -> Result<AuditableDecision, Failure> {
    match requested {
        Auditable::Never => Ok(AuditableDecision::new(false, None)),
        Auditable::Auto if rust.has_auditable => Ok(decide_if_installed(env, by_cross)),
        Auditable::Auto => Ok(AuditableDecision::new(false, None)),
        Auditable::Always => {
            check_required(rust, env, by_cross)?;
            Ok(AuditableDecision::new(true, None))
        }
    }
}

fn decide_if_installed(env: &UserEnv, by_cross: bool) -> AuditableDecision {
    if by_cross {
        let note = "cargo-auditable is not used: `cross` compiles without it";
        return AuditableDecision::new(false, Some(note.to_owned()));
    }
    if let Some(wrapper) = &env.workspace_wrapper {
        let note =
            format!("cargo-auditable is not used: it would take the place of RUSTC_WORKSPACE_WRAPPER, {wrapper}");
        return AuditableDecision::new(false, Some(note));
    }
    let note = "cargo-auditable is here and lists the dependencies in binaries; where it is not, their digest is \
                another one: auditable = true or false makes it the same everywhere";
    AuditableDecision::new(true, Some(note.to_owned()))
}

fn check_required(rust: &RustToolchain, env: &UserEnv, by_cross: bool) -> Result<(), Failure> {
    if by_cross {
        return Err(Failure::new(Class::Config, "auditable = true, and `cross` compiles without cargo-auditable")
            .hint("take another linker, as in linker = \"zig\", or auditable = false"));
    }
    if !rust.has_auditable {
        return Err(Failure::new(Class::Toolchain, "auditable = true, and cargo-auditable is missing")
            .hint("install it: `cargo install cargo-auditable --locked`"));
    }
    if let Some(wrapper) = &env.workspace_wrapper {
        let message =
            format!("auditable = true, and RUSTC_WORKSPACE_WRAPPER is {wrapper}, whose place cargo-auditable takes");
        return Err(Failure::new(Class::Config, message)
            .hint(
                "take one of them: unset RUSTC_WORKSPACE_WRAPPER (a cache such as sccache is RUSTC_WRAPPER, and stays)",
            )
            .hint("or auditable = false"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_dependencies_are_listed() {
        use Auditable::{Always, Auto, Never};
        for (requested, installed, wrapper, expected, part) in [
            (Auto, false, None, Some(false), ""),
            (Auto, true, None, Some(true), "auditable = true or false"),
            (Auto, true, Some("w"), Some(false), "RUSTC_WORKSPACE_WRAPPER, w"),
            (Always, true, None, Some(true), ""),
            (Always, false, None, None, "cargo-auditable is missing"),
            (Always, true, Some("w"), None, "RUSTC_WORKSPACE_WRAPPER is w"),
            (Never, true, None, Some(false), ""),
        ] {
            let rust = RustToolchain { has_auditable: installed, ..RustToolchain::default() };
            let env = UserEnv { workspace_wrapper: wrapper.map(str::to_owned), ..UserEnv::default() };
            let decision = decide(requested, &rust, &env, false);
            let is_used = decision.as_ref().ok().map(|decision| decision.is_used);
            assert_eq!(is_used, expected, "{requested:?} {installed} {wrapper:?}");
            let message = match decision {
                Ok(decision) => decision.note.unwrap_or_default(),
                Err(failure) => failure.to_string(),
            };
            assert!(message.contains(part) && message.is_empty() == part.is_empty(), "{message}");
        }
    }
}
