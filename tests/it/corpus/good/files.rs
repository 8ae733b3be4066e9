//! Good images: platforms, links, layers, users and modes.

use super::*;
use crate::corpus::binaries::*;
use crate::corpus::case::{Case, good};
use crate::corpus::image::{Image, Layout, Shape};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [platforms(), links(), layers(), rights()].into_iter().flatten().collect()
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
            "static programs for many platforms, and attestations",
            Layout::of([
                amd64().layer([hello()]),
                on("linux/arm64", &bare_static("arm64")),
                on("linux/riscv64", &bare_static("riscv64")),
                busybox("linux/386"),
                busybox("linux/ppc64le"),
                busybox("linux/s390x"),
            ])
            .shape(Shape::Attested),
        ),
        good(
            "an index whose only entry says no platform",
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
            "three ARMs",
            Layout::of([
                on("linux/arm/v5", &bare_arm(5)),
                on("linux/arm/v6", &bare_arm(6)),
                on("linux/arm/v7", &bare_arm(7)),
            ]),
        ),
        good("a program for ARMv6 on arm/v7", on("linux/arm/v7", &bare_arm(6))),
        good("a program for x86-64-v3 in an amd64/v3 image", on("linux/amd64/v3", &for_x86_64("v3"))).by_bytes(),
        good("a program for x86-64-v2 in an amd64/v3 image", on("linux/amd64/v3", &for_x86_64("v2"))).by_bytes(),
        good(
            "a program of musl's on arm64",
            Image::new("linux/arm64")
                .layer(alpine("arm64"))
                .layer([program("app", &musl("arm64"))])
                .entrypoint(&["/app"]),
        ),
        good(
            "another machine's programs, which nothing starts",
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
            "an absolute link out of /usr",
            linked("usr/local/bin/app", "/opt/app/bin/app", "opt/app/bin/app").entrypoint(&["app"]),
        ),
        good("a relative link out of /usr", linked("usr/bin/app", "../../opt/app", "opt/app").entrypoint(&["app"])),
        good(
            "a relative link above the root",
            linked("usr/bin/app", "../../../../../opt/app", "opt/app").entrypoint(&["app"]),
        ),
        good("a link to a folder of a link", {
            amd64()
                .layer([at("opt/app-1.2/bin/app"), link("opt/app", "app-1.2"), link("srv", "/opt/app/bin")])
                .entrypoint(&["/srv/app"])
        }),
        good("links as /etc/alternatives has them", {
            amd64()
                .layer([
                    at("usr/lib/app/app"),
                    link("etc/alternatives/app", "/usr/lib/app/app"),
                    link("usr/bin/app", "/etc/alternatives/app"),
                ])
                .entrypoint(&["app"])
        }),
        good("a dangling link that nothing follows", slim_with([hello(), link("usr/bin/serve", "/opt/serve")])),
        good("one program under many names", {
            amd64()
                .layer(alpine("amd64"))
                .layer([program("bin/all", &multi_call()), link("usr/bin/hello", "../../bin/all")])
                .entrypoint(&["hello"])
        }),
    ]
}

fn layers() -> Vec<Case> {
    let zstd = |entry: Entry| Layer::from([entry]).packed(Packing::Zstd);
    let wrong = || program("app", &bare_static("arm64"));
    let long = format!("opt/{}/app", "a-long-name/".repeat(12).trim_end_matches('/'));
    let long_path: &'static str = Box::leak(format!("/{long}").into_boxed_str());
    vec![
        good(
            "a zstd layer on a gzip layer",
            amd64().layer(busybox("amd64").packed(Packing::Gzip)).layer(zstd(hello())),
        ),
        good("the right program over the wrong one", amd64().layer([wrong()]).layer([hello()])),
        good("the right program after the wrong one in a layer", amd64().layer([wrong(), hello()])),
        good("a whiteout, and the program again", amd64().layer([wrong()]).layer([whiteout("app")]).layer([hello()])),
        good(
            "an opaque folder that has the program itself",
            amd64()
                .layer([folder("opt"), at("opt/old")])
                .layer([folder("opt"), opaque("opt"), at("opt/app")])
                .entrypoint(&["/opt/app"]),
        ),
        good(
            "a hard link outlives the other name",
            amd64().layer([hello(), hard_link("start", "app")]).layer([whiteout("app")]).entrypoint(&["/start"]),
        ),
        good("a link where a folder was", {
            amd64()
                .layer([folder("opt"), at("opt/old"), at("srv/app")])
                .layer([link("opt", "srv")])
                .entrypoint(&["/opt/app"])
        }),
        good("a whiteout of what was never there", amd64().layer([hello()]).layer([whiteout("usr/lib/libgreet.so")])),
        good("paths that begin with ./", amd64().layer([folder(".").written_as("./"), at("app").written_as("./app")])),
        good("a long path", amd64().layer([at(&long)]).entrypoint(&[long_path])),
        good("a pipe and an empty layer", amd64().layer([hello(), pipe("run/pipe")]).layer([])),
    ]
}

fn rights() -> Vec<Case> {
    let group = |mode| hello().mode(mode).owner(0, 50);
    vec![
        // The usual file systems of containers give every root folder a mode of their own.
        good("a layer that closes the root folder itself", {
            slim_with([folder(".").written_as("./").mode(0o700), hello().written_as("./app")]).user("app")
        }),
        good("a setuid program of root's for a user", slim_with([hello().mode(0o4755)]).user("app")),
        good("a user by name", slim_with([hello()]).user("app")),
        good("a user that nobody added, by number", amd64().layer([hello()]).user("65532:65532")),
        good("a program that may be executed and not read", slim_with([hello().mode(0o111)]).user("app")),
        good("a program for a group that the user is also in", slim_with([group(0o750)]).user("app")),
        good("a program for the group that is named", slim_with([group(0o710)]).user("app:staff")),
        good("a group by number", slim_with([group(0o710)]).user("1000:50")),
        good("the owner's program", slim_with([hello().mode(0o500).owner(1000, 1000)]).user("1000")),
        good("root may execute what anybody may", slim_with([hello().mode(0o001)])),
        good(
            "root enters every folder",
            slim_with([folder("opt").mode(0), at("opt/app").mode(0o100).owner(1000, 1000)]).entrypoint(&["/opt/app"]),
        ),
        good(
            "a folder to enter and not to list",
            slim_with([folder("opt").mode(0o711), at("opt/app")]).entrypoint(&["/opt/app"]).user("app"),
        ),
        good("a folder for a group that the user is also in", {
            slim_with([folder("opt").mode(0o750).owner(0, 50), at("opt/app")]).entrypoint(&["/opt/app"]).user("app")
        }),
        good(
            "a closed folder that nothing is in the way of",
            slim_with([folder("root").mode(0o700), hello()]).user("app"),
        ),
        good(
            "a working directory that the user may not enter",
            slim_with([folder("srv").mode(0o700), hello()]).user("1000:1000").workdir("/srv"),
        ),
        good(
            "a working directory of the user's",
            slim_with([folder("srv").mode(0o700).owner(1000, 1000), hello()]).user("app").workdir("/srv"),
        ),
        good(
            "a working directory that is a link",
            slim_with([folder("opt"), link("srv", "opt"), hello()]).workdir("/srv"),
        ),
    ]
}
