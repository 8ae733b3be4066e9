//! The example's command-line tool. The core image also contains it, alongside the server.

fn main() {
    println!("{}", shared::on("ctl"));
}
