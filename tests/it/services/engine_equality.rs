//! Checks that buildx and the embedded engine produce the same merged root file system and the same config. The text of
//! history entries, the `created` timestamp, and how files are split across layers may differ.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::{Value, json};

use super::registry::{blob, config, manifest, platform_manifest};
use super::{base_image, derived_image, open_registry, reference};
use crate::support::Project;

/// The type, mode, owner, link target, and content digest of every file, by path.
type Root = BTreeMap<String, String>;

/// Merges a platform's layers, as described in the OCI image-spec (layer.md).
fn root(published: &str, platform: &str) -> Root {
    let mut root = Root::new();
    for layer in platform_manifest(published, platform)["layers"].as_array().unwrap() {
        let bytes = blob(published, layer["digest"].as_str().unwrap());
        let stream: Box<dyn Read> = if layer["mediaType"].as_str().unwrap().ends_with("zstd") {
            Box::new(zstd::Decoder::new(&bytes[..]).unwrap())
        } else {
            Box::new(flate2::read::MultiGzDecoder::new(&bytes[..]))
        };
        for entry in tar::Archive::new(stream).entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            assert!(!path.contains(".wh."), "whiteouts are not supported by this test: {path}");
            let header = entry.header().clone();
            let kind = header.entry_type();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let target = entry.link_name().unwrap().map(|target| target.display().to_string()).unwrap_or_default();
            let mode = if kind.is_symlink() { 0 } else { header.mode().unwrap() & 0o7777 };
            let line = format!(
                "{kind:?} {mode:o} {}:{} {target} {}",
                header.uid().unwrap(),
                header.gid().unwrap(),
                crate::support::fake_registry::digest(&content),
            );
            // Replacing a directory with a file also removes the directory's contents.
            if !kind.is_dir() {
                root.retain(|other, _| !other.starts_with(&format!("{path}/")));
            }
            root.insert(path, line);
        }
    }
    root.remove("");
    root
}

/// Publishes with both engines and compares every platform.
#[track_caller]
fn compare(project: &Project, name: &str, platforms: &[&str]) {
    let published = ["buildx", "embedded"].map(|engine| {
        let registry = format!("{}/equality/{name}/{engine}", open_registry());
        let args = ["publish", "--engine", engine, "--registry", &registry, "--platform", &platforms.join(",")];
        reference(&project.run(&args).finish().stdout)
    });
    let [buildx, embedded] = published.each_ref().map(|published| manifest(published)["annotations"].clone());
    assert_eq!(buildx, embedded, "{name}");
    for platform in platforms {
        let annotations = |published: &String| platform_manifest(published, platform)["annotations"].clone();
        let [buildx, embedded] = published.each_ref().map(annotations);
        assert_eq!(buildx, embedded, "{name} {platform}");
        let [buildx, embedded] = published.each_ref().map(|published| root(published, platform));
        for path in buildx.keys().chain(embedded.keys()) {
            assert_eq!(buildx.get(path), embedded.get(path), "{name} {platform} /{path} (buildx, embedded)");
        }
        assert!(buildx.contains_key("usr/local/bin/app"), "{buildx:?}");
        let [buildx, embedded] = published.each_ref().map(|published| config(published, platform));
        for key in [
            "Env",
            "Entrypoint",
            "Cmd",
            "User",
            "Labels",
            "ExposedPorts",
            "Volumes",
            "WorkingDir",
            "StopSignal",
            "Healthcheck",
        ] {
            assert_eq!(
                buildx["config"].get(key),
                embedded["config"].get(key),
                "{name} {platform} {key} (buildx, embedded)"
            );
        }
        for key in ["os", "architecture", "variant"] {
            assert_eq!(buildx.get(key), embedded.get(key), "{name} {platform} {key}");
        }
    }
}

