//! A template that RUNs a program needs that program's architecture: natively, or by QEMU through binfmt_misc.

use camino::Utf8Path;

use super::builder::Builder;
use super::docker;
use crate::error::{Class, Failure};
use crate::platform::Platform;
use crate::process::Cmd;
use crate::ui::Ui;

const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Fails where `RUN` would end in `exec format error`. A daemon elsewhere (or in a virtual machine, as on macOS) has a
/// binfmt_misc of its own, which cannot be looked at from here, and so have the nodes of a builder with several.
pub fn check(image: &str, run: &[Platform], host: &str, builder: &Builder, ui: &Ui) -> Result<(), Failure> {
    let is_here = matches!(builder.driver.as_str(), "docker" | "docker-container") && !builder.is_spread;
    if !Utf8Path::new(BINFMT_MISC).exists() || !is_here {
        return Ok(());
    }
    let missing = missing(run, host);
    if missing.is_empty() || !docker::is_local(ui) {
        return Ok(());
    }
    let name = |platform: &Platform| match handler(*platform).fault() {
        Some(fault) => format!("{platform} ({fault})"),
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

/// Those of some platforms whose programs a container cannot run here.
pub fn missing(run: &[Platform], host: &str) -> Vec<Platform> {
    run.iter().copied().filter(|platform| !platform.is_native_to(host) && !handled(*platform)).collect()
}

/// What the kernel has for the programs of a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handler {
    None,
    Disabled,
    /// It opens the interpreter when a program starts, in that program's root: a container has none there.
    NotFixed,
    /// The interpreter was opened at registration (flag F), and works inside of containers.
    Fixed,
}

impl Handler {
    /// What is wrong with a handler that is there.
    pub fn fault(self) -> Option<&'static str> {
        match self {
            Handler::None | Handler::Fixed => None,
            Handler::Disabled => Some("its handler is disabled"),
            Handler::NotFixed => Some("its handler lacks the flag F, and containers have no QEMU of their own"),
        }
    }
}

/// The handler of a platform.
pub fn handler(platform: Platform) -> Handler {
    let entry = Utf8Path::new(BINFMT_MISC).join(format!("qemu-{}", platform.qemu_name()));
    fs_err::read_to_string(entry).map_or(Handler::None, |text| parse(&text))
}

/// Is there an enabled handler that also works inside of containers?
pub fn handled(platform: Platform) -> bool {
    handler(platform) == Handler::Fixed
}

fn parse(entry: &str) -> Handler {
    let flags = entry.lines().find_map(|line| line.strip_prefix("flags: "));
    match flags.is_some_and(|flags| flags.contains('F')) {
        _ if !entry.lines().any(|line| line == "enabled") => Handler::Disabled,
        true => Handler::Fixed,
        false => Handler::NotFixed,
    }
}

/// The call that has the kernel run the programs of some platforms, in containers too.
pub fn install_command(platforms: &[Platform]) -> Cmd {
    let names = platforms.iter().map(|platform| platform.architecture()).collect::<Vec<_>>().join(",");
    Cmd::new("docker").args(["run", "--privileged", "--rm", "tonistiigi/binfmt", "--install", &names])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        for (entry, handler) in [
            ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\noffset 0\n", Handler::Fixed),
            ("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: \n", Handler::NotFixed),
            ("disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n", Handler::Disabled),
        ] {
            assert_eq!(parse(entry), handler, "{entry}");
        }
    }

    #[test]
    fn a_remote_builder_is_trusted() {
        for (driver, is_spread) in [("remote", false), ("docker-container", true)] {
            let builder = Builder { name: None, driver: driver.into(), is_spread, missing: None };
            let s390x = ["linux/s390x".parse().unwrap()];
            let ui = Ui::new(-1, crate::ui::Color::Never);
            assert!(check("app", &s390x, "x86_64-unknown-linux-gnu", &builder, &ui).is_ok(), "{driver}");
        }
    }
}
