//! Annotations of the index and of the platforms' manifests.

use serde_json::{Value, json};

use crate::bases::STYLE;
use crate::support::base_image::base_image;
use crate::support::fake_registry::FakeRegistry;
use crate::support::snapshot::snapshot;
use crate::support::{Fakes, HEALTHY_DOCKER, Project, ready_made};

fn stored(registry: &FakeRegistry, reference: &str) -> Value {
    serde_json::from_slice(&registry.stored_manifest("app", reference).unwrap().1).unwrap()
}

const CONFIG: &str = "annotations = { 'org.example.both' = 'b', 'index:org.example.index' = 'i', \
    'manifest:org.example.manifest' = 'm', 'index:org.opencontainers.image.title' = 'Title' }\n\
    require-annotations = ['org.example.both', 'org.example.index']";

#[test]
fn annotations_go_to_the_index_and_the_manifests() {
    let registry = FakeRegistry::storing();
    let project = Project::with_config(CONFIG).file(".gitignore", "/target\n").committed();
    let args = ["publish", "--engine", "embedded", "--registry", &registry.host, "--tag", "1"];
    project.run(&args).path_only(&ready_made::tools()).finish();
    let index = stored(&registry, "1");
    let manifests = index["manifests"].as_array().unwrap();
    assert_eq!(manifests.len(), 2);
    let revision = index["annotations"]["org.opencontainers.image.revision"].clone();
    let common = [
        ("org.opencontainers.image.revision", revision.as_str().unwrap()),
        ("org.opencontainers.image.version", "1.2.3"),
        ("org.example.both", "b"),
    ];
    let with = |more: &[(&str, &str)]| -> Value {
        json!(common.iter().chain(more).copied().collect::<std::collections::BTreeMap<_, _>>())
    };
    assert_eq!(index["annotations"], with(&[("org.example.index", "i"), ("org.opencontainers.image.title", "Title")]));
    for entry in manifests {
        let manifest = stored(&registry, entry["digest"].as_str().unwrap());
        let expected = with(&[("org.example.manifest", "m"), ("org.opencontainers.image.title", "app")]);
        assert_eq!(manifest["annotations"], expected);
        assert!(entry.get("annotations").is_none(), "{entry}");
    }
}

#[test]
fn bases_that_differ_are_recorded_on_each_manifest() {
    let registry = FakeRegistry::storing();
    let base = |name: &str, platforms: &[&str]| {
        let digest = base_image(&registry, name, "1", platforms, &crate::bases::files(), STYLE);
        (format!("{}/{name}:1", registry.host), digest)
    };
    let both = ["linux/amd64", "linux/arm64"];
    let (one, other) = (base("one", &both), base("other", &["linux/arm64"]));
    let published = |config: &str| {
        let args = ["publish", "--engine", "embedded", "--registry", &registry.host, "--tag", "1"];
        Project::with_config(config).run(&args).path_only(&ready_made::tools()).finish();
        let index = stored(&registry, "1");
        let base_of = |document: &Value| {
            let annotation =
                |key: &str| document["annotations"][format!("org.opencontainers.image.base.{key}")].clone();
            (annotation("name"), annotation("digest"))
        };
        let manifests = index["manifests"].as_array().unwrap().iter();
        let manifests = manifests.map(|entry| base_of(&stored(&registry, entry["digest"].as_str().unwrap())));
        (base_of(&index), manifests.collect::<Vec<_>>())
    };
    let json = |(name, digest): &(String, String)| (json!(name), json!(digest));
    let none = (Value::Null, Value::Null);
    let shared = published(&format!("base = '{}'", one.0));
    assert_eq!(shared, (json(&one), vec![json(&one), json(&one)]));
    let different = format!("base = '{}'\n[platform.'linux/arm64']\nbase = '{}'", one.0, other.0);
    assert_eq!(published(&different), (none.clone(), vec![json(&one), json(&other)]));
    let only_one = format!("[platform.'linux/arm64']\nbase = '{}'", other.0);
    assert_eq!(published(&only_one), (none.clone(), vec![none, json(&other)]));
}

#[test]
fn buildx_gets_the_same_annotations() {
    let docker = Fakes::new().program("docker", HEALTHY_DOCKER);
    let project = Project::with_config(CONFIG);
    let plan = project.run(&["plan", "-v", "--engine", "buildx"]).path_first(&docker).finish();
    let command = plan.stderr.lines().find(|line| line.contains("docker buildx build")).unwrap();
    let annotations: Vec<&str> = command.split(" --").filter(|flag| flag.starts_with("annotation ")).collect();
    assert_eq!(
        annotations,
        [
            "annotation index:org.opencontainers.image.title=Title",
            "annotation index:org.opencontainers.image.version=1.2.3",
            "annotation index:org.example.both=b",
            "annotation index:org.example.index=i",
            "annotation manifest:org.opencontainers.image.title=app",
            "annotation manifest:org.opencontainers.image.version=1.2.3",
            "annotation manifest:org.example.both=b",
            "annotation manifest:org.example.manifest=m",
        ]
    );
}

#[test]
fn other_prefixes_of_annotations_are_rejected() {
    let refused =
        ["manifest-descriptor:a", "index,manifest:a", "manifest[linux/amd64]:a", "indx:a", "index:", "", "a=b"].map(
            |key| Project::with_config(&format!("annotations = {{ '{key}' = '1' }}")).run(&["plan"]).fails(3).finish(),
        );
    snapshot!(refused);
}
