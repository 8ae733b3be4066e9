//! What others depend on, which docs/compatibility.md lists: names in JSON, codes, flags, keys, and texts in images. A snapshot
//! that changes here needs a new version number, or an entry in CHANGELOG.md.

use std::collections::BTreeSet;
use std::path::Path;

use cargo_multiarch::cli::Cli;
use cargo_multiarch::error::EXIT_CODES;
use cargo_multiarch::finding::CHECKS;
use clap::{Arg, Command, CommandFactory};
use serde_json::Value;

use crate::base::{BaseStyle, Entry, base_image, tar_of};
use crate::corpus::image::{Image, Layout};
use crate::ready_made;
use crate::snapshot::snapshot;
use crate::support::{FakeRegistry, Project, Run};

/// The path of every value: `images[].platforms[].base`, a line each, sorted.
fn paths(value: &Value) -> String {
    fn collect(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(name, value)| {
                let separator = if path.is_empty() { "" } else { "." };
                paths.insert(format!("{path}{separator}{name}"));
                collect(value, &format!("{path}{separator}{name}"), paths);
            }),
            Value::Array(array) => array.iter().for_each(|value| collect(value, &format!("{path}[]"), paths)),
            _ => {}
        }
    }
    let mut paths = BTreeSet::new();
    collect(value, "", &mut paths);
    lines(paths)
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A configuration with a value for each key that a plan has and that needs no Docker.
const CONFIG: &str = r#"
platforms = ["linux/amd64", "linux/arm64"]
files = [{ from = "data", to = "/data" }, { from = "Cargo.toml", to = "/etc/app/config", mode = "0600" }]
env = { NAME = "value" }
labels = { "org.example.owner" = "me" }
cmd = ["serve"]
expose = [8080, "53/udp"]
volumes = ["/data"]
user = "1000:1000"
workdir = "/data"
stop-signal = "SIGINT"
healthcheck = { cmd = ["/usr/local/bin/app", "check"], interval = "30s", timeout = "5s", start-period = "1m", retries = 3 }
auditable = false
build-env = { VARIABLE = "value" }
rustflags = ["-Copt-level=3"]
smoke = ["--version"]
allow = ["MA053"]
max-size = "50MB"
require-labels = ["org.example.owner=me"]
require-annotations = ["org.opencontainers.image.version"]
deny-needed = ["libssl*"]
"#;

fn project(registry: &FakeRegistry) -> Project {
    let host = &registry.host;
    let layer = tar_of(&[("bin/", Entry::Dir(0o755)), ("bin/sh", Entry::File(b"#!", 0o755))]);
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(registry, "base", "1", &["linux/arm64"], &layer, style);
    let base = format!("[platform.\"linux/arm64\"]\nbase = \"{host}/base:1\"\n");
    Project::with_config(&format!("registry = \"{host}/team\"\n{CONFIG}{base}"))
        .file("data/file", "content\n")
        .file(".gitignore", "/target\n/cache\n/dist\n/report.json\n")
        .committed()
}

/// A Docker of this machine that loads images and runs them.
const DOCKER: &str = "case \"$1 $2\" in\n  \"version \"*) echo linux/amd64 ;;\n  \"context inspect\") echo unix:///x ;;\n  \
    \"load \"*|\"image rm\"|\"rm \"*) ;;\n  \"run \"*) echo app 1.2.3 ;;\n  *) exit 1 ;;\nesac";

/// A run with the embedded engine and programs that are ready-made, in a cache of its own.
fn run(project: &Project, args: &[&str]) -> Run {
    let tools = ready_made::tools().program("docker", DOCKER).real("sh");
    let run = project.run(args).path_only(&tools);
    run.env("XDG_CACHE_HOME", project.path().join("cache")).env("MULTIARCH_ENGINE", "embedded")
}

#[test]
fn json_of_a_plan() {
    let project = project(&FakeRegistry::storing());
    let plan = run(&project, &["plan", "--message-format", "json"]).finish();
    snapshot!(paths(&serde_json::from_str(&plan.stdout).unwrap()));
}

#[test]
fn json_of_a_report() {
    let project = project(&FakeRegistry::storing());
    // A warning, to have a finding.
    let config = std::fs::read_to_string(project.path().join("multiarch.toml")).unwrap();
    let project = project.file("multiarch.toml", &config.replace("allow = [\"MA053\"]", "allow = [\"MA006\"]"));
    let report = run(&project, &["publish", "--message-format", "json"]).finish();
    snapshot!(paths(&serde_json::from_str(&report.stdout).unwrap()));
}

#[test]
fn json_of_verify_and_doctor() {
    let project = Project::app();
    Layout::of([Image::new("linux/amd64").entrypoint(&["/app"])]).write(&project.path().join("image"));
    let verified = project.run(&["verify", "oci:image", "oci:none", "--message-format", "json"]).finds(8).finish();
    let doctor = run(&project, &["doctor", "--message-format", "json"]).finish();
    let [verified, doctor] = [verified, doctor].map(|run| paths(&serde_json::from_str(&run.stdout).unwrap()));
    snapshot!("# verify\n", verified, "# doctor\n", doctor);
}

#[test]
fn json_of_a_bundle() {
    let project = project(&FakeRegistry::storing());
    run(&project, &["compile", "--out", "dist"]).finish();
    snapshot!(paths(&read(&project.path().join("dist/multiarch-bundle.json"))));
}

