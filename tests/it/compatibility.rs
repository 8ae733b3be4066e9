//! Names and texts that other programs depend on, as listed in docs/compatibility.md: JSON fields, check codes, flags,
//! configuration keys, exit codes, and the text inside images. If a snapshot changes, see that page for what to do.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::corpus::image::{Image, Layout};
use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::ready_made;
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Project, Run};

/// Lists the paths of all fields, such as `images[].platforms[].base`, sorted and one per line.
fn paths(values: &[Value]) -> String {
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
    values.iter().for_each(|value| collect(value, "", &mut paths));
    lines(paths)
}

fn lines(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A configuration that sets as many keys as possible, except those that need Docker.
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

/// The script of a fake `docker` that loads and runs images.
const DOCKER: &str = "case \"$1 $2\" in\n  \"version \"*) echo linux/amd64 ;;\n  \"context inspect\") echo unix:///x ;;\n  \
    \"load \"*|\"image rm\"|\"rm \"*) ;;\n  \"run \"*) echo app 1.2.3 ;;\n  *) exit 1 ;;\nesac";

/// Prepares a run with the embedded engine, the fake cargo from [`ready_made`], and a separate cache directory.
fn run(project: &Project, args: &[&str]) -> Run {
    let tools = ready_made::tools().program("docker", DOCKER).real("sh");
    let run = project.run(args).path_only(&tools);
    run.env("XDG_CACHE_HOME", project.path().join("cache")).env("MULTIARCH_ENGINE", "embedded")
}

#[test]
fn plan_json_fields_are_stable() {
    let project = project(&FakeRegistry::storing());
    let plan = run(&project, &["plan", "--message-format", "json"]).finish();
    let config = "libc = 'gnu'\nbase = 'x'\nplatforms = ['linux/arm64']\nlinker = 'gcc'\ntemplate = 't.j2'\n";
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n";
    let other = Project::with_config(config).file("t.j2", template);
    let tools = ready_made::tools().program("aarch64-linux-gnu-gcc", "exit 1");
    let with_gcc = other.run(&["plan", "--message-format", "json"]).path_only(&tools).finish();
    snapshot!(paths(&[plan, with_gcc].map(|plan| serde_json::from_str(&plan.stdout).unwrap())));
}

#[test]
fn report_json_fields_are_stable() {
    let project = project(&FakeRegistry::storing());
    let report = run(&project, &["publish", "--message-format", "json"]).finish();
    snapshot!(paths(&[serde_json::from_str(&report.stdout).unwrap()]));
}

#[test]
fn verify_and_doctor_json_fields_are_stable() {
    let project = Project::app();
    Layout::of([Image::new("linux/amd64").entrypoint(&["/app"])]).write(&project.path().join("image"));
    let verified = project.run(&["verify", "oci:image", "oci:none", "--message-format", "json"]).finds(8).finish();
    let doctor = run(&project, &["doctor", "--message-format", "json"]).finish();
    let [verified, doctor] = [verified, doctor].map(|run| paths(&[serde_json::from_str(&run.stdout).unwrap()]));
    snapshot!("# verify\n", verified, "# doctor\n", doctor);
}

#[test]
fn bundle_json_fields_are_stable() {
    let project = project(&FakeRegistry::storing());
    run(&project, &["compile", "--out", "dist"]).finish();
    snapshot!(paths(&[read(&project.path().join("dist/multiarch-bundle.json"))]));
}

/// Different versions of the program share these caches, so their formats must not change by accident. A new format of
/// layer scans requires a new version number in the name of their directory.
#[test]
fn cached_layers_are_stable() {
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
    project.run(&args).env("XDG_CACHE_HOME", cache.path()).finish();
    let scans = find_entry(&cache.path().join("cargo-multiarch"), "layers-");
    let layer = find_entry(&project.path().join("target/multiarch/+layers"), ".json");
    let heading = format!("# {}\n", scans.file_name().unwrap().display());
    snapshot!(heading, record(&find_entry(&scans, "")), "# +layers\n", paths(&[record(&layer)]));
}

/// Returns the content of a cached record, whose first line is a checksum.
fn record(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str(text.split_once('\n').unwrap().1).unwrap()
}

/// Returns the first entry in a directory with `part` in its name.
fn find_entry(dir: &Path, part: &str) -> PathBuf {
    let mut entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.file_name().unwrap().to_string_lossy().contains(part)).unwrap()
}

/// Covers the pushed index, manifests and configs, including their history, labels and annotations.
#[test]
fn image_texts_are_stable() {
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

/// Covers the code, name and severity of every check.
#[test]
fn check_codes_and_names_are_stable() {
    let list = Project::empty().run(&["verify", "--explain"]).finish().stdout;
    snapshot!(lines(list.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" "))));
}

#[test]
fn exit_codes_are_stable() {
    let help = Project::empty().run(&["--help"]).finish().stdout;
    let (_, list) = help.split_once("\nExit codes:\n").unwrap();
    let list = list.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    snapshot!(lines(list.split(", ").map(|code| code.trim().to_owned())));
}

#[test]
fn configuration_keys_are_stable() {
    /// Collects the paths of a schema's properties, and the values of its enumerations.
    fn collect(schema: &Value, all: &Value, path: &str, open: &[&str], paths: &mut BTreeSet<String>) {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/definitions/");
            if !open.contains(&name) {
                collect(&all["definitions"][name], all, path, &[open, &[name]].concat(), paths);
            }
        }
        for alternative in ["anyOf", "oneOf", "allOf"].iter().flat_map(|of| schema[of].as_array().into_iter().flatten())
        {
            collect(alternative, all, path, open, paths);
        }
        let names = schema["enum"].as_array().into_iter().flatten().chain(schema.get("const"));
        paths.extend(names.map(|name| format!("{path} = {name}")));
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            // All platforms have the same keys, so list their paths only once.
            let key = if name.contains('/') { "*" } else { name };
            if key != name {
                paths.insert(format!("{path} = {name}"));
            }
            let path = format!("{path}{}{key}", if path.is_empty() { "" } else { "." });
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
