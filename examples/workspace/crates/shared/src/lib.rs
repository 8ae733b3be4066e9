//! Code that the three programs share. Cargo compiles it once per platform.

/// Returns the name of a program with the architecture that it was compiled for.
pub fn on(program: &str) -> String {
    format!("{program} on {}", std::env::consts::ARCH)
}

/// Returns the content of a file, or the error if it cannot be read.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
}
