//! The kernel's binfmt_misc handlers, which run programs for other architectures. Only Linux has them.

use camino::Utf8Path;

use crate::platform::Platform;

const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Reports whether handlers can be read on this machine.
pub(crate) fn is_available() -> bool {
    Utf8Path::new(BINFMT_MISC).exists()
}

/// The state of the binfmt_misc handler for a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinfmtHandler {
    None,
    Disabled,
    /// Registered without flag F: the kernel looks for the interpreter inside the container, where it does not exist.
    NotFixed,
    /// Registered with flag F: the kernel opened the interpreter at registration, so the handler works in containers.
    Fixed,
}

impl BinfmtHandler {
    /// Returns the problem with an existing handler, or `None` if it works or does not exist.
    pub(crate) fn problem(self) -> Option<&'static str> {
        match self {
            BinfmtHandler::None | BinfmtHandler::Fixed => None,
            BinfmtHandler::Disabled => Some("binfmt_misc handler is disabled"),
            BinfmtHandler::NotFixed => Some("binfmt_misc handler lacks the F flag, which containers require"),
        }
    }
}

/// Reads the state of the binfmt_misc handler for a platform.
pub(crate) fn handler(platform: Platform) -> BinfmtHandler {
    let entry = Utf8Path::new(BINFMT_MISC).join(format!("qemu-{}", platform.qemu_name()));
    fs_err::read_to_string(entry).map_or(BinfmtHandler::None, |text| parse(&text))
}

/// Reports whether a platform has an enabled handler that works in containers.
pub(crate) fn is_emulated(platform: Platform) -> bool {
    handler(platform) == BinfmtHandler::Fixed
}

fn parse(entry: &str) -> BinfmtHandler {
    let flags = entry.lines().find_map(|line| line.strip_prefix("flags: "));
    if !entry.lines().any(|line| line == "enabled") {
        BinfmtHandler::Disabled
    } else if flags.is_some_and(|flags| flags.contains('F')) {
        BinfmtHandler::Fixed
    } else {
        BinfmtHandler::NotFixed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_handler_state() {
        for (entry, handler) in [
            ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\noffset 0\n", BinfmtHandler::Fixed),
            ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: \n", BinfmtHandler::NotFixed),
            ("disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n", BinfmtHandler::Disabled),
        ] {
            assert_eq!(parse(entry), handler, "{entry}");
        }
    }
}
