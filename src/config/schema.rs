//! Generates docs/config.schema.json, the JSON schema of the configuration, from the types and the keys that each scope
//! allows. The schema uses draft 7, which TOML editors support.

use std::path::Path;
use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};

use super::schema_fragments::without_null;
use super::scope::Scope;
use super::{Config, ConfigTable, read};

/// Environment variable that makes tests rewrite the schemas in docs.
const UPDATE: &str = "UPDATE_SCHEMAS";

/// Returns the default values of all keys. Keys whose default depends on something else are left unset.
pub(crate) fn defaults() -> Config {
    let text = r#"
        platforms = ["linux/amd64", "linux/arm64"]
        tags = ["{{version}}", "latest"]
        index = true
        immutable-tags = ["{{version}}"]
        allow-tag-mismatch = false
        timezones = false
        copy-libraries = false
        user = "65532:65532"
        profile = "release"
        all-features = false
        no-default-features = false
        build-std = false
        auditable = "auto"
        locked = true
        engine = "auto"
        compression = "gzip"
        static-only = false
        non-root-only = false
    "#;
    toml::from_str(text).unwrap()
}

/// Checks that a file in docs matches a generated schema, or rewrites the file if `UPDATE_SCHEMAS` is set.
pub(crate) fn check_file(file: &str, schema: &Schema) {
    let expected = format!("{}\n", serde_json::to_string_pretty(schema).unwrap());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(file);
    if std::env::var_os(UPDATE).is_some() {
        fs_err::write(&path, &expected).unwrap();
    }
    let found = fs_err::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "docs/{file} is outdated: run `{UPDATE}=1 cargo test --lib schema`");
}

/// Returns the schema of a table with the keys that a scope allows. Each key refers to the schema of the top-level key
/// of the same name.
fn table(keys: &Map<String, Value>, scope: Scope, description: &str) -> Value {
    let keys = keys.keys().filter(|key| scope.allows(key));
    let keys: Map<_, _> = keys.map(|key| (key.clone(), json!({ "$ref": format!("#/properties/{key}") }))).collect();
    json!({ "description": description, "type": "object", "properties": keys, "additionalProperties": false })
}

pub(crate) fn schema() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.transforms.insert(0, Box::new(RecursiveTransform(without_null)));
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    schema["title"] = "multiarch.toml".into();
    schema["description"] = "Configuration of `cargo multiarch`.".into();
    let keys = schema["properties"].as_object_mut().unwrap();
    keys["images"]["additionalProperties"]["$ref"] = "#/definitions/Image".into();
    // The image name forms the last components of the repository name (distribution-spec, "Pulling manifests").
    let part = "[a-z0-9]([a-z0-9._-]*[a-z0-9])?";
    keys["images"]["propertyNames"] = json!({ "pattern": format!("^{part}(/{part})*$") });
    for (_, platform) in keys["platform"]["properties"].as_object_mut().unwrap() {
        platform["$ref"] = "#/definitions/ForPlatform".into();
    }
    let image = table(keys, Scope::Image, "An image.");
    let platform = table(keys, Scope::Platform, "Settings for a single platform.");
    let definitions = schema["definitions"].as_object_mut().unwrap();
    definitions.insert("Image".to_owned(), image);
    definitions.insert("ForPlatform".to_owned(), platform);
    schema
}

#[test]
fn schema_in_docs_is_current() {
    check_file("config.schema.json", &schema().try_into().unwrap());
}

#[test]
fn schema_describes_every_key() {
    let schema = schema();
    let mut tables = vec![&schema];
    tables.extend(schema["definitions"].as_object().unwrap().values());
    for (key, value) in tables.into_iter().filter_map(|table| table["properties"].as_object()).flatten() {
        assert!(value["description"].is_string() || value["$ref"].is_string(), "{key} has no description");
    }
}

fn parses(config: &str) -> bool {
    read::parse(config, "multiarch.toml".into(), ConfigTable::Root).is_ok()
}

/// Reports whether the contents of a multiarch.toml match the schema.
fn matches_schema(config: &str) -> bool {
    static COMPILED: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema", schema()).unwrap();
        let index = compiler.compile("schema", &mut schemas).unwrap();
        (schemas, index)
    });
    let (schemas, index) = &*COMPILED;
    let config = toml::from_str(config).unwrap_or_else(|error| panic!("{error}\n{config}"));
    schemas.validate(&config, *index).is_ok()
}

#[test]
fn values_that_the_parser_accepts_match_the_schema() {
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
        "healthcheck = false",
        "healthcheck = { cmd = ['a'], start-period = '1m', retries = 0 }",
        "healthcheck = { cmd = ['a'], interval = '1m30s', timeout = '.5s', start-period = '0' }",
        "files = [{ from = 'a', to = '/a', mode = '4755', owner = 'www-data:33' }]",
        "directories = [{ path = '/data' }, { path = '/tmp/x', mode = '1777', owner = '0' }]",
        "[images.'a/b_c.d']\nbins = []\nsmoke = []\n[images.a.platform.'linux/386']\nglibc = '2.28'",
        "engine = 'embedded'\ncompression = 'zstd'\ncompression-level = 22",
        "linker = 'rust-lld'",
        "ca-certificates = ['bundled', 'host', 'certs/ca.pem']",
        "ca-certificates = []",
        "ca-certificates = false",
    ] {
        assert!(parses(config), "{config}");
        assert!(matches_schema(config), "{config}");
    }
}

#[test]
fn values_that_the_parser_rejects_do_not_match_the_schema() {
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
        "files = [{ from = 'a', to = '/a', owner = 0 }]",
        "directories = ['/data']",
        "directories = [{ mode = '0755' }]",
        "healthcheck = 'a'",
        "healthcheck = true",
        "healthcheck = { interval = '1s' }",
        "healthcheck = { cmd = ['a'], start_period = '1s' }",
        "smoke = '--version'",
        "ca-certificates = 'bundled'",
        "ca-certificates = true",
        "ca-certificates = ['']",
        "[platform.'linux/arm64']\nca-certificates = false",
    ] {
        assert!(!parses(config), "the parser accepts {config}");
        assert!(!matches_schema(config), "the schema accepts {config}");
    }
}
