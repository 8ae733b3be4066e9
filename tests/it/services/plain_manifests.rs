//! Images without an index, built by both engines and read by Docker.

use super::registry::{blob, digest, manifest};
use super::{docker_run, open_registry, reference};
use crate::support::Project;

#[test]
#[ignore = "run by scripts/test"]
fn engines_publish_the_same_manifest_without_an_index() {
    let config = "index = false\nplatforms = ['linux/amd64']\nannotations = { 'org.example.a' = 'b' }\nsmoke = []";
    let project = Project::with_config(config);
    let published = ["buildx", "embedded"].map(|engine| {
        let registry = format!("{}/plain/{engine}", open_registry());
        let args = ["publish", "--engine", engine, "--registry", &registry, "--tag", "1"];
        let published = reference(&project.run(&args).finish().stdout);
        let (tag, pinned) = published.split_once('@').unwrap();
        assert_eq!(digest(tag).as_deref(), Some(pinned), "{engine}");
        project.run(&["verify", tag]).finish().stderr_has(&["is a manifest without an index"]);
        docker_run("linux/amd64", tag, &[]);
        published
    });
    let manifests = published.each_ref().map(|published| manifest(published));
    for document in &manifests {
        assert_eq!(document["mediaType"], "application/vnd.oci.image.manifest.v1+json", "{document}");
    }
    let [buildx, embedded] = manifests.each_ref().map(|manifest| &manifest["annotations"]);
    assert_eq!(buildx, embedded);
    assert_eq!(buildx["org.example.a"], "b");
    let configs = [0, 1].map(|engine| {
        let config = blob(&published[engine], manifests[engine]["config"]["digest"].as_str().unwrap());
        serde_json::from_slice::<serde_json::Value>(&config).unwrap()
    });
    assert_eq!(configs[0]["config"], configs[1]["config"]);
}
