//! Good images: bases, and the libraries that are found.

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
            "a musl program that loads its libc",
            amd64().layer(alpine("amd64")).layer([program("app", &musl("amd64"))]),
        ),
        good("a glibc pie", slim_with([program("app", &glibc("amd64", "2.31"))])),
        good("a glibc program at a fixed address", slim_with([program("app", &glibc_fixed("amd64"))])),
        good("a program for the glibc that there is", slim_with([program("app", &glibc("amd64", "2.36"))])),
        good("a musl program's static friend on a glibc base", slim_with([program("app", &static_pie("amd64"))])),
        good(
            "a program whose loader is elsewhere, as in a nix image",
            slim_with([
                program("app", &glibc_with_loader("/nix/store/glibc/lib/ld.so")),
                program("nix/store/glibc/lib/ld.so", &loader("amd64")),
            ]),
        ),
        good(
            "the loader starts the program",
            slim_with([program("app", &glibc("amd64", "2.31"))]).entrypoint(&["/lib64/ld-linux-x86-64.so.2", "/app"]),
        ),
        good("only a command", amd64().layer([hello()]).entrypoint(&[]).cmd(&["/app"])),
        good(
            "a program by a relative path",
            amd64().layer([at("srv/bin/app")]).workdir("/srv").entrypoint(&["./bin/app"]),
        ),
        good(
            "a program by name in a folder of PATH",
            amd64().layer([at("opt/bin/app")]).env(&["PATH=/bin:/opt/bin"]).entrypoint(&["app"]),
        ),
        good(
            "no PATH, and a usual folder",
            amd64().layer([at("usr/local/bin/app")]).env(&["HOME=/"]).entrypoint(&["app"]),
        ),
        good(
            "PATH has first what may not be executed",
            amd64().layer([at("usr/local/bin/app").mode(0o644), at("usr/bin/app")]).entrypoint(&["app"]),
        ),
    ]
}

fn bases() -> Vec<Case> {
    let greets = program("app", &greets_glibc(&[]));
    vec![
        good("an applet of busybox", amd64().layer(busybox("amd64")).entrypoint(&["/bin/echo", "hello"])),
        good(
            "an applet that is a hard link",
            amd64()
                .layer(busybox("amd64").with([hard_link("usr/bin/echo", "bin/busybox")]))
                .entrypoint(&["/usr/bin/echo", "hello"]),
        ),
        good(
            "busybox by its own name",
            amd64().layer(busybox("amd64")).entrypoint(&["busybox", "echo"]).cmd(&["hello"]),
        ),
        good("a shell's command", amd64().layer(slim("amd64")).entrypoint(&[]).cmd(&["/bin/sh", "-c", "echo hello"])),
        good(
            "a glibc program on distroless",
            amd64().layer(distroless("amd64")).layer([program("app", &glibc("amd64", "2.31"))]),
        ),
        good(
            "folders that nobody merged into /usr",
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
    let (_, greet_by_itself) = libdeep_and_libgreet(&["-Wl,-rpath,$ORIGIN"]);
    let lib = |path: &str| file(path, &libgreet_of("amd64"));
    let greets = |args: &[&str]| program("opt/app/bin/app", &greets_glibc(args));
    let opt = |entries: Vec<Entry>| slim_with(entries).entrypoint(&["/opt/app/bin/app"]);
    let musl_app = || program("app", &crate::corpus::binaries::greets("x86_64-linux-musl", &["-dynamic"]));
    vec![
        good(
            "a RUNPATH from $ORIGIN",
            opt(vec![greets(&["-Wl,-rpath,$ORIGIN/../lib"]), lib("opt/app/lib/libgreet.so")]),
        ),
        good("a RUNPATH from ${ORIGIN}, through a link", {
            opt(vec![
                greets(&["-Wl,-rpath,${ORIGIN}/../lib"]),
                lib("opt/app/lib/libgreet.so"),
                link("usr/bin/app", "/opt/app/bin/app"),
            ])
            .entrypoint(&["app"])
        }),
        good(
            "an absolute RUNPATH, the second of two",
            opt(vec![greets(&["-Wl,-rpath,/opt/none:/srv/lib"]), lib("srv/lib/libgreet.so")]),
        ),
        good(
            "a library finds its own by its own RUNPATH",
            opt(vec![
                greets(&["-Wl,-rpath,/opt/app/lib"]),
                file("opt/app/lib/libgreet.so", &greet_by_itself),
                file("opt/app/lib/libdeep.so", &deep),
            ]),
        ),
        good(
            "an RPATH counts for a library's own libraries",
            opt(vec![
                program("opt/app/bin/app", &with_rpath(&greets_glibc(&["-Wl,-rpath,/opt/app/lib"]))),
                file("opt/app/lib/libgreet.so", &greet),
                file("opt/app/lib/libdeep.so", &deep),
            ]),
        ),
        good(
            "LD_LIBRARY_PATH",
            opt(vec![greets(&[]), lib("opt/lib/libgreet.so")]).env(&["LD_LIBRARY_PATH=/none:/opt/lib"]),
        ),
        good("LD_LIBRARY_PATH has another machine's library first", {
            opt(vec![greets(&[]), file("opt/arm64/libgreet.so", &libgreet_of("arm64")), lib("opt/lib/libgreet.so")])
                .env(&["LD_LIBRARY_PATH=/opt/arm64:/opt/lib"])
        }),
        good(
            "LD_PRELOAD has what nobody looks for",
            opt(vec![greets(&[]), lib("srv/libgreet.so")]).env(&["LD_PRELOAD=/srv/libgreet.so"]),
        ),
        good("the cache of ldconfig", {
            let cache = crate::corpus::cache_file::ld_so_cache(&[("libgreet.so", "/opt/lib/libgreet.so")]);
            opt(vec![
                greets(&[]),
                lib("opt/lib/libgreet.so"),
                text("etc/ld.so.conf", "/opt/lib\n"),
                file("etc/ld.so.cache", &cache),
            ])
        }),
        good(
            "a library is a link to its version",
            opt(vec![greets(&[]), lib("usr/lib/libgreet.so.1.2"), link("usr/lib/libgreet.so", "libgreet.so.1.2")]),
        ),
        good(
            "a musl library in the usual folder",
            amd64().layer(alpine("amd64")).layer([musl_app(), lib("usr/local/lib/libgreet.so")]),
        ),
        good("a folder that musl's path file has", {
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
