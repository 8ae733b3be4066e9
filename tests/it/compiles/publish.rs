//! Checks the requests that `publish` sends to a registry: their order, and which uploads are skipped.

use std::sync::Mutex;

use serde_json::Value;

use crate::support::embedded;
use crate::support::{FakeRegistry, Fakes, Project};

const ARGS: [&str; 3] = ["publish", "--platform", "linux/amd64"];

fn publish(project: &Project, registry: &FakeRegistry) -> crate::support::Run {
    embedded(project, &[&ARGS[..], &["--registry", &registry.host]].concat())
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_sends_nothing_if_nothing_changed() {
    let registry = FakeRegistry::storing();
    let project = Project::app().file(".gitignore", "/target\n/cache\n").committed();
    let first = publish(&project, &registry).finish().stdout;
    let before = registry.requests().len();
    let again = publish(&project, &registry).finish().stdout;
    assert_eq!(first, again);
    let writes = |request: &&crate::support::Request| request.method == "PUT" || request.method == "PATCH";
    let requests = registry.requests();
    assert_eq!(requests[before..].iter().filter(writes).map(|request| &request.path).collect::<Vec<_>>(), [""; 0]);
    // No layer was compressed again: the cache contains only blobs from the first run.
    let layers = project.path().join("target/multiarch/+layers");
    let blobs = std::fs::read_dir(layers)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "blob"));
    assert_eq!(blobs.count(), 2, "one layer with the files and one with the binary");

    let changed = project.file("src/main.rs", "fn main() { println!(\"changed\"); }\n");
    let uploads = registry.uploads();
    publish(&changed, &registry).finish();
    assert_eq!(registry.uploads() - uploads, 2, "only the layer with the binary and the config are uploaded");
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_prints_its_steps_in_order() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let args = ["publish", "--platform", "linux/amd64,linux/arm64,linux/riscv64", "--registry", &registry.host];
    // From the second run on, cargo has almost nothing to do and reports all binaries at once.
    for run in 0..10 {
        let finished = embedded(&project, &args).env("SOURCE_DATE_EPOCH", "1").finish();
        let mut steps: Vec<&str> = finished.stderr.lines().filter_map(|line| line.split_whitespace().next()).collect();
        // Other tests use the package cache at the same time.
        steps.retain(|step| *step != "Blocking");
        steps.dedup();
        let tags = if run == 0 { "Tagged" } else { "Unchanged" };
        let order =
            ["Using", "Checked", "Compiling", "Compiled", "Finished", "Assembled", "Pushing", tags, "Published"];
        assert_eq!(steps, order, "{finished}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_looks_up_each_tag_once() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    for puts in [2, 0] {
        let before = registry.requests().len();
        publish(&project, &registry).finish();
        let requests = registry.requests().split_off(before);
        let count = |method: &str| {
            let path = |tag: &str| format!("/v2/app/manifests/{tag}");
            let tags = [path("1.2.3"), path("latest")];
            requests.iter().filter(|request| request.method == method && tags.contains(&request.path)).count()
        };
        // Each tag is looked up once before it moves and read back once afterwards.
        assert_eq!([count("HEAD"), count("PUT"), count("GET")], [4, puts, 0], "{requests:#?}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn build_reads_the_template_only_once() {
    let project = Project::with_config("template = 'my.j2'\n");
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let project = project.file("my.j2", template);
    // The fake docker, which runs after the template has been read, overwrites the template.
    let overwrite = "echo '{{ undefined }}' > my.j2; echo 'Cannot connect to the Docker daemon' >&2; exit 1";
    let fakes = Fakes::new().program("docker", overwrite);
    project.run(&["build", "--platform", "linux/amd64"]).path_first(&fakes).finish();
    assert_eq!(std::fs::read_to_string(project.path().join("my.j2")).unwrap(), "{{ undefined }}\n");
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_uploads_layers_while_cargo_compiles() {
    // The build script of `slow` waits until a layer of `fast` has been uploaded. It gives up after a minute, so that
    // the test fails if uploads start only after everything has been compiled.
    let mark = Project::empty();
    let file = mark.path().join("arrived");
    let script = format!(
        "fn main() {{ for _ in 0..600 {{ if std::path::Path::new({file:?}).exists() {{ return }} std::thread::sleep(std::time::Duration::from_millis(100)); }} eprintln!(\"no layer was uploaded\"); std::process::exit(1) }}"
    );
    let package = |name: &str| format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
    let project = Project::empty()
        .file("Cargo.toml", "[workspace]\nresolver = \"2\"\nmembers = [\"fast\", \"slow\"]\n")
        .file("fast/Cargo.toml", &package("fast"))
        .file("fast/src/main.rs", "fn main() {}\n")
        .file("slow/Cargo.toml", &package("slow"))
        .file("slow/src/main.rs", "fn main() {}\n")
        .file("slow/build.rs", &script)
        .file("Cargo.lock", "version = 4\n\n[[package]]\nname = \"fast\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"slow\"\nversion = \"1.0.0\"\n");
    let files = Mutex::new(0);
    let registry = FakeRegistry::storing_with(move |request, _| {
        // The first blob is the layer with the files, which both images share. The second one contains `fast`.
        if request.method == "PUT" && request.path.contains("/blobs/uploads/") {
            let mut count = files.lock().unwrap();
            *count += 1;
            if *count == 2 {
                std::fs::write(&file, "").unwrap();
            }
        }
        assert!(
            file.exists() || !request.path.contains("/manifests/") || request.method != "PUT",
            "a manifest was pushed before `slow` was compiled"
        );
        None
    });
    publish(&project, &registry).finish();
    assert_eq!(
        (registry.tags("fast"), registry.tags("slow")),
        (vec!["1.0.0".to_owned(), "latest".to_owned()], vec!["1.0.0".to_owned(), "latest".to_owned()])
    );
    let (_, index) = registry.stored_manifest("slow", "latest").unwrap();
    assert!(serde_json::from_slice::<Value>(&index).unwrap()["manifests"].is_array());
    // Tags are pushed last.
    let puts: Vec<String> =
        registry.requests().into_iter().filter(|request| request.method == "PUT").map(|request| request.path).collect();
    let is_tag = |path: &String| path.contains("/manifests/") && !path.contains("sha256:");
    let first = puts.iter().position(is_tag).unwrap();
    assert!(puts[first..].iter().all(is_tag), "{puts:?}");
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_waits_for_other_runs_in_the_workspace() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    std::thread::scope(|scope| {
        let runs: Vec<_> = (0..3).map(|_| scope.spawn(|| publish(&project, &registry).finish().stdout)).collect();
        let printed: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(printed.iter().all(|line| *line == printed[0]), "{printed:?}");
    });
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_mounts_blobs_in_a_second_repository() {
    let registry = FakeRegistry::storing();
    let hosts = format!("{0}/a,{0}/b", registry.host);
    embedded(&Project::app(), &[&ARGS[..], &["--registry", &hosts]].concat()).finish();
    assert_eq!(registry.uploads(), 3, "two layers and a config, uploaded once");
    assert_eq!(registry.tags("b/app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_moves_no_tag_if_one_image_fails() {
    let project = Project::app()
        .file("src/bin/other.rs", "fn main() {}\n")
        .file("multiarch.toml", "[images.app]\nbins = ['app']\n[images.other]\nbins = ['other']\n");
    let registry = FakeRegistry::storing_with(|request, _| {
        (request.method == "PUT" && request.path.contains("/other/manifests/")).then(|| (403, vec![], vec![]))
    });
    publish(&project, &registry).fails(7).finish().stderr_has(&["other@sha256:"]);
    assert!(registry.tags("app").is_empty() && registry.tags("other").is_empty());
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_warns_if_a_tag_loses_a_platform() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let publish = |platforms: &str| {
        embedded(&project, &["publish", "--registry", &registry.host, "--platform", platforms]).finish()
    };
    let first = publish("linux/amd64,linux/arm64").stderr_lacks("warning: ");
    let digest = first.stdout.trim().rsplit_once('@').unwrap().1.to_owned();
    publish("linux/amd64").stderr_has(&["warning: ", "linux/arm64", &digest[..19]]);
    publish("linux/amd64").stderr_lacks("warning: ");
    publish("linux/amd64,linux/riscv64").stderr_lacks("warning: ");
}
