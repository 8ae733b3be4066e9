//! Checks that errors in what the base image and the configuration decide are reported before cargo compiles anything.

use crate::support::base_image::{BaseStyle, Entry, base_image, tar_of};
use crate::support::snapshot::snapshot;
use crate::support::{FakeRegistry, Fakes, Finished, HEALTHY_DOCKER, Project, embedded, find, ready_made};

const STYLE: BaseStyle = BaseStyle { docker: false, index: true, compression: "gzip" };

/// Stores a base with a shell script as its only program, and returns the start of a configuration that uses it.
fn base(registry: &FakeRegistry) -> String {
    let layer = tar_of(&[
        ("etc", Entry::Dir(0o755)),
        ("etc/passwd", Entry::File(b"root:x:0:0::/root:/bin/sh\nweb:x:7:7::/:/bin/sh\n", 0o644)),
        ("etc/group", Entry::File(b"root:x:0:\nweb:x:7:\n", 0o644)),
        ("bin", Entry::Dir(0o755)),
        ("bin/tool", Entry::File(b"not a program", 0o644)),
    ]);
    base_image(registry, "base", "1", &["linux/amd64"], &layer, STYLE);
    format!("base = '{}/base:1'\nplatforms = ['linux/amd64']\n", registry.host)
}

/// Returns tools with a cargo that records attempts to compile.
fn tools() -> Fakes {
    let cargo = find("cargo").unwrap();
    let script = format!("[ \"$1\" != build ] || echo compiled > \"$0.log\"\nexec '{}' \"$@\"", cargo.display());
    Fakes::new().program("cargo", &script).real("rustc").real("git")
}

fn rejected(config: &str) -> Finished {
    let registry = FakeRegistry::storing();
    let script = "#!/bin/bash\nexec app\n";
    let project = Project::with_config(&format!("{}{config}", base(&registry))).file("start.sh", script);
    let tools = tools();
    let finished = embedded(&project, &["build"]).path_only(&tools).fails(8).finish();
    assert_eq!(tools.log("cargo"), "", "nothing may be compiled: {finished}");
    finished
}

#[test]
fn errors_in_the_base_and_the_configuration_are_reported_before_compiling() {
    let script = "files = [{ from = 'start.sh', to = '/usr/local/bin/start.sh', mode = '0755' }]\n\
        entrypoint = ['/usr/local/bin/start.sh']\n";
    let seen = [
        "user = 'nobody'",
        "user = '0:staff'",
        script,
        "entrypoint = ['/bin/tini', '--', '/usr/local/bin/app']",
        "entrypoint = ['/bin/tool']",
    ]
    .map(rejected);
    snapshot!(seen);
}

#[test]
fn loader_that_the_base_lacks_is_reported_before_compiling() {
    snapshot!(rejected("libc = 'gnu'"));
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
    let tools = tools().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{HEALTHY_DOCKER}"));
    let finished = project.run(&["build", "--engine", "buildx"]).path_only(&tools).fails(8).finish();
    finished.stderr_has(&["error[MA052]: linux/amd64: user 'nobody' is not in the image's /etc/passwd"]);
    assert_eq!(tools.log("cargo"), "");
    // The template adds the user, which only buildx can do.
    let template = "FROM {{ base }} AS {{ stage }}\nRUN adduser -D nobody\n{% include \"contents\" %}\n\
        {% include \"config\" %}\n";
    let project =
        Project::with_config(&format!("{}user = 'nobody'\ntemplate = 't.j2'", base(&registry))).file("t.j2", template);
    let tools = ready_made::tools().program("docker", &format!("PATH=$PATH:/usr/bin:/bin\n{HEALTHY_DOCKER}"));
    let finished = project.run(&["build"]).path_only(&tools).fails(6).finish();
    finished.stderr_has(&["this fake docker cannot build"]);
}
