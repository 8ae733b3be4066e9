//! Broken images: entrypoints, and the programs that scripts and wrappers start.

use std::sync::Arc;

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finding};
use crate::corpus::image::Image;
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [paths(), layers(), files(), interpreters(), starters()].into_iter().flatten().collect()
}

fn amd64() -> Image {
    Image::new("linux/amd64")
}

fn app(path: &str) -> Entry {
    program(path, &bare_static("amd64"))
}

fn paths() -> Vec<Case> {
    vec![
        broken("neither an entrypoint nor a command", amd64().layer([app("app")]), finding("MA050", "")),
        broken(
            "an empty entrypoint and no command",
            amd64().layer([app("app")]).entrypoint(&[]).cmd(&[]),
            finding("MA050", ""),
        ),
        broken(
            "a typo in the entrypoint",
            amd64().layer([app("usr/bin/app")]).entrypoint(&["/usr/bin/ap"]),
            finding("MA051", "/usr/bin/ap"),
        ),
        broken(
            "an entrypoint that is a dangling link",
            amd64().layer([app("opt/app-1.2/app"), link("usr/bin/app", "/opt/app/app")]).entrypoint(&["/usr/bin/app"]),
            finding("MA051", "/usr/bin/app"),
        ),
        broken(
            "a link into the build directory",
            amd64().layer([link("app", "/home/me/app/target/release/app")]).entrypoint(&["/app"]),
            finding("MA051", "/app"),
        ),
        broken(
            "a loop of symbolic links",
            amd64().layer([link("bin/one", "two"), link("bin/two", "one")]).entrypoint(&["/bin/one"]),
            finding("MA051", "/bin/one"),
        ),
        broken(
            "a relative link to the wrong directory",
            amd64().layer([app("usr/lib/app/app"), link("usr/bin/app", "lib/app/app")]).entrypoint(&["app"]),
            finding("MA051", "app"),
        ),
        broken(
            "a program outside PATH",
            amd64().layer([app("opt/app/app")]).entrypoint(&["app"]),
            finding("MA051", "app"),
        ),
        broken(
            "PATH without the default directories",
            amd64().layer([app("usr/local/bin/app")]).entrypoint(&["app"]).env(&["PATH=/usr/bin"]),
            finding("MA051", "app"),
        ),
        broken(
            "a program outside the default directories, without PATH",
            amd64().layer([app("app/bin/app")]).entrypoint(&["app"]).env(&["HOME=/app"]),
            finding("MA051", "app"),
        ),
        broken(
            "a relative entrypoint with the wrong WORKDIR",
            amd64().layer([app("opt/app"), directory("srv")]).entrypoint(&["./app"]).workdir("/srv"),
            finding("MA051", "app"),
        ),
        broken(
            "a shell command without a shell",
            amd64().layer(distroless("amd64")).layer([app("app")]).cmd(&["/bin/sh", "-c", "/app"]),
            finding("MA051", "/bin/sh"),
        ),
    ]
}

fn layers() -> Vec<Case> {
    let below = || amd64().layer([directory("opt"), app("opt/app")]).entrypoint(&["/opt/app"]);
    vec![
        broken("a later layer removes the program", below().layer([whiteout("opt/app")]), finding("MA051", "/opt/app")),
        broken(
            "a later layer removes the program's directory",
            below().layer([whiteout("opt")]),
            finding("MA051", "/opt/app"),
        ),
        broken(
            "a later layer makes the program's directory opaque",
            below().layer([directory("opt"), opaque("opt"), text("opt/README", "")]),
            finding("MA051", "/opt/app"),
        ),
        broken(
            "a later layer removes the target of the link",
            below().layer([link("app", "opt/app")]).layer([whiteout("opt/app")]).entrypoint(&["/app"]),
            finding("MA051", "/app"),
        ),
        broken(
            "a hard link to a file in a lower layer",
            below().layer([hard_link("start", "opt/app")]).entrypoint(&["/start"]),
            finding("MA084", "start").or("MA051"),
        )
        .refused(),
        broken(
            "a hard link to a missing file",
            below().layer([hard_link("start", "opt/none")]).entrypoint(&["/start"]),
            finding("MA084", "start").or("MA051"),
        )
        .refused(),
        broken(
            "a file replaces the program's directory",
            below().layer([text("opt", "")]),
            finding("MA051", "/opt/app"),
        ),
    ]
}

