//! Tests that follow commands to the scripts and programs of a small root file system.

use std::sync::Arc;

use super::*;
use crate::elf::Elf;
use crate::oci::rootfs::{ElfFile, FileAttributes, RootFs};
use crate::platform::Platform;

fn file(mode: u32, content: FileContent) -> FsNode {
    FsNode::File(RegularFile {
        attributes: FileAttributes { mode, uid: 0, gid: 0, mtime: 0 },
        size: 9,
        content,
        capabilities: None,
    })
}

fn program() -> FileContent {
    let platform: Platform = "linux/arm64".parse().unwrap();
    let elf = Elf { executable: true, ..Elf::with_identity(platform.elf_identity()) };
    FileContent::Program(Arc::new(ElfFile { sha256: String::new(), elf: Some(elf) }))
}

fn script(line: &str, text: &str) -> FileContent {
    FileContent::Script(Arc::new(ScriptFile { shebang: line.to_owned(), commands: shell::final_commands(text) }))
}

/// Returns a small root file system with programs in /bin and various scripts in /run.
fn root() -> RootFs {
    let mut root = RootFs::default();
    for name in ["sh", "env", "app", "tini", "python3", "su-exec"] {
        root.insert(&format!("usr/bin/{name}"), file(0o755, program()));
    }
    for (path, node) in [
        ("usr", FsNode::Dir(FileAttributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 })),
        ("bin", FsNode::Link("usr/bin".to_owned())),
        ("usr/local/bin/dangling", FsNode::Link("/opt/app".to_owned())),
        ("usr/bin/mine", file(0o700, program())),
        ("usr/bin/empty", FsNode::File(RegularFile { size: 0, ..RegularFile::default() })),
        ("usr/bin/text", file(0o755, FileContent::Other)),
        ("run/args", file(0o755, script("/bin/sh", "set -e\nexec \"$@\""))),
        ("run/gone", file(0o755, script("/bin/sh", "exec gone"))),
        ("run/perhaps", file(0o755, script("/bin/sh", "if x; then exec gone; fi\nexec app"))),
        ("run/dos", file(0o755, script("/bin/sh\r", ""))),
        ("run/bash", file(0o755, script("/bin/bash -e", ""))),
        ("run/python", file(0o755, script("/usr/bin/env -S python3 -u", ""))),
        ("run/perl", file(0o755, script("/usr/bin/env perl", ""))),
        ("run/nested", file(0o755, script("/run/python", ""))),
        ("run/loop", file(0o755, script("/run/loop", ""))),
    ] {
        root.insert(path, node);
    }
    root
}

/// Follows an entrypoint, or the command of a health check.
fn chain_of(entrypoint: &[&str], health_check: Option<&[&str]>, user: &str) -> ExecChain {
    let config = serde_json::json!({
        "architecture": "arm64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] },
        "config": { "Entrypoint": entrypoint, "User": user, "WorkingDir": "/run" },
    });
    let (root, config) = (root(), serde_json::from_value(config).unwrap());
    let (context, _) = ExecContext::new(&root, "linux/arm64".parse().unwrap(), &config);
    match health_check {
        Some(words) => follow_health_check(&context, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()),
        None => follow(&context),
    }
}

fn chain(entrypoint: &[&str], user: &str) -> ExecChain {
    chain_of(entrypoint, None, user)
}

#[test]
fn reports_health_checks_that_cannot_run() {
    for (command, expected) in [
        (&[][..], None),
        (&["app", "health"], None),
        (&["/gone"], Some("/gone is not in the image")),
        (&["sh", "-c", "/gone || exit 1"], Some("/gone is not in the image, but /usr/bin/sh tries to run it")),
    ] {
        let found = chain_of(&[], Some(command), "").findings;
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, Vec::from_iter(expected), "{command:?}");
    }
}

#[test]
fn follows_commands_to_every_program() {
    for (entrypoint, programs) in [
        (&["app", "--flag"][..], "app"),
        (&["/bin/app"], "app"),
        (&["tini", "--", "app"], "tini app"),
        (&["/run/args", "app"], "sh app"),
        (&["./args", "su-exec", "nobody", "app"], "sh su-exec app"),
        (&["/run/perhaps"], "sh app"),
        (&["/run/python"], "env python3"),
        (&["/run/nested"], "env python3"),
        (&["sh", "-c", "A=b exec app $X"], "sh app"),
        (&["sh", "/run/args", "app"], "sh app"),
        (&["sh", "-c", "$APP"], "sh"),
        (&["env", "-i", "A=b", "text"], "env"),
    ] {
        let chain = chain(entrypoint, "");
        let names: Vec<&str> =
            chain.programs.iter().filter_map(|program| program.path.strip_prefix("usr/bin/")).collect();
        assert_eq!(names.join(" "), programs, "{entrypoint:?}");
        assert_eq!(chain.findings, [], "{entrypoint:?}");
    }
}

#[test]
fn reports_programs_that_cannot_start() {
    let cases: &[(&[&str], &str, &str)] = &[
        (&[], "", "MA050 the config has neither ENTRYPOINT nor CMD"),
        (
            &["gone"],
            "",
            "MA051 gone is not in PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin), but the image's ENTRYPOINT or CMD runs it",
        ),
        (&["/usr"], "", "MA051 /usr is a directory, but the image's ENTRYPOINT or CMD runs it"),
        (
            &["dangling"],
            "",
            "MA051 /usr/local/bin/dangling is a link to /opt/app, which is not in the image, but the image's ENTRYPOINT or CMD runs it",
        ),
        (&["tini", "/gone"], "", "MA051 /gone is not in the image, but /usr/bin/tini tries to run it"),
        (
            &["/run/gone"],
            "",
            "MA051 gone is not in PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin), but /run/gone tries to run it",
        ),
        (&["sh", "/run/none"], "", "MA051 /run/none is not in the image, but /usr/bin/sh tries to run it"),
        (&["mine"], "7:7", "MA040 /usr/bin/mine has mode 0700 and is owned by 0:0, so user 7 cannot execute it"),
        (&["empty"], "", "MA041 /usr/bin/empty is empty"),
        (&["text"], "", "MA041 /usr/bin/text is neither an ELF file nor a script with `#!` on its first line"),
        (
            &["/run/dos"],
            "",
            "MA042 /bin/sh was not found: the first line of /run/dos ends with a carriage return, which becomes part of the name",
        ),
        (&["/run/bash"], "", "MA042 /bin/bash is not in the image, but it is the interpreter of /run/bash"),
        (
            &["/run/perl"],
            "",
            "MA042 perl is not in PATH (/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin), but it is the interpreter of /run/perl",
        ),
        (&["/run/loop"], "", "MA041 /run/loop starts itself, through its `#!` line or as its own argument"),
    ];
    for (entrypoint, user, expected) in cases {
        let found: Vec<String> =
            chain(entrypoint, user).findings.iter().map(|finding| format!("{} {finding}", finding.code)).collect();
        assert_eq!(found, [*expected], "{entrypoint:?}");
    }
}
