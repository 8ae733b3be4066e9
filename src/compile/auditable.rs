//! Decides whether to run cargo through cargo-auditable, which embeds a list of dependencies in binaries.

use super::facts::{RustToolchain, UserEnv};
use crate::config::choices::Auditable;
use crate::error::{Class, Failure};

/// Whether to use cargo-auditable, with an optional note for the user.
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

/// Decides whether to use cargo-auditable. It is not available in `cross` containers, and it would override the user's
/// RUSTC_WORKSPACE_WRAPPER. It does not affect RUSTC_WRAPPER, which caches such as sccache use.
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
        let note = "cargo-auditable is not used: `cross` does not support it";
        return AuditableDecision::new(false, Some(note.to_owned()));
    }
    if let Some(wrapper) = &env.workspace_wrapper {
        let note = format!("cargo-auditable is not used: it would replace RUSTC_WORKSPACE_WRAPPER={wrapper}");
        return AuditableDecision::new(false, Some(note));
    }
    let note = "cargo-auditable is installed, so binaries will include a dependency list; set auditable = true or false \
                to get the same digests on every machine";
    AuditableDecision::new(true, Some(note.to_owned()))
}

fn check_required(rust: &RustToolchain, env: &UserEnv, by_cross: bool) -> Result<(), Failure> {
    if by_cross {
        return Err(Failure::new(
            Class::Config,
            "auditable = true is set, but `cross` does not support cargo-auditable",
        )
        .hint("use another linker, such as linker = \"zig\", or set auditable = false"));
    }
    if !rust.has_auditable {
        return Err(Failure::new(Class::Toolchain, "auditable = true is set, but cargo-auditable is not installed")
            .hint("install cargo-auditable: `cargo install cargo-auditable --locked`"));
    }
    if let Some(wrapper) = &env.workspace_wrapper {
        let message =
            format!("auditable = true is set, but cargo-auditable would replace RUSTC_WORKSPACE_WRAPPER={wrapper}");
        return Err(Failure::new(Class::Config, message)
            .hint("unset RUSTC_WORKSPACE_WRAPPER; for a compiler cache such as sccache, use RUSTC_WRAPPER instead")
            .hint("or set auditable = false"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_depends_on_setting_installation_and_wrapper() {
        use Auditable::{Always, Auto, Never};
        for (requested, installed, wrapper, expected, part) in [
            (Auto, false, None, Some(false), ""),
            (Auto, true, None, Some(true), "auditable = true or false"),
            (Auto, true, Some("w"), Some(false), "RUSTC_WORKSPACE_WRAPPER=w"),
            (Always, true, None, Some(true), ""),
            (Always, false, None, None, "cargo-auditable is not installed"),
            (Always, true, Some("w"), None, "RUSTC_WORKSPACE_WRAPPER=w"),
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