/// Returns a configuration that sets every image setting and copies files to various directories.
fn settings() -> Value {
    json!({
        "env": { "A": "1 \"2\" $3", "PATH": "/app:/bin", "LINES": "a\nb" },
        "labels": { "x.y/z": "v $w" },
        "annotations": { "x.y/both": "a, \"b\" = $c", "index:x.y/index": "i", "manifest:x.y/manifest": "m" },
        "expose": [8080, "53/udp"],
        "volumes": ["/data"],
        "user": "1000:1000",
        "workdir": "/root/new/work",
        "stop-signal": "SIGINT",
        "cmd": ["a", "$b"],
        "healthcheck": { "cmd": ["/usr/local/bin/app", "x"], "interval": "1m30s", "timeout": "3s", "start-period": "5s", "retries": 2 },
        "files": [
            { "from": "data/one.txt", "to": "/usr/bin/one" },
            { "from": "data", "to": "/srv/deep/er" },
            { "from": "data/tool", "to": "/opt/tool" },
            { "from": "data/one.txt", "to": "/etc/app.conf", "mode": "0600" },
            { "from": "over", "to": "/var" },
            { "from": "data", "to": "/srv/owned", "owner": "7" },
        ],
        // `/etc`, which contains files, and `/home` exist in the base.
        "directories": [
            { "path": "/new/deep/directory" },
            { "path": "/new/deep/other", "mode": "1777", "owner": "0:7" },
            { "path": "/home", "mode": "0700", "owner": "7:8" },
            { "path": "/etc", "owner": "7:8" },
            { "path": "/outer" },
            { "path": "/outer/inner", "mode": "0700", "owner": "7" },
            { "path": "/reversed/inner", "mode": "0700" },
            { "path": "/reversed", "mode": "0711", "owner": "7" },
        ],
        "ca-certificates": ["bundled"],
        "timezones": true,
    })
}

