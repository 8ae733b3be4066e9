//! Broken images: invalid indexes, manifests, configs and blobs, and violated policies.

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finding};
use crate::corpus::image::{Defect, Image, Layout, Shape};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

fn image(platform: &'static str) -> Image {
    let arch = architecture(platform);
    Image::new(platform).layer([program("busybox", &busybox_program(arch))]).entrypoint(&["/busybox", "echo", "hello"])
}

fn amd64() -> Image {
    image("linux/amd64")
}

/// Returns an image with a defect in its layer. The layer is unique, because Docker does not check blobs that it
/// already has.
fn with_defect(defect: Defect, compression: Compression) -> Image {
    let content = format!("{defect:?} {compression:?}\n").repeat(999);
    let content = Layer::from([directory("etc"), text("etc/motd", &content)]);
    amd64().layer(content.compressed(compression)).with_defect(defect)
}

pub fn cases() -> Vec<Case> {
    let without_proof = [indexes(), policies()].into_iter().flatten().map(Case::without_proof);
    without_proof.chain(blobs().into_iter().map(Case::refused)).chain(accepted()).collect()
}

fn indexes() -> Vec<Case> {
    let two = || Layout::of([amd64(), image("linux/arm64")]);
    let other = || amd64().label("build", "2");
    vec![
        broken("a missing required platform", two(), finding("MA001", ""))
            .args(&["--require", "linux/amd64,linux/riscv64"]),
        broken("a variant other than the required one", Layout::of([image("linux/arm/v6")]), finding("MA001", ""))
            .args(&["--require", "linux/arm/v7"]),
        broken("a duplicate platform", Layout::of([amd64(), other()]), finding("MA002", "")),
        broken(
            "a duplicate platform under an alias",
            Layout::of([
                image("linux/arm64"),
                image("linux/arm64").label("build", "2").with_platform("linux/arm64/v8"),
            ]),
            finding("MA002", ""),
        ),
        broken(
            "the config is for another architecture",
            amd64().with_defect(Defect::ConfigPlatform("linux/arm64")),
            finding("MA003", ""),
        ),
        broken(
            "the config is for another variant",
            image("linux/arm/v7").with_defect(Defect::ConfigPlatform("linux/arm/v6")),
            finding("MA003", ""),
        ),
        broken(
            "the config omits a variant that is not the default",
            image("linux/arm/v6").with_defect(Defect::ConfigPlatform("linux/arm")),
            finding("MA003", ""),
        ),
        broken(
            "the config is for another operating system",
            amd64().with_defect(Defect::ConfigPlatform("windows/amd64")),
            finding("MA003", ""),
        ),
        broken(
            "an index with only attestations",
            Layout::from(amd64()).shape(Shape::OnlyAttestations),
            finding("MA004", ""),
        ),
        broken("an empty index", Layout::of([]), finding("MA004", "")),
        broken("a nested index", two().shape(Shape::Nested), finding("MA005", "")).may_also_report(&["MA004"]),
        broken("a nested index next to images", two().shape(Shape::WithNestedIndex), finding("MA005", "")),
        broken(
            "a Windows platform",
            Layout::of([amd64(), amd64().with_platform("windows/amd64")]),
            finding("MA006", ""),
        ),
        broken(
            "an unknown architecture",
            Layout::of([amd64(), amd64().with_platform("linux/sparc128")]),
            finding("MA006", ""),
        ),
    ]
}

fn blobs() -> Vec<Case> {
    let gzip = |defect| with_defect(defect, Compression::Gzip);
    vec![
        broken("a missing layer", gzip(Defect::MissingLayer), finding("MA080", "")),
        broken("a missing config", gzip(Defect::MissingConfig), finding("MA080", "")),
        broken("a missing manifest", gzip(Defect::MissingManifest), finding("MA080", "")),
        broken("a corrupt layer", gzip(Defect::CorruptLayer), finding("MA081", "")).may_also_report(&["MA084"]),
        broken(
            "a corrupt uncompressed layer",
            with_defect(Defect::CorruptLayer, Compression::Plain),
            finding("MA081", ""),
        )
        .may_also_report(&["MA083"]),
        broken("a corrupt config", gzip(Defect::CorruptConfig), finding("MA081", ""))
            .may_also_report(&["MA084", "MA003", "MA083", "MA085"]),
        broken("a truncated layer", gzip(Defect::TruncatedLayer), finding("MA082", ""))
            .may_also_report(&["MA081", "MA084"]),
        broken("a wrong diff ID", gzip(Defect::WrongDiffId), finding("MA083", "")),
        broken(
            "a wrong diff ID for a zstd layer",
            with_defect(Defect::WrongDiffId, Compression::Zstd),
            finding("MA083", ""),
        ),
        broken("an incomplete gzip stream", gzip(Defect::IncompleteStream), finding("MA084", ""))
            .may_also_report(&["MA083"]),
        broken(
            "an incomplete zstd stream",
            with_defect(Defect::IncompleteStream, Compression::Zstd),
            finding("MA084", ""),
        )
        .may_also_report(&["MA083"]),
        broken("an incomplete tar", with_defect(Defect::IncompleteStream, Compression::Plain), finding("MA084", ""))
            .may_also_report(&["MA083"]),
        broken("a layer that is not a tar", gzip(Defect::NotATar), finding("MA084", "")),
        broken(
            "a layer with an unknown media type",
            gzip(Defect::LayerMediaType("application/vnd.example.squashfs")),
            finding("MA084", ""),
        ),
        broken("a truncated manifest", gzip(Defect::HalfManifest), finding("MA084", "")),
    ]
}

