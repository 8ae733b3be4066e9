//! Images for the `verify` documentation: a good one, two that reproduce mistakes of a real project, and one whose health
//! check cannot run.

use super::binaries::{bare_static, glibc, glibc_stub};
use super::image::{Image, Layout};
use super::layer::{Bytes, file, program, text};
use super::roots::{slim, triple_and_loader};

/// Returns each image with the directory in which the documentation places it.
pub fn layouts() -> [(&'static str, Layout); 4] {
    let hello = |platform, arch| {
        let path = "usr/local/bin/hello";
        Image::new(platform).layer([program(path, &bare_static(arch))]).entrypoint(&["/usr/local/bin/hello"])
    };
    [
        ("target/multiarch/hello/oci", Layout::of([hello("linux/amd64", "amd64"), hello("linux/arm64", "arm64")])),
        ("core-aarch64", Layout::of([core("linux/arm64", "arm64", &glibc("amd64", "2.31"))])),
        (
            "core",
            Layout::of([
                core("linux/amd64", "amd64", &glibc("amd64", "2.31")),
                core("linux/arm64", "arm64", &glibc("arm64", "2.34")),
            ]),
        ),
        ("web", hello("linux/amd64", "amd64").layer(slim("amd64")).healthcheck(&["CMD-SHELL", HEALTH_CHECK]).into()),
    ]
}

/// A common health check, on a base that does not contain curl.
const HEALTH_CHECK: &str = "curl -fsS http://localhost:8080/health || exit 1";

/// Creates an image with a program on Debian 11, which has glibc 2.31.
fn core(platform: &'static str, arch: &str, core: &Bytes) -> Image {
    let libc = format!("usr/lib/{}/libc.so.6", triple_and_loader(arch).0);
    let name = text("etc/os-release", "PRETTY_NAME=\"Debian GNU/Linux 11 (bullseye)\"\n");
    Image::new(platform)
        .layer(slim(arch).with([name, file(&libc, &glibc_stub(arch, "2.31"))]))
        .layer([program("usr/local/bin/core", core)])
        .entrypoint(&["core"])
}
