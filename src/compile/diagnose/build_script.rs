//! Why a build script failed: the program, the header or the library that it did not find. Pure.

use super::cargo_errors::CargoError;
use super::libraries::{folders, hints};
use super::{About, Explanation, because};
use crate::compile::library_packages::{named, with_header};

/// What stands in a build script's output where a program is missing, the program, and Debian's package of it.
#[rustfmt::skip]
const PROGRAMS: &[(&str, &str, &str)] = &[
    ("is `cmake` not installed?", "cmake", "cmake"),
    ("Missing dependency: cmake", "cmake", "cmake"),
    ("Command 'perl' not found", "perl", "perl"),
    ("Command 'make' not found", "make", "make"),
    ("is `make` not installed?", "make", "make"),
    ("Could not find `protoc`", "protoc", "protobuf-compiler"),
    ("Unable to run nasm", "nasm", "nasm"),
    ("NASM command not found", "nasm", "nasm"),
    ("Could not find Go", "go", "golang-go"),
    ("Missing dependency: go", "go", "golang-go"),
    ("pkg-config command could not be found", "pkg-config", "pkg-config"),
];

/// What is known of a build script's failure.
pub fn explain(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    program(block)
        .or_else(|| libclang(block))
        .or_else(|| pkg_config(block, about))
        .or_else(|| openssl(block, about))
        .or_else(|| compiler(block, about))
        .or_else(|| header(block, about))
        .or_else(|| code(block, about))
}

fn program(block: &CargoError) -> Option<Explanation> {
    let (_, program, package) = PROGRAMS.iter().find(|(sign, ..)| block.has(sign))?;
    Some(because(
        format!("runs {program}, which is not installed"),
        [format!("install it: `apt-get install {package}`")],
    ))
}

fn libclang(block: &CargoError) -> Option<Explanation> {
    let hint = "install it: `apt-get install libclang-dev`, or name its folder in LIBCLANG_PATH";
    block.has("Unable to find libclang").then(|| because("runs bindgen, which finds no libclang", [hint]))
}

/// pkg-config is there, and answers that the library is not, or nothing at all for another target than the host.
fn pkg_config(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    if block.has("pkg-config has not been configured to support cross-compilation") {
        let openssl = || block.name.as_deref().filter(|name| *name == "openssl-sys").map(|_| "openssl");
        let wanted = block.between("Could not find ", " via pkg-config").or_else(openssl);
        let library = wanted.or_else(|| block.name.as_deref()?.strip_suffix("-sys")).unwrap_or("a library");
        let mut all = hints(named(library), library, about);
        all.extend(folders(about).into_iter().map(|(platform, folder)| {
            format!(
                "or, where the target's own is installed: platform.\"{platform}\" = {{ build-env = \
                 {{ PKG_CONFIG_ALLOW_CROSS = \"1\", PKG_CONFIG_LIBDIR = \"/usr/lib/{folder}/pkgconfig\" }} }}"
            )
        }));
        return Some(because(
            format!("looks for {library} by pkg-config, which knows this machine's libraries and not the target's"),
            all,
        ));
    }
    let library = block.between("The system library `", "`")?;
    Some(because(format!("finds no {library} for the target"), hints(named(library), library, about)))
}

fn openssl(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    let missing = ["Could not find directory of OpenSSL", "Failed to find OpenSSL development headers"];
    missing
        .iter()
        .any(|sign| block.has(sign))
        .then(|| because("finds no OpenSSL for the target", hints(named("openssl"), "openssl", about)))
}

fn compiler(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    let tool = block.between("failed to find tool \"", "\"")?;
    let language = if tool.ends_with("++") { "C++" } else { "C" };
    let zig = about.by_zig("take zig, which compiles it for every target: `--linker zig` (`pip install ziglang`)");
    let mut all: Vec<String> = zig.into_iter().collect();
    let compiler = if language == "C++" { "g++" } else { "gcc" };
    all.extend(folders(about).into_iter().map(|(_, prefix)| {
        format!("or install gcc for it: `apt-get install {compiler}-{}`", prefix.replace('_', "-"))
    }));
    Some(because(format!("compiles {language}, and there is no {tool}"), all))
}

/// gcc says `fatal error: zlib.h: No such file or directory`, clang `fatal error: 'zlib.h' file not found`.
fn header(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    let gcc = || block.between("fatal error: ", ": No such file or directory");
    let header = block.between("fatal error: '", "' file not found").or_else(gcc)?;
    if let Some(library) = with_header(header) {
        return Some(because(format!("finds no {header} for the target"), hints(Some(library), header, about)));
    }
    if block.has("ClangDiagnostic") {
        let zig =
            about.by_zig("take zig, whose headers bindgen is then told of: `--linker zig` (`pip install ziglang`)");
        let mut all: Vec<String> = zig.into_iter().collect();
        all.extend(folders(about).into_iter().map(|(platform, folder)| {
            format!(
                "or name the folder of the headers: platform.\"{platform}\" = {{ build-env = \
                 {{ BINDGEN_EXTRA_CLANG_ARGS = \"-isystem /usr/{folder}/include\" }} }}"
            )
        }));
        return Some(because(format!("runs bindgen, which finds no {header} for the target"), all));
    }
    Some(because(format!("finds no {header} for the target"), hints(None, header, about)))
}

/// A C compiler's own error: `src/a.c:12:5: error: what`.
fn code(block: &CargoError, about: &About<'_>) -> Option<Explanation> {
    // The compiler's driver and make have errors too, of no place.
    let (file, what) = block.text.lines().find_map(|line| {
        let (place, what) = line.split_once(": error: ")?;
        let mut parts = place.trim().rsplit(':');
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let is_place = parts.by_ref().take(2).all(is_number);
        Some((parts.next().filter(|_| is_place)?.rsplit(['/', '=']).next()?, what))
    })?;
    Some(because(
        format!("has C code that the compiler refuses: {file}: {}", what.trim()),
        about.by_zig("another compiler may take it: `--linker zig`").into_iter().chain([
            "gcc is another one, where glibc is linked: `--linker gcc --libc gnu`".to_owned(),
            "a newer version of the crate may do: `cargo update` within what Cargo.toml asks for".to_owned(),
        ]),
    ))
}
