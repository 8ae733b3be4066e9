//! Sample plans and runs for tests, with short and very long names.

use std::collections::BTreeMap;
use std::time::Duration;

use super::graph::{Graph, formats, from_plan};
use crate::cli::GraphFormat;
use crate::compile::CompileRequest;
use crate::compile::linker::types::{Linker, LinkerSelection};
use crate::compile::toolchain::Toolchain;
use crate::image::engine::{Engine, EngineSelection};
use crate::plan::{BuildSettings, Checkout, ConfigSources, Package, Plan, PlanRequest, Workspace, resolve};
use crate::platform::Platform;
use crate::timings::{Phase, Span};

/// Returns the plan for a workspace that contains three packages with one binary each.
fn plan(config: &str) -> Plan {
    let package = |name: &str| {
        let manifest_path = format!("/w/{name}/Cargo.toml").into();
        Package::with_bins(name, semver::Version::new(1, 2, 3), manifest_path, &[name])
    };
    let workspace = Workspace::with_packages("/w".into(), ["core", "ctl", "worker"].map(package).into());
    let sources = ConfigSources { workspace: toml::from_str(config).unwrap(), ..ConfigSources::default() };
    resolve(&workspace, &sources, &Checkout::None, &PlanRequest::default()).unwrap()
}

pub(crate) fn graph(config: &str) -> Graph {
    graph_linked_by(config, "because")
}

pub(crate) fn graph_linked_by(config: &str, why: &str) -> Graph {
    let plan = plan(config);
    let request =
        CompileRequest { builds: plan.unique_builds(), paths: plan.paths.clone(), options: plan.cargo.clone() };
    let selection = || LinkerSelection { linker: Linker::RustLld, why: why.to_owned() };
    let linkers: BTreeMap<BuildSettings, LinkerSelection> =
        request.builds.iter().map(|build| (build.settings.clone(), selection())).collect();
    let toolchain = Toolchain { request, linkers, ..Toolchain::default() };
    let engine =
        EngineSelection { engine: Engine::Embedded, why: "as requested".to_owned(), depends_on_machine: false };
    from_plan::graph(&plan, &toolchain, &vec![engine; plan.images.len()])
}

pub(crate) fn svg(graph: &Graph) -> String {
    formats::render(graph, GraphFormat::Svg).unwrap()
}

/// A configuration in which two images share a binary.
pub(crate) const SHARED: &str = "registry = 'ghcr.io/you'\nbase = 'busybox:1.37'\n\
    [images.core]\nbins = ['core', 'ctl']\n[images.ctl]\nbins = ['ctl']\nbase = 'scratch'\n";

/// Returns a configuration with all platforms and very long names.
pub(crate) fn large() -> String {
    let all: Vec<String> = Platform::all().map(|platform| format!("'{platform}'")).collect();
    let name = "image-with-a-name-that-is-much-longer-than-the-names-of-most-container-images-are";
    format!(
        "registry = ['registry.of-some.example:5000/an/organisation/with/a/long/path', 'ghcr.io/you']\n\
         platforms = [{}]\ntags = ['{{{{version}}}}', 'a-very-long-tag-{}', 'latest']\nbase = 'registry.example/{}:1'\n\
         features = ['{}']\nbuild-env = {{ A_LONG_NAME_OF_A_VARIABLE_{} = '1' }}\n\
         [images.{name}]\nbins = ['core', 'ctl', 'worker']\n[images.ctl]\nbins = ['ctl']\n",
        all.join(", "),
        "x".repeat(90),
        "long/".repeat(20) + "base",
        "feature-".repeat(12),
        "Y".repeat(70),
    )
}

/// Returns the total time and the spans of a plausible run for the given platforms. `name` is the name of the image.
pub(crate) fn spans(platforms: &[Platform], name: &str) -> (Duration, Vec<Span>) {
    let mut spans = Vec::new();
    let mut add = |phase, name: String, start: u64, end: u64, bytes: Option<u64>| {
        let [start, end] = [start, end].map(Duration::from_millis);
        let note = (phase == Phase::Upload && bytes.is_none()).then_some("already present");
        spans.push(Span { phase, name, start, end, bytes, digest: None, note });
    };
    add(Phase::Prepare, "configuration".to_owned(), 0, 180, None);
    add(Phase::Prepare, format!("push to registry.example/{name}"), 180, 190, None);
    add(Phase::Base, "busybox:1.37: index".to_owned(), 200, 420, Some(1_900_000));
    let all: Vec<&str> = platforms.iter().map(|platform| platform.name()).collect();
    let compiled = 9_000 * platforms.len() as u64;
    add(Phase::Cargo, format!("{name} for {}", all.join(", ")), 500, compiled, None);
    for (number, platform) in platforms.iter().enumerate() {
        let compiled_at = 9_000 * (number as u64 + 1);
        add(Phase::Binary, format!("{platform} {name}"), 500, compiled_at, Some(5_000_000));
        add(Phase::Layer, format!("{platform} {name}: {name}"), compiled_at, compiled_at + 240, Some(2_000_000));
        add(
            Phase::Upload,
            format!("{platform} {name}: {name} → registry.example/{name}"),
            compiled_at + 240,
            compiled_at + 900,
            None,
        );
        add(Phase::Verify, format!("{platform} {name}"), compiled + 300, compiled + 340 + 20 * number as u64, None);
        add(Phase::Smoke, format!("{platform} {name}"), compiled + 900, compiled + 1_000, None);
    }
    add(Phase::Publish, format!("tag registry.example/{name}:latest"), compiled + 1_000, compiled + 1_010, None);
    spans.sort_by_key(|span| (span.phase, span.start));
    (Duration::from_millis(compiled + 1_020), spans)
}
