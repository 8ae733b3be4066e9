//! The worker of the example: its image's template runs a command, whose result it shows.

fn main() {
    let built = std::fs::read_to_string("/etc/built-for").unwrap_or_else(|error| error.to_string());
    println!("worker on {}, built for {}", std::env::consts::ARCH, built.trim());
}
