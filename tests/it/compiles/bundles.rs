//! Publishes bundles that were compiled on other machines.

use std::os::unix::fs::PermissionsExt;

use crate::bundles::{PLATFORMS, compile, manifest, project, publish};
use crate::support::{FakeRegistry, Project};

#[test]
#[ignore = "run by scripts/test"]
fn publishing_bundles_gives_the_same_digest_as_a_single_run() {
    let project = project();
    let single = FakeRegistry::storing();
    let args = ["publish", "--engine", "embedded", "--platform", PLATFORMS, "--registry", &single.host];
    let digest = project.run(&args).finish().stdout.trim().rsplit_once('@').unwrap().1.to_owned();
    compile(&project, "linux/amd64", "dist/one");
    compile(&project, "linux/arm64", "dist/two");
    let dist = project.path().join("dist");
    let bundle = manifest(&dist.join("two"));
    assert_eq!(bundle["builds"][0]["platforms"][0], "linux/arm64");
    assert_eq!(bundle["builds"][0]["triple"], "aarch64-unknown-linux-musl");
    // CI artifact stores do not keep file modes.
    for name in ["one", "two"] {
        let file = manifest(&dist.join(name))["builds"][0]["binaries"][0]["file"].as_str().unwrap().to_owned();
        std::fs::set_permissions(dist.join(name).join(file), PermissionsExt::from_mode(0o644)).unwrap();
    }
    // CI artifact stores also drop hidden files.
    std::fs::remove_file(dist.join("two/.gitignore")).unwrap();
    for artifacts in ["dist/one,dist/two", "dist/two,dist/one", "dist"] {
        let registry = FakeRegistry::storing();
        let finished = publish(&project, &registry, &["--artifacts", artifacts, "--platform", PLATFORMS]).finish();
        assert!(finished.stdout.trim().ends_with(&digest), "{artifacts}: {}", finished.stdout);
        finished.stderr_lacks("Compiling");
    }
    // Compiling into an existing bundle replaces it.
    compile(&project, "linux/arm64", "dist/one");
    assert_eq!(manifest(&dist.join("one"))["builds"].as_array().unwrap().len(), 1);
    assert_eq!(std::fs::read_dir(dist.join("one")).unwrap().count(), 3, "a directory, the manifest, and .gitignore");
}

#[test]
#[ignore = "run by scripts/test"]
fn bundles_compare_environment_variables_without_storing_them() {
    let config = "platforms = ['linux/amd64']\n[images.one]\nbins = ['app']\nbuild-env = { API_TOKEN = 'hunter2', WORD = 'plain' }\n\
        [images.two]\nbins = ['app']\nbuild-env = { API_TOKEN = 'hunter3', WORD = 'plain' }\n";
    let project = Project::app().file("multiarch.toml", config);
    project.run(&["compile", "--out", "dist"]).finish();
    let text = std::fs::read_to_string(project.path().join("dist/multiarch-bundle.json")).unwrap();
    assert!(!text.contains("hunter") && !text.contains("plain") && text.contains("API_TOKEN"), "{text}");
    let registry = FakeRegistry::storing();
    publish(&project, &registry, &["--artifacts", "dist"]).finish();
    let other = project.file("multiarch.toml", &config.replace("hunter3", "hunter4"));
    let finished = publish(&other, &registry, &["--artifacts", "dist"]).fails(3).finish();
    finished.stderr_lacks("hunter");
}
