//! Broken images: dynamic loaders, libraries and symbol versions.

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finding};
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
        broken("a glibc program without a base", on([directory("tmp")], &glibc()), finding("MA020", LOADER)),
        broken(
            "a musl program on a glibc base",
            on(slim("amd64"), &musl("amd64")),
            finding("MA020", "/lib/ld-musl-x86_64.so.1"),
        ),
        broken("a glibc program on a musl base", on(alpine("amd64"), &glibc()), finding("MA020", LOADER)),
        broken(
            "a musl program for arm64 on a glibc base",
            Image::new("linux/arm64")
                .layer(slim("arm64"))
                .layer([program("app", &musl("arm64"))])
                .entrypoint(&["/app"]),
            finding("MA020", "/lib/ld-musl-aarch64.so.1"),
        ),
        broken(
            "a program linked in a nix shell",
            on(slim("amd64"), &glibc_with_loader("/nix/store/0c0a1b-glibc-2.39/lib/ld-linux-x86-64.so.2")),
            finding("MA020", "/nix/store/0c0a1b-glibc-2.39/lib/ld-linux-x86-64.so.2"),
        ),
        broken(
            "the loader is a dangling link",
            on(
                [directory("lib64"), link("lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2")],
                &glibc(),
            ),
            finding("MA020", LOADER),
        ),
        broken(
            "a copied directory replaces the link /lib64",
            on(slim("amd64"), &glibc()).layer([directory("lib64"), text("lib64/README", "")]),
            finding("MA020", LOADER),
        )
        .may_also_report(&["MA060"]),
        broken(
            "a file below /lib turns the link /lib into a directory",
            on(slim("amd64"), &glibc()).layer([file("lib/libgreet.so", &libgreet_of("amd64"))]),
            finding("MA020", LOADER),
        )
        .may_also_report(&["MA060"]),
        broken(
            "the loader is for another machine",
            Image::new("linux/arm64")
                .layer([program("lib/ld-linux-aarch64.so.1", &loader("amd64")), program("app", &glibc_arm64)])
                .entrypoint(&["/app"]),
            finding("MA021", "/lib/ld-linux-aarch64.so.1"),
        )
        .may_also_report(&["MA060", "MA030"]),
        broken(
            "the loader is a linker script",
            on([script("lib64/ld-linux-x86-64.so.2", "/* GNU ld script */\n")], &glibc()),
            finding("MA021", LOADER),
        )
        .may_also_report(&["MA030"]),
        broken(
            "the loader has no exec bit",
            slim_with(&glibc(), vec![file("usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2", &loader("amd64"))]),
            finding("MA040", "ld-linux-x86-64.so.2"),
        ),
        broken(
            "the loader is in an inaccessible directory",
            slim_with(&glibc(), vec![directory("usr/lib/x86_64-linux-gnu").mode(0o700)]).user("app"),
            finding("MA043", "/usr/lib/x86_64-linux-gnu"),
        ),
    ]
}

