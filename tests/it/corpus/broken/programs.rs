//! Broken images: what the entrypoint names, and what scripts and wrappers start.

use std::sync::Arc;

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finds};
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
        broken("neither an entrypoint nor a command", amd64().layer([app("app")]), finds("MA050", "")),
        broken(
            "an empty entrypoint and no command",
            amd64().layer([app("app")]).entrypoint(&[]).cmd(&[]),
            finds("MA050", ""),
        ),
        broken(
            "a typo",
            amd64().layer([app("usr/bin/app")]).entrypoint(&["/usr/bin/ap"]),
            finds("MA051", "/usr/bin/ap"),
        ),
        broken(
            "a dangling link",
            amd64().layer([app("opt/app-1.2/app"), link("usr/bin/app", "/opt/app/app")]).entrypoint(&["/usr/bin/app"]),
            finds("MA051", "/usr/bin/app"),
        ),
        broken(
            "a link into the folder where it was built",
            amd64().layer([link("app", "/home/me/app/target/release/app")]).entrypoint(&["/app"]),
            finds("MA051", "/app"),
        ),
        broken(
            "links in a circle",
            amd64().layer([link("bin/one", "two"), link("bin/two", "one")]).entrypoint(&["/bin/one"]),
            finds("MA051", "/bin/one"),
        ),
        broken(
            "a relative link that counts its folders wrong",
            amd64().layer([app("usr/lib/app/app"), link("usr/bin/app", "lib/app/app")]).entrypoint(&["app"]),
            finds("MA051", "app"),
        ),
        broken(
            "a program in no folder of PATH",
            amd64().layer([app("opt/app/app")]).entrypoint(&["app"]),
            finds("MA051", "app"),
        ),
        broken(
            "PATH leaves out the usual folders",
            amd64().layer([app("usr/local/bin/app")]).entrypoint(&["app"]).env(&["PATH=/usr/bin"]),
            finds("MA051", "app"),
        ),
        broken(
            "no PATH, and a folder that is not usual",
            amd64().layer([app("app/bin/app")]).entrypoint(&["app"]).env(&["HOME=/app"]),
            finds("MA051", "app"),
        ),
        broken(
            "a relative entrypoint and another WORKDIR",
            amd64().layer([app("opt/app"), folder("srv")]).entrypoint(&["./app"]).workdir("/srv"),
            finds("MA051", "app"),
        ),
        broken(
            "a shell's command without a shell",
            amd64().layer(distroless("amd64")).layer([app("app")]).cmd(&["/bin/sh", "-c", "/app"]),
            finds("MA051", "/bin/sh"),
        ),
    ]
}

fn layers() -> Vec<Case> {
    let below = || amd64().layer([folder("opt"), app("opt/app")]).entrypoint(&["/opt/app"]);
    vec![
        broken(
            "a later layer takes the program away",
            below().layer([whiteout("opt/app")]),
            finds("MA051", "/opt/app"),
        ),
        broken(
            "a later layer takes the program's folder away",
            below().layer([whiteout("opt")]),
            finds("MA051", "/opt/app"),
        ),
        broken(
            "a later layer has the program's folder to itself",
            below().layer([folder("opt"), opaque("opt"), text("opt/README", "")]),
            finds("MA051", "/opt/app"),
        ),
        broken(
            "a later layer takes away what the link leads to",
            below().layer([link("app", "opt/app")]).layer([whiteout("opt/app")]).entrypoint(&["/app"]),
            finds("MA051", "/app"),
        ),
        broken(
            "a hard link to a file of the layer below",
            below().layer([hard_link("start", "opt/app")]).entrypoint(&["/start"]),
            finds("MA084", "start").or("MA051"),
        )
        .refused(),
        broken(
            "a hard link to nothing",
            below().layer([hard_link("start", "opt/none")]).entrypoint(&["/start"]),
            finds("MA084", "start").or("MA051"),
        )
        .refused(),
        broken(
            "a file takes the place of the program's folder",
            below().layer([text("opt", "")]),
            finds("MA051", "/opt/app"),
        ),
    ]
}

