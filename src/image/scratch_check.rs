//! Checks that a container of an image from `scratch` can start. Everything in such an image is known before anything is
//! compiled, unlike that of an image with a base.

use serde_json::Value;

use crate::error::{Class, Failure};
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs, clean};

/// Fails unless the program and the user of an image's `config` were copied into it.
pub(crate) fn check(config: &Value, rootfs: &RootFs) -> Result<(), Failure> {
    let program = ["Entrypoint", "Cmd"].iter().find_map(|key| config[key].get(0)?.as_str());
    if let Some(program) = program.filter(|program| !has_program(program, config, rootfs)) {
        let failure = Failure::new(Class::Config, format!("it would start '{program}', and nothing is copied there"));
        return Err(match program {
            "/bin/sh" => failure
                .hint("'scratch' has no shell: write ENTRYPOINT and CMD as lists, [\"/usr/local/bin/app\"], or take a base"),
            _ => failure
                .hint("binaries are in /usr/local/bin; take one of them, add the program to `files`, or take a base that has it"),
        });
    }
    let user = config["User"].as_str().unwrap_or_default();
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    for (name, file) in [(user, "/etc/passwd"), (group, "/etc/group")] {
        if !name.is_empty() && name.parse::<u32>().is_err() && !has_entry(rootfs, file, name) {
            let message = format!("its user is '{name}' by name, and '{name}' is not in its {file}");
            return Err(Failure::new(Class::Config, message)
                .hint("write it in numbers, as in user = \"65532:65532\", or copy a file that has the name"));
        }
    }
    Ok(())
}

fn has_entry(rootfs: &RootFs, file: &str, name: &str) -> bool {
    match rootfs.resolve(file).ok().and_then(|path| rootfs.get(&path)) {
        Some(FsNode::File(RegularFile { content: FileContent::Text(text), .. })) => {
            text.lines().any(|line| line.split(':').next() == Some(name))
        }
        Some(FsNode::File(_) | FsNode::Other) => true,
        _ => false,
    }
}

/// Whether a program exists. A name without a slash is searched for in PATH, any other from the working directory.
fn has_program(program: &str, config: &Value, rootfs: &RootFs) -> bool {
    let is_file = |path: &str| {
        let node = rootfs.resolve(path).ok().and_then(|path| rootfs.get(&path));
        matches!(node, Some(FsNode::Other | FsNode::File(_)))
    };
    if program.contains('/') {
        let from = if program.starts_with('/') { "" } else { config["WorkingDir"].as_str().unwrap_or_default() };
        return is_file(&clean(&format!("{from}/{program}")));
    }
    let env = config["Env"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut folders = env.filter_map(|pair| pair.strip_prefix("PATH=")).flat_map(|path| path.split(':'));
    folders.any(|folder| is_file(&format!("{folder}/{program}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> FsNode {
        FsNode::File(RegularFile { content: FileContent::Text(text.to_owned()), ..RegularFile::default() })
    }
    use serde_json::json;

    #[test]
    fn programs_and_users() {
        let mut rootfs = RootFs::default();
        for (path, node) in [
            ("usr/local/bin/app", FsNode::File(RegularFile::default())),
            ("bin", FsNode::Link("usr/local/bin".to_owned())),
            ("dangling", FsNode::Link("nowhere".to_owned())),
            ("etc/passwd", file("nonroot:x:65532:65532::/:\n")),
        ] {
            rootfs.insert(path, node);
        }
        let message = |config: Value| check(&config, &rootfs).err().map(|failure| failure.to_string());
        for good in [
            json!({}),
            json!({ "Entrypoint": ["/usr/local/bin/app"], "Cmd": ["/any"], "User": "65532:65532" }),
            json!({ "Entrypoint": ["/bin/app"], "User": "nonroot:0" }),
            json!({ "Entrypoint": null, "Cmd": ["app"], "Env": ["A=1", "PATH=/x:/bin"] }),
            json!({ "Entrypoint": [], "Cmd": ["local/../local/bin/app"], "WorkingDir": "/usr" }),
        ] {
            assert_eq!(message(good.clone()), None, "{good}");
        }
        for (wrong, expected) in [
            (json!({ "Entrypoint": ["/app"] }), "it would start '/app', and nothing is copied there"),
            (json!({ "Entrypoint": ["/usr/local"] }), "it would start '/usr/local', and nothing is copied there"),
            (json!({ "Entrypoint": ["/dangling"] }), "it would start '/dangling', and nothing is copied there"),
            (json!({ "Cmd": ["/bin/sh", "-c", "x"] }), "it would start '/bin/sh', and nothing is copied there"),
            (json!({ "Cmd": ["app"], "Env": ["PATH=/sbin"] }), "it would start 'app', and nothing is copied there"),
            (json!({ "User": "bob" }), "its user is 'bob' by name, and 'bob' is not in its /etc/passwd"),
            (json!({ "User": "root" }), "its user is 'root' by name, and 'root' is not in its /etc/passwd"),
            (json!({ "User": "1:staff" }), "its user is 'staff' by name, and 'staff' is not in its /etc/group"),
        ] {
            assert_eq!(message(wrong.clone()).as_deref(), Some(expected), "{wrong}");
        }
    }
}
