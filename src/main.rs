//! argv in, exit code out.

fn main() -> std::process::ExitCode {
    cargo_multiarch::run(std::env::args_os().collect())
}
