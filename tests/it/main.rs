//! The whole program, as a user runs it. Tests that need Docker are ignored unless `scripts/test` runs them
//! inside `scripts/with-services`.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and starts and writes what it likes"
)]

mod base;
mod bundles;
mod fake_registry;
mod ready_made;
mod snapshot;
mod support;

mod architecture;
mod bad_input;
mod cargo;
mod ci;
mod compatibility;
mod compile_errors;
mod completions;
mod config_errors;
mod corpus;
mod doctor;
mod e2e;
mod embedded;
mod help;
mod init;
mod linkers;
mod man;
mod native;
mod pictures;
mod plan;
mod preflight;
mod readme;
mod report;
mod schema;
mod smoke;
mod sysroot;
mod toolchain;
mod verify;
