//! Asks cargo what each build depends on, with that build's own features.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::{CargoOpt, Metadata, MetadataCommand};

use super::cargo_command;
use super::dependency_summary::{DependencySummary, summarize};
use super::request::CompileRequest;
use crate::error::{Class, Failure};
use crate::plan::{Build, BuildSettings};
use crate::process::Cmd;

/// Summarizes the dependencies of every build. `cfgs` are the `cfg` values of each target triple. Empty if cargo cannot
/// resolve the dependencies.
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

/// Does a build really compile a package? The whole graph has the features of all that is in the workspace, for tests
/// and other targets as well; `cargo tree` judges as `cargo build` does.
fn is_compiled(request: &CompileRequest, cargo: &Path, build: &Build, package: &str) -> bool {
    let cmd = Cmd::new(cargo)
        .args(["tree", "--quiet", "--edges", "normal,no-proc-macro", "--prefix", "none"])
        .args(["--manifest-path", request.paths.manifest_path.as_str(), "--target", &build.settings.triple])
        .args(["--invert", &package.replace(' ', "@")])
        .args(build.packages().into_iter().flat_map(|package| ["--package", package]))
        .args(cargo_command::resolver_flags(&build.settings, &request.options));
    cmd.output().is_ok_and(|output| output.status.success() && !output.stdout.trim().is_empty())
}

/// cargo's whole graph. `None` if cargo cannot resolve it, since `cargo build` will report that in its own words.
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
    let message = stderr.trim().trim_start_matches("error: ").lines().next().unwrap_or_default();
    // Written anew it would have other versions of everything.
    let (problem, command) = if request.paths.root.join("Cargo.lock").is_file() {
        ("does not fit the manifests", "cargo update --workspace")
    } else {
        ("is missing", "cargo generate-lockfile")
    };
    Failure::new(Class::Config, format!("Cargo.lock {problem}: {message}"))
        .hint(format!("`{command}`"))
        .hint("or have `publish` and the like not insist on it: locked = false, `cargo multiarch publish --no-locked`")
}
