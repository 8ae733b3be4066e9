//! The server of the example: reads its greeting from a file that the image has, and its level from a variable.

fn main() {
    let level = std::env::var("CORE_LEVEL").unwrap_or_default();
    println!("{}, level {level}: {}", shared::on("core"), shared::file("/config/greeting.txt"));
}
