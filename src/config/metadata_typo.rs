//! Detects metadata tables with misspelled names, such as `[package.metadata.multi-arch]`, which cargo accepts without
//! a warning.

use camino::Utf8Path;

use super::ConfigTable;
use crate::error::closest_match;

const NAME: &str = "multiarch";

/// Returns a note if a manifest has a metadata table whose name resembles `multiarch`, but none called `multiarch`.
pub(crate) fn misspelled_table_note(text: &str, path: &Utf8Path, table: ConfigTable) -> Option<String> {
    let section = match table {
        ConfigTable::Root => return None,
        ConfigTable::Workspace => "workspace",
        ConfigTable::Package => "package",
    };
    let manifest: toml::Table = text.parse().ok()?;
    let tables = manifest.get(section)?.get("metadata")?.as_table()?;
    if tables.contains_key(NAME) {
        return None;
    }
    let name = tables.keys().find(|name| resembles_multiarch(name))?;
    Some(format!("{path}: ignored [{section}.metadata.{name}]: did you mean [{section}.metadata.{NAME}]?"))
}

fn resembles_multiarch(name: &str) -> bool {
    let letters: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    closest_match(letters.strip_prefix("cargo").unwrap_or(&letters), [NAME]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelled_tables_are_reported() {
        for (section, table, expected) in [
            ("workspace.metadata.multi-arch", ConfigTable::Workspace, Some("workspace.metadata.multi-arch")),
            ("workspace.metadata.multi_arch.images.a", ConfigTable::Workspace, Some("workspace.metadata.multi_arch")),
            ("package.metadata.multiarhc", ConfigTable::Package, Some("package.metadata.multiarhc")),
            ("package.metadata.cargo-multiarch", ConfigTable::Package, Some("package.metadata.cargo-multiarch")),
            ("package.metadata.MultiArch", ConfigTable::Package, Some("package.metadata.MultiArch")),
            ("package.metadata.multi-arch", ConfigTable::Workspace, None),
            ("workspace.metadata.multi-arch", ConfigTable::Root, None),
            ("workspace.metadata.multiarch", ConfigTable::Workspace, None),
            ("package.metadata.deb", ConfigTable::Package, None),
            ("package.metadata.docs.rs", ConfigTable::Package, None),
            ("package.metadata.bundle", ConfigTable::Package, None),
        ] {
            let found = misspelled_table_note(&format!("[{section}]\nkey = 1\n"), "Cargo.toml".into(), table);
            let start = expected.map(|name| format!("Cargo.toml: ignored [{name}]: did you mean ["));
            assert_eq!(found.is_some(), start.is_some(), "{section}: {found:?}");
            assert!(found.unwrap_or_default().starts_with(&start.unwrap_or_default()), "{section}");
        }
        let both = "[package.metadata.multi-arch]\n[package.metadata.multiarch]\n";
        assert_eq!(
            misspelled_table_note(both, "Cargo.toml".into(), ConfigTable::Package),
            None,
            "a similarly named table beside [package.metadata.multiarch] belongs to another tool"
        );
    }
}
