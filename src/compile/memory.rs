//! Warns if the machine may run out of memory while it compiles for several targets at the same time.

/// Memory that one rustc process may need for a large crate.
const BYTES_PER_LARGE_CRATE: u64 = 3 << 30;
/// Number of packages from which a build is likely to contain large crates.
const MANY_PACKAGES: usize = 200;

/// Returns the memory in bytes that programs can allocate without swapping. `None` on machines without /proc/meminfo.
pub(crate) fn available() -> Option<u64> {
    parse(&fs_err::read_to_string("/proc/meminfo").ok()?)
}

fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Returns a note if cargo may compile a large crate for several targets at once and `available` memory is short.
/// `packages` is the number of packages of the largest build, and `jobs` the maximum number of rustc processes.
pub(crate) fn note(available: u64, targets: usize, packages: usize, jobs: usize) -> Option<String> {
    let at_once = targets.min(jobs);
    if at_once < 2 || packages < MANY_PACKAGES || available >= BYTES_PER_LARGE_CRATE * at_once as u64 {
        return None;
    }
    Some(format!(
        "only {:.1} GB of memory are available, but cargo compiles large crates for {targets} targets at the same time; \
         if rustc is killed, run fewer jobs with `-j 1`, or compile each platform on its own runner with `cargo multiarch \
         compile --platform`",
        available as f64 / 1e9
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_available_memory() {
        let meminfo = "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\n";
        assert_eq!(parse(meminfo), Some(2_048_000_000));
        assert_eq!(parse("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn notes_only_large_builds_for_several_targets() {
        const SHORT: u64 = 2_000_000_000;
        for (available, targets, packages, jobs, is_noted) in [
            (SHORT, 2, 300, 8, true),
            (SHORT, 2, 300, 1, false),
            (SHORT, 1, 300, 8, false),
            (SHORT, 2, 50, 8, false),
            (64 << 30, 2, 300, 8, false),
            (8 << 30, 2, 300, 8, false),
            (8 << 30, 4, 300, 8, true),
        ] {
            let note = note(available, targets, packages, jobs);
            assert_eq!(note.is_some(), is_noted, "{available} {targets} {packages} {jobs}");
        }
    }
}
