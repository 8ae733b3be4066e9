//! Measures how long the engines take from compiled binaries to a verified push, and the peak memory of the embedded
//! one: `scripts/bench engine`. Prints ratios of medians from one run. Compiling is not included.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark panics on errors, and prints its results"
)]

mod shared;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use cargo_multiarch::compile::{Artifact, Artifacts, CompiledBinary};
use cargo_multiarch::dockerfile::pinned_bases::PinnedBases;
use cargo_multiarch::image::bases::PulledBases;
use cargo_multiarch::image::{self, context, embedded};
use cargo_multiarch::plan::{Checkout, ConfigSources, Package, Plan, PlanRequest, Workspace, resolve};
use cargo_multiarch::platform::Platform;
use cargo_multiarch::publish::{tags, upload};
use cargo_multiarch::registry::Registry;
use cargo_multiarch::threads::{self, CancelToken};
use cargo_multiarch::ui::{Color, Ui};
use cargo_multiarch::verify;

const MEBIBYTE: usize = 1024 * 1024;

/// How much to measure. Sizes are those of a binary, in bytes.
struct Scale {
    runs: usize,
    size: usize,
    large: usize,
    images: usize,
    sizes_of_many: &'static [usize],
}

const FULL: Scale = Scale {
    runs: 7,
    size: 5 * MEBIBYTE,
    large: 200 * MEBIBYTE,
    images: 50,
    sizes_of_many: &[MEBIBYTE / 2, MEBIBYTE, 2 * MEBIBYTE],
};
const QUICK: Scale = Scale { runs: 1, size: MEBIBYTE, large: 2 * MEBIBYTE, images: 2, sizes_of_many: &[MEBIBYTE / 4] };

const FOUR: &str = "linux/amd64,linux/arm64,linux/riscv64,linux/ppc64le";
const SIX: &str = "linux/amd64,linux/amd64/v2,linux/amd64/v3,linux/arm64,linux/riscv64,linux/ppc64le";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg == "--child") {
        Some(at) => child(&args[at + 1..]),
        None => compare(),
    }
}

/// What to measure, in a process of its own.
#[derive(Clone, Copy)]
struct Case<'a> {
    registry: &'a str,
    images: usize,
    platforms: &'a str,
    compression: &'a str,
    /// Verify the layout and read back what the registry serves, which buildx does not do.
    proof: bool,
}

/// Prints milliseconds and peak RSS in KiB.
fn child(args: &[String]) {
    let [folder, registry, images, platforms, compression, proof] = args else { panic!("{args:?}") };
    let case = Case { registry, images: images.parse().unwrap(), platforms, compression, proof: proof == "true" };
    let plan = plan(Path::new(folder), case);
    let artifacts = artifacts(&plan);
    let start = Instant::now();
    publish_embedded(&plan, &artifacts, case.proof);
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    println!("{milliseconds} {}", shared::peak_memory());
}