/// Returns cases with defects that neither Docker nor skopeo notices when it loads or copies the image.
fn accepted() -> Vec<Case> {
    let gzip = |defect| with_defect(defect, Compression::Gzip);
    vec![
        broken(
            "without an index, the layout and the config name different platforms",
            Layout::from(
                Image::new("linux/arm64")
                    .layer([program("app", &bare_static("amd64"))])
                    .entrypoint(&["/app"])
                    .with_defect(Defect::ConfigPlatform("linux/amd64")),
            )
            .shape(Shape::NoIndex),
            finding("MA003", ""),
        )
        .and(finding("MA010", "/app"))
        .without_proof(),
        broken("a wrong layer size", gzip(Defect::WrongLayerSize), finding("MA082", "")).without_proof(),
        broken("a truncated config", gzip(Defect::HalfConfig), finding("MA084", "")),
        broken("fewer diff IDs than layers", gzip(Defect::MissingDiffId), finding("MA085", "")).without_proof(),
    ]
}

fn policies() -> Vec<Case> {
    let greets = || {
        let app = program("app", &greets_glibc(&[]));
        Image::new("linux/amd64")
            .layer(slim("amd64"))
            .layer([app, file("usr/lib/libgreet.so", &libgreet_of("amd64"))])
            .entrypoint(&["/app"])
    };
    vec![
        broken("a denied library", greets(), finding("MA070", "libgreet.so"))
            .args(&["--deny-needed", "libssl*,libgreet*"]),
        broken("a program that is not static", greets(), finding("MA071", "/app")).args(&["--static-only"]),
        broken(
            "a musl program that is not static",
            Image::new("linux/amd64")
                .layer(alpine("amd64"))
                .layer([program("app", &musl("amd64"))])
                .entrypoint(&["/app"]),
            finding("MA071", "/app"),
        )
        .args(&["--static-only"]),
        broken("a denied library that is missing", greets().layer([whiteout("usr/lib/libgreet.so")]), {
            finding("MA070", "libgreet.so")
        })
        .args(&["--deny-needed", "libgreet*"])
        .may_also_report(&["MA030"]),
        broken(
            "a denied library that is also the loader",
            Image::new("linux/amd64")
                .layer(alpine("amd64"))
                .layer([program("app", &musl("amd64"))])
                .entrypoint(&["/app"]),
            finding("MA070", "libc.so"),
        )
        .args(&["--deny-needed", "libc.so"]),
        broken(
            "a static program for another machine",
            Image::new("linux/arm64").layer([program("app", &bare_static("amd64"))]).entrypoint(&["/app"]),
            finding("MA010", "/app"),
        )
        .args(&["--static-only"]),
        broken("--platform selects a missing platform", amd64(), finding("MA001", "").on("linux/riscv64"))
            .args(&["--platform", "linux/riscv64"]),
        broken("--platform with a truncated config", with_defect(Defect::HalfConfig, Compression::Gzip), {
            finding("MA084", "")
        })
        .args(&["--platform", "linux/amd64"])
        .may_also_report(&["MA001"]),
        broken("no configured user", amd64(), finding("MA072", "")).args(&["--non-root-only"]),
        broken("root by user ID", amd64().user("0:1000"), finding("MA072", "")).args(&["--non-root-only"]),
        broken("root by name", greets().user("root"), finding("MA072", "")).args(&["--non-root-only"]),
        broken(
            "a user with root's ID",
            greets().layer([text("etc/passwd", "toor:x:0:0::/:/bin/sh\n")]).user("toor"),
            finding("MA072", ""),
        )
        .args(&["--non-root-only"]),
        broken("an image above the size limit", amd64(), finding("MA073", "")).args(&["--max-size", "10KB"]),
        broken("a missing label", amd64(), finding("MA074", ""))
            .args(&["--require-label", "org.opencontainers.image.source"]),
        broken("a label with the wrong value", amd64().label("version", "1.2.3-dirty"), finding("MA074", ""))
            .args(&["--require-label", "version=[0-9].[0-9].[0-9]"]),
        broken("a missing annotation", amd64(), finding("MA075", ""))
            .args(&["--require-annotation", "org.opencontainers.image.licenses"]),
        broken(
            "an annotation with the wrong value",
            Layout::from(amd64()).annotation("licenses", "MIT"),
            finding("MA075", ""),
        )
        .args(&["--require-annotation", "licenses=Apache*"]),
        broken("only one of two errors is allowed", greets().user("root"), finding("MA071", "/app")).args(&[
            "--static-only",
            "--non-root-only",
            "--allow",
            "MA072",
        ]),
    ]
}
