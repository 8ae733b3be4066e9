//! Checks of the machine: disk space, and the clock.

use camino::Utf8Path;
use chrono::TimeDelta;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::check_result::CheckResult;
use crate::error::{Class, Failure};
use crate::fs;
use crate::ui::size;

/// A release build of a medium-sized workspace for two platforms takes more.
const LOW_SPACE: u64 = 2 << 30;
/// A single image takes more.
const TOO_LITTLE_SPACE: u64 = 100 << 20;
/// Registries accept tokens that are this much older or younger than their time.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// Checks whether `dir`, which need not exist yet, is writable and has enough space. `variable` selects another directory.
pub(crate) fn disk_space(name: &str, dir: &Utf8Path, variable: &str) -> CheckResult {
    let existing = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(dir);
    let use_another = format!("take another: `{variable}=/some/folder`");
    let free_space = "make room: `df -h` says where there is none";
    let error = |problem: String, hint: &str| {
        CheckResult::error("disk", &Failure::new(Class::Other, format!("{name}, {dir}, {problem}")).hint(hint).into())
    };
    let stat = match statvfs(existing.as_std_path()) {
        Ok(stat) => stat,
        Err(cause) => return error(format!("cannot be looked at: {cause}"), "see whose it is with `ls -ld`"),
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let free_size = size::format_bytes(free);
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        error("is on a read-only file system".to_owned(), &use_another)
    } else if free < TOO_LITTLE_SPACE {
        error(format!("has {free_size} left"), free_space)
    } else if let Err(cause) = fs::check_writable(dir) {
        error(format!("cannot be written: {cause}"), &use_another)
    } else if free < LOW_SPACE {
        CheckResult::warning("disk", format!("{name}, {dir}, has {free_size} left")).with_fix(free_space)
    } else {
        CheckResult::ok("disk", format!("{name} has {free_size} left"))
    }
}

/// Checks the clock, which is `ahead` of that of `host`.
pub(crate) fn clock(host: &str, ahead: TimeDelta) -> CheckResult {
    let seconds = ahead.num_seconds();
    if ahead.abs() <= CLOCK_TOLERANCE {
        return CheckResult::ok("clock", format!("as {host} has it"));
    }
    let direction = if seconds > 0 { "ahead of" } else { "behind" };
    let message = format!("{} s {direction} that of {host}: certificates and tokens may be refused", seconds.abs());
    CheckResult::warning("clock", message).with_fix("set it: `sudo timedatectl set-ntp true`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::check_result::CheckState;

    #[test]
    fn clocks() {
        for (ahead, state, message) in [
            (2, CheckState::Ok, "as r.example has it"),
            (-59, CheckState::Ok, "as r.example has it"),
            (61, CheckState::Warning, "61 s ahead of that of r.example"),
            (-600, CheckState::Warning, "600 s behind that of r.example"),
        ] {
            let check = clock("r.example", TimeDelta::seconds(ahead));
            assert!(check.state == state && check.message.starts_with(message), "{check:?}");
        }
    }
}
