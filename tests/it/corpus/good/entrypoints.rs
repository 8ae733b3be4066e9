//! Good images: scripts, and wrappers that start other programs.

use super::*;
use crate::corpus::binaries::*;
use crate::corpus::case::{Case, good};
use crate::corpus::layer::*;
use crate::corpus::roots::*;

pub fn cases() -> Vec<Case> {
    [scripts(), wrappers()].into_iter().flatten().collect()
}

fn scripts() -> Vec<Case> {
    let gnu = |text: &str| slim_with(coreutils("amd64")).layer([script("app", text)]);
    vec![
        good("a shell script", slim_with([script("app", "#!/bin/sh\necho hello\n")])),
        good(
            "a script on busybox",
            amd64().layer(busybox("amd64")).layer([script("app", "#!/bin/sh -e\necho hello\n")]),
        ),
        good("whitespace after #!", slim_with([script("app", "#! \t/bin/sh -e \necho hello\n")])),
        good(
            "a #! line without a newline",
            slim_with([script("app", "#!/usr/bin/inner"), script("usr/bin/inner", "#!/bin/sh\necho hello\n")]),
        ),
        good("a script with env", gnu("#!/usr/bin/env bash\necho hello\n")),
        good("a script with env -S", gnu("#!/usr/bin/env -S bash -eu\necho hello\n")),
        good("env -S with variables", gnu("#!/usr/bin/env -S -i LEVEL=1 /bin/bash --norc\necho hello\n")),
        good("env -S without a space", gnu("#!/usr/bin/env -Sbash -e\necho hello\n")),
        good("an interpreter that is a script", {
            gnu("#!/usr/bin/inner\n").layer([script("usr/bin/inner", "#!/bin/sh\necho hello\n")])
        }),
        good("an entrypoint script that starts its arguments", {
            slim_with([script("run", "#!/bin/sh\nset -e\nexec \"$@\"\n"), hello()]).entrypoint(&["/run"]).cmd(&["/app"])
        }),
        good("a command that the entrypoint script interprets", {
            slim_with([
                script("run", "#!/bin/sh\nif [ \"$1\" = serve ]; then shift; set -- /app \"$@\"; fi\nexec \"$@\"\n"),
                hello(),
            ])
            .entrypoint(&["/run"])
            .cmd(&["serve", "--now"])
        }),
        good("a script that starts an optional program", {
            slim_with([
                script("run", "#!/bin/sh\nif [ -x /opt/debug ]; then\n  exec /opt/debug /app\nfi\nexec /app\n"),
                hello(),
            ])
            .entrypoint(&["/run"])
        }),
        good("a script that chooses between two programs", {
            slim_with([script("run", "#!/bin/sh\ncommand -v serve >/dev/null && exec serve\nexec /app\n"), hello()])
                .entrypoint(&["/run"])
        }),
        good("a script that starts a program named by a variable", {
            slim_with([script("run", "#!/bin/sh\nAPP=${APP:-/app}\nexec \"$APP\" \"$@\"\n"), hello()])
                .entrypoint(&["/run"])
        }),
        good("a heredoc and a function that look like commands", {
            let text = "#!/bin/sh\n: <<'END'\nexec /opt/none\nEND\nusage() {\n  exec /opt/none --help\n}\nexec /app\n";
            slim_with([script("run", text), hello()]).entrypoint(&["/run"])
        }),
        good("tini starts a program named by a variable", {
            slim_with([
                script("run", "#!/bin/sh\nAPP=/app\nexec tini -- \"$APP\"\n"),
                program("usr/bin/tini", &debian("amd64", "tini", "bin/tini")),
                hello(),
            ])
            .entrypoint(&["/run"])
        }),
        good("a shell runs a script whose path contains a variable", {
            slim_with([
                script("run", "#!/bin/sh\nDIR=/opt\nexec sh \"$DIR/hello.sh\"\n"),
                script("opt/hello.sh", "echo hello\n"),
            ])
            .entrypoint(&["/run"])
        }),
        good("a function in bash syntax", {
            gnu("#!/bin/bash\nfunction usage {\n  exec /opt/none --help\n}\necho hello\n")
        }),
        good("a command line with an optional hook", {
            slim_with([hello()]).entrypoint(&["/bin/sh", "-c", "[ -x /opt/hook ] && /opt/hook; exec /app"])
        }),
        good("a command line with a function", {
            slim_with([hello()]).entrypoint(&["/bin/sh", "-c", "serve() { exec /app; }; serve"])
        }),
        good("a script that starts its program without exec", {
            slim_with([script("run", "#!/bin/sh\nset -e\numask 022\n/app \"$@\"\n"), hello()]).entrypoint(&["/run"])
        }),
        good("a script that runs a script it has just written", {
            slim_with([script(
                "run",
                "#!/bin/sh\nprintf '#!/bin/sh\\necho hello\\n' >/tmp/made\nchmod=$(command -v chmod)\n/bin/sh /tmp/made\n",
            )])
            .entrypoint(&["/run"])
        }),
        good("bash finds a script in PATH", {
            slim_with(coreutils("amd64"))
                .layer([script("usr/local/bin/entry.sh", "echo hello\n")])
                .entrypoint(&["bash", "entry.sh"])
        }),
        good("a script that may restart itself in many places", {
            let again = "[ -n \"$AGAIN\" ] && exec /run\n".repeat(40);
            slim_with([script("run", &format!("#!/bin/sh\n{again}exec /app\n")), hello()]).entrypoint(&["/run"])
        }),
        good("a script that may restart itself with one more argument each time", {
            let again: String = (0..40).map(|n| format!("[ -n \"$AGAIN\" ] && exec /run {n} \"$@\"\n")).collect();
            slim_with([script("run", &format!("#!/bin/sh\n{again}exec /app\n")), hello()]).entrypoint(&["/run"])
        }),
        good("a script that execs a script it has just written", {
            slim_with([script(
                "run",
                "#!/bin/sh\nprintf '#!/bin/sh\\necho hello\\n' >/tmp/made\nexec /bin/sh /tmp/made\n",
            )])
            .entrypoint(&["/run"])
        }),
    ]
}

