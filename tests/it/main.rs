//! Tests of the whole program, as a user runs it. A test's path says what it needs:
//!
//! - at the top level, Rust and git: Docker, registries and compilers are replaced by fakes. `cargo test` runs these.
//! - [`compiles`]: whatever `scripts/setup` installs to compile with. These tests run in parallel.
//! - [`services`]: services of `scripts/with-services`, or programs such as a browser. One at a time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test fails by panicking, may start processes and write files, and is no library"
)]

mod support;

mod architecture;
mod bad_input;
mod bases;
mod bundles;
mod cargo_subcommand;
mod ci;
mod compatibility;
mod compile_errors;
mod compiles;
mod completions;
mod config_errors;
mod config_schema;
mod corpus;
mod doctor;
mod embedded_engine;
mod help;
mod init;
mod linkers;
mod man;
mod outputs;
mod plan;
mod preflight;
mod publish_stages;
mod readme;
mod registry_quirks;
mod reports;
mod services;
mod smoke_runs;
mod sysroot;
mod timings_page;
mod toolchain;
mod verify;
