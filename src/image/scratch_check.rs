//! Checks that containers can start from an image based on `scratch`, and that its health check can run. The image
//! contains only the files that its Dockerfile copies, so this check can run before anything is compiled.

use serde_json::Value;

use crate::error::{Class, Failure};
use crate::oci::health_check::health_check_command;
use crate::oci::rootfs::{FileContent, FsNode, RegularFile, RootFs, clean};

/// Fails unless the image contains the programs, user, and group specified in `config`.
pub(crate) fn check(config: &Value, rootfs: &RootFs) -> Result<(), Failure> {
    check_program(config, rootfs)?;
    check_health_check(config, rootfs)?;
    check_user(config, rootfs)
}

fn check_program(config: &Value, rootfs: &RootFs) -> Result<(), Failure> {
    let program = ["Entrypoint", "Cmd"].iter().find_map(|key| config[key].get(0)?.as_str());
    if let Some(program) = program.filter(|program| !has_program(program, config, rootfs)) {
        let failure = Failure::new(Class::Config, format!("the image runs '{program}', but does not contain it"));
        return Err(match program {
            "/bin/sh" => failure.hint(
                "write ENTRYPOINT and CMD as lists, such as [\"/usr/local/bin/app\"], or use a base with a shell",
            ),
            _ => failure
                .hint("run a binary in /usr/local/bin, add the program to `files`, or use a base that contains it"),
        });
    }
    Ok(())
}

fn check_health_check(config: &Value, rootfs: &RootFs) -> Result<(), Failure> {
    let command = health_check_command(config);
    let Some(program) = command.first().filter(|program| !has_program(program, config, rootfs)) else { return Ok(()) };
    let message = format!("the health check runs '{program}', but the image does not contain it");
    Err(Failure::new(Class::Config, message).hint(
        "run a binary of the image, such as healthcheck = { cmd = [\"/usr/local/bin/app\", \"…\"] }, add the program to \
         `files`, or use a base that contains it",
    ))
}

fn check_user(config: &Value, rootfs: &RootFs) -> Result<(), Failure> {
    let user = config["User"].as_str().unwrap_or_default();
    let (user, group) = user.split_once(':').unwrap_or((user, ""));
    for (kind, name, file) in [("user", user, "/etc/passwd"), ("group", group, "/etc/group")] {
        if !name.is_empty() && name.parse::<u32>().is_err() && !has_entry(rootfs, file, name) {
            let message = format!("{kind} '{name}' is not in the image's {file}");
            return Err(Failure::new(Class::Config, message).hint(
                "use numeric IDs, such as user = \"65532:65532\", or copy a passwd or group file that defines the name",
            ));
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

/// Reports whether the image contains a program. Searches PATH for a name without a slash, and resolves any other path
/// against the working directory.
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
    let mut dirs = env.filter_map(|pair| pair.strip_prefix("PATH=")).flat_map(|path| path.split(':'));
    dirs.any(|dir| is_file(&format!("{dir}/{program}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> FsNode {
        FsNode::File(RegularFile { content: FileContent::Text(text.to_owned()), ..RegularFile::default() })
    }
    use serde_json::json;

    #[test]
    fn programs_and_users_must_exist() {
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
            json!({ "Healthcheck": { "Test": ["CMD", "/bin/app", "health"] } }),
            json!({ "Healthcheck": { "Test": ["NONE"] } }),
            json!({ "Entrypoint": [], "Cmd": ["local/../local/bin/app"], "WorkingDir": "/usr" }),
        ] {
            assert_eq!(message(good.clone()), None, "{good}");
        }
        for (wrong, expected) in [
            (json!({ "Entrypoint": ["/app"] }), "the image runs '/app', but does not contain it"),
            (json!({ "Entrypoint": ["/usr/local"] }), "the image runs '/usr/local', but does not contain it"),
            (json!({ "Entrypoint": ["/dangling"] }), "the image runs '/dangling', but does not contain it"),
            (json!({ "Cmd": ["/bin/sh", "-c", "x"] }), "the image runs '/bin/sh', but does not contain it"),
            (json!({ "Cmd": ["app"], "Env": ["PATH=/sbin"] }), "the image runs 'app', but does not contain it"),
            (
                json!({ "Healthcheck": { "Test": ["CMD", "curl"] }, "Env": ["PATH=/bin"] }),
                "the health check runs 'curl', but the image does not contain it",
            ),
            (
                json!({ "Healthcheck": { "Test": ["CMD-SHELL", "/bin/app"] } }),
                "the health check runs '/bin/sh', but the image does not contain it",
            ),
            (json!({ "User": "bob" }), "user 'bob' is not in the image's /etc/passwd"),
            (json!({ "User": "root" }), "user 'root' is not in the image's /etc/passwd"),
            (json!({ "User": "1:staff" }), "group 'staff' is not in the image's /etc/group"),
        ] {
            assert_eq!(message(wrong.clone()).as_deref(), Some(expected), "{wrong}");
        }
    }
}
