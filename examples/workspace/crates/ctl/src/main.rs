//! The command line of the example: in the core image beside the server, and in one of its own.

fn main() {
    println!("{}", shared::on("ctl"));
}
