//! Broken images: programs for another machine, CPU or ABI, and bases for another platform.

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finding};
use crate::corpus::image::{Image, Layout};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

fn amd64() -> Image {
    Image::new("linux/amd64").entrypoint(&["/app"])
}

fn arm64() -> Image {
    Image::new("linux/arm64").entrypoint(&["/app"])
}

pub fn cases() -> Vec<Case> {
    [programs(), bases(), cpus(), floats()].into_iter().flatten().collect()
}

fn programs() -> Vec<Case> {
    let app = |arch: &str| program("app", &bare_static(arch));
    let busybox = |arch: &str| program("app", &busybox_program(arch));
    vec![
        broken(
            "the amd64 program in both images",
            Layout::of([amd64().layer([app("amd64")]), arm64().layer([app("amd64")])]),
            finding("MA010", "/app").on("linux/arm64"),
        )
        .emulated(),
        broken(
            "the amd64 and arm64 programs are swapped",
            Layout::of([amd64().layer([app("arm64")]), arm64().layer([app("amd64")])]),
            finding("MA010", "/app").on("linux/arm64"),
        )
        .and(finding("MA010", "/app").on("linux/amd64"))
        .emulated(),
        broken("a 386 program in an amd64 image", amd64().layer([busybox("i386")]), finding("MA010", "/app"))
            .emulated(),
        broken(
            "an amd64 program in a 386 image",
            Image::new("linux/386").layer([app("amd64")]).cmd(&["/app"]),
            finding("MA010", "/app"),
        )
        .emulated(),
        broken("an x32 program in an amd64 image", amd64().layer([program("app", &x32())]), finding("MA010", "/app"))
            .emulated(),
        broken(
            "a big-endian arm64 program",
            arm64().layer([program("app", &big_endian_arm64())]),
            finding("MA010", "/app"),
        ),
        broken(
            "an s390x program in a ppc64le image",
            Image::new("linux/ppc64le").layer([busybox("s390x")]).entrypoint(&["/app"]),
            finding("MA010", "/app"),
        )
        .emulated(),
        broken(
            "an arm program in an arm64 image",
            arm64().layer([program("app", &bare_arm(7))]),
            finding("MA010", "/app"),
        )
        .emulated(),
        broken(
            "tini for another machine",
            arm64()
                .layer([program("tini", &debian("amd64", "tini", "bin/tini-static")), app("arm64")])
                .entrypoint(&["/tini", "--", "/app"]),
            finding("MA010", "/tini"),
        )
        .emulated(),
        broken(
            "tini starts a program for another machine",
            arm64()
                .layer([program("tini", &debian("arm64", "tini", "bin/tini-static")), app("amd64")])
                .entrypoint(&["/tini", "-g", "--"])
                .cmd(&["/app"]),
            finding("MA010", "/app"),
        )
        .emulated(),
        broken(
            "an entrypoint script starts a program for another machine",
            arm64()
                .layer(slim("arm64"))
                .layer([app("amd64"), script("run", "#!/bin/sh\nset -e\nexec /app \"$@\"\n")])
                .entrypoint(&["/run"]),
            finding("MA010", "/app"),
        )
        .emulated(),
        broken(
            "a hard link to a program that a later layer replaces",
            arm64().layer([app("amd64"), hard_link("start", "app")]).layer([app("arm64")]).entrypoint(&["/start"]),
            finding("MA010", "/start"),
        )
        .emulated(),
    ]
}

fn bases() -> Vec<Case> {
    vec![
        broken(
            "a static arm64 program on an amd64 base",
            arm64().layer(slim("amd64")).layer([program("app", &bare_static("arm64"))]),
            finding("MA060", "/bin/sh"),
        )
        .emulated(),
        broken(
            "a shell script on a base for another machine",
            arm64().layer(busybox("amd64")).layer([script("app", "#!/bin/sh\necho hello\n")]),
            finding("MA060", "/bin/sh"),
        )
        .may_also_report(&["MA010"])
        .emulated(),
        broken(
            "a glibc program on a distroless base for another machine",
            arm64().layer(distroless("amd64")).layer([program("app", &glibc("arm64", "2.31"))]),
            finding("MA020", "/app"),
        )
        .may_also_report(&["MA060"]),
        broken(
            "a static program on a distroless base for another machine",
            arm64().layer(distroless("amd64")).layer([program("app", &bare_static("arm64"))]),
            finding("MA060", ""),
        )
        .without_proof(),
        broken(
            "a little-endian program on a big-endian base",
            amd64().layer(busybox("s390x")).layer([program("app", &static_pie("amd64"))]),
            finding("MA060", "/bin/sh"),
        )
        .emulated(),
    ]
}

fn cpus() -> Vec<Case> {
    let arm = |variant, program: &Bytes| {
        Image::new(variant).layer([crate::corpus::layer::program("app", program)]).entrypoint(&["/app"])
    };
    vec![
        broken("an ARMv7 program in an arm/v6 image", arm("linux/arm/v6", &bare_arm(7)), finding("MA012", "/app")),
        broken(
            "an armhf busybox in an arm/v6 image",
            Image::new("linux/arm/v6").layer(busybox("armhf")).entrypoint(&["/bin/echo", "hello"]),
            finding("MA012", "/bin/busybox"),
        ),
        broken("an ARMv6 program in an arm/v5 image", arm("linux/arm/v5", &bare_arm(6)), finding("MA012", "/app")),
        broken(
            "an x86-64-v3 program in an amd64 image",
            amd64().layer([program("app", &for_x86_64("v3"))]),
            finding("MA012", "/app"),
        )
        .without_proof(),
        broken(
            "an x86-64-v4 program in an amd64/v3 image",
            Image::new("linux/amd64/v3").layer([program("app", &for_x86_64("v4"))]).entrypoint(&["/app"]),
            finding("MA012", "/app"),
        )
        .without_proof(),
    ]
}

fn floats() -> Vec<Case> {
    let target = "arm-linux-gnueabihf.2.31";
    let soft = libgreet("arm-linux-gnueabi", &[]);
    let riscv64 = Image::new("linux/riscv64").layer(distroless("riscv64")).entrypoint(&["/app"]);
    vec![
        broken(
            "a hard-float program with a soft-float library",
            Image::new("linux/arm/v7")
                .layer(distroless("armhf"))
                .layer([program("app", &greets(target, &[])), file("usr/lib/libgreet.so", &soft)])
                .entrypoint(&["/app"]),
            finding("MA011", "libgreet.so"),
        ),
        broken(
            "a soft-float program whose loader is a link to the hard-float loader",
            Image::new("linux/arm/v7")
                .layer(distroless("armhf"))
                .layer([
                    link("usr/lib/ld-linux.so.3", "ld-linux-armhf.so.3"),
                    program("app", &debian("armel", "dash", "bin/dash")),
                ])
                .entrypoint(&["/app", "-c", "echo hello"]),
            finding("MA011", "/app"),
        ),
        broken(
            "a double-float RISC-V program with a soft-float library",
            riscv64.layer([
                program("app", &greets("riscv64-linux-gnu.2.31", &["-pie", "-fPIE"])),
                file("usr/lib/libgreet.so", &libgreet("riscv64-linux-gnu", &["-mabi=lp64"])),
            ]),
            finding("MA011", "libgreet.so"),
        ),
    ]
}
