//! Asks cargo what each build depends on, with that build's own features: the edge of `graph`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

use super::cargo_command;
use super::dependency_summary::{DependencySummary, summarize};
use crate::error::{Class, Failure};
use crate::plan::{BuildSettings, Plan};
use crate::process::Cmd;

/// What every build of a plan compiles; `cfgs` are the values of each triple.
pub fn graphs(
    plan: &Plan,
    cargo: &Path,
    cfgs: &BTreeMap<&str, Vec<Cfg>>,
) -> Result<BTreeMap<BuildSettings, DependencySummary>, Failure> {
    let mut by_features = BTreeMap::new();
    let mut graphs = BTreeMap::new();
    for build in plan.builds().collect::<BTreeSet<_>>() {
        let metadata = match by_features.entry((&build.features, build.all_features, build.no_default_features)) {
            Entry::Occupied(asked) => asked.into_mut(),
            Entry::Vacant(new) => new.insert(metadata(plan, build)?),
        };
        if let Some(metadata) = metadata {
            let cfg = cfgs.get(build.triple.as_str()).map(Vec::as_slice).unwrap_or_default();
            let mut graph = summarize(metadata, &plan.packages_of(build), &build.triple, cfg);
            graph.unsupported.retain(|known| is_compiled(plan, cargo, build, &known.package));
            graph.system.retain(|library| is_compiled(plan, cargo, build, &library.package));
            graphs.insert(build.clone(), graph);
        }
    }
    Ok(graphs)
}

/// Does a build really compile a package? The whole graph has the features of all that is in the workspace, for tests
/// and other targets as well; `cargo tree` judges as `cargo build` does.
fn is_compiled(plan: &Plan, cargo: &Path, build: &BuildSettings, package: &str) -> bool {
    let mut cmd = Cmd::new(cargo).args(["tree", "--quiet", "--edges", "normal,no-proc-macro", "--prefix", "none"]);
    cmd = cmd.args(["--manifest-path", plan.paths.manifest_path.as_str(), "--target", &build.triple]);
    cmd = cmd.args(["--invert", &package.replace(' ', "@")]);
    cmd = cmd.args(plan.packages_of(build).into_iter().flat_map(|package| ["--package", package]));
    cmd = cmd.args(cargo_command::resolver_flags(build, plan));
    cmd.output().is_ok_and(|output| output.status.success() && !output.stdout.trim().is_empty())
}

/// cargo's whole graph; none where it cannot be had yet, since `cargo build` will say why in its own words.
fn metadata(plan: &Plan, build: &BuildSettings) -> Result<Option<Metadata>, Failure> {
    let mut command = MetadataCommand::new();
    command.manifest_path(&plan.paths.manifest_path);
    if build.all_features {
        command.features(CargoOpt::AllFeatures);
    }
    if build.no_default_features {
        command.features(CargoOpt::NoDefaultFeatures);
    }
    if !build.features.is_empty() {
        command.features(CargoOpt::SomeFeatures(build.features.clone()));
    }
    let flags = [(plan.cargo.locked, "--locked"), (plan.cargo.offline, "--offline")];
    command.other_options(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| (*flag).to_owned()).collect::<Vec<_>>());
    match command.exec() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) if stderr.contains("--locked") => {
            let said = stderr.trim().trim_start_matches("error: ").lines().next().unwrap_or_default();
            // Written anew it would have other versions of everything.
            let (what, command) = match plan.paths.root.join("Cargo.lock").is_file() {
                true => ("does not fit the manifests", "cargo update --workspace"),
                false => ("is missing", "cargo generate-lockfile"),
            };
            Err(Failure::new(Class::Config, format!("Cargo.lock {what}: {said}"))
                .hint(format!("`{command}`"))
                .hint("or have `publish` and the like not insist on it: locked = false, `cargo multiarch publish --no-locked`"))
        }
        Err(_) => Ok(None),
    }
}
