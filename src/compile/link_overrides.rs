//! Finds the native libraries that cargo's configuration provides in place of a crate's build script
//! (`[target.<triple>.<links>]`). The `cargo_config2` crate does not read these tables.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Returns the `links` keys that cargo's configuration overrides for a target, in the configuration files that apply to
/// `dir` and in `cargo_home`.
pub(crate) fn find(triple: &str, dir: &Path, cargo_home: Option<&Path>) -> BTreeSet<String> {
    let in_parents = dir.ancestors().map(|parent| parent.join(".cargo"));
    let dirs = in_parents.chain(cargo_home.map(Path::to_path_buf));
    let files = dirs.flat_map(|dir: PathBuf| ["config", "config.toml"].map(|name| dir.join(name)));
    files.filter_map(|file| fs_err::read_to_string(file).ok()).flat_map(|text| overridden(&text, triple)).collect()
}

/// Returns the subtables of a target's table. Invalid files are ignored, because cargo reports them.
fn overridden(text: &str, triple: &str) -> Vec<String> {
    let Ok(config) = text.parse::<toml::Table>() else { return Vec::new() };
    let target = config.get("target").and_then(|targets| targets.get(triple)).and_then(toml::Value::as_table);
    let tables = target.into_iter().flatten().filter(|(_, value)| value.is_table());
    tables.map(|(links, _)| links.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_overridden_libraries_of_a_target() {
        const TRIPLE: &str = "aarch64-unknown-linux-gnu";
        let overridden_by = |text: &str| overridden(text, TRIPLE);
        for (text, expected) in [
            ("[target.aarch64-unknown-linux-gnu.openssl]\nrustc-link-lib = ['ssl']", &["openssl"][..]),
            ("[target.aarch64-unknown-linux-gnu]\nlinker = 'x'", &[]),
            ("[target.x86_64-unknown-linux-gnu.openssl]\nrustc-link-lib = ['ssl']", &[]),
            ("[build]\njobs = 1", &[]),
            ("not toml", &[]),
        ] {
            assert_eq!(overridden_by(text), expected, "{text}");
        }
    }
}
