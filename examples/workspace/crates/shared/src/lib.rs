//! What the three programs share: cargo compiles it once for each platform, for all of them.

/// A program, and the processor that it was compiled for.
pub fn on(program: &str) -> String {
    format!("{program} on {}", std::env::consts::ARCH)
}

/// A file of the image, or why it cannot be read.
pub fn file(path: &str) -> String {
    std::fs::read_to_string(path).map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
}
