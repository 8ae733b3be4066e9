//! Checks that RUN instructions can run programs for a platform, natively or with a QEMU handler that is registered in
//! binfmt_misc.

use super::builder::Builder;
use super::docker;
use crate::error::{Class, Failure};
use crate::host::binfmt;
use crate::platform::Platform;
use crate::process::Cmd;
use crate::ui::Ui;

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
    if !binfmt::is_available() || !is_local {
        return Ok(());
    }
    let missing = not_runnable(run_platforms, host);
    if missing.is_empty() || !docker::is_local(ui) {
        return Ok(());
    }
    let name = |platform: &Platform| match binfmt::handler(*platform).problem() {
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
    platforms
        .iter()
        .copied()
        .filter(|platform| !platform.is_native_to(host) && !binfmt::is_emulated(*platform))
        .collect()
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
    fn builders_on_other_machines_are_not_checked() {
        for (driver, is_multi_node) in [("remote", false), ("docker-container", true)] {
            let builder = Builder { name: None, driver: driver.into(), is_multi_node, managed: None };
            let s390x = ["linux/s390x".parse().unwrap()];
            let ui = Ui::new(-1, crate::ui::Color::Never);
            assert!(check("app", &s390x, "x86_64-unknown-linux-gnu", &builder, &ui).is_ok(), "{driver}");
        }
    }
}