/// Does what `publish` does once cargo has finished.
fn publish_embedded(plan: &Plan, artifacts: &Artifacts, proof: bool) {
    let ui = Ui::new(-1, Color::Never);
    let cancel = CancelToken::default();
    let registry = Registry::new(&plan.engine.insecure_registries, &cancel, ui.bars()).unwrap();
    let root = &plan.paths.root;
    let render = |image| image::render(image, &PinnedBases::default(), root).unwrap();
    let stage = |image| context::stage(image, render(image), root, context::context_dir(&plan.paths, image)).unwrap();
    let staged: Vec<_> = plan.images.iter().map(stage).collect();
    let time = plan.source_date_epoch;
    let prepared = embedded::prepare(&plan.images, &staged, &PulledBases::new(), time).unwrap();
    let (layouts, verified) = threads::scope(&cancel, |stages| {
        let (queue, blobs) = mpsc::channel();
        let uploads = stages.spawn(|| upload::upload_blobs(&plan.images, blobs, &registry, ui.timings(), &cancel));
        let (compiled, binaries) = mpsc::channel();
        for ((build, binary), artifact) in artifacts {
            let (build, binary, artifact) = (build.clone(), binary.clone(), artifact.clone());
            compiled.send(CompiledBinary { build, binary, artifact }).unwrap();
        }
        drop(compiled);
        let layouts = embedded::build(&prepared, binaries, &queue, &plan.paths, time, &cancel, &ui)?;
        for (image, staged) in plan.images.iter().zip(&staged) {
            context::stage_binaries(image, artifacts, &staged.dir)?;
        }
        let cache = cargo_multiarch::oci::cache::Cache::new(&plan.paths.cache_dir);
        let verify = |(image, layout)| verify::verify_layout(image, layout, artifacts, &cache, ui.timings());
        let images = plan.images.iter().zip(&layouts).filter(|_| proof);
        let verified = images.map(verify).collect::<Result<Vec<_>, _>>()?;
        for (image, layout) in layouts.iter().enumerate() {
            upload::queue_layout(image, layout, &queue)?;
        }
        drop(queue);
        uploads.join()?;
        Ok((layouts, verified))
    })
    .unwrap();
    for (image, layout) in plan.images.iter().zip(&layouts) {
        upload::push_manifests(layout, &image.repositories[0], &registry).unwrap();
    }
    for (image, verified) in plan.images.iter().zip(&verified) {
        verify::readback::check_pushed(image, &image.repositories[0], &verified.digests, &registry).unwrap();
    }
    for (image, layout) in plan.images.iter().zip(&layouts) {
        for tag in tags::look_up_tags(image, &registry).unwrap() {
            tags::move_tag(&tag, layout, &registry).unwrap();
        }
    }
    for (image, verified) in plan.images.iter().zip(&verified) {
        verify::readback::check_tags(image, &image.repositories[0], &verified.digests.index, &registry).unwrap();
    }
}

fn plan(folder: &Path, case: Case<'_>) -> Plan {
    let Case { registry, images, platforms, compression, .. } = case;
    let folder = camino::Utf8Path::from_path(folder).unwrap();
    let package = |number: usize| {
        let name = format!("app{number}");
        let manifest_path = folder.join(&name).join("Cargo.toml");
        Package::with_bins(&name, semver::Version::new(1, 0, 0), manifest_path, &[&name])
    };
    let workspace = Workspace::with_packages(folder, (0..images).map(package).collect());
    let list: Vec<String> = platforms.split(',').map(|name| format!("{name:?}")).collect();
    let config = format!(
        "registry = {registry:?}\nplatforms = [{}]\ntags = ['latest']\ncompression = {compression:?}",
        list.join(",")
    );
    let sources = ConfigSources { workspace: toml::from_str(&config).unwrap(), ..ConfigSources::default() };
    let request = PlanRequest { cache_dir: folder.join("cache"), ..PlanRequest::default() };
    resolve(&workspace, &sources, &Checkout::None, &request).unwrap()
}

/// Returns the binaries that `binaries` wrote.
fn artifacts(plan: &Plan) -> Artifacts {
    let mut artifacts = BTreeMap::new();
    for platform in plan.images.iter().flat_map(|image| &image.platforms) {
        for binary in &platform.binaries {
            let name = format!("{}-{}", binary.name, platform.platform.name().replace('/', "-"));
            let path = plan.paths.root.join("binaries").join(name);
            artifacts.insert((platform.build.clone(), binary.clone()), Artifact::read(&path).unwrap());
        }
    }
    artifacts
}

/// Writes a static executable of a given size for every image and platform: a header and the bytes of this program,
/// with a difference each time so that no cache has it.
fn binaries(folder: &Path, images: usize, platforms: &str, size: usize) {
    let code = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let salt = Instant::now().elapsed().as_nanos() ^ u128::from(std::process::id());
    std::fs::create_dir_all(folder.join("binaries")).unwrap();
    for platform in platforms.split(',') {
        let identity = platform.parse::<Platform>().unwrap().elf_identity();
        let header = shared::program_headers(identity.machine, size as u64);
        for image in 0..images {
            let mut bytes = header.clone();
            while bytes.len() < size {
                let room = size - bytes.len();
                let unlike = format!("{salt} {:?} {image} {platform} {room}", std::time::SystemTime::now());
                bytes.extend(unlike.bytes().chain(code.iter().copied()).take(room));
            }
            std::fs::write(folder.join("binaries").join(format!("app{image}-{}", platform.replace('/', "-"))), bytes)
                .unwrap();
        }
    }
}

