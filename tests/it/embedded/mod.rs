//! The embedded engine, with no Docker: against a registry on loopback that stores, lies or fails as a test wants.

mod bases;
mod manners;
mod outputs;
mod proof;
mod pushes;
mod same;

use crate::support::{Fakes, Project, Run};

/// A run with the embedded engine, a cache of its own, and no docker.
fn embedded(project: &Project, args: &[&str]) -> Run {
    let fakes = Fakes::new();
    let cache = project.path().join("cache");
    project.run(&[args, &["--engine", "embedded"]].concat()).path_first(&fakes).env("XDG_CACHE_HOME", cache)
}
