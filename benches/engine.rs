//! Compares how long the embedded engine and `docker buildx` take to turn compiled binaries into a pushed image, and
//! measures the embedded engine's peak memory. Run it with `scripts/bench engine`. Compile time is not included: the
//! embedded engine publishes a bundle, and buildx builds the staged build context.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "benchmarks panic on errors and print their results"
)]

mod shared;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::Measured;

const MEBIBYTE: usize = 1024 * 1024;

/// The number of runs and images, and the sizes of the binaries in bytes.
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

fn main() -> ExitCode {
    if let Some(code) = shared::run_as_child() {
        return code;
    }
    compare();
    ExitCode::SUCCESS
}

/// A workspace with packages `app0`, `app1`, … and a bundle of their binaries.
struct Workspace<'a> {
    dir: &'a Path,
    images: usize,
    platforms: &'a str,
}

impl Workspace<'_> {
    /// Writes the sources and a bundle of unique executables, each of `size` bytes.
    fn write(&self, size: usize) {
        let names: Vec<String> = (0..self.images).map(|number| format!("app{number}")).collect();
        let mut lock = "version = 4\n".to_owned();
        for name in &names {
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n");
            std::fs::create_dir_all(self.dir.join(name).join("src")).unwrap();
            std::fs::write(self.dir.join(name).join("Cargo.toml"), manifest).unwrap();
            std::fs::write(self.dir.join(name).join("src/main.rs"), "fn main() {}\n").unwrap();
            lock += &format!("\n[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n");
        }
        std::fs::write(self.dir.join("Cargo.lock"), lock).unwrap();
        let manifest = format!("[workspace]\nresolver = \"2\"\nmembers = {names:?}\n");
        std::fs::write(self.dir.join("Cargo.toml"), manifest).unwrap();
        self.write_bundle(size);
    }

    /// Writes the same bundle as `compile`, but without compiling anything.
    fn write_bundle(&self, size: usize) {
        let bundle = self.dir.join("dist");
        drop(std::fs::remove_dir_all(&bundle));
        let args = ["plan", "-q", "--engine", "embedded", "--message-format", "json", "--platform", self.platforms];
        let (plan, _) = self.run(&args);
        let plan: Value = serde_json::from_str(&plan).unwrap();
        // Images with the same build settings share a build.
        let mut builds: BTreeMap<String, Value> = BTreeMap::new();
        for platform in
            plan["images"].as_array().unwrap().iter().flat_map(|image| image["platforms"].as_array().unwrap())
        {
            let settings = &platform["build"];
            let number = builds.len();
            let build = builds.entry(settings.to_string()).or_insert_with(|| {
                json!({ "platforms": [platform["platform"]], "triple": settings["triple"], "linker": "none",
                    "settings": settings, "binaries": [], "dir": number.to_string() })
            });
            let name = platform["binaries"][0]["name"].as_str().unwrap();
            let program = program(settings["triple"].as_str().unwrap(), size);
            let file = format!("{}/{name}", build["dir"].as_str().unwrap());
            std::fs::create_dir_all(bundle.join(&file).parent().unwrap()).unwrap();
            std::fs::write(bundle.join(&file), &program).unwrap();
            let sha256: String = Sha256::digest(&program).iter().map(|byte| format!("{byte:02x}")).collect();
            let binary = json!({ "name": name, "package": name, "file": file, "size": size, "sha256": sha256 });
            build["binaries"].as_array_mut().unwrap().push(binary);
        }
        let lock = std::fs::read(self.dir.join("Cargo.lock")).unwrap();
        let lock: String = Sha256::digest(lock).iter().map(|byte| format!("{byte:02x}")).collect();
        let manifest = json!({ "version": 1, "tool": "benchmark", "rust_version": "none", "auditable": false,
            "revision": null, "cargo_lock": lock, "builds": builds.into_values().collect::<Vec<_>>() });
        std::fs::write(bundle.join("multiarch-bundle.json"), manifest.to_string()).unwrap();
    }

    /// Removes the layers and layouts from previous runs.
    fn clear(&self) {
        drop(std::fs::remove_dir_all(self.dir.join("target")));
    }

    /// Publishes the bundle with the embedded engine.
    fn publish(&self, registry: &str, compression: &str) -> Measured {
        let args = ["publish", "-q", "--engine", "embedded", "--artifacts", "dist", "--tag", "latest"];
        let settings = ["--platform", self.platforms, "--registry", registry];
        std::fs::write(self.dir.join("multiarch.toml"), format!("compression = {compression:?}\n")).unwrap();
        self.run(&[&args[..], &settings].concat()).1
    }

    fn run(&self, args: &[&str]) -> (String, Measured) {
        let mut child = shared::child(args);
        child.current_dir(self.dir).env("XDG_CACHE_HOME", self.dir.join("cache")).env("SOURCE_DATE_EPOCH", "0");
        shared::measure(child)
    }
}

