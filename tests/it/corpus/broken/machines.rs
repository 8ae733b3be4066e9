//! Broken images: machines, CPUs, ABIs, and bases that are of another platform than the image.

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finds};
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
            "the amd64 program in the arm64 image too",
            Layout::of([amd64().layer([app("amd64")]), arm64().layer([app("amd64")])]),
            finds("MA010", "/app").on("linux/arm64"),
        )
        .emulated(),
        broken(
            "the two programs are the wrong way round",
            Layout::of([amd64().layer([app("arm64")]), arm64().layer([app("amd64")])]),
            finds("MA010", "/app").on("linux/arm64"),
        )
        .and(finds("MA010", "/app").on("linux/amd64"))
        .emulated(),
        broken("a 386 program in an amd64 image", amd64().layer([busybox("i386")]), finds("MA010", "/app")).emulated(),
        broken(
            "an amd64 program in a 386 image",
            Image::new("linux/386").layer([app("amd64")]).cmd(&["/app"]),
            finds("MA010", "/app"),
        )
        .emulated(),
        broken("an x32 program in an amd64 image", amd64().layer([program("app", &x32())]), finds("MA010", "/app"))
            .emulated(),
        broken(
            "a big-endian arm64 program",
            arm64().layer([program("app", &big_endian_arm64())]),
            finds("MA010", "/app"),
        ),
        broken(
            "an s390x program in a ppc64le image",
            Image::new("linux/ppc64le").layer([busybox("s390x")]).entrypoint(&["/app"]),
            finds("MA010", "/app"),
        )
        .emulated(),
        broken(
            "an arm program in an arm64 image",
            arm64().layer([program("app", &bare_arm(7))]),
            finds("MA010", "/app"),
        )
        .emulated(),
        broken(
            "tini is for another machine",
            arm64()
                .layer([program("tini", &debian("amd64", "tini", "bin/tini-static")), app("arm64")])
                .entrypoint(&["/tini", "--", "/app"]),
            finds("MA010", "/tini"),
        )
        .emulated(),
        broken(
            "tini is right and what it starts is not",
            arm64()
                .layer([program("tini", &debian("arm64", "tini", "bin/tini-static")), app("amd64")])
                .entrypoint(&["/tini", "-g", "--"])
                .cmd(&["/app"]),
            finds("MA010", "/app"),
        )
        .emulated(),
        broken(
            "the program that an entrypoint script ends in",
            arm64()
                .layer(slim("arm64"))
                .layer([app("amd64"), script("run", "#!/bin/sh\nset -e\nexec /app \"$@\"\n")])
                .entrypoint(&["/run"]),
            finds("MA010", "/app"),
        )
        .emulated(),
        broken(
            "a hard link keeps the program that a later layer replaces",
            arm64().layer([app("amd64"), hard_link("start", "app")]).layer([app("arm64")]).entrypoint(&["/start"]),
            finds("MA010", "/start"),
        )
        .emulated(),
    ]
}

fn bases() -> Vec<Case> {
    vec![
        broken(
            "a static arm64 program on an amd64 base",
            arm64().layer(slim("amd64")).layer([program("app", &bare_static("arm64"))]),
            finds("MA060", "/bin/sh"),
        )
        .emulated(),
        broken(
            "a shell script on a base of another machine",
            arm64().layer(busybox("amd64")).layer([script("app", "#!/bin/sh\necho hello\n")]),
            finds("MA060", "/bin/sh"),
        )
        .may_follow(&["MA010"])
        .emulated(),
        broken(
            "a glibc program on the distroless base of another machine",
            arm64().layer(distroless("amd64")).layer([program("app", &glibc("arm64", "2.31"))]),
            finds("MA020", "/app"),
        )
        .may_follow(&["MA060"]),
        broken(
            "a static program on the distroless base of another machine",
            arm64().layer(distroless("amd64")).layer([program("app", &bare_static("arm64"))]),
            finds("MA060", ""),
        )
        .by_bytes(),
        broken(
            "a big-endian base for a little-endian program",
            amd64().layer(busybox("s390x")).layer([program("app", &static_pie("amd64"))]),
            finds("MA060", "/bin/sh"),
        )
        .emulated(),
    ]
}

fn cpus() -> Vec<Case> {
    let arm = |variant, program: &Bytes| {
        Image::new(variant).layer([crate::corpus::layer::program("app", program)]).entrypoint(&["/app"])
    };
    vec![
        broken("an ARMv7 program in an arm/v6 image", arm("linux/arm/v6", &bare_arm(7)), finds("MA012", "/app")),
        broken(
            "an armhf busybox in an arm/v6 image",
            Image::new("linux/arm/v6").layer(busybox("armhf")).entrypoint(&["/bin/echo", "hello"]),
            finds("MA012", "/bin/busybox"),
        ),
        broken("an ARMv6 program in an arm/v5 image", arm("linux/arm/v5", &bare_arm(6)), finds("MA012", "/app")),
        broken(
            "a program for x86-64-v3 in a plain amd64 image",
            amd64().layer([program("app", &for_x86_64("v3"))]),
            finds("MA012", "/app"),
        )
        .by_bytes(),
        broken(
            "a program for x86-64-v4 in an amd64/v3 image",
            Image::new("linux/amd64/v3").layer([program("app", &for_x86_64("v4"))]).entrypoint(&["/app"]),
            finds("MA012", "/app"),
        )
        .by_bytes(),
    ]
}

fn floats() -> Vec<Case> {
    let target = "arm-linux-gnueabihf.2.31";
    let soft = libgreet("arm-linux-gnueabi", &[]);
    let riscv64 = Image::new("linux/riscv64").layer(distroless("riscv64")).entrypoint(&["/app"]);
    vec![
        broken(
            "a hard-float program and a soft-float library",
            Image::new("linux/arm/v7")
                .layer(distroless("armhf"))
                .layer([program("app", &greets(target, &[])), file("usr/lib/libgreet.so", &soft)])
                .entrypoint(&["/app"]),
            finds("MA011", "libgreet.so"),
        ),
        broken(
            "a soft-float program on a hard-float base, whose loader is linked to where it looks",
            Image::new("linux/arm/v7")
                .layer(distroless("armhf"))
                .layer([
                    link("usr/lib/ld-linux.so.3", "ld-linux-armhf.so.3"),
                    program("app", &debian("armel", "dash", "bin/dash")),
                ])
                .entrypoint(&["/app", "-c", "echo hello"]),
            finds("MA011", "/app"),
        ),
        broken(
            "a double-float RISC-V program and a soft-float library",
            riscv64.layer([
                program("app", &greets("riscv64-linux-gnu.2.31", &["-pie", "-fPIE"])),
                file("usr/lib/libgreet.so", &libgreet("riscv64-linux-gnu", &["-mabi=lp64"])),
            ]),
            finds("MA011", "libgreet.so"),
        ),
    ]
}
