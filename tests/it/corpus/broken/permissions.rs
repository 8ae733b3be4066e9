//! Broken images: users, permissions of files and directories, and the working directory.

use std::sync::Arc;

use crate::corpus::binaries::*;
use crate::corpus::case::{Case, broken, finding};
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
    [modes(), directories(), users(), workdirs()].into_iter().flatten().collect()
}

fn modes() -> Vec<Case> {
    let hello = || script("app", "#!/bin/sh\necho hello\n");
    vec![
        broken("a program without an exec bit", slim_with(app("app").mode(0o644)), finding("MA040", "/app")),
        // It starts unless the container drops the capability.
        broken("a program with a capability", slim_with(app("app").with_capability()), finding("MA044", "/app"))
            .without_proof(),
        broken("a script without an exec bit", slim_with(hello().mode(0o644)), finding("MA040", "/app")),
        broken(
            "a later layer removes the exec bit",
            slim_with(app("app")).layer([app("app").mode(0o644)]),
            finding("MA040", "/app"),
        ),
        broken(
            "a program that only root may run",
            slim_with(app("app").mode(0o700)).user("app"),
            finding("MA040", "/app"),
        ),
        broken(
            "a program that only root may run, started by a numeric user",
            slim_with(app("app").mode(0o744)).user("1000:1000"),
            finding("MA040", "/app"),
        ),
        broken(
            "a program restricted to a group that the user is not in",
            slim_with(app("app").mode(0o750).owner(0, 20)).user("app"),
            finding("MA040", "/app"),
        ),
        broken(
            "a configured group replaces the supplementary groups",
            // The user belongs to the group `staff`, but `app` is configured as the group.
            slim_with(app("app").mode(0o750).owner(0, 50)).user("app:app"),
            finding("MA040", "/app"),
        ),
        broken(
            "the owner may not run a program that others may run",
            slim_with(app("app").mode(0o655).owner(1000, 1000)).user("app"),
            finding("MA040", "/app"),
        ),
        broken(
            "an interpreter without an exec bit",
            slim_with(hello()).layer([file("usr/bin/dash", &debian("amd64", "dash", "bin/dash"))]),
            finding("MA040", "dash"),
        ),
        broken(
            "a script that the user may execute but not read",
            slim_with(hello().mode(0o711)).user("app"),
            finding("MA040", "/app"),
        ),
        broken(
            "a program in PATH without an exec bit",
            slim_with(app("usr/local/bin/serve").mode(0o644)).entrypoint(&["serve"]),
            finding("MA040", "/usr/local/bin/serve"),
        )
        .may_also_report(&["MA051"]),
        broken(
            "tini starts a program without an exec bit",
            slim_with(app("app").mode(0o644))
                .layer([program("tini", &debian("amd64", "tini", "bin/tini"))])
                .entrypoint(&["/tini", "--", "/app"]),
            finding("MA040", "/app"),
        ),
    ]
}

fn directories() -> Vec<Case> {
    let in_opt = |mode| {
        Image::new("linux/amd64")
            .layer(slim("amd64"))
            .layer([directory("opt"), directory("opt/app").mode(mode), app("opt/app/app")])
            .entrypoint(&["/opt/app/app"])
            .user("app")
    };
    vec![
        broken(
            "a link in an inaccessible directory",
            slim_with(app("app"))
                .layer([directory("srv/own").mode(0o700), link("srv/own/app", "/app")])
                .entrypoint(&["/srv/own/app"])
                .user("app"),
            finding("MA043", "/srv/own"),
        ),
        broken(
            "a shell runs a script in an inaccessible directory",
            slim_with(app("app"))
                .layer([directory("srv/own").mode(0o700), file("srv/own/run", &Arc::new(b"exec /app\n".to_vec()))])
                .entrypoint(&["sh", "/srv/own/run"])
                .user("app"),
            finding("MA043", "/srv/own"),
        ),
        broken(
            "a shell runs a script that the user may not read",
            slim_with(app("app"))
                .layer([script("run", "exec /app\n").mode(0o711)])
                .entrypoint(&["sh", "/run"])
                .user("app"),
            finding("MA040", "/run"),
        ),
        broken("a directory that only root may enter", in_opt(0o700), finding("MA043", "/opt/app")),
        broken("a directory that can be listed but not entered", in_opt(0o744), finding("MA043", "/opt/app")),
        broken(
            "a link into a directory that only root may enter",
            Image::new("linux/amd64")
                .layer(slim("amd64"))
                .layer([directory("root").mode(0o700), app("root/app"), link("usr/bin/app", "/root/app")])
                .entrypoint(&["app"])
                .user("65532"),
            finding("MA043", "/root"),
        ),
        broken(
            "a later layer makes the directory inaccessible",
            in_opt(0o755).layer([directory("opt").mode(0o750)]),
            finding("MA043", "/opt"),
        ),
    ]
}

fn users() -> Vec<Case> {
    vec![
        broken("an unknown user", slim_with(app("app")).user("service"), finding("MA052", "")),
        broken("an unknown group", slim_with(app("app")).user("app:service"), finding("MA052", "")),
        broken(
            "a numeric user with an unknown group",
            slim_with(app("app")).user("1000:service"),
            finding("MA052", ""),
        ),
        broken(
            "a named user without a passwd file",
            Image::new("linux/amd64").layer([app("app")]).entrypoint(&["/app"]).user("nonroot"),
            finding("MA052", ""),
        ),
        broken(
            "root by name without a passwd file",
            Image::new("linux/amd64").layer([app("app")]).entrypoint(&["/app"]).user("root"),
            finding("MA052", ""),
        ),
        broken(
            "gosu switches to a user who may not run the program",
            slim_with(app("app").mode(0o700))
                .layer([program("usr/bin/gosu", &debian("amd64", "gosu", "sbin/gosu"))])
                .entrypoint(&["gosu", "app", "/app"]),
            finding("MA040", "/app"),
        ),
        broken(
            "a later layer replaces the passwd file",
            slim_with(app("app")).layer([text("etc/passwd", "root:x:0:0::/root:/bin/sh\n")]).user("app"),
            finding("MA052", ""),
        ),
    ]
}

fn workdirs() -> Vec<Case> {
    vec![
        broken(
            "a WORKDIR that does not exist",
            slim_with(app("app")).user("app").workdir("/srv/app"),
            finding("MA053", "/srv/app"),
        )
        .without_proof(),
        broken(
            "a WORKDIR that is a file",
            slim_with(app("app")).layer([text("srv", "")]).workdir("/srv"),
            finding("MA054", "/srv"),
        ),
        broken(
            "a WORKDIR below a file",
            slim_with(app("app")).layer([text("srv", "")]).workdir("/srv/app"),
            finding("MA054", "/srv/app"),
        ),
    ]
}
