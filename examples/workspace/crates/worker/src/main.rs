//! The worker of the example: its image's template runs commands, whose result it shows.

fn main() {
    println!("{}, built for {}", shared::on("worker"), shared::file("/etc/built-for"));
}
