//! Sections of a manifest whose names are nearly that of ours: cargo lets every name stand there, and nobody reads them.
//! Pure.

use camino::Utf8Path;

use super::read::ConfigTable;
use crate::error::closest_match;

const NAME: &str = "multiarch";

/// What is said of a section beside which there is none of ours.
pub fn note(text: &str, path: &Utf8Path, table: ConfigTable) -> Option<String> {
    let holder = match table {
        ConfigTable::Root => return None,
        ConfigTable::Workspace => "workspace",
        ConfigTable::Package => "package",
    };
    let manifest: toml::Table = text.parse().ok()?;
    let sections = manifest.get(holder)?.get("metadata")?.as_table()?;
    let near = sections.keys().find(|name| is_near(name)).filter(|_| !sections.contains_key(NAME))?;
    Some(format!("{path}: [{holder}.metadata.{near}] is not read: the section's name is {holder}.metadata.{NAME}"))
}

fn is_near(name: &str) -> bool {
    let letters: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    closest_match(letters.strip_prefix("cargo").unwrap_or(&letters), [NAME]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_ours() {
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
            let found = note(&format!("[{section}]\nkey = 1\n"), "Cargo.toml".into(), table);
            let start = expected.map(|name| format!("Cargo.toml: [{name}] is not read: the section's name is "));
            assert_eq!(found.is_some(), start.is_some(), "{section}: {found:?}");
            assert!(found.unwrap_or_default().starts_with(&start.unwrap_or_default()), "{section}");
        }
        let both = "[package.metadata.multi-arch]\n[package.metadata.multiarch]\n";
        assert_eq!(note(both, "Cargo.toml".into(), ConfigTable::Package), None, "it is somebody else's");
    }
}
