//! Explains why a build script failed, for example because a program, header or library is missing.

use super::cargo_errors::CargoError;
use super::explanation::{Explanation, FailureContext};
use super::library_hints::{DebianDir, debian_dirs, hints};
use crate::compile::debian_packages::{for_header, for_library};
use crate::compile::zig_package::use_zig;

/// A program that build scripts run.
struct RequiredProgram {
    /// The message that a build script prints if the program is missing.
    error: &'static str,
    name: &'static str,
    debian: &'static str,
}

const fn program(error: &'static str, name: &'static str, debian: &'static str) -> RequiredProgram {
    RequiredProgram { error, name, debian }
}

#[rustfmt::skip]
const PROGRAMS: &[RequiredProgram] = &[
    program("is `cmake` not installed?", "cmake", "cmake"),
    program("Missing dependency: cmake", "cmake", "cmake"),
    program("Command 'perl' not found", "perl", "perl"),
    program("Command 'make' not found", "make", "make"),
    program("is `make` not installed?", "make", "make"),
    program("Could not find `protoc`", "protoc", "protobuf-compiler"),
    program("Unable to run nasm", "nasm", "nasm"),
    program("NASM command not found", "nasm", "nasm"),
    program("Could not find Go", "go", "golang-go"),
    program("Missing dependency: go", "go", "golang-go"),
    program("pkg-config command could not be found", "pkg-config", "pkg-config"),
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
    let RequiredProgram { name, debian, .. } = PROGRAMS.iter().find(|program| error.has(program.error))?;
    let hint = format!("install {name}: `apt-get install {debian}`");
    Some(Explanation::new(format!("requires {name}, which is not installed"), [hint]))
}

fn libclang(error: &CargoError) -> Option<Explanation> {
    let hint =
        "install libclang: `apt-get install libclang-dev`, or set LIBCLANG_PATH to the directory that contains it";
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
    all.extend(debian_dirs(context).into_iter().map(|dir| {
        format!("or install a cross compiler: `apt-get install {compiler}-{}`", dir.name.replace('_', "-"))
    }));
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
