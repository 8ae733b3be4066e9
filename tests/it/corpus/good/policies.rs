//! Good images: what a policy asks for is there, and what is not asked about does not count.

use super::*;
use crate::corpus::binaries::*;
use crate::corpus::case::{Case, good};
use crate::corpus::image::{Image, Layout, Shape};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    let wrong = || Image::new("linux/arm64").layer([hello()]).entrypoint(&["/app"]);
    let arm64 = || Image::new("linux/arm64").layer([program("app", &bare_static("arm64"))]).entrypoint(&["/app"]);
    let musl = || amd64().layer(alpine("amd64")).layer([program("app", &musl("amd64"))]);
    vec![
        good("only the platform that is right is asked about", Layout::of([amd64().layer([hello()]), wrong()]))
            .args(&["--platform", "linux/amd64"])
            .by_bytes(),
        good("what is wrong is allowed", Layout::of([amd64().layer([hello()]), wrong()]))
            .args(&["--allow", "MA010,MA011"])
            .by_bytes(),
        good(
            "required platforms are there, one by its other name",
            Layout::of([amd64().layer([hello()]), arm64()]).shape(Shape::Attested),
        )
        .args(&["--require", "linux/arm64/v8,linux/amd64"]),
        good("a static-pie program is static", amd64().layer([program("app", &static_pie("amd64"))]))
            .args(&["--static-only"]),
        good("a shell is not static, and its static program is", {
            amd64().layer(slim("amd64")).layer([hello()]).entrypoint(&["/app"])
        })
        .args(&["--static-only"]),
        good("a user by number is not root", amd64().layer([hello()]).user("1000")).args(&["--non-root-only"]),
        good("a user by name is not root", slim_with([hello()]).user("app:root")).args(&["--non-root-only"]),
        good("small enough", amd64().layer([hello()])).args(&["--max-size", "1MB"]),
        good("a denied library that is not needed", {
            musl().layer([file("usr/lib/libgreet.so", &libgreet_of("amd64"))])
        })
        .args(&["--deny-needed", "libssl*,libgreet*"]),
        good("labels as required", amd64().layer([hello()]).label("version", "1.2.3")).args(&[
            "--require-label",
            "version=[0-9]*",
            "--require-label",
            "version",
        ]),
        good("an annotation as required", Layout::from(amd64().layer([hello()])).annotation("licenses", "MIT"))
            .args(&["--require-annotation", "licenses=MIT"]),
    ]
}
