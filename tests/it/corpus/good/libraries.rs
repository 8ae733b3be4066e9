//! Good images: base images, and libraries that the dynamic loader finds.

use super::*;
use crate::corpus::binaries::*;
use crate::corpus::case::{Case, good};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [programs(), bases(), libraries()].into_iter().flatten().collect()
}

fn programs() -> Vec<Case> {
    vec![
        good("a static program and nothing else", amd64().layer([hello()])),
        good("a static-pie program", amd64().layer([program("app", &static_pie("amd64"))])),
        good(
            "a dynamically linked musl program",
            amd64().layer(alpine("amd64")).layer([program("app", &musl("amd64"))]),
        ),
        good("a position-independent glibc program", slim_with([program("app", &glibc("amd64", "2.31"))])),
        good("a glibc program that is not position-independent", slim_with([program("app", &glibc_fixed("amd64"))])),
        good("a program for the glibc version of the base", slim_with([program("app", &glibc("amd64", "2.36"))])),
        good("a static musl program on a glibc base", slim_with([program("app", &static_pie("amd64"))])),
        good(
            "a program with its loader in /nix/store",
            slim_with([
                program("app", &glibc_with_loader("/nix/store/glibc/lib/ld.so")),
                program("nix/store/glibc/lib/ld.so", &loader("amd64")),
            ]),
        ),
        good(
            "the loader as the entrypoint",
            slim_with([program("app", &glibc("amd64", "2.31"))]).entrypoint(&["/lib64/ld-linux-x86-64.so.2", "/app"]),
        ),
        good("a command without an entrypoint", amd64().layer([hello()]).entrypoint(&[]).cmd(&["/app"])),
        good("a relative program path", amd64().layer([at("srv/bin/app")]).workdir("/srv").entrypoint(&["./bin/app"])),
        good(
            "a program found in PATH",
            amd64().layer([at("opt/bin/app")]).env(&["PATH=/bin:/opt/bin"]).entrypoint(&["app"]),
        ),
        good(
            "a program in a default directory, without PATH",
            amd64().layer([at("usr/local/bin/app")]).env(&["HOME=/"]).entrypoint(&["app"]),
        ),
        good(
            "a file in PATH that is not executable is skipped",
            amd64().layer([at("usr/local/bin/app").mode(0o644), at("usr/bin/app")]).entrypoint(&["app"]),
        ),
    ]
}

fn bases() -> Vec<Case> {
    let greets = program("app", &greets_glibc(&[]));
    vec![
        good("a busybox applet", amd64().layer(busybox("amd64")).entrypoint(&["/bin/echo", "hello"])),
        good(
            "a busybox applet that is a hard link",
            amd64()
                .layer(busybox("amd64").with([hard_link("usr/bin/echo", "bin/busybox")]))
                .entrypoint(&["/usr/bin/echo", "hello"]),
        ),
        good(
            "an applet as an argument of busybox",
            amd64().layer(busybox("amd64")).entrypoint(&["busybox", "echo"]).cmd(&["hello"]),
        ),
        good("a shell command", amd64().layer(slim("amd64")).entrypoint(&[]).cmd(&["/bin/sh", "-c", "echo hello"])),
        good(
            "a glibc program on distroless",
            amd64().layer(distroless("amd64")).layer([program("app", &glibc("amd64", "2.31"))]),
        ),
        good(
            "a base without a merged /usr",
            amd64().layer([
                program("lib64/ld-linux-x86-64.so.2", &loader("amd64")),
                file("lib/x86_64-linux-gnu/libc.so.6", &libc("amd64")),
                file("usr/lib/x86_64-linux-gnu/libgreet.so", &libgreet_of("amd64")),
                greets.clone(),
            ]),
        ),
        good("a base with libgcc_s", {
            let app = needs("libgcc_s.so.1", libgcc("amd64"), "_Unwind_GetIP");
            slim_with([program("app", &app), file("usr/lib/x86_64-linux-gnu/libgcc_s.so.1", &libgcc("amd64"))])
        }),
        good("a base with libstdc++", {
            let app = needs("libstdc++.so.6", libstdcxx("amd64"), "_ZSt9terminatev");
            slim_with([
                program("app", &app),
                file("usr/lib/x86_64-linux-gnu/libgcc_s.so.1", &libgcc("amd64")),
                file("usr/lib/x86_64-linux-gnu/libm.so.6", &debian("amd64", "libc6", "lib/x86_64-linux-gnu/libm.so.6")),
                file("usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30", &libstdcxx("amd64")),
                link("usr/lib/x86_64-linux-gnu/libstdc++.so.6", "libstdc++.so.6.0.30"),
            ])
        }),
    ]
}

