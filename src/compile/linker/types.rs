//! The linkers that a build can use.

use serde::Serialize;

/// A linker for a target's binaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Linker {
    /// The linker set in the user's cargo configuration.
    Configured(String),
    /// The host's compiler, which rustc calls by default.
    Host,
    /// The lld in the Rust toolchain, with the toolchain's C runtime for musl targets.
    RustLld,
    /// `zig cc`, run through cargo-zigbuild's wrapper scripts.
    Zig,
    /// A cross gcc on PATH.
    Gcc(String),
    /// The linker in a `cross` container. `cross` runs instead of cargo.
    Cross,
}

/// A linker and the reason why it was selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct LinkerSelection {
    pub linker: Linker,
    pub why: String,
}

impl std::fmt::Display for Linker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Linker::Configured(path) => write!(f, "{path} (cargo config)"),
            Linker::Host => f.write_str("host"),
            Linker::RustLld => f.write_str("rust-lld"),
            Linker::Zig => f.write_str("zig"),
            Linker::Gcc(program) => f.write_str(program),
            Linker::Cross => f.write_str("cross"),
        }
    }
}
