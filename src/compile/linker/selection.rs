//! A linker, and why it was chosen.

use serde::Serialize;

/// What links a target's binaries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Linker {
    /// What the user's cargo configuration says; nothing is added.
    Configured(String),
    /// The compiler that rustc calls by itself.
    Host,
    /// rustc's own lld, with the C runtime that the toolchain ships for musl targets.
    RustLld,
    /// `zig cc`, by the wrappers of cargo-zigbuild.
    Zig,
    /// A cross gcc on PATH.
    Gcc(String),
    /// The program `cross`, in place of cargo.
    Cross,
}

/// A linker, and why it was chosen.
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
