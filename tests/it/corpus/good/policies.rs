//! Good images: policies that the image meets, and errors that are allowed or not checked for.

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
        good("--platform selects the correct platform", Layout::of([amd64().layer([hello()]), wrong()]))
            .args(&["--platform", "linux/amd64"])
            .without_proof(),
        good("allowed errors", Layout::of([amd64().layer([hello()]), wrong()]))
            .args(&["--allow", "MA010,MA011"])
            .without_proof(),
        good(
            "required platforms, one under an alias",
            Layout::of([amd64().layer([hello()]), arm64()]).shape(Shape::WithAttestations),
        )
        .args(&["--require", "linux/arm64/v8,linux/amd64"]),
        good("a static-pie program is static", amd64().layer([program("app", &static_pie("amd64"))]))
            .args(&["--static-only"]),
        good("a static program on a base with dynamic programs", {
            amd64().layer(slim("amd64")).layer([hello()]).entrypoint(&["/app"])
        })
        .args(&["--static-only"]),
        good("a numeric user other than root", amd64().layer([hello()]).user("1000")).args(&["--non-root-only"]),
        good("a named user other than root", slim_with([hello()]).user("app:root")).args(&["--non-root-only"]),
        good("an image below the size limit", amd64().layer([hello()])).args(&["--max-size", "1MB"]),
        good("a denied library that no program needs", {
            musl().layer([file("usr/lib/libgreet.so", &libgreet_of("amd64"))])
        })
        .args(&["--deny-needed", "libssl*,libgreet*"]),
        good("required labels", amd64().layer([hello()]).label("version", "1.2.3")).args(&[
            "--require-label",
            "version=[0-9]*",
            "--require-label",
            "version",
        ]),
        good("a required annotation", Layout::from(amd64().layer([hello()])).annotation("licenses", "MIT"))
            .args(&["--require-annotation", "licenses=MIT"]),
    ]
}
