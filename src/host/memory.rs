//! The memory that is available to programs.

use camino::Utf8Path;

/// Returns the memory in bytes that programs can allocate without swapping: what the machine has available, or the limit
/// of the container if that is lower. `None` on macOS, which swaps instead of
/// killing programs.
pub(crate) fn available() -> Option<u64> {
    let available = parse_meminfo(&fs_err::read_to_string("/proc/meminfo").ok()?)?;
    Some(container_limit().map_or(available, |limit| limit.min(available)))
}

fn parse_meminfo(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Returns the lowest memory limit of the process's control group (version 2) and its parents.
fn container_limit() -> Option<u64> {
    let groups = fs_err::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limit = |group: &Utf8Path| {
        let file = Utf8Path::new("/sys/fs/cgroup").join(group).join("memory.max");
        fs_err::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    };
    Utf8Path::new(group).ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_available_memory() {
        let meminfo = "MemTotal:       16384000 kB\nMemFree:          100000 kB\nMemAvailable:    2000000 kB\n";
        assert_eq!(parse_meminfo(meminfo), Some(2_048_000_000));
        assert_eq!(parse_meminfo("MemTotal: 1 kB\n"), None);
    }
}
