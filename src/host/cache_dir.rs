//! The user's cache directory.

use camino::Utf8PathBuf;

/// Returns this program's subdirectory of the user's cache directory, or `None` if there is no home directory.
pub(crate) fn cache_dir() -> Option<Utf8PathBuf> {
    let variable = |name: &str| std::env::var(name).ok();
    cache_dir_for(cfg!(target_os = "macos"), variable("XDG_CACHE_HOME"), variable("HOME"))
}

/// `XDG_CACHE_HOME` is respected on macOS too, because many command-line tools do so. A relative path is ignored (XDG
/// Base Directory Specification).
fn cache_dir_for(is_macos: bool, xdg: Option<String>, home: Option<String>) -> Option<Utf8PathBuf> {
    let in_home = if is_macos { "Library/Caches" } else { ".cache" };
    let home = home.filter(|home| !home.is_empty()).map(|home| Utf8PathBuf::from(home).join(in_home));
    let cache = xdg.filter(|dir| dir.starts_with('/')).map(Utf8PathBuf::from).or(home);
    Some(cache?.join("cargo-multiarch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_conventions_of_the_system() {
        for (is_macos, xdg, home, expected) in [
            (false, None, Some("/home/me"), Some("/home/me/.cache/cargo-multiarch")),
            (true, None, Some("/Users/me"), Some("/Users/me/Library/Caches/cargo-multiarch")),
            (true, Some("/cache"), Some("/Users/me"), Some("/cache/cargo-multiarch")),
            (false, Some("relative"), Some("/home/me"), Some("/home/me/.cache/cargo-multiarch")),
            (false, None, Some(""), None),
            (false, None, None, None),
        ] {
            let dir = cache_dir_for(is_macos, xdg.map(str::to_owned), home.map(str::to_owned));
            assert_eq!(dir.as_deref().map(camino::Utf8Path::as_str), expected);
        }
    }
}
