//! Finds the line of a value in a configuration file, for errors that are found after parsing.

use camino::Utf8PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigTable;

/// The text of a configuration file that has been parsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConfigFile {
    pub path: Utf8PathBuf,
    pub table: ConfigTable,
    pub text: String,
}

impl ConfigFile {
    /// Returns `path:line` of the key at `keys` or, if `item` is set, of that string in the list at `keys`.
    pub(crate) fn find(&self, keys: &[&str], item: Option<&str>) -> Option<String> {
        let document = DeTable::parse(&self.text).ok()?;
        let mut table = document.get_ref();
        let (last, outer) = keys.split_last()?;
        for key in self.table.path().iter().chain(outer) {
            let DeValue::Table(next) = table.get(*key)?.get_ref() else { return None };
            table = next;
        }
        let (key, value) = table.get_key_value(*last)?;
        let offset = match (item, value.get_ref()) {
            (None, _) => key.span().start,
            (Some(item), DeValue::Array(items)) => items.iter().find(|found| is_string(found, item))?.span().start,
            (Some(_), _) => return None,
        };
        let line = self.text.get(..offset)?.matches('\n').count() + 1;
        Some(format!("{}:{line}", self.path))
    }
}

fn is_string(value: &Spanned<DeValue<'_>>, expected: &str) -> bool {
    matches!(value.get_ref(), DeValue::String(text) if text == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_and_items_of_lists() {
        const TEXT: &str = "bins = ['a']\n[images.web]\nbins = [\n  'b',\n  \"c\",\n]\ncapabilities = { d = [] }\n";
        let nested = TEXT.replace("[images", "[package.metadata.multiarch.images");
        for (table, text, keys, item, expected) in [
            (ConfigTable::Root, TEXT, &["bins"][..], Some("a"), Some(1)),
            (ConfigTable::Root, TEXT, &["images", "web", "bins"], Some("c"), Some(5)),
            (ConfigTable::Root, TEXT, &["images", "web"], None, Some(2)),
            (ConfigTable::Root, TEXT, &["images", "web", "capabilities", "d"], None, Some(7)),
            (ConfigTable::Root, TEXT, &["images", "web", "bins"], Some("z"), None),
            (ConfigTable::Root, TEXT, &["images", "other", "bins"], Some("a"), None),
            (ConfigTable::Package, &nested, &["images", "web", "bins"], Some("b"), Some(4)),
            (ConfigTable::Workspace, &nested, &["images", "web", "bins"], Some("b"), None),
        ] {
            let file = ConfigFile { path: "x.toml".into(), table, text: text.to_owned() };
            let expected = expected.map(|line| format!("x.toml:{line}"));
            assert_eq!(file.find(keys, item), expected, "{keys:?} {item:?}");
        }
    }
}
