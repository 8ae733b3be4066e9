//! Warns if the machine may run out of memory while it compiles for several targets at the same time.

/// Memory that one rustc process may need for a large crate.
const BYTES_PER_LARGE_CRATE: u64 = 3 << 30;
/// Memory that one rustc process may need for a huge crate. For aws-sdk-ec2, it needs 7.4 GB.
const BYTES_PER_HUGE_CRATE: u64 = 8 << 30;
/// Number of packages from which a build is likely to contain large crates.
const MANY_PACKAGES: usize = 200;

/// Returns the maximum number of rustc processes. A negative `requested` number is subtracted from the number of cores,
/// as in cargo's `build.jobs`.
pub(crate) fn jobs(requested: Option<i32>, cores: usize) -> usize {
    match requested {
        None | Some(0) => cores,
        Some(jobs) if jobs < 0 => cores.saturating_sub(jobs.unsigned_abs() as usize).max(1),
        Some(jobs) => jobs.unsigned_abs() as usize,
    }
}

/// The factors that determine the peak memory use of a build.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryUse<'a> {
    /// Available memory in bytes.
    pub available: u64,
    /// Number of targets that cargo compiles for at the same time.
    pub targets: usize,
    /// Number of packages of the largest build.
    pub packages: usize,
    /// A package that rustc needs very much memory for.
    pub huge_crate: Option<&'a str>,
    /// Maximum number of rustc processes.
    pub jobs: usize,
}

/// Returns a note if cargo may compile a large crate for several targets at once and memory is short.
pub(crate) fn note(memory: &MemoryUse<'_>) -> Option<String> {
    let MemoryUse { available, targets, packages, huge_crate, jobs } = *memory;
    let at_once = targets.min(jobs);
    let needed = if huge_crate.is_some() { BYTES_PER_HUGE_CRATE } else { BYTES_PER_LARGE_CRATE };
    let has_large_crates = huge_crate.is_some() || packages >= MANY_PACKAGES;
    if at_once < 2 || !has_large_crates || available >= needed * at_once as u64 {
        return None;
    }
    Some(format!(
        "only {:.1} GB of memory is available, but cargo compiles {} for {targets} targets at the same time; if rustc is \
         killed, run fewer jobs with `-j 1`, or compile each platform on its own runner with `cargo multiarch compile \
         --platform`",
        available as f64 / 1e9,
        huge_crate.unwrap_or("large crates")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_counted_as_cargo_does() {
        for (requested, expected) in [(None, 4), (Some(1), 1), (Some(9), 9), (Some(-1), 3), (Some(-9), 1), (Some(0), 4)]
        {
            assert_eq!(jobs(requested, 4), expected, "{requested:?}");
        }
    }

    #[test]
    fn notes_only_large_builds_for_several_targets() {
        const SHORT: u64 = 2_000_000_000;
        let ec2 = Some("aws-sdk-ec2");
        for (available, targets, packages, huge_crate, jobs, is_noted) in [
            (SHORT, 2, 300, None, 8, true),
            (SHORT, 2, 300, None, 1, false),
            (SHORT, 1, 300, None, 8, false),
            (SHORT, 2, 50, None, 8, false),
            (64 << 30, 2, 300, None, 8, false),
            (8 << 30, 2, 300, None, 8, false),
            (8 << 30, 4, 300, None, 8, true),
            // Two rustc processes that need 7.4 GB each.
            (15 << 30, 2, 300, ec2, 8, true),
            (15 << 30, 2, 50, ec2, 8, true),
            (16 << 30, 2, 300, ec2, 8, false),
            (15 << 30, 1, 300, ec2, 8, false),
        ] {
            let memory = MemoryUse { available, targets, packages, huge_crate, jobs };
            assert_eq!(note(&memory).is_some(), is_noted, "{memory:?}");
        }
    }
}