fn files() -> Vec<Case> {
    let is = |entry: Entry| amd64().layer(busybox("amd64")).layer([entry]).entrypoint(&["/app"]);
    let shell = debian("amd64", "dash", "bin/dash");
    let half = Arc::new(shell[..shell.len() / 2].to_vec());
    let header = Arc::new(bare_static("amd64")[..100].to_vec());
    vec![
        broken("an empty program", is(script("app", "")), finding("MA041", "/app")),
        broken("a program truncated to its header", is(program("app", &header)), finding("MA041", "/app")),
        broken(
            "a truncated program",
            amd64().layer(slim("amd64")).layer([program("app", &half)]).entrypoint(&["/app", "-c", "echo hello"]),
            finding("MA041", "/app"),
        ),
        broken("an object file as the entrypoint", is(program("app", &object_file())), finding("MA041", "/app")),
        broken("a library as the entrypoint", is(program("app", &libgreet_of("amd64"))), finding("MA041", "/app")),
        broken("a script without #!", is(script("app", "echo hello\n")), finding("MA041", "/app")),
        broken(
            "a byte order mark before #!",
            is(script("app", "\u{feff}#!/bin/sh\necho hello\n")),
            finding("MA041", "/app"),
        ),
        broken("an empty line before #!", is(script("app", "\n#!/bin/sh\necho hello\n")), finding("MA041", "/app")),
        broken("an empty #! line", is(script("app", "#!\necho hello\n")), finding("MA041", "/app")),
        broken("a directory as the entrypoint", is(directory("app")), finding("MA041", "/app").or("MA051")),
    ]
}

fn interpreters() -> Vec<Case> {
    let is = |text: &str| {
        amd64().layer(slim("amd64")).layer(coreutils("amd64")).layer([script("app", text)]).entrypoint(&["/app"])
    };
    let on = |base: Layer, text: &str| amd64().layer(base).layer([script("app", text)]).entrypoint(&["/app"]);
    vec![
        broken(
            "a bash script on busybox",
            on(busybox("amd64"), "#!/bin/bash\necho hello\n"),
            finding("MA042", "/bin/bash"),
        ),
        broken(
            "a script on distroless",
            on(distroless("amd64"), "#!/bin/sh\necho hello\n"),
            finding("MA042", "/bin/sh"),
        ),
        broken("a script with Windows line endings", is("#!/bin/sh\r\necho hello\r\n"), finding("MA042", "/app")),
        broken(
            "an env script with Windows line endings",
            is("#!/usr/bin/env sh\r\necho hello\r\n"),
            finding("MA042", "/app"),
        ),
        broken(
            "a Python script without Python",
            is("#!/usr/bin/env python3\nprint('hello')\n"),
            finding("MA042", "python3"),
        ),
        broken("env -S with a missing program", is("#!/usr/bin/env -S node --no-warnings\n"), finding("MA042", "node")),
        broken("a bash option without env -S", is("#!/usr/bin/env bash -e\necho hello\n"), finding("MA042", "bash -e")),
        broken(
            "env is missing",
            on(slim("amd64"), "#!/usr/bin/env sh\necho hello\n"),
            finding("MA042", "/usr/bin/env"),
        ),
        broken(
            "the interpreter is a script whose interpreter is missing",
            is("#!/usr/bin/inner\necho hello\n").layer([script("usr/bin/inner", "#!/bin/zsh\n")]),
            finding("MA042", "/bin/zsh"),
        ),
        broken(
            "a later layer removes the interpreter",
            is("#!/bin/bash\necho hello\n").layer([whiteout("usr/bin/bash")]),
            finding("MA042", "/bin/bash"),
        ),
        broken(
            "a library of the interpreter is missing",
            is("#!/bin/bash\necho hello\n").layer([whiteout("usr/lib/x86_64-linux-gnu/libtinfo.so.6")]),
            finding("MA030", "libtinfo.so.6"),
        ),
    ]
}

