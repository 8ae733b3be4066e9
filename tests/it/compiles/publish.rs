//! What is sent to a registry, in which order, and what is not sent again.

use std::sync::Mutex;

use serde_json::Value;

use crate::support::embedded;
use crate::support::{FakeRegistry, Fakes, Project};

const ONE: [&str; 3] = ["publish", "--platform", "linux/amd64"];

fn publish(project: &Project, registry: &FakeRegistry) -> crate::support::Run {
    embedded(project, &[&ONE[..], &["--registry", &registry.host]].concat())
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
    // And nothing is compressed anew: the notes of the layers are as old as the first run's blobs.
    let layers = project.path().join("target/multiarch/+layers");
    let blobs = std::fs::read_dir(layers)
        .unwrap()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|it| it == "blob"));
    assert_eq!(blobs.count(), 2, "the files and the binary");

    let changed = project.file("src/main.rs", "fn main() { println!(\"changed\"); }\n");
    let uploads = registry.uploads();
    publish(&changed, &registry).finish();
    assert_eq!(registry.uploads() - uploads, 2, "a changed binary is one layer and the config");
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_prints_its_steps_in_order() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    let args = ["publish", "--platform", "linux/amd64,linux/arm64,linux/riscv64", "--registry", &registry.host];
    // cargo has next to nothing to do but for the first, and tells of all its binaries at once.
    for _ in 0..10 {
        let finished = embedded(&project, &args).env("SOURCE_DATE_EPOCH", "1").finish();
        let mut told: Vec<&str> = finished.stderr.lines().filter_map(|line| line.split_whitespace().next()).collect();
        told.dedup();
        let order = ["Using", "Checked", "Compiling", "Compiled", "Finished", "Pushing", "Tagging", "Published"];
        assert_eq!(told, order, "{finished}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_looks_up_each_tag_once() {
    let registry = FakeRegistry::storing();
    let project = Project::app();
    for tagged in [2, 0] {
        let before = registry.requests().len();
        publish(&project, &registry).finish();
        let requests = registry.requests().split_off(before);
        let count = |method: &str| {
            let of = |tag: &str| format!("/v2/app/manifests/{tag}");
            let tags = [of("1.2.3"), of("latest")];
            requests.iter().filter(|request| request.method == method && tags.contains(&request.path)).count()
        };
        // Once for each before it moves, and it is read once when it has.
        assert_eq!([count("HEAD"), count("PUT"), count("GET")], [2, tagged, 2], "{requests:#?}");
    }
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_renders_a_template_once_without_a_registry_base() {
    let project = Project::with_config("template = 'my.j2'\n");
    let template = "FROM {{ base }} AS {{ stage }}\n{% include \"contents\" %}\n{% include \"config\" %}\n";
    let project = project.file("my.j2", template);
    // Docker is looked at when the template has been read.
    let spoils = "echo '{{ nobody }}' > my.j2; echo 'Cannot connect to the Docker daemon' >&2; exit 1";
    let fakes = Fakes::new().program("docker", spoils);
    project.run(&["build", "--platform", "linux/amd64"]).path_first(&fakes).finish();
    assert_eq!(std::fs::read_to_string(project.path().join("my.j2")).unwrap(), "{{ nobody }}\n");
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_uploads_layers_while_cargo_compiles() {
    // `slow` compiles only when a layer of `fast` has arrived; without overlap both wait for ever, so it gives up.
    let mark = Project::empty();
    let file = mark.path().join("arrived");
    let script = format!(
        "fn main() {{ for _ in 0..600 {{ if std::path::Path::new({file:?}).exists() {{ return }} std::thread::sleep(std::time::Duration::from_millis(100)); }} eprintln!(\"no layer came\"); std::process::exit(1) }}"
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
        // The files' layer needs no binary, and is taken over by the second image: the next blob is `fast` itself.
        if request.method == "PUT" && request.path.contains("/blobs/uploads/") {
            let mut count = files.lock().unwrap();
            *count += 1;
            if *count == 2 {
                std::fs::write(&file, "").unwrap();
            }
        }
        assert!(file.exists() || !request.path.contains("/manifests/") || request.method != "PUT", "tagged early");
        None
    });
    publish(&project, &registry).finish();
    assert_eq!(
        (registry.tags("fast"), registry.tags("slow")),
        (vec!["1.0.0".to_owned(), "latest".to_owned()], vec!["1.0.0".to_owned(), "latest".to_owned()])
    );
    let (_, index) = registry.stored_manifest("slow", "latest").unwrap();
    assert!(serde_json::from_slice::<Value>(&index).unwrap()["manifests"].is_array());
    // The tags came after everything else.
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
        let said: Vec<String> = runs.into_iter().map(|run| run.join().unwrap()).collect();
        assert!(said.iter().all(|line| *line == said[0]), "{said:?}");
    });
    assert_eq!(registry.tags("app"), ["1.2.3", "latest"]);
}

#[test]
#[ignore = "run by scripts/test"]
fn publish_mounts_blobs_in_a_second_repository() {
    let registry = FakeRegistry::storing();
    let hosts = format!("{0}/a,{0}/b", registry.host);
    embedded(&Project::app(), &[&ONE[..], &["--registry", &hosts]].concat()).finish();
    assert_eq!(registry.uploads(), 3, "two layers and a config, once");
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
