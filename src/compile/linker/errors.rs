//! Errors for targets without a usable linker.

use crate::compile::facts::TargetFacts;
use crate::config::choices::LinkerChoice;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// The failure of a build without a linker, with the commands that install one. `only` is the linker that would help, if
/// another one would not.
pub(crate) fn no_linker(triple: &str, problem: &str, only: Option<LinkerChoice>, target: &TargetFacts) -> Failure {
    let mut failure = Failure::new(Class::Toolchain, format!("{}: {problem}", Platform::describe_triple(triple)));
    let zig_helps = only != Some(LinkerChoice::Gcc);
    let gcc_helps = only != Some(LinkerChoice::Zig) && !triple.contains("-musl") && target.gcc.is_none();
    if zig_helps {
        failure = failure.hint("install zig: `pip install ziglang`");
    }
    if let (true, Some(prefix)) = (gcc_helps, Platform::gcc_prefix(triple)) {
        let or = if zig_helps { "or " } else { "" };
        failure = failure.hint(format!("{or}install gcc for it: `apt-get install gcc-{}`", prefix.replace('_', "-")));
    }
    if failure.hints().is_empty() {
        failure = failure
            .hint("no cross gcc is known for it: take linker = \"zig\" (`pip install ziglang`), or leave `linker` out");
    }
    failure
}

/// The failure if gcc is requested and missing.
pub(crate) fn no_gcc(triple: &str, target: &TargetFacts) -> Failure {
    if !triple.contains("-musl") {
        return no_linker(triple, "linker = \"gcc\", and it is missing", Some(LinkerChoice::Gcc), target);
    }
    let name = Platform::gcc_prefix(triple).map_or_else(|| "cross gcc".to_owned(), |prefix| format!("{prefix}-gcc"));
    let other = target.other_libc_gcc.as_ref().map(|gcc| format!("; {gcc} links glibc")).unwrap_or_default();
    let message = format!("{}: linker = \"gcc\", and there is no {name}{other}", Platform::describe_triple(triple));
    Failure::new(Class::Toolchain, message)
        .hint("leave `linker` out: rust-lld and zig link musl")
        .hint("or link glibc: `--libc gnu`, with a base that has it")
}

/// A cross gcc for glibc is no help with musl: what it compiles asks for glibc's symbols.
pub(crate) fn no_c_compiler(package: &str, is_musl: bool, target: &TargetFacts) -> String {
    match target.other_libc_gcc.as_deref().filter(|_| is_musl) {
        Some(gcc) => format!("{package} compiles C, and {gcc} compiles it for glibc, which musl cannot link"),
        None => format!("{package} compiles C, and there is no C compiler for this target"),
    }
}

/// What a user without apt's packages can do.
pub(crate) fn sysroot_by_hand(triple: &str) -> String {
    let under = triple.replace('-', "_");
    format!(
        "or bring the files yourself, without sysroot-packages: build-env = {{ {}_OPENSSL_DIR = \"…\", \
         PKG_CONFIG_SYSROOT_DIR_{under} = \"…\" }}; or take the crate's `vendored` feature, or rustls in place of OpenSSL",
        under.to_uppercase()
    )
}
