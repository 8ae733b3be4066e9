//! Broken images: indexes, manifests, configs, blobs, and what a policy forbids. None of these is a matter of running.

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finds};
use crate::corpus::image::{Image, Layout, Lie, Shape};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

fn image(platform: &'static str) -> Image {
    let arch = architecture(platform);
    Image::new(platform).layer([program("busybox", &busybox_program(arch))]).entrypoint(&["/busybox", "echo", "hello"])
}

fn amd64() -> Image {
    image("linux/amd64")
}

/// Two layers; a lie is about the second, which no other image has: engines do not look twice at what they have.
fn lying(lie: Lie, packing: Packing) -> Image {
    let content = format!("{lie:?} {packing:?}\n").repeat(999);
    let content = Layer::from([folder("etc"), text("etc/motd", &content)]);
    amd64().layer(content.packed(packing)).lies(lie)
}

pub fn cases() -> Vec<Case> {
    let unrun = [indexes(), policies()].into_iter().flatten().map(Case::by_bytes);
    unrun.chain(blobs().into_iter().map(Case::refused)).chain(taken()).collect()
}

fn indexes() -> Vec<Case> {
    let two = || Layout::of([amd64(), image("linux/arm64")]);
    let other = || amd64().label("build", "2");
    vec![
        broken("a platform that is required is not there", two(), finds("MA001", ""))
            .args(&["--require", "linux/amd64,linux/riscv64"]),
        broken("another variant than the required one", Layout::of([image("linux/arm/v6")]), finds("MA001", ""))
            .args(&["--require", "linux/arm/v7"]),
        broken("a platform twice", Layout::of([amd64(), other()]), finds("MA002", "")),
        broken(
            "a platform twice, by two names",
            Layout::of([image("linux/arm64"), image("linux/arm64").label("build", "2").named("linux/arm64/v8")]),
            finds("MA002", ""),
        ),
        broken(
            "the config is for another architecture",
            amd64().lies(Lie::ConfigPlatform("linux/arm64")),
            finds("MA003", ""),
        ),
        broken(
            "the config is for another variant",
            image("linux/arm/v7").lies(Lie::ConfigPlatform("linux/arm/v6")),
            finds("MA003", ""),
        ),
        broken(
            "the config leaves the variant out, and it is not the usual one",
            image("linux/arm/v6").lies(Lie::ConfigPlatform("linux/arm")),
            finds("MA003", ""),
        ),
        broken(
            "the config is for another system",
            amd64().lies(Lie::ConfigPlatform("windows/amd64")),
            finds("MA003", ""),
        ),
        broken("only attestations", Layout::from(amd64()).shape(Shape::AttestedOnly), finds("MA004", "")),
        broken("an index of nothing", Layout::of([]), finds("MA004", "")),
        broken("an index in the index", two().shape(Shape::Nested), finds("MA005", "")).may_follow(&["MA004"]),
        broken("an index beside images", two().shape(Shape::AlsoNested), finds("MA005", "")),
        broken("a platform of Windows", Layout::of([amd64(), amd64().named("windows/amd64")]), finds("MA006", "")),
        broken(
            "an architecture that nobody has heard of",
            Layout::of([amd64(), amd64().named("linux/sparc128")]),
            finds("MA006", ""),
        ),
    ]
}

fn blobs() -> Vec<Case> {
    let lie = |lie| lying(lie, Packing::Gzip);
    vec![
        broken("the layer is not there", lie(Lie::NoLayerBlob), finds("MA080", "")),
        broken("the config is not there", lie(Lie::NoConfigBlob), finds("MA080", "")),
        broken("the manifest is not there", lie(Lie::NoManifestBlob), finds("MA080", "")),
        broken("the layer has another byte", lie(Lie::LayerByte), finds("MA081", "")).may_follow(&["MA084"]),
        broken("a plain layer has another byte", lying(Lie::LayerByte, Packing::Plain), finds("MA081", ""))
            .may_follow(&["MA083"]),
        broken("the config has another byte", lie(Lie::ConfigByte), finds("MA081", ""))
            .may_follow(&["MA084", "MA003", "MA083", "MA085"]),
        broken("half of the layer is stored", lie(Lie::LayerCutShort), finds("MA082", ""))
            .may_follow(&["MA081", "MA084"]),
        broken("the diff ID is of another layer", lie(Lie::DiffId), finds("MA083", "")),
        broken("the diff ID of a zstd layer", lying(Lie::DiffId, Packing::Zstd), finds("MA083", "")),
        broken("a gzip stream ends early", lie(Lie::CutStream), finds("MA084", "")).may_follow(&["MA083"]),
        broken("a zstd stream ends early", lying(Lie::CutStream, Packing::Zstd), finds("MA084", ""))
            .may_follow(&["MA083"]),
        broken("a tar ends early", lying(Lie::CutStream, Packing::Plain), finds("MA084", "")).may_follow(&["MA083"]),
        broken("a layer that is no tar", lie(Lie::NotATar), finds("MA084", "")),
        broken(
            "a layer of an unknown type",
            lie(Lie::LayerType("application/vnd.example.squashfs")),
            finds("MA084", ""),
        ),
        broken("half of a manifest", lie(Lie::ManifestText), finds("MA084", "")),
    ]
}