fn libraries() -> Vec<Case> {
    let (deep, greet) = libdeep_and_libgreet(&[]);
    let (_, greet_with_runpath) = libdeep_and_libgreet(&["-Wl,-rpath,$ORIGIN"]);
    let lib = |path: &str| file(path, &libgreet_of("amd64"));
    let greets = |args: &[&str]| program("opt/app/bin/app", &greets_glibc(args));
    let opt = |entries: Vec<Entry>| slim_with(entries).entrypoint(&["/opt/app/bin/app"]);
    let musl_app = || program("app", &crate::corpus::binaries::greets("x86_64-linux-musl", &["-dynamic"]));
    vec![
        good(
            "a RUNPATH relative to $ORIGIN",
            opt(vec![greets(&["-Wl,-rpath,$ORIGIN/../lib"]), lib("opt/app/lib/libgreet.so")]),
        ),
        good("a RUNPATH relative to ${ORIGIN}, with the program behind a link", {
            opt(vec![
                greets(&["-Wl,-rpath,${ORIGIN}/../lib"]),
                lib("opt/app/lib/libgreet.so"),
                link("usr/bin/app", "/opt/app/bin/app"),
            ])
            .entrypoint(&["app"])
        }),
        good(
            "a library in the second directory of a RUNPATH",
            opt(vec![greets(&["-Wl,-rpath,/opt/none:/srv/lib"]), lib("srv/lib/libgreet.so")]),
        ),
        good(
            "a library with its own RUNPATH",
            opt(vec![
                greets(&["-Wl,-rpath,/opt/app/lib"]),
                file("opt/app/lib/libgreet.so", &greet_with_runpath),
                file("opt/app/lib/libdeep.so", &deep),
            ]),
        ),
        good(
            "an RPATH applies to indirect dependencies",
            opt(vec![
                program("opt/app/bin/app", &with_rpath(&greets_glibc(&["-Wl,-rpath,/opt/app/lib"]))),
                file("opt/app/lib/libgreet.so", &greet),
                file("opt/app/lib/libdeep.so", &deep),
            ]),
        ),
        good(
            "a library in LD_LIBRARY_PATH",
            opt(vec![greets(&[]), lib("opt/lib/libgreet.so")]).env(&["LD_LIBRARY_PATH=/none:/opt/lib"]),
        ),
        good("LD_LIBRARY_PATH finds a library for another machine first", {
            opt(vec![greets(&[]), file("opt/arm64/libgreet.so", &libgreet_of("arm64")), lib("opt/lib/libgreet.so")])
                .env(&["LD_LIBRARY_PATH=/opt/arm64:/opt/lib"])
        }),
        good(
            "a library loaded by LD_PRELOAD",
            opt(vec![greets(&[]), lib("srv/libgreet.so")]).env(&["LD_PRELOAD=/srv/libgreet.so"]),
        ),
        good("a library in ld.so.cache", {
            let cache = crate::corpus::cache_file::ld_so_cache(&[("libgreet.so", "/opt/lib/libgreet.so")]);
            opt(vec![
                greets(&[]),
                lib("opt/lib/libgreet.so"),
                text("etc/ld.so.conf", "/opt/lib\n"),
                file("etc/ld.so.cache", &cache),
            ])
        }),
        good(
            "a library that is a link to its version",
            opt(vec![greets(&[]), lib("usr/lib/libgreet.so.1.2"), link("usr/lib/libgreet.so", "libgreet.so.1.2")]),
        ),
        good(
            "a musl library in a default directory",
            amd64().layer(alpine("amd64")).layer([musl_app(), lib("usr/local/lib/libgreet.so")]),
        ),
        good("a musl library in a directory from the path file", {
            amd64().layer(alpine("amd64")).layer([
                musl_app(),
                lib("opt/lib/libgreet.so"),
                text("etc/ld-musl-x86_64.path", "/lib:/usr/lib\n/opt/lib\n"),
            ])
        }),
        good("a musl program with a RUNPATH", {
            let app = crate::corpus::binaries::greets("x86_64-linux-musl", &["-dynamic", "-Wl,-rpath,$ORIGIN/lib"]);
            amd64()
                .layer(alpine("amd64"))
                .layer([program("opt/app/app", &app), lib("opt/app/lib/libgreet.so")])
                .entrypoint(&["/opt/app/app"])
        }),
    ]
}
