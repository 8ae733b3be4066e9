//! The example's server. It reads a greeting from a file in the image, and a level from an environment variable.

fn main() {
    let level = std::env::var("CORE_LEVEL").unwrap_or_default();
    println!("{}, level {level}: {}", shared::on("core"), shared::file("/config/greeting.txt"));
}