/// Returns cases in which a program or script starts another program.
fn starters() -> Vec<Case> {
    let slim = || amd64().layer(slim("amd64")).layer(coreutils("amd64"));
    let tini = || program("usr/bin/tini", &debian("amd64", "tini", "bin/tini"));
    let dumb_init = program("usr/bin/dumb-init", &debian("amd64", "dumb-init", "bin/dumb-init"));
    let gosu = program("usr/bin/gosu", &debian("amd64", "gosu", "sbin/gosu"));
    let catatonit = program("usr/bin/catatonit", &debian("amd64", "catatonit", "bin/catatonit"));
    let starts = |text: &str| slim().layer([script("run", text)]).entrypoint(&["/run"]);
    vec![
        broken(
            "tini is missing",
            slim().layer([app("app")]).entrypoint(&["/sbin/tini", "--", "/app"]),
            finding("MA051", "/sbin/tini"),
        ),
        broken(
            "tini starts a missing program",
            slim().layer([tini()]).entrypoint(&["tini", "--"]).cmd(&["/app", "--port", "80"]),
            finding("MA051", "/app"),
        ),
        broken(
            "tini with options starts a missing program",
            slim().layer([tini()]).entrypoint(&["/usr/bin/tini", "-v", "-e", "143", "--", "app"]),
            finding("MA051", "app"),
        ),
        broken(
            "dumb-init starts a missing program",
            slim().layer([dumb_init]).entrypoint(&["dumb-init", "-c", "/app"]),
            finding("MA051", "/app"),
        ),
        broken(
            "catatonit starts a missing program",
            slim().layer([catatonit]).entrypoint(&["catatonit", "--", "/app"]),
            finding("MA051", "/app"),
        ),
        broken(
            "a script runs a missing program",
            starts("#!/bin/sh\nset -e\n/opt/gone \"$@\"\n"),
            finding("MA051", "/opt/gone"),
        ),
        broken(
            "a script runs a program for another machine",
            starts("#!/bin/sh\numask 022\n/app \"$@\"\n").layer([program("app", &bare_static("arm64"))]),
            finding("MA010", "/app"),
        )
        .emulated(),
        broken(
            "a missing program after a function that exits",
            starts("#!/bin/bash\nfunction die {\n  echo no\n  exit 1\n}\nexec /opt/gone\n"),
            finding("MA051", "/opt/gone"),
        ),
        broken(
            "a missing program after a here-string",
            starts("#!/bin/bash\nread -r a b <<< \"x y\"\nexec /opt/gone\n"),
            finding("MA051", "/opt/gone"),
        ),
        broken(
            "a missing program after many places that restart the script",
            {
                let again: String = (0..40).map(|n| format!("[ -n \"$AGAIN\" ] && exec /run {n} \"$@\"\n")).collect();
                starts(&format!("#!/bin/sh\n{again}exec /opt/gone\n"))
            },
            finding("MA051", "/opt/gone"),
        ),
        broken(
            "busybox env does not support -S",
            amd64()
                .layer(busybox("amd64"))
                .layer([link("usr/bin/env", "/bin/busybox"), script("app", "#!/usr/bin/env -S sh -e\necho hello\n")])
                .entrypoint(&["/app"]),
            finding("MA042", "busybox"),
        ),
        broken(
            "a shell runs a binary as a script",
            slim().layer([app("app")]).entrypoint(&["sh", "/app"]),
            finding("MA041", "/app"),
        ),
        broken(
            "gosu starts a missing program",
            slim().layer([gosu]).entrypoint(&["gosu", "app", "/app"]),
            finding("MA051", "/app"),
        ),
        broken(
            "su-exec starts a missing program",
            amd64()
                .layer(alpine("amd64"))
                .layer([program("sbin/su-exec", &su_exec())])
                .entrypoint(&["su-exec", "1000", "serve"]),
            finding("MA051", "serve"),
        ),
        broken(
            "env starts a missing program",
            slim().entrypoint(&["/usr/bin/env", "-u", "HOME", "LEVEL=1", "serve"]),
            finding("MA051", "serve"),
        ),
        broken(
            "a wrapper inside a wrapper starts a missing program",
            slim().layer([tini()]).entrypoint(&["tini", "--", "env", "LEVEL=1"]).cmd(&["serve"]),
            finding("MA051", "serve"),
        ),
        broken(
            "an entrypoint script ends with a missing program",
            starts("#!/bin/sh\nset -eu\nexport LEVEL=1\nexec /usr/local/bin/serve \"$@\"\n"),
            finding("MA051", "/usr/local/bin/serve"),
        ),
        broken(
            "an entrypoint script starts a missing command",
            starts("#!/bin/sh\nset -e\nexec \"$@\"\n").cmd(&["serve"]),
            finding("MA051", "serve"),
        ),
        broken(
            "tini starts a script that ends with a missing program",
            slim().layer([tini(), script("run", "#!/bin/bash\nexec serve\n")]).entrypoint(&["tini", "--", "/run"]),
            finding("MA051", "serve"),
        ),
        broken(
            "a shell command starts a missing program",
            slim().cmd(&["/bin/sh", "-c", "exec /usr/local/bin/serve"]),
            finding("MA051", "serve"),
        ),
    ]
}
