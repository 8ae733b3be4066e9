//! A template that RUNs a program needs that program's architecture: natively, or by QEMU through binfmt_misc.

use camino::Utf8Path;

use super::builder::{self, Builder};
use crate::error::{Class, Failure};
use crate::platform::Platform;
use crate::ui::Ui;

const BINFMT_MISC: &str = "/proc/sys/fs/binfmt_misc";

/// Fails where `RUN` would end in `exec format error`. A daemon elsewhere (or in a virtual machine, as on macOS) has a
/// binfmt_misc of its own, which cannot be looked at from here.
pub fn check(image: &str, run: &[Platform], host: &str, builder: &Builder, ui: &Ui) -> Result<(), Failure> {
    if !Utf8Path::new(BINFMT_MISC).exists() || !matches!(builder.driver.as_str(), "docker" | "docker-container") {
        return Ok(());
    }
    let missing: Vec<Platform> =
        run.iter().copied().filter(|platform| !platform.is_native_to(host) && !handled(*platform)).collect();
    if missing.is_empty() || !builder::is_local(ui) {
        return Ok(());
    }
    let names = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let install = missing.iter().map(|platform| platform.architecture()).collect::<Vec<_>>().join(",");
    Err(Failure::new(
        Class::Engine,
        format!("image '{image}': its template has RUN, and this machine cannot run programs for {names}"),
    )
    .hint(format!("install QEMU: `docker run --privileged --rm tonistiigi/binfmt --install {install}`"))
    .hint("or keep RUN out of the template: COPY alone needs no emulation"))
}

/// Is there an enabled handler that also works inside of containers (flag F: the interpreter is opened at registration)?
pub fn handled(platform: Platform) -> bool {
    let entry = Utf8Path::new(BINFMT_MISC).join(format!("qemu-{}", platform.qemu_name()));
    fs_err::read_to_string(entry).is_ok_and(|text| is_usable(&text))
}

fn is_usable(entry: &str) -> bool {
    let flags = entry.lines().find_map(|line| line.strip_prefix("flags: "));
    entry.lines().any(|line| line == "enabled") && flags.is_some_and(|flags| flags.contains('F'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        assert!(is_usable("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: POCF\noffset 0\n"));
        assert!(!is_usable("enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: \n"));
        assert!(!is_usable("disabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: F\n"));
    }

    #[test]
    fn a_remote_builder_is_trusted() {
        let builder = Builder { name: None, driver: "remote".into(), missing: None };
        let s390x = ["linux/s390x".parse().unwrap()];
        assert!(
            check("app", &s390x, "x86_64-unknown-linux-gnu", &builder, &Ui::new(-1, crate::ui::Color::Never)).is_ok()
        );
    }
}
