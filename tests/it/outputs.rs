//! Errors for outputs that cannot be written or loaded.

use crate::support::embedded;
use crate::support::snapshot::snapshot;
use crate::support::{Fakes, HEALTHY_DOCKER, Project};

#[test]
fn unwritable_output_is_reported() {
    let project = Project::app().file("full/something", "x");
    let seen = ["oci:full", "oci:Cargo.toml", "oci-archive:Cargo.lock", "oci-archive:full", "oci-archive:none/x.tar"]
        .map(|output| embedded(&project, &["build", "--output", output]).fails(3).finish().stderr_lacks("Compiling"));
    let transport = embedded(&project, &["build", "--output", "docker-archive:x"]).fails(2);
    snapshot!(seen, transport.finish());
}

#[test]
fn load_without_a_usable_docker_is_reported() {
    let none = Fakes::new().real("cargo").real("rustc").real("git");
    let run = Project::app().run(&["build", "--load", "--engine", "embedded"]).path_only(&none).fails(6);
    let without_docker = run.finish().stderr_lacks("Compiling");

    let script = HEALTHY_DOCKER.replacen("in\n", "in\n  \"version \"*) echo linux/s390x ;;\n", 1);
    let docker = Fakes::new().program("docker", &script);
    let run = Project::app().run(&["build", "--load", "--engine", "embedded"]).path_first(&docker).fails(3);
    snapshot!(without_docker, run.finish().stderr_lacks("Compiling"));
}
