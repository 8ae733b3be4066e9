//! Checks that errors in what the base image and the configuration decide are reported before cargo compiles anything.

use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Finished, HEALTHY_DOCKER, Project, embedded, endless_cargo, ready_made};

const STYLE: BaseStyle = BaseStyle { docker: false, index: true, compression: "gzip" };

/// Stores a base with a shell script as its only program, and returns the start of a configuration that uses it.
fn base(registry: &FakeRegistry) -> String {
    let tini = ready_made::program(62);
    let layer = tar_of(&[
        ("etc", Entry::Dir(0o755)),
        ("etc/passwd", Entry::File(b"root:x:0:0::/root:/bin/sh\nweb:x:7:7::/:/bin/sh\n", 0o644)),
        ("etc/group", Entry::File(b"root:x:0:\nweb:x:7:\n", 0o644)),
        ("bin", Entry::Dir(0o755)),
        ("bin/tool", Entry::File(b"not a program", 0o644)),
        ("bin/tini", Entry::File(&tini, 0o755)),
    ]);
    base_image(registry, "base", "1", &["linux/amd64"], &layer, STYLE);
    format!("base = '{}/base:1'\nplatforms = ['linux/amd64']\n", registry.host)
}

/// Asserts that a build fails without waiting for cargo.
#[track_caller]
fn rejected(config: &str, code: i32) -> Finished {
    let registry = FakeRegistry::storing();
    let script = "#!/bin/bash\nexec app\n";
    let project = Project::with_config(&format!("{}{config}", base(&registry))).file("start.sh", script);
    embedded(&project, &["build"]).path_only(&endless_cargo()).fails(code).finish().without_compiling()
}

#[test]
fn errors_in_the_base_and_the_configuration_are_reported_before_compiling() {
    let script = "files = [{ from = 'start.sh', to = '/usr/local/bin/start.sh', mode = '0755' }]\n\
        entrypoint = ['/usr/local/bin/start.sh']\n";
    let seen = [
        "user = 'nobody'",
        "user = '0:staff'",
        script,
        "entrypoint = ['/bin/dumb-init', '/usr/local/bin/app']",
        "entrypoint = ['/bin/tool']",
        // The wrapper exists, but the program that it starts does not.
        "entrypoint = ['/bin/tini', '--', '/usr/local/bin/other']",
    ]
    .map(|config| rejected(config, 8));
    snapshot!(seen);
}

#[test]
fn loader_that_the_base_lacks_is_reported_before_compiling() {
    snapshot!(rejected("libc = 'gnu'", 8));
}

#[test]
fn working_directory_that_is_a_file_is_reported_before_compiling() {
    snapshot!(rejected("workdir = '/bin/tool'", 3));
}

#[test]
fn allowed_findings_and_correct_images_are_compiled() {
    let registry = FakeRegistry::storing();
    for config in ["user = 'web'", "user = 'nobody'\nallow = ['MA052']"] {
        let project = Project::with_config(&format!("{}{config}", base(&registry)));
        embedded(&project, &["build"]).path_only(&ready_made::tools()).finish();
    }
}

#[test]
fn images_built_by_buildx_are_checked_before_compiling() {
    let registry = FakeRegistry::storing();
    let project = Project::with_config(&format!("{}user = 'nobody'", base(&registry)));
    let tools = endless_cargo().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{HEALTHY_DOCKER}"));
    let finished = project.run(&["build", "--engine", "buildx"]).path_only(&tools).fails(8).finish();
    finished.stderr_has(&["error[MA052]: linux/amd64: user 'nobody' is not in the image's /etc/passwd"]);
    // Additional arguments of buildx may add what is missing.
    let config = format!("{}require-labels = ['team']\nbuildx-args = ['--label=team=a']", base(&registry));
    let with_args =
        Project::with_config(&format!("{config}\n[images.plain]\nbins = ['app']\n[images.app]\nbins = ['app']"));
    let ready = ready_made::tools().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{HEALTHY_DOCKER}"));
    let finished = with_args.run(&["build"]).path_only(&ready).fails(6).finish();
    finished.stderr_has(&["this fake docker cannot build"]);
    // The template adds the user, which only buildx can do.
    let template = "FROM {{ base }} AS {{ stage }}\nRUN adduser -D nobody\n{% include \"contents\" %}\n\
        {% include \"config\" %}\n";
    let project =
        Project::with_config(&format!("{}user = 'nobody'\ntemplate = 't.j2'", base(&registry))).file("t.j2", template);
    let tools = ready_made::tools().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{HEALTHY_DOCKER}"));
    let finished = project.run(&["build"]).path_only(&tools).fails(6).finish();
    finished.stderr_has(&["this fake docker cannot build"]);
}

