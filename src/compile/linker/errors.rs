//! What is said where there is no linker, or not the one that is asked for. Pure.

use crate::compile::facts::TargetFacts;
use crate::error::{Class, Failure};
use crate::platform::Platform;

/// A failure with the commands that bring a linker.
pub fn no_linker(triple: &str, what: &str, only: Option<&str>, facts: &TargetFacts) -> Failure {
    let mut failure = Failure::new(Class::Toolchain, format!("{}: {what}", Platform::describe_triple(triple)));
    if only != Some("gcc") {
        failure = failure.hint("install zig: `pip install ziglang`");
    }
    let gnu = Platform::gcc_prefix(triple).filter(|_| !triple.contains("-musl") && facts.gcc.is_none());
    if let (Some(prefix), true) = (gnu, only != Some("zig")) {
        let or = if only == Some("gcc") { "" } else { "or " };
        failure = failure.hint(format!("{or}install gcc for it: `apt-get install gcc-{}`", prefix.replace('_', "-")));
    }
    match failure.hints().is_empty() {
        true => failure
            .hint("no cross gcc is known for it: take linker = \"zig\" (`pip install ziglang`), or leave `linker` out"),
        false => failure,
    }
}

/// No gcc, which is asked for.
pub fn no_gcc(triple: &str, facts: &TargetFacts) -> Failure {
    if !triple.contains("-musl") {
        return no_linker(triple, "linker = \"gcc\", and it is missing", Some("gcc"), facts);
    }
    let wanted = Platform::gcc_prefix(triple).map_or_else(|| "cross gcc".to_owned(), |prefix| format!("{prefix}-gcc"));
    let other = facts.other_gcc.as_ref().map(|gcc| format!("; {gcc} links glibc")).unwrap_or_default();
    let what = format!("{}: linker = \"gcc\", and there is no {wanted}{other}", Platform::describe_triple(triple));
    Failure::new(Class::Toolchain, what)
        .hint("leave `linker` out: rust-lld and zig link musl")
        .hint("or link glibc: `--libc gnu`, with a base that has it")
}

/// A cross gcc for glibc is no help with musl: what it compiles asks for glibc's symbols.
pub fn no_c_compiler(package: &str, musl: bool, facts: &TargetFacts) -> String {
    match facts.other_gcc.as_deref().filter(|_| musl) {
        Some(gcc) => format!("{package} compiles C, and {gcc} compiles it for glibc, which musl cannot link"),
        None => format!("{package} compiles C, and there is no C compiler for this target"),
    }
}

/// What a user without apt's packages can do.
pub fn sysroot_by_hand(triple: &str) -> String {
    let under = triple.replace('-', "_");
    format!(
        "or bring the files yourself, without sysroot-packages: build-env = {{ {}_OPENSSL_DIR = \"…\", \
         PKG_CONFIG_SYSROOT_DIR_{under} = \"…\" }}; or take the crate's `vendored` feature, or rustls in place of OpenSSL",
        under.to_uppercase()
    )
}
