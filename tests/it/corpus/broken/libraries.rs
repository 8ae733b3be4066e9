//! Broken images: loaders, libraries and their versions.

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finds};
use crate::corpus::image::Image;
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [loaders(), missing(), searched(), versions(), mixes()].into_iter().flatten().collect()
}

fn on(base: impl Into<Layer>, app: &Bytes) -> Image {
    Image::new("linux/amd64").layer(base).layer([program("app", app)]).entrypoint(&["/app"])
}

fn slim_with(app: &Bytes, more: Vec<Entry>) -> Image {
    on(slim("amd64"), app).layer(more)
}

const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

fn loaders() -> Vec<Case> {
    let glibc = || glibc("amd64", "2.31");
    let glibc_arm64 = crate::corpus::binaries::glibc("arm64", "2.31");
    vec![
        broken("a glibc program and nothing else", on([folder("tmp")], &glibc()), finds("MA020", LOADER)),
        broken(
            "a musl program on a glibc base",
            on(slim("amd64"), &musl("amd64")),
            finds("MA020", "/lib/ld-musl-x86_64.so.1"),
        ),
        broken("a glibc program on a musl base", on(alpine("amd64"), &glibc()), finds("MA020", LOADER)),
        broken(
            "a musl program for arm64 on a glibc base",
            Image::new("linux/arm64")
                .layer(slim("arm64"))
                .layer([program("app", &musl("arm64"))])
                .entrypoint(&["/app"]),
            finds("MA020", "/lib/ld-musl-aarch64.so.1"),
        ),
        broken(
            "a program linked in a nix shell",
            on(slim("amd64"), &glibc_with_loader("/nix/store/0c0a1b-glibc-2.39/lib/ld-linux-x86-64.so.2")),
            finds("MA020", "/nix/store/0c0a1b-glibc-2.39/lib/ld-linux-x86-64.so.2"),
        ),
        broken(
            "the loader is a dangling link",
            on(
                [folder("lib64"), link("lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")],
                &glibc(),
            ),
            finds("MA020", LOADER),
        ),
        broken(
            "a copied folder replaces the link /lib64 of a merged /usr",
            on(slim("amd64"), &glibc()).layer([folder("lib64"), text("lib64/README", "")]),
            finds("MA020", LOADER),
        )
        .may_follow(&["MA060"]),
        broken(
            "a layer has a path through the link that /lib is, which makes it a folder",
            on(slim("amd64"), &glibc()).layer([file("lib/libgreet.so", &libgreet_of("amd64"))]),
            finds("MA020", LOADER),
        )
        .may_follow(&["MA060"]),
        broken(
            "the loader is for another machine",
            Image::new("linux/arm64")
                .layer([program("lib/ld-linux-aarch64.so.1", &loader("amd64")), program("app", &glibc_arm64)])
                .entrypoint(&["/app"]),
            finds("MA021", "/lib/ld-linux-aarch64.so.1"),
        )
        .may_follow(&["MA060", "MA030"]),
        broken(
            "the loader is a linker script",
            on([script("lib64/ld-linux-x86-64.so.2", "/* GNU ld script */\n")], &glibc()),
            finds("MA021", LOADER),
        )
        .may_follow(&["MA030"]),
        broken(
            "the loader has lost its exec bit",
            slim_with(&glibc(), vec![file("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &loader("amd64"))]),
            finds("MA040", "ld-linux-x86-64.so.2"),
        ),
        broken(
            "the loader is in a closed folder",
            slim_with(&glibc(), vec![folder("usr/lib/x86_64-linux-gnu").mode(0o700)]).user("app"),
            finds("MA043", "/usr/lib/x86_64-linux-gnu"),
        ),
    ]
}

fn missing() -> Vec<Case> {
    let (_, greet) = libdeep_and_libgreet(&[]);
    let unwinds = || needs("libgcc_s.so.1", libgcc("amd64"), "_Unwind_GetIP");
    vec![
        broken("a library is missing", slim_with(&greets_glibc(&[]), vec![]), finds("MA030", "libgreet.so")),
        broken(
            "a library of a library is missing",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib/libgreet.so", &greet)]),
            finds("MA030", "libdeep.so"),
        ),
        broken(
            "libgcc_s is missing on distroless",
            on(distroless("amd64"), &unwinds()),
            finds("MA030", "libgcc_s.so.1"),
        ),
        broken(
            "libstdc++ is missing on slim",
            on(slim("amd64"), &needs("libstdc++.so.6", libstdcxx("amd64"), "_ZSt9terminatev")),
            finds("MA030", "libstdc++.so.6"),
        ),
        broken(
            "a library is a dangling link",
            slim_with(&greets_glibc(&[]), vec![link("usr/lib/libgreet.so", "libgreet.so.1")]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "a later layer takes the library away",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib/libgreet.so", &libgreet_of("amd64"))])
                .layer([whiteout("usr/lib/libgreet.so")]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "the library is for another machine",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib/libgreet.so", &libgreet_of("arm64"))]),
            finds("MA031", "libgreet.so"),
        ),
        broken(
            "a musl library is missing",
            on(alpine("amd64"), &greets("x86_64-linux-musl", &["-dynamic"])),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "a library for another machine, for musl",
            on(alpine("amd64"), &greets("x86_64-linux-musl", &["-dynamic"]))
                .layer([file("usr/lib/libgreet.so", &libgreet_of("arm64"))]),
            finds("MA031", "libgreet.so"),
        ),
    ]
}

/// The library is there, and not where this loader looks.
fn searched() -> Vec<Case> {
    let (deep, greet) = libdeep_and_libgreet(&[]);
    let in_opt = || file("opt/lib/libgreet.so", &libgreet_of("amd64"));
    let musl_app = || greets("x86_64-linux-musl", &["-dynamic"]);
    vec![
        broken(
            "ld.so.conf without the cache that ldconfig makes of it",
            slim_with(&greets_glibc(&[]), vec![in_opt(), text("etc/ld.so.conf", "/opt/lib\n")]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "a RUNPATH does not count for a library's own libraries",
            slim_with(
                &greets_glibc(&["-Wl,-rpath,/opt/lib"]),
                vec![file("opt/lib/libgreet.so", &greet), file("opt/lib/libdeep.so", &deep)],
            ),
            finds("MA030", "libdeep.so"),
        ),
        broken(
            "$ORIGIN is where the program is, not its link",
            slim_with(
                &greets_glibc(&[]),
                vec![
                    program("opt/app", &greets_glibc(&["-Wl,-rpath,$ORIGIN/lib"])),
                    link("usr/local/bin/app", "/opt/app"),
                    file("usr/local/bin/lib/libgreet.so", &libgreet_of("amd64")),
                ],
            )
            .entrypoint(&["/usr/local/bin/app"]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "LD_LIBRARY_PATH names another folder",
            slim_with(&greets_glibc(&[]), vec![in_opt()]).env(&["LD_LIBRARY_PATH=/opt/lib64"]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "a setuid program does not hear of LD_LIBRARY_PATH",
            slim_with(&greets_glibc(&[]), vec![in_opt(), program("set", &greets_glibc(&[])).mode(0o4755)])
                .entrypoint(&["/set"])
                .user("app")
                .env(&["LD_LIBRARY_PATH=/opt/lib"]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "a musl library in a folder of glibc's",
            on(alpine("amd64"), &musl_app())
                .layer([file("usr/lib/x86_64-linux-gnu/libgreet.so", &libgreet_of("amd64"))]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "Debian's loader does not look into lib64",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib64/libgreet.so", &libgreet_of("amd64"))]),
            finds("MA030", "libgreet.so"),
        ),
        broken(
            "musl's path file takes the place of the usual folders",
            on(alpine("amd64"), &musl_app()).layer([
                file("usr/lib/libgreet.so", &libgreet_of("amd64")),
                text("etc/ld-musl-x86_64.path", "/opt/lib\n"),
            ]),
            finds("MA030", "libgreet.so"),
        ),
    ]
}

fn versions() -> Vec<Case> {
    let libc_234 = file("usr/lib/x86_64-linux-gnu/libc.so.6", &libc_231());
    vec![
        broken(
            "the program wants glibc 2.38 and the base has 2.36",
            on(slim("amd64"), &needs_glibc_238()),
            finds("MA032", "/app"),
        ),
        broken(
            "the program wants glibc 2.34 and the base has 2.31",
            on(slim("amd64"), &glibc("amd64", "2.34")).layer([libc_234]),
            finds("MA032", "/app"),
        ),
        broken(
            "a library wants glibc 2.38",
            slim_with(
                &greets_glibc(&[]),
                vec![file("usr/lib/libgreet.so", &libgreet_with_libc("x86_64-linux-gnu.2.38"))],
            ),
            finds("MA032", "libgreet.so"),
        ),
        broken(
            "the program wants a newer libstdc++",
            slim_with(
                &needs_version("libstdc++.so.6", "GLIBCXX_3.4.99"),
                vec![
                    file("usr/lib/libstdc++.so.6", &libstdcxx("amd64")),
                    file("usr/lib/libgcc_s.so.1", &libgcc("amd64")),
                    file("usr/lib/libm.so.6", &debian("amd64", "libc6", "lib/x86_64-linux-gnu/libm.so.6")),
                ],
            ),
            finds("MA032", "/app"),
        ),
        broken(
            "the program wants a newer libgcc_s",
            slim_with(
                &needs_version("libgcc_s.so.1", "GCC_99.0.0"),
                vec![file("usr/lib/libgcc_s.so.1", &libgcc("amd64"))],
            ),
            finds("MA032", "/app"),
        ),
    ]
}

/// Warnings: some of these even run.
fn mixes() -> Vec<Case> {
    let of_glibc = file("usr/lib/libgreet.so", &libgreet_with_old_libc("x86_64-linux-gnu.2.31"));
    vec![
        broken(
            "a musl program loads a library that was made for glibc",
            on(alpine("amd64"), &greets("x86_64-linux-musl", &["-dynamic"])).layer([of_glibc]),
            finds("MA033", "libgreet.so"),
        )
        .by_bytes(),
        broken(
            "a glibc program loads a library that was made for musl",
            slim_with(
                &greets_glibc(&[]),
                vec![
                    file("usr/lib/libgreet.so", &libgreet_with_old_libc("x86_64-linux-musl")),
                    file("usr/lib/libc.so", &debian("amd64", "musl", "lib/x86_64-linux-musl/libc.so")),
                ],
            ),
            finds("MA033", "libgreet.so"),
        )
        .by_bytes(),
    ]
}
