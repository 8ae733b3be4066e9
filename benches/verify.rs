//! Measures the time and peak memory of `verify` for a small and a large image, with and without cached layer scans.
//! Run it with `scripts/bench verify`.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "benchmarks panic on errors and print their results"
)]

mod shared;

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest, Sha256};

const MIB: u64 = 1 << 20;

fn main() -> ExitCode {
    if let Some(code) = shared::run_as_child() {
        return code;
    }
    compare();
    ExitCode::SUCCESS
}

fn compare() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (runs, small_size, large_size) =
        if shared::is_quick() { (1, MIB, 10 * MIB) } else { (5, 100 * MIB, 1000 * MIB) };
    let row = |size: u64| {
        let layout = dir.path().join(format!("{}", size / MIB));
        write(&layout, size);
        let run = |cache: &Path| measure(&layout, cache);
        let cold = median((0..runs).map(|number| run(&dir.path().join(format!("cold-{size}-{number}")))));
        let warm = dir.path().join("warm");
        run(&warm);
        (cold, median((0..runs).map(|_| run(&warm))))
    };
    let (small, large) = (row(small_size), row(large_size));
    println!("| image | uncached | cached | peak memory |\n|---|---|---|---|");
    for (size, (cold, warm)) in [(small_size, small), (large_size, large)] {
        println!("| {} MiB | {:.0} ms | {:.0} ms | {:.0} MiB |", size / MIB, cold.0, warm.0, cold.1 / 1024.0);
    }
    let times = large_size / small_size;
    println!(
        "\nAn image {times} times as large takes {:.1} times as long and {:.2} times as much memory. With cached scans, \
         verify takes {:.2} times as long as without them.",
        large.0.0 / small.0.0,
        large.0.1 / small.0.1,
        large.1.0 / large.0.0
    );
}

fn median(runs: impl Iterator<Item = (f64, f64)>) -> (f64, f64) {
    let (mut times, mut peaks): (Vec<f64>, Vec<f64>) = runs.unzip();
    times.sort_by(f64::total_cmp);
    peaks.sort_by(f64::total_cmp);
    (times[times.len() / 2], peaks[peaks.len() / 2])
}

/// Runs `verify` in a separate process. Returns the time in milliseconds and the peak memory in KiB.
fn measure(layout: &Path, cache: &Path) -> (f64, f64) {
    let mut child = shared::child(&["verify", "-q", &format!("oci:{}", layout.display())]);
    child.env("XDG_CACHE_HOME", cache);
    let (_, measured) = shared::measure(child);
    (measured.time.as_secs_f64() * 1e3, measured.peak as f64)
}

/// Writes an OCI layout with one image of about `size` bytes: a static program and ten files.
fn write(dir: &Path, size: u64) {
    let blobs = dir.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let file = std::fs::File::create(blobs.join("layer")).unwrap();
    let mut tar = tar::Builder::new(Hashing::new(GzEncoder::new(Hashing::new(file), flate2::Compression::fast())));
    let mut append = |name: &str, size: u64, bytes: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o755);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    let program = shared::program_headers(62, size / 2);
    append("app", size / 2, &mut program.chain(Noise(1)).take(size / 2));
    for number in 0..10 {
        append(&format!("srv/{number}"), size / 20, &mut Noise(number + 2).take(size / 20));
    }
    let (diff_id, gzip) = tar.into_inner().unwrap().finish();
    let (layer, _) = gzip.finish().unwrap().finish();
    let bytes = std::fs::metadata(blobs.join("layer")).unwrap().len();
    std::fs::rename(blobs.join("layer"), blobs.join(&layer)).unwrap();
    let put = |value: serde_json::Value| {
        let text = value.to_string();
        let digest = hex(Sha256::digest(&text).as_slice());
        std::fs::write(blobs.join(&digest), &text).unwrap();
        (format!("sha256:{digest}"), text.len())
    };
    let descriptor =
        |kind: &str, (digest, size): (String, usize)| json!({ "mediaType": kind, "digest": digest, "size": size });
    let config = put(json!({ "os": "linux", "architecture": "amd64", "config": { "Entrypoint": ["/app"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] } }));
    let layer = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
        "digest": format!("sha256:{layer}"), "size": bytes });
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    let manifest = put(json!({ "schemaVersion": 2, "config": config, "layers": [layer] }));
    let index = json!({ "schemaVersion": 2,
        "manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", manifest)] });
    std::fs::write(dir.join("index.json"), index.to_string()).unwrap();
    std::fs::write(dir.join("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}").unwrap();
}

/// A writer that computes the SHA-256 of the bytes written.
struct Hashing<W> {
    to: W,
    sha256: Sha256,
}

impl<W> Hashing<W> {
    fn new(to: W) -> Hashing<W> {
        Hashing { to, sha256: Sha256::new() }
    }

    fn finish(self) -> (String, W) {
        (hex(self.sha256.finalize().as_slice()), self.to)
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A source of pseudorandom bytes (xorshift, Marsaglia 2003). Half of them are zero, so that they compress about as
/// well as programs.
struct Noise(u64);

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        for chunk in buffer.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            chunk.copy_from_slice(&(self.0 & 0xffff_ffff).to_le_bytes()[..chunk.len()]);
        }
        Ok(buffer.len())
    }
}
