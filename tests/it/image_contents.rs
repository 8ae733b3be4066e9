//! Tests of image contents: CA certificates, time zones, owners, directories, capabilities and commands.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, HEALTHY_DOCKER, Project, Run, ready_made};

/// A self-signed certificate of a private CA.
const PRIVATE_CA: &str = "\
-----BEGIN CERTIFICATE-----
MIIBgTCCASegAwIBAgIUJSRy5mr8GWUnGHPJPeugS1XhytIwCgYIKoZIzj0EAwIw
FTETMBEGA1UEAwwKUHJpdmF0ZSBDQTAgFw0yNjExMzAyMTE5NDVaGA8yMTI2MTEw
NjIxMTk0NVowFTETMBEGA1UEAwwKUHJpdmF0ZSBDQTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABB1xJWcuobtx/ivfuieioonOovf1YQ/lDkQW1H+4165Q0zIKDcTG
vAv+stzbouEIeyspQOBj+ib91yiZLDQ+WtajUzBRMB0GA1UdDgQWBBSSPoEwH9/c
qEt/8x/nHtAk84yinjAfBgNVHSMEGDAWgBSSPoEwH9/cqEt/8x/nHtAk84yinjAP
BgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQD0Hmgetd71MNdFFBKo
vTrfyY1vklCNcE+9SdFnZCa/oQIgL+w/kXuFlnEBcAe/662gRD32yNQ82ngShIse
2Wc7egQ=
-----END CERTIFICATE-----
";

const CA_BUNDLE: &str = "etc/ssl/certs/ca-certificates.crt";

/// A file or directory in an image.
#[derive(Debug, PartialEq, Eq)]
struct ImageFile {
    mode: u32,
    owner: (u64, u64),
    content: Vec<u8>,
    /// Value of the extended attribute `security.capability`.
    capabilities: Option<Vec<u8>>,
}

impl ImageFile {
    fn text(&self) -> String {
        String::from_utf8(self.content.clone()).unwrap()
    }
}

/// Prepares a run with the embedded engine, the fake cargo from [`ready_made`] and a machine that trusts only
/// [`PRIVATE_CA`].
fn run(project: &Project, args: &[&str]) -> Run {
    let tools = ready_made::tools();
    std::fs::write(tools.path().join("private.pem"), PRIVATE_CA).unwrap();
    let store = tools.path().join("private.pem");
    let run = project.run(args).path_only(&tools).env("SSL_CERT_FILE", store).env("SSL_CERT_DIR", "");
    run.env("XDG_CACHE_HOME", project.path().join("cache")).env("MULTIARCH_ENGINE", "embedded")
}

fn blob(layout: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    std::fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap()
}

/// Returns the config and the files of the built image's first platform. Later layers win.
fn built(project: &Project) -> (Value, BTreeMap<String, ImageFile>) {
    let layout = project.path().join("target/multiarch/app/oci");
    let parse = |bytes: &[u8]| -> Value { serde_json::from_slice(bytes).unwrap() };
    let index = parse(&std::fs::read(layout.join("index.json")).unwrap());
    let index = parse(&blob(&layout, &index["manifests"][0]));
    let manifest = parse(&blob(&layout, &index["manifests"][0]));
    let mut files = BTreeMap::new();
    for layer in manifest["layers"].as_array().unwrap() {
        let layer = blob(&layout, layer);
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(layer.as_slice()));
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string().trim_end_matches('/').to_owned();
            let capabilities = entry.pax_extensions().unwrap().and_then(|mut records| {
                let record = records.next().unwrap().unwrap();
                (record.key() == Ok("SCHILY.xattr.security.capability")).then(|| record.value_bytes().to_vec())
            });
            let header = entry.header();
            let (mode, owner) = (header.mode().unwrap(), (header.uid().unwrap(), header.gid().unwrap()));
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(path, ImageFile { mode, owner, content, capabilities });
        }
    }
    (parse(&blob(&layout, &manifest["config"])), files)
}

/// Builds an image for linux/amd64 with a configuration, and returns its files.
fn files_with(config: &str) -> BTreeMap<String, ImageFile> {
    let project = Project::with_config(&format!("platforms = ['linux/amd64']\n{config}")).file("ca.pem", PRIVATE_CA);
    run(&project, &["build"]).finish();
    built(&project).1
}

fn certificates(files: &BTreeMap<String, ImageFile>) -> Option<Vec<String>> {
    let text = files.get(CA_BUNDLE)?.text();
    Some(text.split_inclusive("-----END CERTIFICATE-----\n").map(str::to_owned).collect())
}

