//! Emulation for RUN instructions: the kernel must run a platform's programs, natively or by QEMU through binfmt_misc.

use camino::Utf8Path;

use super::builder::Builder;
use super::docker;
use crate::error::{Class, Failure};
use crate::platform::Platform;
use crate::process::Cmd;
use crate::ui::Ui;

const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Fails if `RUN` would end in `exec format error`. A daemon elsewhere (or in a virtual machine, as on macOS) has a
/// binfmt_misc of its own, which cannot be read from here, and so do the nodes of a builder with several.
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
        format!("image '{image}': its template has RUN, and this machine cannot run programs for {names}"),
    )
    .hint(format!("install QEMU: `{}`", install_command(&missing)))
    .hint("or keep RUN out of the template: COPY alone needs no emulation"))
}

/// Returns those of some platforms whose programs a container cannot run on this host.
pub(crate) fn not_runnable(platforms: &[Platform], host: &str) -> Vec<Platform> {
    platforms.iter().copied().filter(|platform| !platform.is_native_to(host) && !is_emulated(*platform)).collect()
}

/// The handler that binfmt_misc has for the programs of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BinfmtHandler {
    None,
    Disabled,
    /// It opens the interpreter when a program starts, in that program's root: a container has none there.
    NotFixed,
    /// The interpreter was opened at registration (flag F), and works inside of containers.
    Fixed,
}

impl BinfmtHandler {
    /// What is wrong with an existing handler.
    pub(crate) fn problem(self) -> Option<&'static str> {
        match self {
            BinfmtHandler::None | BinfmtHandler::Fixed => None,
            BinfmtHandler::Disabled => Some("its handler is disabled"),
            BinfmtHandler::NotFixed => Some("its handler lacks the flag F, and containers have no QEMU of their own"),
        }
    }
}

/// Returns the handler of a platform.
pub(crate) fn binfmt_handler(platform: Platform) -> BinfmtHandler {
    let entry = Utf8Path::new(BINFMT_MISC).join(format!("qemu-{}", platform.qemu_name()));
    fs_err::read_to_string(entry).map_or(BinfmtHandler::None, |text| parse(&text))
}

/// Whether a platform has an enabled handler that also works inside of containers.
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

/// The command that registers QEMU for some platforms with the kernel, in containers too.
pub(crate) fn install_command(platforms: &[Platform]) -> Cmd {
    let names = platforms.iter().map(|platform| platform.architecture()).collect::<Vec<_>>().join(",");
    Cmd::new("docker").args(["run", "--privileged", "--rm", "tonistiigi/binfmt", "--install", &names])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        for (entry, handler) in [
            ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\noffset 0\n", BinfmtHandler::Fixed),
            ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: \n", BinfmtHandler::NotFixed),
            ("disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n", BinfmtHandler::Disabled),
        ] {
            assert_eq!(parse(entry), handler, "{entry}");
        }
    }

    #[test]
    fn a_remote_builder_is_trusted() {
        for (driver, is_multi_node) in [("remote", false), ("docker-container", true)] {
            let builder = Builder { name: None, driver: driver.into(), is_multi_node, to_create: None };
            let s390x = ["linux/s390x".parse().unwrap()];
            let ui = Ui::new(-1, crate::ui::Color::Never);
            assert!(check("app", &s390x, "x86_64-unknown-linux-gnu", &builder, &ui).is_ok(), "{driver}");
        }
    }
}
