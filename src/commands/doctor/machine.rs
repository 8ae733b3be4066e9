//! Room on the disk, and the clock.

use camino::Utf8Path;
use chrono::TimeDelta;
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::check::Check;
use crate::error::{Class, Failure};
use crate::fs;
use crate::ui::size;

/// A release build of a middling workspace for two platforms takes more.
const LITTLE: u64 = 2 << 30;
/// A single image takes more.
const NEXT_TO_NOTHING: u64 = 100 << 20;
/// Registries let tokens be a little older, or younger, than their time.
const TOLERATED: TimeDelta = TimeDelta::seconds(60);

/// The room for a folder, which need not be there yet.
/// `variable` names another.
pub fn disk(what: &str, folder: &Utf8Path, variable: &str) -> Check {
    let there = folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(folder);
    let another = format!("take another: `{variable}=/some/folder`");
    let failed = |found: String, hint: &str| {
        Check::failed("disk", &Failure::new(Class::Other, format!("{what}, {folder}, {found}")).hint(hint).into())
    };
    let room = match statvfs(there.as_std_path()) {
        Ok(room) => room,
        Err(error) => return failed(format!("cannot be looked at: {error}"), "see whose it is with `ls -ld`"),
    };
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let (said, make_room) = (size::format_bytes(free), "make room: `df -h` says where there is none");
    if room.f_flag.contains(StatVfsMountFlags::RDONLY) {
        failed("is on a read-only file system".to_owned(), &another)
    } else if free < NEXT_TO_NOTHING {
        failed(format!("has {said} left"), make_room)
    } else if let Err(error) = fs::check_writable(folder) {
        failed(format!("cannot be written: {error}"), &another)
    } else if free < LITTLE {
        Check::warning("disk", format!("{what}, {folder}, has {said} left")).fix(make_room)
    } else {
        Check::ok("disk", format!("{what} has {said} left"))
    }
}

/// The clock, which is ahead of a host's by a time.
pub fn clock(host: &str, ahead: TimeDelta) -> Check {
    let seconds = ahead.num_seconds();
    if ahead.abs() <= TOLERATED {
        return Check::ok("clock", format!("as {host} has it"));
    }
    let way = if seconds > 0 { "ahead of" } else { "behind" };
    let found = format!("{} s {way} that of {host}: certificates and tokens may be refused", seconds.abs());
    Check::warning("clock", found).fix("set it: `sudo timedatectl set-ntp true`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::State;

    #[test]
    fn clocks() {
        for (ahead, state, found) in [
            (2, State::Ok, "as r.example has it"),
            (-59, State::Ok, "as r.example has it"),
            (61, State::Warning, "61 s ahead of that of r.example"),
            (-600, State::Warning, "600 s behind that of r.example"),
        ] {
            let check = clock("r.example", TimeDelta::seconds(ahead));
            assert!(check.state == state && check.found.starts_with(found), "{check:?}");
        }
    }
}
