//! Code shared by the three programs. Cargo compiles it once per platform.

/// Returns a program's name and the architecture that it was compiled for.
pub fn on(program: &str) -> String {
    format!("{program} on {}", std::env::consts::ARCH)
}

/// Returns a file's content, or an error message if it cannot be read.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
}
