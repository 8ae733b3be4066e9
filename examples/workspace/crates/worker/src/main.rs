//! The worker of the example. Prints a file that the RUN instruction in the image's template created.

fn main() {
    println!("{}, built for {}", shared::on("worker"), shared::file("/etc/built-for"));
}
