//! Compiles binaries: a cargo process for all target triples, whose JSON messages are ticked off against what was
//! requested. Knows nothing of images.

pub mod artifact;
pub mod artifact_source;
pub mod auditable;
pub mod bundle;
pub mod c_env;
pub mod c_env_files;
pub mod cargo_command;
pub mod cargo_output;
pub mod cargo_tree;
pub mod cross;
pub mod dependency_summary;
pub mod diagnose;
pub mod facts;
pub mod known_issues;
pub mod library_packages;
pub mod linker;
pub mod probe;
pub mod progress;
pub mod request;
pub mod requirement;
pub mod run;
pub mod std_library;
pub mod sysroot;
pub mod system_libraries;
pub mod target_env;
pub mod toolchain;

pub use artifact::{Artifact, Artifacts, CompiledBinary};
pub use artifact_source::ArtifactSource;
pub use request::CompileRequest;
pub use run::run;
