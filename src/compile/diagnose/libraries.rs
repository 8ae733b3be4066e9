//! C libraries by the names that linkers, pkg-config and headers have for them: Debian's package, and the line that has
//! cargo build the library from source instead. Pure.

use super::About;
use crate::compile::library_packages::Library;
use crate::platform::Platform;

/// How a library that the target lacks is had: from source, from Debian's package, or by the other libc. `what` is its
/// name where it is not one of ours.
pub fn hints(library: Option<&Library>, what: &str, about: &About<'_>) -> Vec<String> {
    let mut hints = Vec::new();
    if let Some(vendored) = library.and_then(|library| library.vendored) {
        hints.push(format!("have it built from source, in Cargo.toml: {vendored}"));
    }
    let package = library.map_or_else(|| format!("the one with {what}"), |library| library.package.to_owned());
    let musl = about.triples.iter().any(|triple| triple.contains("-musl"));
    let is_host = about.triples.iter().all(|triple| *triple == about.host);
    hints.push(match (musl, library) {
        (_, Some(_)) if is_host => format!("or install Debian's package: `apt-get install {package}`"),
        (true, Some(_)) => format!(
            "no package has it for musl; with libc = \"gnu\" and a base that has glibc: sysroot-packages = [\"{package}\"]"
        ),
        (true, None) => format!(
            "no package has it for musl; with libc = \"gnu\" and a base that has glibc, Debian's package does ({package})"
        ),
        (false, Some(_)) => format!("or take Debian's package for the target: sysroot-packages = [\"{package}\"]"),
        (false, None) => format!(
            "take Debian's package for the target: sysroot-packages = [\"…\"]; `apt-file search {what}` names it"
        ),
    });
    if let Some(first) = hints.first_mut().filter(|first| first.starts_with("or ")) {
        first.replace_range(..3, "");
    }
    hints
}

/// Where Debian has the libraries of those targets that it knows, with the platform of each: `aarch64-linux-gnu`.
pub fn folders(about: &About<'_>) -> Vec<(Platform, String)> {
    let glibc = about.triples.iter().filter(|triple| !triple.contains("-musl"));
    let folder = |triple: &&str| Some((Platform::for_triple(triple).next()?, Platform::gcc_prefix(triple)?));
    glibc.filter_map(folder).collect()
}
