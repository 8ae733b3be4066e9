//! Checks this machine's disk space and clock.

use camino::Utf8Path;
use chrono::TimeDelta;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::check_result::CheckResult;
use crate::error::{Class, Failure};
use crate::fs;
use crate::host;
use crate::ui::size;

/// `doctor` warns if less than this many bytes are free. A typical release build for two platforms needs more.
const LOW_SPACE: u64 = 2 << 30;
/// `doctor` reports an error if less than this many bytes are free. Even a single image needs more.
const TOO_LITTLE_SPACE: u64 = 100 << 20;
/// The clock difference that registries usually tolerate when validating tokens.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// Checks that `dir` is writable and has enough free space, even if it does not exist yet. `variable` names the
/// environment variable that changes the location of `dir`.
pub(crate) fn disk_space(name: &str, dir: &Utf8Path, variable: &str) -> CheckResult {
    let existing = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir);
    let use_another = format!("use another directory: `{variable}=/some/dir`");
    let free_space = "free up disk space; `df -h` shows the usage of each file system";
    let error = |problem: String, hint: &str| {
        CheckResult::error("disk", &Failure::new(Class::Other, format!("{name} {dir} {problem}")).hint(hint).into())
    };
    let stat = match statvfs(existing.as_std_path()) {
        Ok(stat) => stat,
        Err(cause) => {
            let check_permissions = format!("check its permissions: `ls -ld {existing}`");
            return error(format!("cannot be accessed: {cause}"), &check_permissions);
        }
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let free_size = size::format_bytes(free);
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        error("is on a read-only file system".to_owned(), &use_another)
    } else if free < TOO_LITTLE_SPACE {
        error(format!("has only {free_size} free"), free_space)
    } else if let Err(cause) = fs::check_writable(dir) {
        error(format!("is not writable: {cause}"), &use_another)
    } else if free < LOW_SPACE {
        CheckResult::warning("disk", format!("{name} {dir} has only {free_size} free")).with_fix(free_space)
    } else {
        CheckResult::ok("disk", format!("{name} has {free_size} free"))
    }
}

/// Compares this machine's clock with the clock on `host`. `ahead` is the difference, which is negative if this machine
/// is behind.
pub(crate) fn clock(host: &str, ahead: TimeDelta) -> CheckResult {
    let seconds = ahead.num_seconds();
    if ahead.abs() <= CLOCK_TOLERANCE {
        return CheckResult::ok("clock", format!("in sync with {host}"));
    }
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    let message = format!("{} s {direction} {host}'s clock; certificates and tokens may be rejected", seconds.abs());
    CheckResult::warning("clock", message).with_fix(format!("synchronize the clock: `{}`", host::clock_command()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check_result::CheckState;

    #[test]
    fn warns_about_a_wrong_clock() {
        for (ahead, state, message) in [
            (2, CheckState::Ok, "in sync with r.example"),
            (-59, CheckState::Ok, "in sync with r.example"),
            (61, CheckState::Warning, "61 s ahead of r.example"),
            (-600, CheckState::Warning, "600 s behind r.example"),
        ] {
            let check = clock("r.example", TimeDelta::seconds(ahead));
            assert!(check.state == state && check.message.starts_with(message), "{check:?}");
        }
    }
}
