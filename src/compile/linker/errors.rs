//! Errors for targets without a usable linker.

use crate::compile::facts::TargetFacts;
use crate::compile::zig_package;
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// Returns the error for a build without a usable linker, with hints for installing one. If `only` is set, hints are
/// limited to that linker.
pub(crate) fn no_linker(triple: &str, problem: &str, only: Option<LinkerChoice>, target: &TargetFacts) -> Failure {
    let mut failure = Failure::new(Class::Toolchain, format!("{}: {problem}", Platform::describe_triple(triple)));
    let zig_helps = only != Some(LinkerChoice::Gcc);
    let gcc_helps = only != Some(LinkerChoice::Zig) && !triple.contains("-musl") && target.gcc.is_none();
    if zig_helps {
        let command = if only.is_some() { zig_package::INSTALL_COMMAND_ANYWAY } else { zig_package::INSTALL_COMMAND };
        failure = failure.hint(format!("install zig: `{command}`, or put `zig` on PATH"));
    }
    if let (true, Some(prefix)) = (gcc_helps, Platform::gcc_prefix(triple)) {
        let or = if zig_helps { "or " } else { "" };
        failure = failure.hint(format!("{or}install a cross gcc: `apt-get install gcc-{}`", prefix.replace('_', "-")));
    }
    if failure.hints().is_empty() {
        let zig = zig_package::use_zig("use zig");
        failure = failure.hint(format!("{zig}, or remove `linker`: no cross gcc is known for this target"));
    }
    failure
}

/// Returns the error for a build that requests gcc on a machine without a cross gcc for the target.
pub(crate) fn no_gcc(triple: &str, target: &TargetFacts) -> Failure {
    if !triple.contains("-musl") {
        return no_linker(
            triple,
            "linker = \"gcc\" is set, but no gcc for this target is on PATH",
            Some(LinkerChoice::Gcc),
            target,
        );
    }
    let name = Platform::gcc_prefix(triple).map_or_else(|| "a cross gcc".to_owned(), |prefix| format!("{prefix}-gcc"));
    let other = target.other_libc_gcc.as_ref().map(|gcc| format!(" ({gcc} supports only glibc)")).unwrap_or_default();
    let message =
        format!("{}: linker = \"gcc\" is set, but {name} is not on PATH{other}", Platform::describe_triple(triple));
    Failure::new(Class::Toolchain, message)
        .hint("remove `linker`: rust-lld and zig can link against musl")
        .hint("or link against glibc: use `--libc gnu` and a base image with glibc")
}

/// Describes why a package's C code cannot be compiled. For musl targets, a cross gcc for glibc is unusable, because
/// its object files refer to glibc symbols.
pub(crate) fn no_c_compiler(package: &str, is_musl: bool, target: &TargetFacts) -> String {
    match target.other_libc_gcc.as_deref().filter(|_| is_musl) {
        Some(gcc) => format!("{package} compiles C code, but {gcc} supports only glibc, not musl"),
        None => format!("{package} compiles C code, but no C compiler was found for this target"),
    }
}

/// Returns a hint for providing a target's libraries without apt.
pub(crate) fn sysroot_by_hand(triple: &str) -> String {
    let underscored = triple.replace('-', "_");
    format!(
        "or remove sysroot-packages, and set the library paths yourself: build-env = {{ {}_OPENSSL_DIR = \"…\", \
         PKG_CONFIG_SYSROOT_DIR_{underscored} = \"…\" }}; or enable the crate's `vendored` feature, or use rustls \
         instead of OpenSSL",
        underscored.to_uppercase()
    )
}
