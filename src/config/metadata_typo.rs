//! Sections of a manifest whose names are nearly that of ours: cargo lets every name stand there, and nobody reads them.
//! Pure.

use camino::Utf8Path;

use super::read::Table;
use crate::error::nearest;

const NAME: &str = "multiarch";

/// What is said of a section beside which there is none of ours.
pub fn note(text: &str, path: &Utf8Path, table: Table) -> Option<String> {
    let holder = match table {
        Table::Root => return None,
        Table::Workspace => "workspace",
        Table::Package => "package",
    };
    let manifest: toml::Table = text.parse().ok()?;
    let sections = manifest.get(holder)?.get("metadata")?.as_table()?;
    let near = sections.keys().find(|name| is_near(name)).filter(|_| !sections.contains_key(NAME))?;
    Some(format!("{path}: [{holder}.metadata.{near}] is not read: the section's name is {holder}.metadata.{NAME}"))
}

fn is_near(name: &str) -> bool {
    let letters: String = name.to_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    nearest(letters.strip_prefix("cargo").unwrap_or(&letters), [NAME]).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_nearly_ours() {
        for (section, table, expected) in [
            ("workspace.metadata.multi-arch", Table::Workspace, Some("workspace.metadata.multi-arch")),
            ("workspace.metadata.multi_arch.images.a", Table::Workspace, Some("workspace.metadata.multi_arch")),
            ("package.metadata.multiarhc", Table::Package, Some("package.metadata.multiarhc")),
            ("package.metadata.cargo-multiarch", Table::Package, Some("package.metadata.cargo-multiarch")),
            ("package.metadata.MultiArch", Table::Package, Some("package.metadata.MultiArch")),
            ("package.metadata.multi-arch", Table::Workspace, None),
            ("workspace.metadata.multi-arch", Table::Root, None),
            ("workspace.metadata.multiarch", Table::Workspace, None),
            ("package.metadata.deb", Table::Package, None),
            ("package.metadata.docs.rs", Table::Package, None),
            ("package.metadata.bundle", Table::Package, None),
        ] {
            let found = note(&format!("[{section}]\nkey = 1\n"), "Cargo.toml".into(), table);
            let start = expected.map(|name| format!("Cargo.toml: [{name}] is not read: the section's name is "));
            assert_eq!(found.is_some(), start.is_some(), "{section}: {found:?}");
            assert!(found.unwrap_or_default().starts_with(&start.unwrap_or_default()), "{section}");
        }
        let both = "[package.metadata.multi-arch]\n[package.metadata.multiarch]\n";
        assert_eq!(note(both, "Cargo.toml".into(), Table::Package), None, "it is somebody else's");
    }
}