fn missing() -> Vec<Case> {
    let (_, greet) = libdeep_and_libgreet(&[]);
    let unwinds = || needs("libgcc_s.so.1", libgcc("amd64"), "_Unwind_GetIP");
    vec![
        broken("a library is missing", slim_with(&greets_glibc(&[]), vec![]), finding("MA030", "libgreet.so")),
        broken(
            "an indirect dependency is missing",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib/libgreet.so", &greet)]),
            finding("MA030", "libdeep.so"),
        ),
        broken(
            "libgcc_s is missing on distroless",
            on(distroless("amd64"), &unwinds()),
            finding("MA030", "libgcc_s.so.1"),
        ),
        broken(
            "libstdc++ is missing on slim",
            on(slim("amd64"), &needs("libstdc++.so.6", libstdcxx("amd64"), "_ZSt9terminatev")),
            finding("MA030", "libstdc++.so.6"),
        ),
        broken(
            "a library is a dangling link",
            slim_with(&greets_glibc(&[]), vec![link("usr/lib/libgreet.so", "libgreet.so.1")]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "a later layer removes the library",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib/libgreet.so", &libgreet_of("amd64"))])
                .layer([whiteout("usr/lib/libgreet.so")]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "the library is for another machine",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib/libgreet.so", &libgreet_of("arm64"))]),
            finding("MA031", "libgreet.so"),
        ),
        broken(
            "a musl library is missing",
            on(alpine("amd64"), &greets("x86_64-linux-musl", &["-dynamic"])),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "a musl program with a library for another machine",
            on(alpine("amd64"), &greets("x86_64-linux-musl", &["-dynamic"]))
                .layer([file("usr/lib/libgreet.so", &libgreet_of("arm64"))]),
            finding("MA031", "libgreet.so"),
        ),
    ]
}

/// Returns cases with libraries outside the directories that the loader searches.
fn searched() -> Vec<Case> {
    let (deep, greet) = libdeep_and_libgreet(&[]);
    let in_opt = || file("opt/lib/libgreet.so", &libgreet_of("amd64"));
    let musl_app = || greets("x86_64-linux-musl", &["-dynamic"]);
    vec![
        broken(
            "ld.so.conf without ld.so.cache",
            slim_with(&greets_glibc(&[]), vec![in_opt(), text("etc/ld.so.conf", "/opt/lib\n")]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "a RUNPATH does not apply to indirect dependencies",
            slim_with(
                &greets_glibc(&["-Wl,-rpath,/opt/lib"]),
                vec![file("opt/lib/libgreet.so", &greet), file("opt/lib/libdeep.so", &deep)],
            ),
            finding("MA030", "libdeep.so"),
        ),
        broken(
            "$ORIGIN is the directory of the program, not of the link to it",
            slim_with(
                &greets_glibc(&[]),
                vec![
                    program("opt/app", &greets_glibc(&["-Wl,-rpath,$ORIGIN/lib"])),
                    link("usr/local/bin/app", "/opt/app"),
                    file("usr/local/bin/lib/libgreet.so", &libgreet_of("amd64")),
                ],
            )
            .entrypoint(&["/usr/local/bin/app"]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "LD_LIBRARY_PATH names the wrong directory",
            slim_with(&greets_glibc(&[]), vec![in_opt()]).env(&["LD_LIBRARY_PATH=/opt/lib64"]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "a setuid program ignores LD_LIBRARY_PATH",
            slim_with(&greets_glibc(&[]), vec![in_opt(), program("set", &greets_glibc(&[])).mode(0o4755)])
                .entrypoint(&["/set"])
                .user("app")
                .env(&["LD_LIBRARY_PATH=/opt/lib"]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "a program with a capability ignores LD_LIBRARY_PATH",
            slim_with(&greets_glibc(&[]), vec![in_opt(), program("cap", &greets_glibc(&[])).with_capability()])
                .entrypoint(&["/cap"])
                .user("app")
                .env(&["LD_LIBRARY_PATH=/opt/lib"]),
            finding("MA030", "libgreet.so"),
        )
        .and(finding("MA044", "/cap")),
        broken(
            "a musl program with its library in a glibc directory",
            on(alpine("amd64"), &musl_app())
                .layer([file("usr/lib/x86_64-linux-gnu/libgreet.so", &libgreet_of("amd64"))]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "Debian's loader does not search /usr/lib64",
            slim_with(&greets_glibc(&[]), vec![file("usr/lib64/libgreet.so", &libgreet_of("amd64"))]),
            finding("MA030", "libgreet.so"),
        ),
        broken(
            "musl's path file replaces the default directories",
            on(alpine("amd64"), &musl_app()).layer([
                file("usr/lib/libgreet.so", &libgreet_of("amd64")),
                text("etc/ld-musl-x86_64.path", "/opt/lib\n"),
            ]),
            finding("MA030", "libgreet.so"),
        ),
    ]
}

fn versions() -> Vec<Case> {
    let old_libc = file("usr/lib/x86_64-linux-gnu/libc.so.6", &libc_231());
    vec![
        broken(
            "the program needs glibc 2.38 and the base has 2.36",
            on(slim("amd64"), &needs_glibc_238()),
            finding("MA032", "/app"),
        ),
        broken(
            "the program needs glibc 2.34 and the base has 2.31",
            on(slim("amd64"), &glibc("amd64", "2.34")).layer([old_libc]),
            finding("MA032", "/app"),
        ),
        broken(
            "a library needs glibc 2.38",
            slim_with(
                &greets_glibc(&[]),
                vec![file("usr/lib/libgreet.so", &libgreet_with_libc("x86_64-linux-gnu.2.38"))],
            ),
            finding("MA032", "libgreet.so"),
        ),
        broken(
            "the program needs a newer libstdc++",
            slim_with(
                &needs_version("libstdc++.so.6", "GLIBCXX_3.4.99"),
                vec![
                    file("usr/lib/libstdc++.so.6", &libstdcxx("amd64")),
                    file("usr/lib/libgcc_s.so.1", &libgcc("amd64")),
                    file("usr/lib/libm.so.6", &debian("amd64", "libc6", "lib/x86_64-linux-gnu/libm.so.6")),
                ],
            ),
            finding("MA032", "/app"),
        ),
        broken(
            "the program needs a newer libgcc_s",
            slim_with(
                &needs_version("libgcc_s.so.1", "GCC_99.0.0"),
                vec![file("usr/lib/libgcc_s.so.1", &libgcc("amd64"))],
            ),
            finding("MA032", "/app"),
        ),
    ]
}

/// Returns cases that mix C libraries. `verify` reports them only as warnings, because some of them can run.
fn mixes() -> Vec<Case> {
    let of_glibc = file("usr/lib/libgreet.so", &libgreet_with_old_libc("x86_64-linux-gnu.2.31"));
    vec![
        broken(
            "a musl program loads a library built for glibc",
            on(alpine("amd64"), &greets("x86_64-linux-musl", &["-dynamic"])).layer([of_glibc]),
            finding("MA033", "libgreet.so"),
        )
        .without_proof(),
        broken(
            "a glibc program loads a library built for musl",
            slim_with(
                &greets_glibc(&[]),
                vec![
                    file("usr/lib/libgreet.so", &libgreet_with_old_libc("x86_64-linux-musl")),
                    file("usr/lib/libc.so", &debian("amd64", "musl", "lib/x86_64-linux-musl/libc.so")),
                ],
            ),
            finding("MA033", "libgreet.so"),
        )
        .without_proof(),
    ]
}
