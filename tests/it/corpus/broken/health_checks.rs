//! Broken images: health checks that cannot run. The container starts, but Docker marks it as unhealthy.

use serde_json::json;

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finding};
use crate::corpus::image::Image;
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [programs(), shells()].into_iter().flatten().map(Case::without_proof).collect()
}

fn app() -> Entry {
    program("app", &bare_static("amd64"))
}

fn scratch() -> Image {
    Image::new("linux/amd64").layer([app()]).entrypoint(&["/app"])
}

fn slim_with(entries: impl Into<Layer>) -> Image {
    Image::new("linux/amd64").layer(slim("amd64")).layer([app()]).layer(entries).entrypoint(&["/app"])
}

fn programs() -> Vec<Case> {
    let gone = finding("MA051", "/usr/local/bin/app");
    let probe = || slim_with([file("usr/bin/probe", &bare_static("amd64")).mode(0o600)]);
    vec![
        broken("a health check with curl on scratch", scratch().healthcheck(&["CMD", "curl", "-f", "x"]), {
            finding("MA051", "curl")
        }),
        broken("a health check at a wrong path", scratch().healthcheck(&["CMD", "/usr/local/bin/app"]), gone),
        broken(
            "a health check for another architecture",
            scratch().layer([program("probe", &bare_static("arm64"))]).healthcheck(&["CMD", "/probe"]),
            finding("MA010", "/probe"),
        ),
        broken(
            "a health check that its user cannot execute",
            probe().user("1000").healthcheck(&["CMD", "probe"]),
            finding("MA040", "/usr/bin/probe"),
        ),
        broken(
            "a health check script without its interpreter",
            slim_with([script("check", "#!/bin/bash\ntrue\n")]).healthcheck(&["CMD", "/check"]),
            finding("MA042", "/bin/bash"),
        ),
        broken(
            "a health check in an image without ENTRYPOINT",
            Image::new("linux/amd64").layer([app()]).healthcheck(&["CMD", "curl"]),
            finding("MA051", "curl"),
        )
        .and(finding("MA050", "")),
    ]
}

fn shells() -> Vec<Case> {
    vec![
        broken(
            "a shell health check without a shell",
            scratch().healthcheck(&["CMD-SHELL", "/app"]),
            finding("MA051", "/bin/sh"),
        ),
        broken(
            "a shell health check with curl on slim",
            slim_with([]).healthcheck(&["CMD-SHELL", "curl -fsS localhost || exit 1"]),
            finding("MA051", "curl"),
        ),
        broken(
            "a health check with a missing SHELL",
            slim_with([]).healthcheck(&["CMD-SHELL", "/app"]).with("Shell", json!(["/bin/bash", "-c"])),
            finding("MA051", "/bin/bash"),
        ),
    ]
}
