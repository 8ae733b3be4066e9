//! The whole program, as a user runs it. Tests that need Docker are ignored unless `scripts/test` runs them
//! inside `scripts/with-services`.

mod support;

mod architecture;
mod config_errors;
mod preflight;
mod readme;