#[test]
fn scratch_images_do_not_depend_on_the_machines_ca_certificates() {
    let project = Project::app();
    let digest = |store: &str| {
        let build = ["build", "--platform", "linux/amd64", "--message-format", "json"];
        let built = run(&project, &build).env("SSL_CERT_FILE", project.path().join(store)).finish();
        let report: Value = serde_json::from_str(&built.stdout).unwrap();
        assert_eq!(report["images"][0]["platforms"][0]["ca_certificates"], json!(["bundled"]));
        assert!(report["bundled"]["ca_certificates"].as_str().unwrap().starts_with("webpki-root-certs 1."));
        report["images"][0]["digest"].clone()
    };
    std::fs::write(project.path().join("private.pem"), PRIVATE_CA).unwrap();
    assert_eq!(digest("private.pem"), digest("none.pem"));
    let certificates = certificates(&built(&project).1).unwrap();
    assert!(certificates.len() > 100, "{}", certificates.len());
    assert!(!certificates.contains(&PRIVATE_CA.to_owned()));
}

#[test]
fn ca_certificates_come_from_the_configured_sources() {
    let count = |config: &str| certificates(&files_with(config)).map(|list| list.len());
    let bundled = count("").unwrap();
    for (sources, expected) in [
        ("['bundled']", Some(bundled)),
        ("['host']", Some(1)),
        ("['ca.pem']", Some(1)),
        ("['bundled', 'ca.pem', 'host']", Some(bundled + 1)),
        ("false", None),
        ("[]", None),
    ] {
        assert_eq!(count(&format!("ca-certificates = {sources}")), expected, "{sources}");
    }
    let added = certificates(&files_with("ca-certificates = ['bundled', 'ca.pem']")).unwrap();
    assert_eq!(added.last().unwrap(), PRIVATE_CA);
}

/// A base keeps its own certificates unless the key is set.
#[test]
fn ca_certificates_are_added_to_a_base_only_if_configured() {
    let registry = FakeRegistry::storing();
    let layer = tar_of(&[("etc/ssl/certs/", Entry::Dir(0o755)), (CA_BUNDLE, Entry::File(b"the base's", 0o644))]);
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(&registry, "base", "1", &["linux/amd64"], &layer, style);
    let base = format!("base = '{}/base:1'", registry.host);
    assert_eq!(files_with(&base)[CA_BUNDLE].text(), "the base's");
    assert_eq!(files_with(&format!("{base}\nca-certificates = ['ca.pem']"))[CA_BUNDLE].text(), PRIVATE_CA);
}

#[test]
fn invalid_ca_certificates_are_rejected_before_compiling() {
    let outside = Project::empty();
    let seen = [
        "ca-certificates = 'bundled'",
        "ca-certificates = ['hots']",
        "ca-certificates = ['Cargo.toml']",
        "ca-certificates = ['ca.der']",
        "ca-certificates = ['src']",
        "ca-certificates = ['/etc/passwd']",
        "ca-certificates = ['link.pem']",
        "ca-certificates = ['broken.pem']",
        "platform.'linux/arm64' = { ca-certificates = false }",
    ]
    .map(|config| {
        let project = Project::with_config(config);
        let project = project.file("broken.pem", &PRIVATE_CA.replace("MII", "?"));
        std::fs::write(project.path().join("ca.der"), &TLS_SERVER_ROOT_CERTS[0]).unwrap();
        std::fs::write(outside.path().join("ca.pem"), PRIVATE_CA).unwrap();
        std::os::unix::fs::symlink(outside.path().join("ca.pem"), project.path().join("link.pem")).unwrap();
        run(&project, &["build"]).fails(3).finish().stderr_lacks("Compiling")
    });
    let no_store = Project::with_config("ca-certificates = ['host']");
    let no_store = run(&no_store, &["plan"]).env("SSL_CERT_FILE", "/dev/null").fails(3).finish();
    // Certificates of which only a part can be read are an error, too.
    let partial = Project::with_config("ca-certificates = ['host']");
    let partial = run(&partial, &["plan"]).env("SSL_CERT_DIR", "/none").fails(3).finish();
    snapshot!(seen, no_store, partial);
}

#[test]
fn ca_certificates_that_the_default_leaves_out_are_reported() {
    let default = Project::app();
    let configured = Project::with_config("ca-certificates = ['bundled']");
    let notes = [&default, &configured].map(|project| run(project, &["plan", "--platform", "linux/amd64"]).finish());
    assert!(notes[0].stderr.contains("private.pem"));
    snapshot!(notes);
}