fn files() -> Vec<Case> {
    let is = |entry: Entry| amd64().layer(busybox("amd64")).layer([entry]).entrypoint(&["/app"]);
    let shell = debian("amd64", "dash", "bin/dash");
    let half = Arc::new(shell[..shell.len() / 2].to_vec());
    let header = Arc::new(bare_static("amd64")[..100].to_vec());
    vec![
        broken("an empty program", is(script("app", "")), finds("MA041", "/app")),
        broken("a program of which only the header is left", is(program("app", &header)), finds("MA041", "/app")),
        broken(
            "half of a program",
            amd64().layer(slim("amd64")).layer([program("app", &half)]).entrypoint(&["/app", "-c", "echo hello"]),
            finds("MA041", "/app"),
        ),
        broken("an object file", is(program("app", &object_file())), finds("MA041", "/app")),
        broken("a library", is(program("app", &libgreet_of("amd64"))), finds("MA041", "/app")),
        broken("a script without #!", is(script("app", "echo hello\n")), finds("MA041", "/app")),
        broken(
            "a byte order mark before #!",
            is(script("app", "\u{feff}#!/bin/sh\necho hello\n")),
            finds("MA041", "/app"),
        ),
        broken("an empty line before #!", is(script("app", "\n#!/bin/sh\necho hello\n")), finds("MA041", "/app")),
        broken("a #! of nothing", is(script("app", "#!\necho hello\n")), finds("MA041", "/app")),
        broken("a folder", is(folder("app")), finds("MA041", "/app").or("MA051")),
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
            finds("MA042", "/bin/bash"),
        ),
        broken("a script on distroless", on(distroless("amd64"), "#!/bin/sh\necho hello\n"), finds("MA042", "/bin/sh")),
        broken("a script that was saved on Windows", is("#!/bin/sh\r\necho hello\r\n"), finds("MA042", "/app")),
        broken(
            "env, and a script that was saved on Windows",
            is("#!/usr/bin/env sh\r\necho hello\r\n"),
            finds("MA042", "/app"),
        ),
        broken(
            "a Python script without Python",
            is("#!/usr/bin/env python3\nprint('hello')\n"),
            finds("MA042", "python3"),
        ),
        broken("env -S of what is not there", is("#!/usr/bin/env -S node --no-warnings\n"), finds("MA042", "node")),
        broken(
            "env with an option of bash's, without -S",
            is("#!/usr/bin/env bash -e\necho hello\n"),
            finds("MA042", "bash -e"),
        ),
        broken(
            "env is not there",
            on(slim("amd64"), "#!/usr/bin/env sh\necho hello\n"),
            finds("MA042", "/usr/bin/env"),
        ),
        broken(
            "the interpreter is a script whose interpreter is missing",
            is("#!/usr/bin/inner\necho hello\n").layer([script("usr/bin/inner", "#!/bin/zsh\n")]),
            finds("MA042", "/bin/zsh"),
        ),
        broken(
            "a later layer takes the interpreter away",
            is("#!/bin/bash\necho hello\n").layer([whiteout("usr/bin/bash")]),
            finds("MA042", "/bin/bash"),
        ),
        broken(
            "a library of the interpreter is missing",
            is("#!/bin/bash\necho hello\n").layer([whiteout("usr/lib/x86_64-linux-gnu/libtinfo.so.6")]),
            finds("MA030", "libtinfo.so.6"),
        ),
    ]
}