/// Returns a unique static executable for a target triple: ELF headers, followed by a salt and this program's bytes.
fn program(triple: &str, size: usize) -> Vec<u8> {
    let machine = match triple.split('-').next().unwrap() {
        "x86_64" => 62,
        "aarch64" => 183,
        "riscv64gc" => 243,
        "powerpc64le" => 21,
        other => panic!("no machine number for {other}"),
    };
    let code = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let mut bytes = shared::program_headers(machine, size as u64);
    while bytes.len() < size {
        let room = size - bytes.len();
        let salt = format!("{:?} {} {triple} {room}", std::time::SystemTime::now(), std::process::id());
        bytes.extend(salt.bytes().chain(code.iter().copied()).take(room));
    }
    bytes
}

/// Publishes the image with `docker buildx build --push`, from the build context staged by the embedded engine. Returns
/// the elapsed time.
fn buildx(dir: &Path, reference: &str) -> Duration {
    let context = dir.join("target/multiarch/app0");
    loop {
        let start = Instant::now();
        let output = Command::new("docker")
            .args(["buildx", "build", "--provenance=false", "--push", "--platform", FOUR, "--tag", reference, "--file"])
            .args([&context.join("Dockerfile"), &context])
            .env("SOURCE_DATE_EPOCH", "0")
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return start.elapsed();
        }
        // Retry, because docker-registry sometimes returns status 500 right after an upload.
        assert!(stderr.contains("500 Internal Server Error"), "{stderr}");
    }
}

fn median<T: PartialOrd + Copy>(mut values: Vec<T>) -> T {
    values.sort_by(|one, other| one.partial_cmp(other).unwrap());
    values[values.len() / 2]
}

fn compare() {
    let registry = std::env::var("MULTIARCH_TEST_REGISTRY").unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path();
    let fresh = |number: usize| format!("{registry}/bench/{}/{number}", std::process::id());
    let Scale { runs, size, large, images, sizes_of_many } = if shared::is_quick() { QUICK } else { FULL };

    let four = Workspace { dir, images: 1, platforms: FOUR };
    let mut times: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut record = |name, time| times.entry(name).or_default().push(time);
    for run in 0..runs {
        four.write(size);
        let [plain, zstd] = ["plain", "zstd"].map(|name| format!("{}/{name}", fresh(run)));
        for (registry, compression, cold, unchanged) in
            [(&zstd, "zstd", "cold, zstd", "unchanged, zstd"), (&plain, "gzip", "cold", "unchanged")]
        {
            four.clear();
            record(cold, four.publish(registry, compression).time);
            record(unchanged, four.publish(registry, compression).time);
        }
        let reference = format!("{plain}/buildx:latest");
        record("buildx, cold", buildx(dir, &reference));
        record("buildx, unchanged", buildx(dir, &reference));
    }
    let times: BTreeMap<&str, Duration> = times.into_iter().map(|(name, times)| (name, median(times))).collect();
    println!(
        "four platforms, {} MiB each, to a local registry: median of {runs} runs, ratio to buildx",
        size / MEBIBYTE
    );
    for (name, time) in &times {
        let buildx = times[if name.contains("cold") { "buildx, cold" } else { "buildx, unchanged" }];
        println!("  {name:22} {:5.0} ms  {:.2}", time.as_secs_f64() * 1e3, time.as_secs_f64() / buildx.as_secs_f64());
    }

    let one = Workspace { dir, images: 1, platforms: "linux/amd64" };
    one.write(large);
    one.clear();
    let measured = one.publish(&fresh(100), "gzip");
    let mebibytes = large / MEBIBYTE;
    println!("one {mebibytes} MiB binary: {:.2?}, peak RSS {} MiB", measured.time, measured.peak / 1024);

    println!("{images} images for 6 platforms");
    let many = Workspace { dir, images, platforms: SIX };
    for (number, &size) in (101..).zip(sizes_of_many) {
        many.write(size);
        many.clear();
        let measured = many.publish(&fresh(number), "gzip");
        println!("  {} KiB each: {:.2?}, peak RSS {} MiB", size / 1024, measured.time, measured.peak / 1024);
    }
}
