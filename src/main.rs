//! Entry point of the `cargo-multiarch` binary.

#[cfg(not(unix))]
compile_error!(
    "cargo-multiarch runs on Linux and macOS; on Windows, use it in WSL 2: https://learn.microsoft.com/windows/wsl/install"
);

#[cfg(unix)]
fn main() -> std::process::ExitCode {
    cargo_multiarch::run(std::env::args_os().collect())
}

#[cfg(not(unix))]
fn main() {}
