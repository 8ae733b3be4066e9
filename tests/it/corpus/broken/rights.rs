//! Broken images: users, modes, owners, folders that are closed, and the working directory.

use std::sync::Arc;

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finds};
use crate::corpus::image::Image;
use crate::corpus::layer::*;
use crate::corpus::roots::*;

fn slim_with(app: Entry) -> Image {
    Image::new("linux/amd64").layer(slim("amd64")).layer([app]).entrypoint(&["/app"])
}

fn app(path: &str) -> Entry {
    program(path, &bare_static("amd64"))
}

pub fn cases() -> Vec<Case> {
    [modes(), folders(), users(), workdirs()].into_iter().flatten().collect()
}

fn modes() -> Vec<Case> {
    let hello = || script("app", "#!/bin/sh\necho hello\n");
    vec![
        broken("a program without its exec bit", slim_with(app("app").mode(0o644)), finds("MA040", "/app")),
        broken("a script without its exec bit", slim_with(hello().mode(0o644)), finds("MA040", "/app")),
        broken(
            "a later layer has the program without its exec bit",
            slim_with(app("app")).layer([app("app").mode(0o644)]),
            finds("MA040", "/app"),
        ),
        broken("a program for root alone", slim_with(app("app").mode(0o700)).user("app"), finds("MA040", "/app")),
        broken(
            "a program for root alone, and a user by number",
            slim_with(app("app").mode(0o744)).user("1000:1000"),
            finds("MA040", "/app"),
        ),
        broken(
            "a program for a group that the user is not in",
            slim_with(app("app").mode(0o750).owner(0, 20)).user("app"),
            finds("MA040", "/app"),
        ),
        broken(
            "a named group is the only one",
            // The user is of staff, and does not say so.
            slim_with(app("app").mode(0o750).owner(0, 50)).user("app:app"),
            finds("MA040", "/app"),
        ),
        broken(
            "the owner's bits count for the owner, whatever others may",
            slim_with(app("app").mode(0o655).owner(1000, 1000)).user("app"),
            finds("MA040", "/app"),
        ),
        broken(
            "a script's interpreter without its exec bit",
            slim_with(hello()).layer([file("usr/bin/dash", &debian("amd64", "dash", "bin/dash"))]),
            finds("MA040", "dash"),
        ),
        broken(
            "a script that its user may start and not read",
            slim_with(hello().mode(0o711)).user("app"),
            finds("MA040", "/app"),
        ),
        broken(
            "the program on PATH has no exec bit",
            slim_with(app("usr/local/bin/serve").mode(0o644)).entrypoint(&["serve"]),
            finds("MA040", "/usr/local/bin/serve"),
        )
        .may_follow(&["MA051"]),
        broken(
            "what tini starts has no exec bit",
            slim_with(app("app").mode(0o644))
                .layer([program("tini", &debian("amd64", "tini", "bin/tini"))])
                .entrypoint(&["/tini", "--", "/app"]),
            finds("MA040", "/app"),
        ),
    ]
}

fn folders() -> Vec<Case> {
    let in_opt = |mode| {
        Image::new("linux/amd64")
            .layer(slim("amd64"))
            .layer([folder("opt"), folder("opt/app").mode(mode), app("opt/app/app")])
            .entrypoint(&["/opt/app/app"])
            .user("app")
    };
    vec![
        broken(
            "a link in a closed folder leads to a program for all",
            slim_with(app("app"))
                .layer([folder("srv/own").mode(0o700), link("srv/own/app", "/app")])
                .entrypoint(&["/srv/own/app"])
                .user("app"),
            finds("MA043", "/srv/own"),
        ),
        broken(
            "a shell is given a script in a closed folder",
            slim_with(app("app"))
                .layer([folder("srv/own").mode(0o700), file("srv/own/run", &Arc::new(b"exec /app\n".to_vec()))])
                .entrypoint(&["sh", "/srv/own/run"])
                .user("app"),
            finds("MA043", "/srv/own"),
        ),
        broken(
            "a shell is given a script that its user may not read",
            slim_with(app("app"))
                .layer([script("run", "exec /app\n").mode(0o711)])
                .entrypoint(&["sh", "/run"])
                .user("app"),
            finds("MA040", "/run"),
        ),
        broken("a folder for root alone", in_opt(0o700), finds("MA043", "/opt/app")),
        broken("a folder to list and not to enter", in_opt(0o744), finds("MA043", "/opt/app")),
        broken(
            "a link leads through a folder for root alone",
            Image::new("linux/amd64")
                .layer(slim("amd64"))
                .layer([folder("root").mode(0o700), app("root/app"), link("usr/bin/app", "/root/app")])
                .entrypoint(&["app"])
                .user("65532"),
            finds("MA043", "/root"),
        ),
        broken(
            "a later layer closes the folder",
            in_opt(0o755).layer([folder("opt").mode(0o750)]),
            finds("MA043", "/opt"),
        ),
    ]
}

fn users() -> Vec<Case> {
    vec![
        broken("a user that nobody added", slim_with(app("app")).user("service"), finds("MA052", "")),
        broken("a group that nobody added", slim_with(app("app")).user("app:service"), finds("MA052", "")),
        broken(
            "a number and a group that nobody added",
            slim_with(app("app")).user("1000:service"),
            finds("MA052", ""),
        ),
        broken(
            "a user by name and no passwd",
            Image::new("linux/amd64").layer([app("app")]).entrypoint(&["/app"]).user("nonroot"),
            finds("MA052", ""),
        ),
        broken(
            "root by name and no passwd",
            Image::new("linux/amd64").layer([app("app")]).entrypoint(&["/app"]).user("root"),
            finds("MA052", ""),
        ),
        broken(
            "gosu turns into a user who may not run the program",
            slim_with(app("app").mode(0o700))
                .layer([program("usr/bin/gosu", &debian("amd64", "gosu", "sbin/gosu"))])
                .entrypoint(&["gosu", "app", "/app"]),
            finds("MA040", "/app"),
        ),
        broken(
            "a later layer has another passwd",
            slim_with(app("app")).layer([text("etc/passwd", "root:x:0:0::/root:/bin/sh\n")]).user("app"),
            finds("MA052", ""),
        ),
    ]
}

fn workdirs() -> Vec<Case> {
    vec![
        broken(
            "a WORKDIR that is not there",
            slim_with(app("app")).user("app").workdir("/srv/app"),
            finds("MA053", "/srv/app"),
        )
        .by_bytes(),
        broken(
            "a WORKDIR that is a file",
            slim_with(app("app")).layer([text("srv", "")]).workdir("/srv"),
            finds("MA054", "/srv"),
        ),
        broken(
            "a WORKDIR below a file",
            slim_with(app("app")).layer([text("srv", "")]).workdir("/srv/app"),
            finds("MA054", "/srv/app"),
        ),
    ]
}
