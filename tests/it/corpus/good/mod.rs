//! Good images that look suspicious but run.

mod entrypoints;
mod files;
mod health_checks;
mod libraries;
mod policies;

use crate::corpus::binaries::bare_static;
use crate::corpus::case::Case;
use crate::corpus::image::Image;
use crate::corpus::layer::{Entry, program};
use crate::corpus::roots::slim;

pub fn cases() -> Vec<Case> {
    let all = [files::cases(), libraries::cases(), policies::cases(), entrypoints::cases(), health_checks::cases()];
    all.into_iter().flatten().collect()
}

pub(super) fn amd64() -> Image {
    Image::new("linux/amd64").entrypoint(&["/app"])
}

pub(super) fn hello() -> Entry {
    program("app", &bare_static("amd64"))
}

pub(super) fn at(path: &str) -> Entry {
    program(path, &bare_static("amd64"))
}

pub(super) fn slim_with(entries: impl Into<Vec<Entry>>) -> Image {
    amd64().layer(slim("amd64")).layer(entries.into())
}
