//! Good images: platforms, links, layers, users and file modes.

use super::*;
use crate::corpus::binaries::*;
use crate::corpus::case::{Case, good};
use crate::corpus::image::{Image, Layout, Shape};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [platforms(), links(), layers(), permissions()].into_iter().flatten().collect()
}

fn platforms() -> Vec<Case> {
    let on = |platform, app: &Bytes| Image::new(platform).layer([program("app", app)]).entrypoint(&["/app"]);
    let dash = |platform| {
        let arch = architecture(platform);
        Image::new(platform).layer(slim(arch)).cmd(&["/bin/sh", "-c", "echo hello"])
    };
    let busybox = |platform| {
        Image::new(platform).layer(crate::corpus::roots::busybox(architecture(platform))).cmd(&["echo", "hello"])
    };
    vec![
        good(
            "static programs for many platforms, with attestations",
            Layout::of([
                amd64().layer([hello()]),
                on("linux/arm64", &bare_static("arm64")),
                on("linux/riscv64", &bare_static("riscv64")),
                busybox("linux/386"),
                busybox("linux/ppc64le"),
                busybox("linux/s390x"),
            ])
            .shape(Shape::WithAttestations),
        ),
        good(
            "an index with one entry and no platform",
            Layout::from(amd64().layer([hello()])).shape(Shape::NoPlatforms),
        ),
        good(
            "glibc and a shell for many platforms",
            Layout::of(["linux/386", "linux/amd64", "linux/arm64", "linux/arm/v5", "linux/arm/v7"].map(dash)),
        ),
        good(
            "glibc and a shell for more platforms",
            Layout::of(["linux/ppc64le", "linux/riscv64", "linux/s390x"].map(dash)),
        ),
        good(
            "a static soft-float program on arm/v7",
            Image::new("linux/arm/v7").layer(crate::corpus::roots::busybox("armel")).cmd(&["echo", "hello"]),
        ),
        good("a soft-float base on arm/v7", {
            Image::new("linux/arm/v7").layer(slim("armel")).cmd(&["/bin/sh", "-c", "echo hello"])
        }),
        good(
            "three ARM variants",
            Layout::of([
                on("linux/arm/v5", &bare_arm(5)),
                on("linux/arm/v6", &bare_arm(6)),
                on("linux/arm/v7", &bare_arm(7)),
            ]),
        ),
        good("an ARMv6 program on arm/v7", on("linux/arm/v7", &bare_arm(6))),
        good("an x86-64-v3 program in an amd64/v3 image", on("linux/amd64/v3", &for_x86_64("v3"))).without_proof(),
        good("an x86-64-v2 program in an amd64/v3 image", on("linux/amd64/v3", &for_x86_64("v2"))).without_proof(),
        good(
            "a musl program on arm64",
            Image::new("linux/arm64")
                .layer(alpine("arm64"))
                .layer([program("app", &musl("arm64"))])
                .entrypoint(&["/app"]),
        ),
        good(
            "programs for another machine that are never started",
            slim_with([
                hello(),
                program("opt/app-arm64", &bare_static("arm64")),
                file("usr/lib/aarch64-linux-gnu/libgreet.so", &libgreet_of("arm64")),
                program("usr/bin/qemu-s390x-static", &busybox_program("s390x")),
            ]),
        ),
    ]
}

fn links() -> Vec<Case> {
    let linked = |path: &str, target: &str, real: &str| amd64().layer([at(real), link(path, target)]);
    vec![
        good(
            "an absolute link from /usr to /opt",
            linked("usr/local/bin/app", "/opt/app/bin/app", "opt/app/bin/app").entrypoint(&["app"]),
        ),
        good(
            "a relative link from /usr to /opt",
            linked("usr/bin/app", "../../opt/app", "opt/app").entrypoint(&["app"]),
        ),
        good(
            "a relative link that climbs above the root",
            linked("usr/bin/app", "../../../../../opt/app", "opt/app").entrypoint(&["app"]),
        ),
        good("a link through another link", {
            amd64()
                .layer([at("opt/app-1.2/bin/app"), link("opt/app", "app-1.2"), link("srv", "/opt/app/bin")])
                .entrypoint(&["/srv/app"])
        }),
        good("links through /etc/alternatives", {
            amd64()
                .layer([
                    at("usr/lib/app/app"),
                    link("etc/alternatives/app", "/usr/lib/app/app"),
                    link("usr/bin/app", "/etc/alternatives/app"),
                ])
                .entrypoint(&["app"])
        }),
        good("a dangling link that is never followed", slim_with([hello(), link("usr/bin/serve", "/opt/serve")])),
        good("a multi-call program", {
            amd64()
                .layer(alpine("amd64"))
                .layer([program("bin/all", &multi_call()), link("usr/bin/hello", "../../bin/all")])
                .entrypoint(&["hello"])
        }),
    ]
}