#[test]
fn time_zones_are_added_on_request() {
    const BERLIN: &str = "usr/share/zoneinfo/Europe/Berlin";
    assert!(!files_with("").contains_key(BERLIN));
    let zones = files_with("timezones = true");
    assert!(zones[BERLIN].content.starts_with(b"TZif"));
    assert_eq!((zones[BERLIN].mode, zones[BERLIN].owner), (0o644, (0, 0)));
    assert!(zones.contains_key("usr/share/zoneinfo/Etc/UTC"));
    let registry = FakeRegistry::storing();
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(&registry, "base", "1", &["linux/amd64"], &tar_of(&[("usr/", Entry::Dir(0o755))]), style);
    let on_base = files_with(&format!("timezones = true\nbase = '{}/base:1'", registry.host));
    assert_eq!(on_base[BERLIN], zones[BERLIN]);
    assert!(!on_base.contains_key(CA_BUNDLE));
}

#[test]
fn files_and_directories_have_the_configured_owner_and_mode() {
    let files = files_with(
        "directories = [{ path = '/data' }, { path = '/var/lib/app/cache', mode = '0700', owner = '7:8' }]\n\
         files = [{ from = 'src', to = '/src', owner = 'nonroot' }, \
         { from = 'ca.pem', to = '/etc/ca.pem', mode = '0600', owner = '7' }]",
    );
    for (path, mode, owner) in [
        ("data", 0o755, (65532, 65532)),
        ("var/lib/app", 0o755, (0, 0)),
        ("var/lib/app/cache", 0o700, (7, 8)),
        ("src", 0o755, (65532, 65532)),
        ("src/main.rs", 0o644, (65532, 65532)),
        ("etc", 0o755, (0, 0)),
        ("etc/ca.pem", 0o600, (7, 7)),
    ] {
        assert_eq!((files[path].mode, files[path].owner), (mode, owner), "{path}");
    }
    assert_eq!(files_with("user = '7:8'\ndirectories = [{ path = '/data' }]")["data"].owner, (7, 8));
}

#[test]
fn directories_may_be_nested_or_exist_in_the_base() {
    let registry = FakeRegistry::storing();
    let layer = [("data/", Entry::Dir(0o755)), ("data/old", Entry::File(b"old", 0o600))];
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    base_image(&registry, "base", "1", &["linux/amd64"], &tar_of(&layer), style);
    let files = files_with(&format!(
        "base = '{}/base:1'\ndirectories = [{{ path = '/data', mode = '0700', owner = '7' }}, \
         {{ path = '/outer' }}, {{ path = '/outer/inner', mode = '0700', owner = '7' }}, \
         {{ path = '/reversed/inner', mode = '0700' }}, {{ path = '/reversed', mode = '0711', owner = '7' }}]",
        registry.host
    ));
    for (path, mode, owner) in [
        ("data", 0o700, (7, 7)),
        ("data/old", 0o600, (0, 0)),
        ("outer", 0o755, (65532, 65532)),
        ("outer/inner", 0o700, (7, 7)),
        ("reversed", 0o711, (7, 7)),
        ("reversed/inner", 0o700, (65532, 65532)),
    ] {
        assert_eq!((files[path].mode, files[path].owner), (mode, owner), "{path}");
    }
    assert_eq!(files["data/old"].text(), "old");
}

#[test]
fn invalid_owners_and_directories_are_rejected() {
    let seen = [
        "files = [{ from = 'src', to = '/src', owner = 'a b' }]",
        "files = [{ from = 'src', to = '/src', owner = 'nobody' }]",
        "directories = [{ path = 'data' }]",
        "directories = [{ path = '/' }]",
        "directories = [{ path = '/data/.' }]",
        "directories = [{ path = '/data//x' }]",
        "directories = [{ path = '/data', mode = 'rwx' }]",
        "directories = [{ path = '/data' }, { path = '/data', mode = '0700' }]",
        "directories = [{ path = '/usr/local/bin/app' }]",
        "directories = [{ path = '/data', user = '0' }]",
    ]
    .map(|config| {
        let config = format!("platforms = ['linux/amd64']\n{config}");
        run(&Project::with_config(&config), &["build"]).fails(3).finish().stderr_lacks("Compiling")
    });
    snapshot!(seen);
}

#[test]
fn programs_have_the_configured_capabilities() {
    let files = files_with("capabilities = { app = ['net_bind_service'] }");
    let expected = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(files["usr/local/bin/app"].capabilities.as_deref(), Some(&expected[..]));
    assert!(files.values().filter(|file| file.capabilities.is_some()).count() == 1);
    assert_eq!(files_with("")["usr/local/bin/app"].capabilities, None);
}

