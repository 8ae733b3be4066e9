//! Tests that run cargo and linkers for real, but need no Docker and no registry. `scripts/test` runs them in parallel,
//! so each has its own project, target directory and registry.

mod bases;
mod bundles;
mod c_libraries;
mod cargo_process;
mod ci_jobs;
mod compile_errors;
mod embedded_engine;
mod github_action;
mod linkers;
mod outputs;
mod publish;
mod readme;
mod registry_quirks;
mod reports;
mod reproducibility;
mod smoke_runs;
mod sysroot;
mod timings_page;
mod toolchain;
mod verification;