fn layers() -> Vec<Case> {
    let zstd = |entry: Entry| Layer::from([entry]).compressed(Compression::Zstd);
    let wrong = || program("app", &bare_static("arm64"));
    let long = format!("opt/{}/app", "a-long-name/".repeat(12).trim_end_matches('/'));
    let long_path: &'static str = Box::leak(format!("/{long}").into_boxed_str());
    vec![
        good(
            "a zstd layer on a gzip layer",
            amd64().layer(busybox("amd64").compressed(Compression::Gzip)).layer(zstd(hello())),
        ),
        good("a later layer replaces the wrong program", amd64().layer([wrong()]).layer([hello()])),
        good("a later entry in the same layer replaces the wrong program", amd64().layer([wrong(), hello()])),
        good("a whiteout, then the program again", amd64().layer([wrong()]).layer([whiteout("app")]).layer([hello()])),
        good(
            "an opaque directory that contains the program",
            amd64()
                .layer([directory("opt"), at("opt/old")])
                .layer([directory("opt"), opaque("opt"), at("opt/app")])
                .entrypoint(&["/opt/app"]),
        ),
        good(
            "a hard link whose original was removed",
            amd64().layer([hello(), hard_link("start", "app")]).layer([whiteout("app")]).entrypoint(&["/start"]),
        ),
        good("a link replaces a directory", {
            amd64()
                .layer([directory("opt"), at("opt/old"), at("srv/app")])
                .layer([link("opt", "srv")])
                .entrypoint(&["/opt/app"])
        }),
        good("a whiteout of a missing file", amd64().layer([hello()]).layer([whiteout("usr/lib/libgreet.so")])),
        good(
            "paths that start with ./",
            amd64().layer([directory(".").written_as("./"), at("app").written_as("./app")]),
        ),
        good("a long path", amd64().layer([at(&long)]).entrypoint(&[long_path])),
        good("a FIFO and an empty layer", amd64().layer([hello(), fifo("run/pipe")]).layer([])),
    ]
}

fn permissions() -> Vec<Case> {
    let group = |mode| hello().mode(mode).owner(0, 50);
    vec![
        // Container storage drivers set the mode of the root directory themselves.
        good("a layer that makes the root directory inaccessible", {
            slim_with([directory(".").written_as("./").mode(0o700), hello().written_as("./app")]).user("app")
        }),
        good("a setuid-root program started by another user", slim_with([hello().mode(0o4755)]).user("app")),
        good("a named user", slim_with([hello()]).user("app")),
        good("a numeric user that is not in passwd", amd64().layer([hello()]).user("65532:65532")),
        good("an executable program that is not readable", slim_with([hello().mode(0o111)]).user("app")),
        good("a program restricted to the user's supplementary group", slim_with([group(0o750)]).user("app")),
        good("a program restricted to the configured group", slim_with([group(0o710)]).user("app:staff")),
        good("a program restricted to the configured numeric group", slim_with([group(0o710)]).user("1000:50")),
        good("a program that only its owner may run", slim_with([hello().mode(0o500).owner(1000, 1000)]).user("1000")),
        good("root may run a program if any exec bit is set", slim_with([hello().mode(0o001)])),
        good(
            "root may enter any directory",
            slim_with([directory("opt").mode(0), at("opt/app").mode(0o100).owner(1000, 1000)])
                .entrypoint(&["/opt/app"]),
        ),
        good(
            "a directory that can be entered but not listed",
            slim_with([directory("opt").mode(0o711), at("opt/app")]).entrypoint(&["/opt/app"]).user("app"),
        ),
        good("a directory restricted to the user's supplementary group", {
            slim_with([directory("opt").mode(0o750).owner(0, 50), at("opt/app")]).entrypoint(&["/opt/app"]).user("app")
        }),
        good(
            "an inaccessible directory that is never entered",
            slim_with([directory("root").mode(0o700), hello()]).user("app"),
        ),
        good(
            "a working directory that the user may not enter",
            slim_with([directory("srv").mode(0o700), hello()]).user("1000:1000").workdir("/srv"),
        ),
        good(
            "a working directory that belongs to the user",
            slim_with([directory("srv").mode(0o700).owner(1000, 1000), hello()]).user("app").workdir("/srv"),
        ),
        good(
            "a working directory that is a link",
            slim_with([directory("opt"), link("srv", "opt"), hello()]).workdir("/srv"),
        ),
    ]
}