/// What is copied and loaded all the same; and without half of its config it does not run.
fn taken() -> Vec<Case> {
    let lie = |lie| lying(lie, Packing::Gzip);
    vec![
        broken(
            "a layout without an index says another platform than the config",
            Layout::from(
                Image::new("linux/arm64")
                    .layer([program("app", &bare_static("amd64"))])
                    .entrypoint(&["/app"])
                    .lies(Lie::ConfigPlatform("linux/amd64")),
            )
            .shape(Shape::Alone),
            finds("MA003", ""),
        )
        .and(finds("MA010", "/app"))
        .by_bytes(),
        broken("the layer's size is another", lie(Lie::LayerSize), finds("MA082", "")).by_bytes(),
        broken("half of a config", lie(Lie::ConfigText), finds("MA084", "")),
        broken("one diff ID less than layers", lie(Lie::OneDiffIdLess), finds("MA085", "")).by_bytes(),
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
        broken("a library that is not wanted", greets(), finds("MA070", "libgreet.so"))
            .args(&["--deny-needed", "libssl*,libgreet*"]),
        broken("not a static program", greets(), finds("MA071", "/app")).args(&["--static-only"]),
        broken(
            "a musl program that loads its libc is not static",
            Image::new("linux/amd64")
                .layer(alpine("amd64"))
                .layer([program("app", &musl("amd64"))])
                .entrypoint(&["/app"]),
            finds("MA071", "/app"),
        )
        .args(&["--static-only"]),
        broken("a library that is not wanted, and missing", greets().layer([whiteout("usr/lib/libgreet.so")]), {
            finds("MA070", "libgreet.so")
        })
        .args(&["--deny-needed", "libgreet*"])
        .may_follow(&["MA030"]),
        broken(
            "a library that is not wanted, and the loader itself",
            Image::new("linux/amd64")
                .layer(alpine("amd64"))
                .layer([program("app", &musl("amd64"))])
                .entrypoint(&["/app"]),
            finds("MA070", "libc.so"),
        )
        .args(&["--deny-needed", "libc.so"]),
        broken(
            "a static program for another machine",
            Image::new("linux/arm64").layer([program("app", &bare_static("amd64"))]).entrypoint(&["/app"]),
            finds("MA010", "/app"),
        )
        .args(&["--static-only"]),
        broken("a platform is asked for that is not there", amd64(), finds("MA001", "").on("linux/riscv64"))
            .args(&["--platform", "linux/riscv64"]),
        broken("a platform is asked for, and half of a config", lying(Lie::ConfigText, Packing::Gzip), {
            finds("MA084", "")
        })
        .args(&["--platform", "linux/amd64"])
        .may_follow(&["MA001"]),
        broken("nobody said which user", amd64(), finds("MA072", "")).args(&["--non-root-only"]),
        broken("the user is root, by number", amd64().user("0:1000"), finds("MA072", "")).args(&["--non-root-only"]),
        broken("the user is root, by name", greets().user("root"), finds("MA072", "")).args(&["--non-root-only"]),
        broken(
            "the user has the number of root",
            greets().layer([text("etc/passwd", "toor:x:0:0::/:/bin/sh\n")]).user("toor"),
            finds("MA072", ""),
        )
        .args(&["--non-root-only"]),
        broken("too large", amd64(), finds("MA073", "")).args(&["--max-size", "10KB"]),
        broken("a label is missing", amd64(), finds("MA074", ""))
            .args(&["--require-label", "org.opencontainers.image.source"]),
        broken("a label is of another value", amd64().label("version", "1.2.3-dirty"), finds("MA074", ""))
            .args(&["--require-label", "version=[0-9].[0-9].[0-9]"]),
        broken("an annotation is missing", amd64(), finds("MA075", ""))
            .args(&["--require-annotation", "org.opencontainers.image.licenses"]),
        broken(
            "an annotation is of another value",
            Layout::from(amd64()).annotation("licenses", "MIT"),
            finds("MA075", ""),
        )
        .args(&["--require-annotation", "licenses=Apache*"]),
        broken("one finding is allowed, another is not", greets().user("root"), finds("MA071", "/app")).args(&[
            "--static-only",
            "--non-root-only",
            "--allow",
            "MA072",
        ]),
    ]
}