#[test]
fn images_with_run_are_built_and_checked_while_cargo_is_compiling() {
    let registry = FakeRegistry::storing();
    let project = Project::with_config(&format!("{}user = 'nobody'\nallow = ['MA052']", base(&registry)));
    embedded(&project, &["build"]).path_only(&ready_made::tools()).finish();
    let layout = project.path().join("target/multiarch/app/oci");

    // This buildx "runs" instructions by copying the image that the embedded engine has built.
    let docker = HEALTHY_DOCKER.replacen(
        "\"buildx build\")",
        &format!(
            "\"buildx build\") for arg; do case $arg in type=oci*) dest=${{arg##*dest=}};; esac; done\n    \
             mkdir -p \"$(dirname \"$dest\")\" && cp -r '{}' \"$dest\" ;;\n  \"buildx never\")",
            layout.display()
        ),
        1,
    );
    let template = "FROM {{ base }} AS {{ stage }}\nRUN adduser web\n{% include \"contents\" %}\n\
        {% include \"config\" %}\n";
    let with_run = Project::with_config(&format!("{}user = 'nobody'\ntemplate = 't.j2'", base(&registry)));
    let with_run = with_run.file("t.j2", template);
    let tools = endless_cargo().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{docker}"));
    let finished = with_run.run(&["build"]).path_only(&tools).fails(8).finish();
    finished.stderr_has(&["error[MA052]: linux/amd64: user 'nobody' is not in the image's /etc/passwd"]);
    assert_eq!(tools.log("cargo"), "compiling\n");

    // A failed RUN instruction stops cargo.
    let tools = endless_cargo().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{HEALTHY_DOCKER}"));
    let finished = with_run.run(&["build"]).path_only(&tools).fails(6).finish();
    finished.stderr_has(&["this fake docker cannot build"]);
    assert_eq!(tools.log("cargo"), "compiling\n");
}

#[test]
fn all_images_with_errors_are_reported() {
    let config = "[images.one]\nbins = ['app']\nuser = 'nobody'\n[images.two]\nbins = ['app']\n\
        [images.three]\nbins = ['app']\nuser = '0:staff'\n";
    snapshot!(rejected(config, 8));
}

#[test]
fn bases_are_pulled_while_cargo_is_compiling() {
    let tools = endless_cargo();
    let log = tools.path().join("cargo.log");
    // The registry serves no layer before cargo has started.
    let registry = FakeRegistry::storing_with(move |request, _| {
        let is_layer = request.method == "GET" && request.path.contains("/blobs/");
        for _ in 0..600 {
            if !is_layer || log.exists() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        None
    });
    let project = Project::with_config(&format!("{}user = 'nobody'", base(&registry)));
    let finished = embedded(&project, &["build"]).path_only(&tools).fails(8).finish();
    finished.stderr_has(&["Compiling app for linux/amd64", "error[MA052]"]);
    assert_eq!(tools.log("cargo"), "compiling\n");
}

#[test]
fn images_without_a_base_are_checked_before_cargo_starts() {
    let tools = endless_cargo();
    let project = Project::with_config("platforms = ['linux/amd64']\nuser = 'nobody'");
    embedded(&project, &["build"]).path_only(&tools).fails(3).finish().stderr_lacks("Compiling");
    assert_eq!(tools.log("cargo"), "");
}
