//! Tests that run the whole program as a user would. A test's module determines what the test needs:
//!
//! - at the top level: Rust and git. Fakes replace Docker, registries and compilers. `cargo test` runs these tests.
//! - [`compiles`]: the compilers and linkers that `scripts/setup` installs. These tests run in parallel.
//! - [`services`]: services started by `scripts/with-services`, or programs such as a browser. These tests run one at a
//!   time.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "tests may panic, start processes and write files, and no other crate uses them"
)]

mod support;

mod annotations;
mod architecture;
mod bad_input;
mod bases;
mod before_compiling;
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
mod credentials;
mod docs;
mod doctor;
mod embedded_engine;
mod help;
mod image_contents;
mod init;
mod linkers;
mod login;
mod man;
mod memory;
mod outputs;
mod plain_manifests;
mod plan;
mod preflight;
mod publish_stages;
mod registry_quirks;
mod release;
mod reliability;
mod reports;
mod services;
mod smoke_runs;
mod sysroot;
mod system_libraries;
mod tags;
mod timings_page;
mod toolchain;
mod verify;
