//! Checks that RUN instructions can run programs for a platform, natively or with a QEMU handler that is registered in
//! binfmt_misc.

use camino::Utf8Path;

use super::builder::Builder;
use super::docker;
use crate::error::{Class, Failure};
use crate::platform::Platform;
use crate::process::Cmd;
use crate::ui::Ui;

const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Fails if RUN instructions would fail with `exec format error`. Skips multi-node builders and builders on other
/// machines, such as the virtual machine on macOS, because their binfmt_misc handlers cannot be read.
pub(crate) fn check(
    image: &str,
    run_platforms: &[Platform],
    host: &str,
    builder: &Builder,
    ui: &Ui,
) -> Result<(), Failure> {
    let is_local = matches!(builder.driver.as_str(), "docker" | "docker-container") && !builder.is_multi_node;
    if !Utf8Path::new(BINFMT_MISC).exists() || !is_local {
        return Ok(());
    }
    let missing = not_runnable(run_platforms, host);
    if missing.is_empty() || !docker::is_local(ui) {
        return Ok(());
    }
    let name = |platform: &Platform| match binfmt_handler(*platform).problem() {
        Some(problem) => format!("{platform} ({problem})"),
        None => platform.to_string(),
    };
    let names = missing.iter().map(name).collect::<Vec<_>>().join(", ");
    Err(Failure::new(
        Class::Engine,
        format!("image '{image}': the template contains RUN, but this machine cannot run programs for {names}"),
    )
    .hint(format!("install QEMU: `{}`", install_command(&missing)))
    .hint("or remove the RUN instructions from the template: COPY does not need emulation"))
}

/// Returns the platforms whose programs cannot run in containers on this machine. `host` is the machine's target
/// triple.
pub(crate) fn not_runnable(platforms: &[Platform], host: &str) -> Vec<Platform> {
    platforms.iter().copied().filter(|platform| !platform.is_native_to(host) && !is_emulated(*platform)).collect()
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
pub(crate) fn binfmt_handler(platform: Platform) -> BinfmtHandler {
    let entry = Utf8Path::new(BINFMT_MISC).join(format!("qemu-{}", platform.qemu_name()));
    fs_err::read_to_string(entry).map_or(BinfmtHandler::None, |text| parse(&text))
}

/// Reports whether a platform has an enabled handler that works in containers.
pub(crate) fn is_emulated(platform: Platform) -> bool {
    binfmt_handler(platform) == BinfmtHandler::Fixed
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

/// Returns the command that registers QEMU handlers for `platforms` that also work in containers.
pub(crate) fn install_command(platforms: &[Platform]) -> Cmd {
    let names = platforms.iter().map(|platform| platform.architecture()).collect::<Vec<_>>().join(",");
    Cmd::new("docker").args(["run", "--privileged", "--rm", "tonistiigi/binfmt", "--install", &names])
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

    #[test]
    fn builders_on_other_machines_are_not_checked() {
        for (driver, is_multi_node) in [("remote", false), ("docker-container", true)] {
            let builder = Builder { name: None, driver: driver.into(), is_multi_node, managed: None };
            let s390x = ["linux/s390x".parse().unwrap()];
            let ui = Ui::new(-1, crate::ui::Color::Never);
            assert!(check("app", &s390x, "x86_64-unknown-linux-gnu", &builder, &ui).is_ok(), "{driver}");
        }
    }
}