fn wrappers() -> Vec<Case> {
    let tini = || program("usr/bin/tini", &debian("amd64", "tini", "bin/tini"));
    let with = |path: &str, package: &str, file: &str| {
        slim_with(coreutils("amd64")).layer([program(path, &debian("amd64", package, file)), hello()])
    };
    vec![
        good("tini", slim_with([tini(), hello()]).entrypoint(&["tini", "--"]).cmd(&["/app"])),
        good(
            "tini with options",
            slim_with([tini(), hello()]).entrypoint(&["/usr/bin/tini", "-g", "-e", "143", "--", "/app", "serve"]),
        ),
        good("tini without --", slim_with([tini(), hello()]).entrypoint(&["tini", "-s", "/app"])),
        good(
            "dumb-init",
            with("usr/bin/dumb-init", "dumb-init", "bin/dumb-init").entrypoint(&["dumb-init", "-c", "--", "/app"]),
        ),
        good(
            "catatonit",
            with("usr/bin/catatonit", "catatonit", "bin/catatonit").entrypoint(&["catatonit", "--", "/app"]),
        ),
        good("gosu", with("usr/sbin/gosu", "gosu", "sbin/gosu").entrypoint(&["gosu", "app:staff", "/app"])),
        good("su-exec", {
            amd64()
                .layer(alpine("amd64"))
                .layer([program("sbin/su-exec", &su_exec()), hello()])
                .entrypoint(&["su-exec", "1000", "/app"])
        }),
        good("env changes PATH", {
            slim_with(coreutils("amd64")).layer([program("opt/hello", &bare_static("amd64"))]).entrypoint(&[
                "env",
                "PATH=/opt",
                "hello",
            ])
        }),
        good("env -C changes the directory", {
            slim_with(coreutils("amd64"))
                .layer([program("opt/hello", &bare_static("amd64"))])
                .entrypoint(&["env", "-C", "/opt", "./hello"])
        }),
        good(
            "env as a wrapper",
            with("usr/bin/inner", "tini", "bin/tini")
                .entrypoint(&["env", "-u", "HOME", "LEVEL=1", "inner", "--", "/app"]),
        ),
    ]
}