struct Measured {
    time: Duration,
    peak: u64,
}

/// Publishes with the embedded engine, in a process of its own.
fn embedded(folder: &Path, case: Case<'_>) -> Measured {
    let Case { registry, images, platforms, compression, proof } = case;
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--child", folder.to_str().unwrap(), registry, &images.to_string(), platforms])
        .args([compression, &proof.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (time, peak) = text.trim().split_once(' ').unwrap();
    Measured { time: Duration::from_secs_f64(time.parse::<f64>().unwrap() / 1e3), peak: peak.parse().unwrap() }
}

/// Publishes the same image with `docker buildx build --push`, from the context that the embedded engine staged.
fn buildx(folder: &Path, reference: &str) -> Duration {
    let context = folder.join("target/multiarch/app0");
    loop {
        let start = Instant::now();
        let output = Command::new("docker")
            .args(["buildx", "build", "--provenance=false", "--push", "--platform", FOUR, "--tag", reference, "--file"])
            .args([&context.join("Dockerfile"), &context])
            .env("SOURCE_DATE_EPOCH", "0")
            .output()
            .unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return start.elapsed();
        }
        // docker-registry sometimes answers 500 right after an upload.
        assert!(words.contains("500 Internal Server Error"), "{words}");
    }
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap());
    values[values.len() / 2]
}

fn compare() {
    let registry = std::env::var("MULTIARCH_TEST_REGISTRY").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let fresh = |number: usize| format!("{registry}/bench/{}/{number}", std::process::id());
    let Scale { runs, size, large, images, sizes_of_many } = if shared::is_quick() { QUICK } else { FULL };

    let forget = || drop(std::fs::remove_dir_all(folder.join("target")));

    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut note = |name, time| times.entry(name).or_default().push(time);
    for run in 0..runs {
        binaries(folder, 1, FOUR, size);
        let [plain, proven, zstd] = ["plain", "proven", "zstd"].map(|name| format!("{}/{name}", fresh(run)));
        let gzip = Case { registry: &plain, images: 1, platforms: FOUR, compression: "gzip", proof: false };
        for (case, cold, unchanged) in [
            (gzip, "cold", "unchanged"),
            (Case { registry: &proven, proof: true, ..gzip }, "cold, with proof", "unchanged, with proof"),
            (Case { registry: &zstd, compression: "zstd", ..gzip }, "cold, zstd", "unchanged, zstd"),
        ] {
            forget();
            note(cold, embedded(folder, case).time);
            note(unchanged, embedded(folder, case).time);
        }
        let reference = format!("{plain}/buildx:latest");
        note("buildx, cold", buildx(folder, &reference));
        note("buildx, unchanged", buildx(folder, &reference));
    }
    let times: BTreeMap<&str, Duration> = times.into_iter().map(|(name, times)| (name, median(times))).collect();
    println!(
        "four platforms, {} MB each, to a registry on loopback (medians of {runs}; ratio to buildx)",
        size / MEBIBYTE
    );
    for (name, time) in &times {
        let buildx = times[if name.contains("cold") { "buildx, cold" } else { "buildx, unchanged" }];
        println!("  {name:22} {:5.0} ms  {:.2}", time.as_secs_f64() * 1e3, time.as_secs_f64() / buildx.as_secs_f64());
    }

    binaries(folder, 1, "linux/amd64", large);
    let case = Case { registry: &fresh(100), images: 1, platforms: "linux/amd64", compression: "gzip", proof: true };
    forget();
    let measured = embedded(folder, case);
    let megabytes = large / MEBIBYTE;
    println!("one binary of {megabytes} MB: {:.2?}, peak RSS {} MB", measured.time, measured.peak / 1024);

    println!("{images} images for 6 platforms");
    for (number, &size) in (101..).zip(sizes_of_many) {
        binaries(folder, images, SIX, size);
        forget();
        let measured = embedded(folder, Case { registry: &fresh(number), images, platforms: SIX, ..case });
        println!("  {} KB each: {:.2?}, peak RSS {} MB", size / 1024, measured.time, measured.peak / 1024);
    }
}
