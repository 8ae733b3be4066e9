//! docs/config.schema.json takes the configurations that the program takes, and refuses those that it refuses.

use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use cargo_multiarch::config::{ConfigTable, read};
use serde_json::Value;

use crate::init::workspace;
use crate::readme::blocks;
use crate::support::Project;

const SCHEMA: &str = include_str!("../../docs/config.schema.json");

static COMPILED: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema", serde_json::from_str(SCHEMA).unwrap()).unwrap();
    let index = compiler.compile("schema", &mut schemas).unwrap();
    (schemas, index)
});

fn validate(config: &Value) -> Result<(), String> {
    let (schemas, index) = &*COMPILED;
    schemas.validate(config, *index).map_err(|error| error.to_string())
}

fn read(config: &str) -> Value {
    toml::from_str(config).unwrap_or_else(|error| panic!("{error}\n{config}"))
}

/// Asserts that the schema takes a multiarch.toml.
#[track_caller]
pub fn assert_takes(config: &str) {
    validate(&read(config)).unwrap_or_else(|error| panic!("{error}\n{config}"));
}

fn parses(config: &str) -> bool {
    read::parse(config, "multiarch.toml".into(), ConfigTable::Root).is_ok()
}

#[test]
fn it_is_printed() {
    assert_eq!(Project::empty().run(&["schema"]).finish().stdout, SCHEMA);
}

#[test]
fn what_is_documented() {
    assert_takes(include_str!("../../examples/workspace/multiarch.toml"));
    blocks("toml").iter().for_each(|block| assert_takes(block));
}

#[test]
fn an_editors_first_line_is_a_comment() {
    let project = Project::with_config("#:schema ./multiarch.schema.json\ntags = ['a']\n");
    assert!(project.run(&["plan"]).finish().stdout.contains("app"));
}

#[test]
fn what_init_writes() {
    for project in [Project::app(), workspace()] {
        project.run(&["init", "--file"]).finish();
        assert_takes(&std::fs::read_to_string(project.path().join("multiarch.toml")).unwrap());
    }
    for (project, table) in [(Project::app(), "package"), (workspace(), "workspace")] {
        project.run(&["init"]).finish();
        let manifest = read(&std::fs::read_to_string(project.path().join("Cargo.toml")).unwrap());
        assert!(manifest[table]["metadata"]["multiarch"].is_object(), "{manifest}");
        validate(&manifest[table]["metadata"]["multiarch"]).unwrap();
    }
}

#[test]
fn what_both_take() {
    for config in [
        "",
        "registry = 'ghcr.io/you'",
        "registry = ['ghcr.io/you', 'localhost:5000']",
        "registry = ['[fd00::1]:5000/a/b', 'you', 'r.example/']",
        "stop-signal = 'sigint'",
        "stop-signal = 'SIGRTMIN+3'",
        "stop-signal = '15'",
        "platforms = ['linux/amd64', 'linux/arm64/v8', 'linux/x86_64', 'linux/armhf']",
        "[platform.'linux/aarch64']\nlibc = 'gnu'",
        "auditable = true",
        "auditable = 'auto'",
        "max-size = 5000000",
        "max-size = '50MB'",
        "max-size = '1.5 GiB'",
        "max-size = '0'",
        "allow = ['MA053', 'missing-workdir']",
        "expose = [0, 8080, '53/udp', '80']",
        "require-labels = ['a', 'org.example=v*', ' b']",
        "env = {}\nlabels = { 'a.b' = '' }\nentrypoint = ['/a']",
        "healthcheck = { cmd = ['a'], start-period = '1m', retries = 0 }",
        "healthcheck = { cmd = ['a'], interval = '1m30s', timeout = '.5s', start-period = '0' }",
        "files = [{ from = 'a', to = '/a', mode = '4755' }]",
        "[images.'a/b_c.d']\nbins = []\nsmoke = []\n[images.a.platform.'linux/386']\nglibc = '2.28'",
        "engine = 'embedded'\ncompression = 'zstd'\ncompression-level = 22",
        "linker = 'rust-lld'",
    ] {
        assert!(parses(config), "{config}");
        assert_takes(config);
    }
}

#[test]
fn what_both_refuse() {
    for config in [
        "no-such-key = 1",
        "build_env = {}",
        "registry = 5",
        "registry = ['a', 5]",
        "platforms = 'linux/arm64'",
        "platforms = ['linux/arm65']",
        "platforms = ['Linux/arm64']",
        "[platform.'linux/arm65']\nbase = 'x'",
        "[platform.'linux/arm64']\ntags = ['a']",
        "[platform.'linux/arm64']\nengine = 'auto'",
        "[images.a]\nlocked = true",
        "[images.a]\nbsae = 'x'",
        "[images.a.images.b]\nbase = 'x'",
        "[images.a.platform.'linux/arm64']\nbins = []",
        "[images.a.platform.'linux/arm64'.platform.'linux/arm64']\nbase = 'x'",
        "images = []",
        "tags = 'latest'",
        "auditable = 'yes'",
        "auditable = 1",
        "libc = 'glibc'",
        "linker = 'lld'",
        "engine = 'docker'",
        "compression = 'none'",
        "compression-level = -1",
        "compression-level = '9'",
        "locked = 'true'",
        "max-size = 'much'",
        "max-size = -1",
        "max-size = '5 XB'",
        "allow = ['MA999']",
        "expose = [70000]",
        "expose = [-1]",
        "expose = [[80]]",
        "env = { A = 1 }",
        "env = ['A=1']",
        "require-labels = ['=x']",
        "require-annotations = ['']",
        "files = ['a']",
        "files = [{ from = 'a' }]",
        "files = [{ from = 'a', to = '/a', mode = 755 }]",
        "files = [{ from = 'a', to = '/a', owner = 'root' }]",
        "healthcheck = 'a'",
        "healthcheck = { interval = '1s' }",
        "healthcheck = { cmd = ['a'], start_period = '1s' }",
        "smoke = '--version'",
    ] {
        assert!(!parses(config), "the program takes {config}");
        assert!(validate(&read(config)).is_err(), "the schema takes {config}");
    }
}

/// What the program sees once it knows the workspace.
#[test]
fn what_a_plan_refuses_as_well() {
    for config in [
        "registry = 'https://ghcr.io/you'",
        "registry = ['r.example', '']",
        "registry = 'r.example/you:1'",
        "base = ''",
        "user = ''",
        "stop-signal = 'SIGFOO'",
        "stop-signal = '0'",
        "healthcheck = { cmd = ['a'], interval = '5 parsecs' }",
        "healthcheck = { cmd = ['a'], timeout = '5' }",
        "entrypoint = []",
        "cmd = []",
        "healthcheck = { cmd = [] }",
        "glibc = 'new'\nlibc = 'gnu'\nbase = 'x'",
        "expose = ['80/http']",
        "files = [{ from = 'Cargo.toml', to = 'etc/x' }]",
        "files = [{ from = 'Cargo.toml', to = '/x/' }]",
        "files = [{ from = 'Cargo.toml', to = '/x', mode = '9' }]",
        "compression-level = 23\ncompression = 'zstd'",
        "[images.Web]\nbins = ['app']",
    ] {
        Project::with_config(config).run(&["plan"]).fails(3).finish();
        assert!(validate(&read(config)).is_err(), "the schema takes {config}");
    }
}
