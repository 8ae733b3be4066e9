//! Explains why a build script failed, for example because a program, header or library is missing.

use super::cargo_errors::CargoError;
use super::explanation::{Explanation, FailureContext};
use super::library_hints::{DebianDir, debian_dirs, hints};
use crate::compile::debian_packages::{for_header, for_library};
use crate::compile::zig_package::use_zig;
use crate::host::packages::{self, Tool};

/// Messages that build scripts print if a program is missing.
#[rustfmt::skip]
const PROGRAMS: &[(&str, Tool)] = &[
    ("is `cmake` not installed?", packages::CMAKE),
    ("Missing dependency: cmake", packages::CMAKE),
    ("Command 'perl' not found", packages::PERL),
    ("Command 'make' not found", packages::MAKE),
    ("is `make` not installed?", packages::MAKE),
    ("Could not find `protoc`", packages::PROTOC),
    ("Unable to run nasm", packages::NASM),
    ("NASM command not found", packages::NASM),
    ("Could not find Go", packages::GO),
    ("Missing dependency: go", packages::GO),
    ("pkg-config command could not be found", packages::PKG_CONFIG),
];

/// Explains why a build script failed. Returns `None` if the reason is unknown.
pub(crate) fn explain(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    missing_program(error)
        .or_else(|| libclang(error))
        .or_else(|| pkg_config(error, context))
        .or_else(|| openssl(error, context))
        .or_else(|| compiler(error, context))
        .or_else(|| header(error, context))
        .or_else(|| code(error, context))
}

fn missing_program(error: &CargoError) -> Option<Explanation> {
    let (_, tool) = PROGRAMS.iter().find(|(message, _)| error.has(message))?;
    let reason = format!("requires {}, which is not installed", tool.name());
    Some(Explanation::new(reason, [tool.install_hint()]))
}

fn libclang(error: &CargoError) -> Option<Explanation> {
    let install = packages::LIBCLANG.install_hint();
    let hint = format!("{install}, or set LIBCLANG_PATH to the directory that contains it");
    error.has("Unable to find libclang").then(|| Explanation::new("uses bindgen, which cannot find libclang", [hint]))
}

/// Explains why pkg-config did not find a library: the library is not installed, or pkg-config is not set up for
/// cross-compiling.
fn pkg_config(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    if error.has("pkg-config has not been configured to support cross-compilation") {
        let openssl = || error.name.as_deref().filter(|name| *name == "openssl-sys").map(|_| "openssl");
        let named = error.between("Could not find ", " via pkg-config").or_else(openssl);
        let library = named.or_else(|| error.name.as_deref()?.strip_suffix("-sys")).unwrap_or("a library");
        let mut all = hints(for_library(library), library, context);
        all.extend(debian_dirs(context).into_iter().map(|DebianDir { platform, name }| {
            format!(
                "or, if the library is already installed for the target, set platform.\"{platform}\" = {{ build-env = \
                 {{ PKG_CONFIG_ALLOW_CROSS = \"1\", PKG_CONFIG_LIBDIR = \"/usr/lib/{name}/pkgconfig\" }} }}"
            )
        }));
        return Some(Explanation::new(
            format!("uses pkg-config to find {library}, but pkg-config is not configured for cross-compilation"),
            all,
        ));
    }
    let library = error.between("The system library `", "`")?;
    let hints = hints(for_library(library), library, context);
    Some(Explanation::new(format!("cannot find {library} for the target"), hints))
}

fn openssl(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let missing = ["Could not find directory of OpenSSL", "Failed to find OpenSSL development headers"];
    missing.iter().any(|sign| error.has(sign)).then(|| {
        let hints = hints(for_library("openssl"), "openssl", context);
        Explanation::new("cannot find OpenSSL for the target", hints)
    })
}

fn compiler(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let tool = error.between("failed to find tool \"", "\"")?;
    let language = if tool.ends_with("++") { "C++" } else { "C" };
    let zig = context.zig_hint(&use_zig("use zig, which compiles C and C++ for every target"));
    let mut all: Vec<String> = zig.into_iter().collect();
    let compiler = if language == "C++" { "g++" } else { "gcc" };
    let hints = debian_dirs(context).into_iter().filter_map(|dir| packages::cross_compiler_hint(compiler, &dir.name));
    all.extend(hints.map(|hint| format!("or {hint}")));
    Some(Explanation::new(format!("compiles {language} code, but {tool} is not installed"), all))
}

/// Explains an error about a missing header. gcc prints `fatal error: zlib.h: No such file or directory`, and clang
/// prints `fatal error: 'zlib.h' file not found`.
fn header(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let gcc = || error.between("fatal error: ", ": No such file or directory");
    let header = error.between("fatal error: '", "' file not found").or_else(gcc)?;
    if let Some(library) = for_header(header) {
        return Some(Explanation::new(
            format!("cannot find {header} for the target"),
            hints(Some(library), header, context),
        ));
    }
    if error.has("ClangDiagnostic") {
        let zig = context.zig_hint(&use_zig("use zig, which provides headers for bindgen"));
        let mut all: Vec<String> = zig.into_iter().collect();
        all.extend(debian_dirs(context).into_iter().map(|DebianDir { platform, name }| {
            format!(
                "or set bindgen's include directory: platform.\"{platform}\" = {{ build-env = \
                 {{ BINDGEN_EXTRA_CLANG_ARGS = \"-isystem /usr/{name}/include\" }} }}"
            )
        }));
        return Some(Explanation::new(format!("uses bindgen, which cannot find {header} for the target"), all));
    }
    Some(Explanation::new(format!("cannot find {header} for the target"), hints(None, header, context)))
}

/// Explains a C compiler's error, such as `src/a.c:12:5: error: message`.
fn code(error: &CargoError, context: &FailureContext<'_>) -> Option<Explanation> {
    let (file, message) = error.text.lines().find_map(compiler_error)?;
    let zig = context.zig_hint("try zig as the C compiler: `--linker zig`");
    Some(Explanation::new(
        format!("contains C code that does not compile: {file}: {message}"),
        zig.into_iter().chain([
            "try gcc with glibc: `--linker gcc --libc gnu`".to_owned(),
            "try a newer version of the crate: run `cargo update`, or require a newer version in Cargo.toml".to_owned(),
        ]),
    ))
}

/// Returns the file name and the message of a compiler's error. Errors without a line and a column are skipped, because
/// they come from the compiler driver or make.
fn compiler_error(line: &str) -> Option<(&str, &str)> {
    let (location, message) = line.split_once(": error: ")?;
    let mut parts = location.trim().rsplit(':');
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let (column, line) = (parts.next()?, parts.next()?);
    if !is_number(column) || !is_number(line) {
        return None;
    }
    Some((parts.next()?.rsplit(['/', '=']).next()?, message.trim()))
}