fn project(settings: &Value) -> Project {
    let project = Project::app()
        .file("multiarch.toml", &toml::to_string(settings).unwrap())
        .file("data/one.txt", "1\n")
        .file("data/sub/two.txt", "2\n")
        .file("data/tool", "#!/bin/sh\n")
        .file("over/tmp/inside.txt", "over\n")
        .file("over/new/x.txt", "x\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(project.path().join("data/tool"), mode).unwrap();
    project
}

#[test]
#[ignore = "run by scripts/test"]
fn engines_agree_on_built_in_templates() {
    let platforms = ["linux/amd64", "linux/arm64"];
    let base = base_image("busybox:1", &platforms);
    compare(&project(&settings()), "scratch", &["linux/amd64", "linux/arm64", "linux/arm/v7"]);
    for template in ["alpine", "debian", "distroless-static", "distroless-cc"] {
        let mut settings = settings();
        settings["template"] = template.into();
        settings["base"] = base.clone().into();
        settings["libc"] = "musl".into();
        compare(&project(&settings), template, &platforms);
    }
    compare(&Project::app(), "plain", &platforms);
    for (name, base) in [("scratch-command", "scratch"), ("base-command", &base)] {
        let settings = json!({ "base": base, "entrypoint": [], "cmd": ["/usr/local/bin/app"] });
        compare(&project(&settings), name, &platforms);
    }
    // The base has a CMD.
    compare(&project(&json!({ "base": base, "cmd": [] })), "no-arguments", &platforms);
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"config\" %}\n{% include \"contents\" %}\n";
    let settings = json!({ "base": base, "template": "my.j2", "cmd": [] });
    compare(&project(&settings).file("my.j2", template), "no-arguments-template", &platforms);
}

#[test]
#[ignore = "run by scripts/test"]
fn engines_agree_on_a_custom_template() {
    let base = base_image("busybox:1", &["linux/amd64"]);
    let template = "ARG ABOVE=up\nFROM {{ base }} AS {{ stage }}\n\
        ARG ABOVE\nARG TARGETOS=plan9\nARG SOURCE_DATE_EPOCH\nENV ABOVE=$ABOVE$TARGETOS$SOURCE_DATE_EPOCH\nEXPOSE 8000-8002/UDP 7:8\n\
        ARG TARGETARCH\nARG GREETING=\"hello you\"\nENV GREETING=$GREETING ON=${TARGETARCH} PATH=/opt/bin:$PATH\n\
        WORKDIR /opt\nCOPY --chown=10:20 --chmod=750 {{ binaries[0].source }} bin/\nWORKDIR sub\n\
        {% include \"contents\" %}\nUSER nobody\nCMD [\"x\"]\nENTRYPOINT [\"/usr/local/bin/app\"]\n\
        HEALTHCHECK --interval=0s --timeout=1.5s CMD echo x $y\nSTOPSIGNAL int\n# a comment\nLABEL a=b \\\n  c=\"d e\"\nEXPOSE 1 2/udp\nVOLUME /v /w\nSHELL [\"/bin/sh\", \"-ec\"]\nCMD echo hi\n";
    let settings = json!({ "base": base, "template": "my.j2", "files": [{ "from": "data", "to": "/bin/data" }] });
    let project = project(&settings).file("my.j2", template);
    compare(&project, "own", &["linux/amd64"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn engines_agree_on_owners_of_directories() {
    let platforms = ["linux/amd64"];
    let base = base_image("busybox:1", &platforms);
    for (name, user) in [("number", "1234"), ("numbers", "12:34"), ("name", "nobody"), ("names", "nobody:nogroup")] {
        let base = derived_image(&format!("user-{name}:1"), &base, &format!("USER {user}"), &platforms);
        let settings =
            json!({ "base": base, "workdir": "/srv/of/mine", "files": [{ "from": "data", "to": "/srv/data" }] });
        compare(&project(&settings), &format!("base-user-{name}"), &platforms);
    }
    let users = "bob:x:7:8::/:/bin/sh\n";
    let template = "FROM {{ base }} AS {{ stage }}\n\
        USER nobody\nWORKDIR /a/b\nWORKDIR ../../tmp/c\nUSER 5\nWORKDIR /d/../e\nUSER 5:6\nWORKDIR /root/f\nUSER nobody:0\nWORKDIR g\n\
        COPY --chown=nobody:nogroup {{ files[0].source }} /h/\nCOPY --chown=root {{ binaries[0].source }} /usr/local/bin\n\
        COPY {{ files[1].source }} /etc/passwd\nUSER bob\nWORKDIR /i\nCOPY --chown=bob ./{{ files[0].source }}/ /j\n\
        {% include \"config\" %}\n";
    let settings = json!({ "base": base, "template": "my.j2", "user": "bob", "workdir": "/k",
        "files": [{ "from": "data", "to": "/data" }, { "from": "users", "to": "/etc/passwd" }] });
    compare(&project(&settings).file("my.j2", template).file("users", users), "user-before-workdir", &platforms);
}

#[test]
#[ignore = "run by scripts/test"]
fn engines_agree_on_paths_through_symlinks() {
    let platforms = ["linux/amd64"];
    let links = "RUN ln -s /no/where /dangling && ln -s ../etc/os-release /usr/release && ln -s /loop /loop";
    let base = derived_image("links:1", &base_image("busybox:1", &platforms), links, &platforms);
    let template = "FROM {{ base }} AS {{ stage }}\n\
        COPY {{ files[0].source }} /dangling/x/\nCOPY {{ files[1].source }} /usr/release\nCOPY {{ files[1].source }} /opt\n\
        COPY --chmod=0700 {{ files[0].source }} /opt2\nCOPY ../.././{{ files[0].source }}/sub /usr/bin/../.././s\n\
        WORKDIR /dangling/y\nCOPY --chmod=0755 {{ binaries[0].source }} /usr/bin/\nCOPY {{ binaries[0].source }} /usr/local/bin\n\
        {% include \"config\" %}\n";
    let settings = json!({ "base": base, "template": "my.j2",
        "files": [{ "from": "data", "to": "/data" }, { "from": "data/one.txt", "to": "/one" }] });
    compare(&project(&settings).file("my.j2", template), "links", &platforms);
    // Both engines reject these instructions, the embedded engine without waiting for cargo.
    for line in [
        "COPY rootfs/etc /loop",
        "COPY rootfs/etc/passwd /etc/passwd/x",
        "WORKDIR /etc/passwd",
        "COPY rootfs/tmp /etc/passwd",
    ] {
        let template = template.replace("WORKDIR /dangling/y", line);
        let project = project(&settings).file("my.j2", &template);
        let build = ["build", "--platform", "linux/amd64", "--engine"];
        project.run(&[&build[..], &["buildx"]].concat()).fails(6).finish();
        let finished = project.run(&[&build[..], &["embedded"]].concat()).fails(3).finish();
        finished.stderr_has(&[line]).stderr_lacks("Built");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn engines_agree_on_bases_that_differ_between_platforms() {
    let platforms = ["linux/amd64", "linux/arm64"];
    let base = base_image("busybox:1", &platforms);
    let checked = derived_image("checked:1", &base, "HEALTHCHECK CMD /bin/busybox true", &platforms);
    let project = project(&json!({
        "base": base,
        "healthcheck": false,
        "platform": { "linux/arm64": { "base": checked } },
    }));
    compare(&project, "two-bases", &platforms);
    let published = reference(&project.run(&["publish", "--registry", &open_registry()]).finish().stdout);
    let name = &platform_manifest(&published, "linux/arm64")["annotations"]["org.opencontainers.image.base.name"];
    assert_eq!(*name, checked);
    assert_eq!(config(&published, "linux/arm64")["config"]["Healthcheck"], json!({ "Test": ["NONE"] }));
}