/// An image or platform can override or remove capabilities that are set at a higher configuration level. Capabilities
/// set for all images may name binaries that a given image does not contain.
#[test]
fn capabilities_can_differ_between_images_and_platforms() {
    let config = "platforms = ['linux/amd64', 'linux/arm64']\n\
        capabilities = { app = ['net_bind_service'], other = ['net_raw', 'chown'] }\n\
        [images.app]\nbins = ['app']\n[images.app.platform.'linux/arm64'.capabilities]\napp = []\n\
        [images.other]\nbins = ['other']\n[images.other.platform.'linux/arm64'.capabilities]\nother = ['bpf']\n\
        [images.both]\nbins = ['app', 'other']\ncapabilities = { other = [] }";
    let project = Project::with_config(config).file("src/bin/other.rs", "fn main() {}");
    let planned = run(&project, &["plan", "--message-format", "json"]).finish();
    let plan: Value = serde_json::from_str(&planned.stdout).unwrap();
    let capabilities = |image: usize, platform: usize| &plan["images"][image]["platforms"][platform]["capabilities"];
    assert_eq!(*capabilities(0, 0), json!({ "app": ["net_bind_service"] }));
    assert_eq!(*capabilities(0, 1), json!({}));
    assert_eq!(*capabilities(1, 0), json!({ "other": ["chown", "net_raw"] }));
    assert_eq!(*capabilities(1, 1), json!({ "other": ["bpf"] }));
    assert_eq!(*capabilities(2, 0), json!({ "app": ["net_bind_service"] }));

    // Those of a single image may not.
    let config = "[images.app]\nbins = ['app']\ncapabilities = { other = ['net_raw'] }";
    let project = Project::with_config(config).file("src/bin/other.rs", "fn main() {}");
    run(&project, &["plan"])
        .fails(3)
        .finish()
        .stderr_has(&["image 'app': capabilities: the image has no binary 'other'"]);
}

#[test]
fn invalid_capabilities_and_other_engines_are_rejected() {
    let refused = |config: &str, args: &[&str], code: i32| {
        let docker = ready_made::tools().program("docker", HEALTHY_DOCKER).real("sh");
        let project = Project::with_config(&format!("platforms = ['linux/amd64']\n{config}"));
        let project = project.file("my.j2", "FROM {{ base }} AS {{ stage }}\nRUN true\n{% include \"contents\" %}\n");
        project.run(&[&["plan"], args].concat()).path_only(&docker).fails(code).finish()
    };
    let capability = "capabilities = { app = ['net_bind_service'] }";
    snapshot!(
        refused("capabilities = { ap = ['net_bind_service'] }", &[], 3),
        refused("capabilities = { app = ['CAP_NET_BIND'] }", &[], 3),
        refused("capabilities = { app = 'net_raw' }", &[], 3),
        refused(capability, &["--engine", "buildx"], 3),
        refused(&format!("template = 'my.j2'\n{capability}"), &[], 3),
        refused(capability, &[], 0)
    );
}

/// Returns ENTRYPOINT and CMD of the image that a configuration builds, with a base that has both.
fn command_with(config: &str) -> [Value; 2] {
    let registry = FakeRegistry::storing();
    let style = BaseStyle { docker: false, index: true, compression: "gzip" };
    let layer = tar_of(&[("bin/", Entry::Dir(0o755)), ("bin/sh", Entry::File(&ready_made::program(62), 0o755))]);
    base_image(&registry, "base", "1", &["linux/amd64"], &layer, style);
    let config = format!("platforms = ['linux/amd64']\nbase = '{}/base:1'\n{config}", registry.host);
    let project = Project::with_config(&config);
    run(&project, &["build"]).finish();
    let config = built(&project).0;
    ["Entrypoint", "Cmd"].map(|key| config["config"][key].clone())
}

#[test]
fn image_may_have_a_command_without_an_entrypoint() {
    let null = Value::Null;
    let app = Value::from(vec!["/usr/local/bin/app"]);
    for (config, entrypoint, cmd) in [
        ("", &app, &null),
        ("cmd = []", &app, &null),
        ("cmd = ['serve']\n[images.app]\ncmd = []", &app, &null),
        ("entrypoint = []\ncmd = ['/usr/local/bin/app']", &null, &app),
    ] {
        assert_eq!(command_with(config), [entrypoint.clone(), cmd.clone()], "{config}");
    }
    // A program that the image lacks is an error in `cmd`, too.
    let missing = Project::with_config("entrypoint = []\ncmd = ['other']");
    run(&missing, &["build"]).fails(3).finish().stderr_has(&["the image runs 'other', but does not contain it"]);
}
