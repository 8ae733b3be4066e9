//! Checks that docs/config.schema.json accepts and rejects the same configurations as the program.

use std::sync::LazyLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

use crate::docs::blocks;
use crate::init::workspace;
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

/// Asserts that the schema accepts the contents of a multiarch.toml.
#[track_caller]
pub fn assert_schema_accepts(config: &str) {
    validate(&read(config)).unwrap_or_else(|error| panic!("{error}\n{config}"));
}

#[test]
fn schema_is_printed() {
    assert_eq!(Project::empty().run(&["schema"]).finish().stdout, SCHEMA);
}

#[test]
fn schema_accepts_documented_configurations() {
    assert_schema_accepts(include_str!("../../examples/workspace/multiarch.toml"));
    for block in blocks().iter().filter(|block| block.language == "toml") {
        match block.attribute("file") {
            None => assert_schema_accepts(&block.text),
            Some("Cargo.toml") => {
                let manifest = read(&block.text);
                let tables = ["package", "workspace"].map(|table| &manifest[table]["metadata"]["multiarch"]);
                for table in tables.into_iter().filter(|table| !table.is_null()) {
                    validate(table).unwrap_or_else(|error| panic!("{}: {error}\n{}", block.page, block.text));
                }
            }
            Some(_) => {
                read(&block.text);
            }
        }
    }
}

#[test]
fn schema_comment_for_editors_is_accepted() {
    let project = Project::with_config("#:schema ./multiarch.schema.json\ntags = ['a']\n");
    assert!(project.run(&["plan"]).finish().stdout.contains("app"));
}

#[test]
fn schema_accepts_what_init_writes() {
    for project in [Project::app(), workspace()] {
        project.run(&["init", "--file"]).finish();
        assert_schema_accepts(&std::fs::read_to_string(project.path().join("multiarch.toml")).unwrap());
    }
    for (project, table) in [(Project::app(), "package"), (workspace(), "workspace")] {
        project.run(&["init"]).finish();
        let manifest = read(&std::fs::read_to_string(project.path().join("Cargo.toml")).unwrap());
        assert!(manifest[table]["metadata"]["multiarch"].is_object(), "{manifest}");
        validate(&manifest[table]["metadata"]["multiarch"]).unwrap();
    }
}

/// Covers values that have the right type, but are invalid for other reasons.
#[test]
fn schema_rejects_values_that_plan_rejects() {
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
        "healthcheck = { cmd = [] }",
        "glibc = 'new'\nlibc = 'gnu'\nbase = 'x'",
        "expose = ['80/http']",
        "files = [{ from = 'Cargo.toml', to = 'etc/x' }]",
        "files = [{ from = 'Cargo.toml', to = '/x/' }]",
        "files = [{ from = 'Cargo.toml', to = '/x', mode = '9' }]",
        "compression-level = 23\ncompression = 'zstd'",
        "annotations = { 'indx:org.example.a' = '1' }",
        "annotations = { 'index:' = '1' }",
        "[images.Web]\nbins = ['app']",
    ] {
        Project::with_config(config).run(&["plan"]).fails(3).finish();
        assert!(validate(&read(config)).is_err(), "the schema accepts {config}");
    }
}
