//! Explains why a linker failed, for example because a library or symbol is missing, or because a file is for another
//! architecture.

use super::cargo_errors::CargoError;
use super::explanation::{Explanation, FailureContext};
use super::library_hints::{debian_dirs, hints};
use crate::compile::debian_packages::for_library;
use crate::compile::zig_package::use_zig;

/// Functions and the glibc versions that introduced them.
#[rustfmt::skip]
const GLIBC: &[(&str, &str)] = &[
    ("getrandom", "2.25"), ("getentropy", "2.25"), ("explicit_bzero", "2.25"), ("reallocarray", "2.26"),
    ("copy_file_range", "2.27"), ("memfd_create", "2.27"), ("mlock2", "2.27"), ("statx", "2.28"), ("renameat2", "2.28"),
    ("fcntl64", "2.28"), ("gettid", "2.30"), ("tgkill", "2.30"), ("sem_clockwait", "2.30"),
    ("pthread_cond_clockwait", "2.30"), ("stat64", "2.33"), ("fstat64", "2.33"), ("lstat64", "2.33"),
    ("fstatat64", "2.33"), ("close_range", "2.34"), ("closefrom", "2.34"), ("epoll_pwait2", "2.35"),
    ("arc4random", "2.36"), ("arc4random_buf", "2.36"), ("pidfd_open", "2.36"), ("process_madvise", "2.36"),
    ("strlcpy", "2.38"), ("strlcat", "2.38"), ("__isoc23_strtol", "2.38"), ("__isoc23_strtoul", "2.38"),
    ("__isoc23_strtoll", "2.38"), ("__isoc23_strtoull", "2.38"), ("__isoc23_sscanf", "2.38"), ("pidfd_spawn", "2.39"),
];

/// Explains why linking failed. Returns `None` if the reason is unknown.
pub(crate) fn explain(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    no_linker(error, context)
        .or_else(|| architecture(error))
        .or_else(|| library(error, context))
        .or_else(|| symbol(error, context))
}

fn no_linker(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let linker = error.text.strip_prefix("error: linker `")?.split_once("` not found")?.0;
    let mut all: Vec<String> = context.zig_hint(&use_zig("use another linker")).into_iter().collect();
    all.extend(
        debian_dirs(context)
            .into_iter()
            .map(|dir| format!("or install a cross gcc: `apt-get install gcc-{}`", dir.name.replace('_', "-"))),
    );
    Some(Explanation::new(format!("is linked with {linker}, which is not installed"), all))
}

/// Explains an error about a file for another architecture. Linkers print `skipping incompatible X when searching`,
/// `X is incompatible with Y`, or `X: file in wrong format`.
fn architecture(error: &CargoError) -> Option<Explanation> {
    let ld = || error.between("architecture of input file `", "' is incompatible with");
    let lld = || error.between("error: ", " is incompatible with");
    let bfd = || Some(error.between("", ": file in wrong format")?.rsplit(' ').next()?.trim());
    let file = error.between("skipping incompatible ", " when searching").or_else(ld).or_else(lld).or_else(bfd)?;
    Some(Explanation::new(
        format!("links against {file}, which was built for another architecture"),
        ["find the build script or `-L` flag that adds the file's directory, and remove it: \
             this machine's libraries cannot be used for other targets"],
    ))
}

/// Explains an error about a missing library. Linkers print `cannot find -lx` (ld), `unable to find library -lx` (lld),
/// or `unable to find dynamic system library "x"` (zig).
fn library(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let first = |rest: &str| rest.split([':', ' ', '\n']).next().unwrap_or_default().to_owned();
    let after = |sign: &str| error.text.split_once(sign).map(|(_, rest)| first(rest));
    let zig = || {
        error.between("system library \"", "\"").or_else(|| error.between("system library '", "'")).map(str::to_owned)
    };
    let name = after("cannot find -l").or_else(|| after("unable to find library -l")).or_else(zig)?;
    if name == "stdc++" || name == "c++" {
        return Some(cxx(context));
    }
    if name == "atomic" {
        return Some(atomic("links against libatomic, which the linker cannot find", context));
    }
    let file = format!("lib{name}.so");
    Some(Explanation::new(
        format!("links against {name}, which is not available for the target"),
        hints(for_library(&name), &file, context),
    ))
}

/// Explains an error about a missing symbol. Linkers print ``undefined reference to `x'`` (ld) or `undefined symbol: x`
/// (lld).
fn symbol(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let ld = || error.between("undefined reference to `", "'");
    let lld = || error.text.split_once("undefined symbol: ").and_then(|(_, rest)| rest.lines().next());
    let symbol = ld().or_else(lld)?.trim();
    if symbol.starts_with("__atomic_") {
        return Some(atomic(
            &format!("calls {symbol} because the target has no native instruction for this operation"),
            context,
        ));
    }
    let is_cxx =
        ["__cxa_", "__gxx_", "std::", "operator new", "operator delete", "typeinfo for", "vtable for", "_ZNSt"];
    if is_cxx.iter().any(|sign| symbol.starts_with(sign)) {
        return Some(cxx(context));
    }
    // Libraries refer to versioned symbols, such as `memcpy@GLIBC_2.14`.
    let plain = symbol.split('@').next().unwrap_or(symbol);
    let listed = GLIBC.iter().find(|(name, _)| *name == plain).map(|(_, version)| *version);
    if let Some(version) = symbol.split_once("@GLIBC_").map(|(_, version)| version).or(listed) {
        let floor = context.glibc.map(|floor| format!(", but glibc = \"{floor}\" is set")).unwrap_or_default();
        return Some(Explanation::new(
            format!("calls {plain}, which requires glibc {version} or later{floor}"),
            [format!("set glibc = \"{version}\", and use a base image with glibc {version} or later")],
        ));
    }
    Some(Explanation::new(
        format!("calls {symbol}, which is not defined in any linked library"),
        [format!(
            "link against the library that defines it: print `cargo::rustc-link-lib=NAME` from a build script (to check \
             a library, run `nm -D --defined-only LIBRARY | grep {symbol}`)"
        )],
    ))
}

fn atomic(reason: &str, context: &FailureContext<'_>) -> Explanation {
    let gcc =
        "link against libatomic: add `println!(\"cargo::rustc-link-lib=atomic\")` to build.rs, and use `--linker gcc`";
    let zig = context.zig_hint(&use_zig("or use zig, which includes the atomic functions"));
    Explanation::new(reason, [gcc.to_owned()].into_iter().chain(zig))
}

fn cxx(context: &FailureContext<'_>) -> Explanation {
    let zig = context.zig_hint(&use_zig("use zig, which includes a C++ standard library"));
    let by_hand = "if your own build script compiles C++ code, link against the C++ standard library: call \
                   `.cpp(true)` on `cc::Build`";
    Explanation::new(
        "links C++ code, but the linker cannot find a C++ standard library for the target",
        zig.into_iter().chain([by_hand.to_owned()]),
    )
}
