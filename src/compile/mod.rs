//! Compiles the requested binaries with cargo, and checks that cargo has produced all of them.

pub(crate) mod artifact;
pub(crate) mod artifact_source;
pub(crate) mod auditable;
pub(crate) mod bundle;
pub(crate) mod c_env;
pub(crate) mod c_env_files;
pub(crate) mod c_variable_names;
pub(crate) mod cargo_command;
pub(crate) mod cargo_output;
pub(crate) mod cargo_tree;
pub(crate) mod cross;
pub(crate) mod debian_packages;
pub(crate) mod dependency_summary;
pub(crate) mod diagnose;
pub(crate) mod facts;
pub(crate) mod known_issues;
pub(crate) mod link_overrides;
pub(crate) mod linked_libraries;
pub(crate) mod linker;
pub(crate) mod memory;
pub(crate) mod probe;
pub(crate) mod progress;
pub(crate) mod request;
pub(crate) mod requirement;
pub(crate) mod run;
pub(crate) mod std_library;
pub(crate) mod sysroot;
pub(crate) mod target_cpu;
pub(crate) mod toolchain;
pub(crate) mod zig_libc;
pub(crate) mod zig_program;
pub(crate) mod zig_script;

pub(crate) use artifact::{Artifact, Artifacts, CompiledBinary};
pub(crate) use artifact_source::ArtifactSource;
pub(crate) use request::CompileRequest;
pub(crate) use run::run;
