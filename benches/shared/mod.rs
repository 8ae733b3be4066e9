//! Helpers shared by the benchmarks.

use std::ffi::OsString;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use object::elf;

/// The first argument that marks a child process. The child runs the program once with the remaining arguments.
const CHILD: &str = "--child";

/// The duration of a run, and its peak RSS in KiB.
pub(crate) struct Measured {
    pub(crate) time: Duration,
    pub(crate) peak: u64,
}

/// In a child process, runs the program, then prints the elapsed milliseconds and the peak RSS in KiB as the last line.
/// Returns `None` in the parent process.
pub(crate) fn run_as_child() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != CHILD {
        return None;
    }
    let args: Vec<OsString> = [OsString::from("cargo-multiarch")].into_iter().chain(args).collect();
    let start = Instant::now();
    let code = cargo_multiarch::run(args);
    println!("{} {}", start.elapsed().as_secs_f64() * 1e3, peak_memory());
    Some(code)
}

/// Returns a command that runs the program once in a child process.
pub(crate) fn child(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(CHILD).args(args).stdin(Stdio::null());
    command
}

/// Runs a child process. Returns the program's stdout and the measurements.
pub(crate) fn measure(mut child: Command) -> (String, Measured) {
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (printed, last) = stdout.trim_end().rsplit_once('\n').unwrap_or(("", stdout.trim_end()));
    let (time, peak) = last.split_once(' ').unwrap();
    let time = Duration::from_secs_f64(time.parse::<f64>().unwrap() / 1e3);
    (printed.to_owned(), Measured { time, peak: peak.parse().unwrap() })
}

/// Reports whether `--quick` was given, which runs everything once with tiny inputs to check that the benchmark works.
pub(crate) fn is_quick() -> bool {
    std::env::args().any(|arg| arg == "--quick")
}

/// Returns the ELF headers of a static 64-bit program of `size` bytes. `machine` is the value of `e_machine`.
pub(crate) fn program_headers(machine: u16, size: u64) -> Vec<u8> {
    // verify rejects programs for linux/riscv64 that do not use the double-float ABI.
    let flags = if machine == elf::EM_RISCV.0 { elf::EF_RISCV_FLOAT_ABI_DOUBLE.0 } else { 0 };
    let mut header = b"\x7fELF\x02\x01\x01".to_vec();
    header.resize(16, 0);
    let halves = |halves: &[u16]| halves.iter().flat_map(|half| half.to_le_bytes()).collect::<Vec<u8>>();
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    header.extend(halves(&[2, machine, 1, 0]));
    header.extend(words(&[0x40_0078, 64, 0]));
    header.extend(flags.to_le_bytes());
    header.extend(halves(&[64, 56, 1, 64, 0, 0]));
    header.extend(halves(&[1, 0, 5, 0]));
    header.extend(words(&[0, 0x40_0000, 0x40_0000, size, size, 4096]));
    header
}

/// Returns the peak RSS of this process in KiB.
pub(crate) fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}
