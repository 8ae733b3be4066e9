//! Runs cargo to determine the dependencies of each build with that build's features.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

use super::dependency_summary::{DependencySummary, summarize};
use super::{CompileRequest, cargo_command};
use crate::error::{Class, Failure};
use crate::plan::{Build, BuildSettings, cargo_error};
use crate::process::Cmd;

/// Summarizes the dependencies of every build. `cfgs` contains the `cfg` values of each target triple. Builds whose
/// dependencies cargo cannot resolve are omitted.
pub(crate) fn summaries(
    request: &CompileRequest,
    cargo: &Path,
    cfgs: &BTreeMap<&str, Vec<Cfg>>,
) -> Result<BTreeMap<BuildSettings, DependencySummary>, Failure> {
    let mut by_features = BTreeMap::new();
    let mut summaries = BTreeMap::new();
    for build in request.sorted_builds() {
        let settings = &build.settings;
        let features = (&settings.features, settings.all_features, settings.no_default_features);
        let metadata = match by_features.entry(features) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(metadata(request, settings)?),
        };
        if let Some(metadata) = metadata {
            let cfg = cfgs.get(settings.triple.as_str()).map(Vec::as_slice).unwrap_or_default();
            let mut summary = summarize(metadata, &build.packages(), &settings.triple, cfg);
            summary.unsupported.retain(|issue| is_compiled(request, cargo, build, &issue.package));
            summary.system_libraries.retain(|library| is_compiled(request, cargo, build, &library.package));
            summaries.insert(settings.clone(), summary);
        }
    }
    Ok(summaries)
}

/// Reports whether a build actually compiles a package. Runs `cargo tree`, which resolves features as `cargo build`
/// does. In contrast, cargo's metadata unifies features across all workspace members and targets, including tests.
fn is_compiled(request: &CompileRequest, cargo: &Path, build: &Build, package: &str) -> bool {
    let cmd = Cmd::new(cargo)
        .args(["tree", "--quiet", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--manifest-path", request.paths.manifest_path.as_str(), "--target", &build.settings.triple])
        .args(["--invert", &package.replace(' ', "@")])
        .args(build.packages().into_iter().flat_map(|package| ["--package", package]))
        .args(cargo_command::resolver_flags(&build.settings, &request.options));
    cmd.output().is_ok_and(|output| output.status.success() && !output.stdout.trim().is_empty())
}

/// Returns cargo's metadata with the full dependency graph. Returns `None` if cargo cannot resolve the dependencies,
/// because `cargo build` will report that error.
fn metadata(request: &CompileRequest, settings: &BuildSettings) -> Result<Option<Metadata>, Failure> {
    let mut command = MetadataCommand::new();
    command.manifest_path(&request.paths.manifest_path);
    if settings.all_features {
        command.features(CargoOpt::AllFeatures);
    }
    if settings.no_default_features {
        command.features(CargoOpt::NoDefaultFeatures);
    }
    if !settings.features.is_empty() {
        command.features(CargoOpt::SomeFeatures(settings.features.clone()));
    }
    let flags = [(request.options.locked, "--locked"), (request.options.offline, "--offline")];
    command.other_options(flags.iter().filter(|(on, _)| *on).map(|(_, flag)| (*flag).to_owned()).collect::<Vec<_>>());
    match command.exec() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(cargo_metadata::Error::CargoMetadata { stderr }) if stderr.contains("--locked") => {
            Err(lock_file_failure(request, &stderr))
        }
        Err(_) => Ok(None),
    }
}

fn lock_file_failure(request: &CompileRequest, stderr: &str) -> Failure {
    let message = cargo_error::message(stderr);
    let message = message.lines().next().unwrap_or_default();
    // Do not suggest `cargo generate-lockfile` if a lock file exists, because it would update every dependency.
    let (problem, command) = if request.paths.root.join("Cargo.lock").is_file() {
        ("is out of date", "cargo update --workspace")
    } else {
        ("is missing", "cargo generate-lockfile")
    };
    Failure::new(Class::Config, format!("Cargo.lock {problem}: {message}"))
        .hint(format!("run `{command}`"))
        .hint("or allow cargo to update it: pass `--no-locked`, or set locked = false")
}