/// Older versions of this program read what newer ones have kept, and the reverse: the folder's name has the form's number.
#[test]
fn what_is_kept_of_layers() {
    let project = project(&FakeRegistry::storing());
    run(&project, &["build"]).finish();
    let entries = [
        ("bin/", Entry::Dir(0o755)),
        ("bin/busybox", Entry::File(&ready_made::program(62), 0o755)),
        ("bin/sh", Entry::Link("busybox")),
        ("bin/ash", Entry::HardLink("bin/busybox")),
        ("bin/.wh.gone", Entry::File(b"", 0o644)),
        ("etc/.wh..wh..opq", Entry::File(b"", 0o644)),
        ("etc/passwd", Entry::File(b"root:x:0:0::/:/bin/sh\n", 0o644)),
        ("script", Entry::File(b"#!/bin/sh\nif true; then exec app \"$@\"; fi\n", 0o755)),
    ];
    let registry = FakeRegistry::storing();
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(&registry, "image", "1", &["linux/amd64"], &tar_of(&entries), style);
    let cache = Project::empty();
    let args = ["verify", &format!("{}/image:1", registry.host)];
    let verify = project.run(&args).env("XDG_CACHE_HOME", cache.path());
    let _ = verify.into_command().0.output().unwrap();
    let kept = std::fs::read_dir(cache.path().join("cargo-multiarch")).unwrap().map(|entry| entry.unwrap().path());
    let folder = kept.into_iter().find(|path| path.to_string_lossy().contains("layers-")).unwrap();
    let scan = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let name = folder.file_name().unwrap().to_string_lossy().into_owned();
    let made = std::fs::read_dir(project.path().join("target/multiarch/+layers")).unwrap();
    let made = made.map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|it| it == "json"));
    snapshot!(format!("# {name}\n"), read(&scan), "# +layers\n", paths(&read(&made.unwrap())));
}

/// Configs, manifests and the index as they are pushed: the history, labels and annotations among them.
#[test]
fn texts_in_an_image() {
    let registry = FakeRegistry::storing();
    run(&project(&registry), &["publish"]).finish();
    let index = stored(&registry, "1.2.3");
    let children = index["manifests"].as_array().unwrap().iter();
    let images: Vec<[Value; 2]> = children
        .map(|child| {
            let manifest = stored(&registry, child["digest"].as_str().unwrap());
            let config = registry.stored_blob("team/app", manifest["config"]["digest"].as_str().unwrap()).unwrap();
            [manifest, serde_json::from_slice(&config).unwrap()]
        })
        .collect();
    snapshot!(index, images);
}

fn stored(registry: &FakeRegistry, reference: &str) -> Value {
    serde_json::from_slice(&registry.stored_manifest("team/app", reference).unwrap().1).unwrap()
}

#[test]
fn checks() {
    snapshot!(lines(CHECKS.iter().map(|check| format!("{} {} {:?}", check.code, check.name, check.severity))));
}

#[test]
fn exit_codes() {
    snapshot!(lines(EXIT_CODES.iter().map(|(code, name, _)| format!("{code} {name}"))));
}

/// A line for each argument: its names, its values, and the variable that stands for it.
fn arguments(command: &Command) -> Vec<String> {
    let line = |arg: &Arg| {
        let long = arg.get_long().map(|long| format!(" --{long}"));
        let short = arg.get_short().map(|short| format!(" -{short}"));
        let names: String = long.into_iter().chain(short).collect();
        let names = if names.is_empty() { format!(" {}", arg.get_id().as_str().to_uppercase()) } else { names };
        let takes = if arg.get_action().takes_values() { " VALUE" } else { "" };
        let values: Vec<String> = arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
        let values = match takes.is_empty() || values.is_empty() || values == ["true", "false"] {
            true => takes.to_owned(),
            false => format!(" {}", values.join("|")),
        };
        let env = arg.get_env().map(|name| format!(" [{}]", name.display())).unwrap_or_default();
        format!("{}{names}{values}{env}", command.get_name())
    };
    command.get_arguments().map(line).collect()
}

#[test]
fn flags_and_variables() {
    let cli = Cli::command();
    let commands = cli.get_subcommands().map(|command| {
        let aliases: Vec<&str> = command.get_visible_aliases().collect();
        [vec![[&[command.get_name()], &aliases[..]].concat().join(" ")], arguments(command)].concat()
    });
    let all: Vec<String> = std::iter::once(arguments(&cli)).chain(commands).flatten().collect();
    snapshot!(lines(all));
}

#[test]
fn keys_of_the_configuration() {
    /// The paths of a schema's properties, with the names that a value may be.
    fn collect(schema: &Value, all: &Value, path: &str, open: &[&str], paths: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/$defs/");
            if !open.contains(&name) {
                collect(&all["$defs"][name], all, path, &[open, &[name]].concat(), paths);
            }
        }
        for alternative in ["anyOf", "oneOf", "allOf"].iter().flat_map(|of| schema[of].as_array().into_iter().flatten())
        {
            collect(alternative, all, path, open, paths);
        }
        let names = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        paths.extend(names.map(|name| format!("{path} = {name}")));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
            paths.insert(path.clone());
            collect(property, all, &path, open, paths);
        }
        for (part, name) in [("items", "[]"), ("additionalProperties", ".*")] {
            if schema[part].is_object() {
                collect(&schema[part], all, &format!("{path}{name}"), open, paths);
            }
        }
    }
    let schema = serde_json::from_str(&Project::empty().run(&["schema"]).finish().stdout).unwrap();
    let mut paths = BTreeSet::new();
    collect(&schema, &schema, "", &[], &mut paths);
    snapshot!(lines(paths));
}
