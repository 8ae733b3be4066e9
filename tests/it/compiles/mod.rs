//! Tests that run real cargo builds and linkers, but need neither Docker nor a real registry. `scripts/test` runs them
//! in parallel, so each test uses its own project, target directory, and fake registry.

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
mod registry_quirks;
mod reports;
mod reproducibility;
mod smoke_runs;
mod sysroot;
mod timings_page;
mod toolchain;
mod verification;
mod zig_install;
