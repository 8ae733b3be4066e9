//! The server of the example: reads its greeting from a file that the image has, and its level from a variable.

fn main() {
    let greeting = std::fs::read_to_string("/config/greeting.txt").unwrap_or_else(|error| error.to_string());
    let level = std::env::var("CORE_LEVEL").unwrap_or_default();
    println!("core on {}, level {level}: {}", std::env::consts::ARCH, greeting.trim());
}
