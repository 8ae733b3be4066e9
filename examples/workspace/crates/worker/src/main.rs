//! The example's worker. It prints a file created by the RUN instruction in the image's template.

fn main() {
    println!("{}, built for {}", shared::on("worker"), shared::file("/etc/built-for"));
}
