//! Entry point of the `cargo-multiarch` binary.

fn main() -> std::process::ExitCode {
    cargo_multiarch::run(std::env::args_os().collect())
}