/// Programs and scripts that start another.
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
            finds("MA051", "/sbin/tini"),
        ),
        broken(
            "what tini starts is missing",
            slim().layer([tini()]).entrypoint(&["tini", "--"]).cmd(&["/app", "--port", "80"]),
            finds("MA051", "/app"),
        ),
        broken(
            "tini has options, and what it starts is missing",
            slim().layer([tini()]).entrypoint(&["/usr/bin/tini", "-v", "-e", "143", "--", "app"]),
            finds("MA051", "app"),
        ),
        broken(
            "what dumb-init starts is missing",
            slim().layer([dumb_init]).entrypoint(&["dumb-init", "-c", "/app"]),
            finds("MA051", "/app"),
        ),
        broken(
            "what catatonit starts is missing",
            slim().layer([catatonit]).entrypoint(&["catatonit", "--", "/app"]),
            finds("MA051", "/app"),
        ),
        broken(
            "a script runs what is missing",
            starts("#!/bin/sh\nset -e\n/opt/gone \"$@\"\n"),
            finds("MA051", "/opt/gone"),
        ),
        broken(
            "a script runs a program for another machine",
            starts("#!/bin/sh\numask 022\n/app \"$@\"\n").layer([program("app", &bare_static("arm64"))]),
            finds("MA010", "/app"),
        )
        .emulated(),
        broken(
            "a function that exits, and a missing program",
            starts("#!/bin/bash\nfunction die {\n  echo no\n  exit 1\n}\nexec /opt/gone\n"),
            finds("MA051", "/opt/gone"),
        ),
        broken(
            "bash reads a text, and starts what is missing",
            starts("#!/bin/bash\nread -r a b <<< \"x y\"\nexec /opt/gone\n"),
            finds("MA051", "/opt/gone"),
        ),
        broken(
            "a script may start itself in many ways, and then starts what is missing",
            {
                let again: String = (0..40).map(|n| format!("[ -n \"$AGAIN\" ] && exec /run {n} \"$@\"\n")).collect();
                starts(&format!("#!/bin/sh\n{again}exec /opt/gone\n"))
            },
            finds("MA051", "/opt/gone"),
        ),
        broken(
            "busybox's env has no -S",
            amd64()
                .layer(busybox("amd64"))
                .layer([link("usr/bin/env", "/bin/busybox"), script("app", "#!/usr/bin/env -S sh -e\necho hello\n")])
                .entrypoint(&["/app"]),
            finds("MA042", "busybox"),
        ),
        broken(
            "a shell is given a program",
            slim().layer([app("app")]).entrypoint(&["sh", "/app"]),
            finds("MA041", "/app"),
        ),
        broken(
            "what gosu starts is missing",
            slim().layer([gosu]).entrypoint(&["gosu", "app", "/app"]),
            finds("MA051", "/app"),
        ),
        broken(
            "what su-exec starts is missing",
            amd64()
                .layer(alpine("amd64"))
                .layer([program("sbin/su-exec", &su_exec())])
                .entrypoint(&["su-exec", "1000", "serve"]),
            finds("MA051", "serve"),
        ),
        broken(
            "what env starts is missing",
            slim().entrypoint(&["/usr/bin/env", "-u", "HOME", "LEVEL=1", "serve"]),
            finds("MA051", "serve"),
        ),
        broken(
            "a wrapper in a wrapper",
            slim().layer([tini()]).entrypoint(&["tini", "--", "env", "LEVEL=1"]).cmd(&["serve"]),
            finds("MA051", "serve"),
        ),
        broken(
            "an entrypoint script ends in what is not there",
            starts("#!/bin/sh\nset -eu\nexport LEVEL=1\nexec /usr/local/bin/serve \"$@\"\n"),
            finds("MA051", "/usr/local/bin/serve"),
        ),
        broken(
            "an entrypoint script starts its command, which is not there",
            starts("#!/bin/sh\nset -e\nexec \"$@\"\n").cmd(&["serve"]),
            finds("MA051", "serve"),
        ),
        broken(
            "tini starts a script that ends in what is not there",
            slim().layer([tini(), script("run", "#!/bin/bash\nexec serve\n")]).entrypoint(&["tini", "--", "/run"]),
            finds("MA051", "serve"),
        ),
        broken(
            "a shell's command that is not there",
            slim().cmd(&["/bin/sh", "-c", "exec /usr/local/bin/serve"]),
            finds("MA051", "serve"),
        ),
    ]
}
