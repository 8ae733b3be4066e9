//! The command-line tool of the example. The core image contains it too, next to the server.

fn main() {
    println!("{}", shared::on("ctl"));
}
