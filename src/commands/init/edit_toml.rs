//! Replaces a table in a TOML file, or sets keys in it, without changing the rest of the file.

use std::ops::Range;

use anyhow::Result;
use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::config::ConfigTable;
use crate::error::{Class, Failure};

/// The key of this program's table in its parent table.
const NAME: &str = "multiarch";

/// Returns the names of the tables that contain this program's table, outermost first.
fn parents(table: ConfigTable) -> &'static [&'static str] {
    match table {
        ConfigTable::Root => &[],
        ConfigTable::Workspace => &["workspace", "metadata"],
        ConfigTable::Package => &["package", "metadata"],
    }
}

/// Removes the existing table and appends the new one. For multiarch.toml, replaces the entire text.
pub(crate) fn replace_table(text: &str, table: ConfigTable, new: &str) -> Result<String> {
    if table == ConfigTable::Root {
        return Ok(new.to_owned());
    }
    let mut text = remove_table(text, table)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(newline);
    }
    text.push_str(newline);
    text.push_str(&new.replace('\n', newline));
    Ok(text)
}

/// Removes a table, its subtables, and the blank line before each of them from the text.
fn remove_table(text: &str, table: ConfigTable) -> Result<String> {
    let document = toml_edit::Document::parse(text)?;
    let mut parent: &dyn TableLike = document.as_table();
    for (depth, name) in parents(table).iter().enumerate() {
        let Some(item) = parent.get(name) else { return Ok(text.to_owned()) };
        if item.is_inline_table() {
            return Err(inline_table_error(&parents(table)[..=depth].join(".")).into());
        }
        let Some(next) = item.as_table_like() else { return Ok(text.to_owned()) };
        parent = next;
    }
    let mut sections = Vec::new();
    if let Some(item) = parent.get(NAME) {
        collect_sections(item, &mut sections);
    }
    if sections.is_empty() {
        // Without a `[header]`, the table is either written as a key of its parent or does not exist.
        return edit(text, |document| {
            let mut parent: &mut dyn TableLike = document.as_table_mut();
            for name in parents(table) {
                let Some(next) = parent.get_mut(name).and_then(Item::as_table_like_mut) else { return Ok(()) };
                parent = next;
            }
            parent.remove(NAME);
            Ok(())
        });
    }
    sections.sort_by_key(|section| section.start);
    Ok(without_sections(text, &sections))
}

/// Collects the byte ranges of a table and its subtables. Each range extends from the header to the last value.
fn collect_sections(item: &Item, sections: &mut Vec<Range<usize>>) {
    let mut collect = |table: &toml_edit::Table| {
        if !table.is_implicit() && !table.is_dotted() {
            let mut section = table.span().unwrap_or_default();
            let values = table.iter().filter_map(|(_, item)| item.as_value()?.span());
            section.end = values.map(|value| value.end).fold(section.end, usize::max);
            sections.push(section);
        }
        table.iter().for_each(|(_, item)| collect_sections(item, sections));
    };
    match item {
        Item::Table(table) => collect(table),
        Item::ArrayOfTables(tables) => tables.iter().for_each(collect),
        Item::Value(_) | Item::None => {}
    }
}

/// Returns the text without `sections`, the comments between them, and the blank line before each section.
fn without_sections(text: &str, sections: &[Range<usize>]) -> String {
    let mut kept = String::new();
    let mut position = 0;
    for section in sections {
        let before = &text[position..section.start];
        let is_comment = before.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        let is_between_sections = position > 0 && is_comment;
        if !is_between_sections {
            let without_line = before.strip_suffix("\r\n").or_else(|| before.strip_suffix('\n'));
            kept.push_str(without_line.filter(|rest| rest.is_empty() || rest.ends_with('\n')).unwrap_or(before));
        }
        // Skip the rest of the line, which may contain a comment.
        position = text[section.end..].find('\n').map_or(text.len(), |newline| section.end + newline + 1);
    }
    kept.push_str(&text[position..]);
    kept
}

/// Sets keys in a table, and adds the table if it does not exist. Fails if a key already has a different value, unless
/// `force` is set.
pub(crate) fn set_keys(text: &str, table: ConfigTable, keys: &[(&str, String)], force: bool) -> Result<String> {
    edit(text, |document| {
        let table = find_or_add_table(document, table)?;
        for (key, new) in keys {
            let Some(old) = table.get_mut(key) else {
                table.insert(key, value(new.as_str()));
                continue;
            };
            let old_text = old.as_str().unwrap_or_default();
            if old_text == new {
                continue;
            }
            if !force {
                let message = format!("cannot set {key} to '{new}': it is already set to '{old_text}'");
                return Err(Failure::new(Class::Config, message)
                    .hint(format!("remove {key}, or pass `--force` to replace its value")));
            }
            if let Some(old) = old.as_value_mut() {
                let decor = old.decor().clone();
                *old = new.as_str().into();
                *old.decor_mut() = decor;
            }
        }
        Ok(())
    })
}

fn find_or_add_table(document: &mut DocumentMut, table: ConfigTable) -> Result<&mut dyn TableLike, Failure> {
    let mut path = parents(table).to_vec();
    if table != ConfigTable::Root {
        path.push(NAME);
    }
    let mut current: &mut dyn TableLike = document.as_table_mut();
    for name in &path {
        let item = current.entry(name).or_insert_with(|| {
            let mut table = toml_edit::Table::new();
            table.set_implicit(*name != NAME);
            Item::Table(table)
        });
        current = item.as_table_like_mut().ok_or_else(|| inline_table_error(&path.join(".")))?;
    }
    Ok(current)
}

fn inline_table_error(name: &str) -> Failure {
    Failure::new(Class::Config, format!("'{name}' is an inline table, so subtables cannot be added to it"))
        .hint(format!("write it as [{name}], or use a separate file: `cargo multiarch init --file`"))
}

/// Applies a change to the parsed text. Keeps CRLF line endings, which toml_edit would replace with LF.
fn edit(text: &str, change: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let before = document.to_string();
    change(&mut document)?;
    let after = document.to_string();
    if before == after {
        Ok(text.to_owned())
    } else if text.contains("\r\n") {
        Ok(after.replace("\r\n", "\n").replace('\n', "\r\n"))
    } else {
        Ok(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "[package.metadata.multiarch]\ntags = [\"a\"]\n";

    #[test]
    fn replace_table_keeps_the_rest_of_the_text() {
        for manifest in [
            "[package]\nname = \"a\"  # why\n\n[dependencies]\n",
            "# head\n[package]\nname='a'\n[package.metadata.deb]\nx   = 1\n\n# tail\n",
            "[package]\nname = \"a\"\nmetadata.deb = { x = 1 }\n",
            "[package]\nname = \"a\"",
            "[package]\r\nname = \"a\"\r\n",
        ] {
            let written = replace_table(manifest, ConfigTable::Package, OURS).unwrap();
            assert!(written.starts_with(manifest), "{written}");
            let table =
                |text: &str| crate::config::read::parse(text, "Cargo.toml".into(), ConfigTable::Package).unwrap();
            assert_eq!(table(&written).unwrap().tags, Some(vec!["a".to_owned()]), "{written}");
            assert_eq!(
                replace_table(&written, ConfigTable::Package, OURS).unwrap(),
                written,
                "replacing the table again should not change anything"
            );
        }
    }

    #[test]
    fn replace_table_moves_the_table_to_the_end() {
        let head = "[package]\nname = \"a\"\n";
        let tail = "\n# other\n[dependencies]\nb   = \"1\" # one\n";
        for old in [
            "\n[package.metadata.multiarch] # old\nbase = \"x\" # y\n\n# note\n[package.metadata.multiarch.images.a]\n",
            "\n[package.metadata.multiarch.images.a]\nenv.A = \"1\"\nfiles = [\n  { from = \"a\", to = \"/b\" },\n]\n",
            "metadata.multiarch = { base = \"x\" }\n",
            "metadata.multiarch.base = \"x\"\n",
            "",
        ] {
            for newline in ["\n", "\r\n"] {
                let lines = |text: &str| text.replace('\n', newline);
                let after = replace_table(&lines(&format!("{head}{old}{tail}")), ConfigTable::Package, OURS).unwrap();
                assert_eq!(after, lines(&format!("{head}{tail}\n{OURS}")), "{old}");
            }
        }
        let apart = "[package.metadata.multiarch]\nbase = 'x'\n[a]\nb = 1\n[package.metadata.multiarch.env]\nA = 'x'\n# c\n[d]\n";
        assert_eq!(
            replace_table(apart, ConfigTable::Package, OURS).unwrap(),
            format!("[a]\nb = 1\n# c\n[d]\n\n{OURS}")
        );
    }

    #[test]
    fn set_keys_keeps_the_rest_of_the_text() {
        let keys = [("template", "docker/x.j2".to_owned())];
        for (table, before, after) in [
            (
                ConfigTable::Root,
                "# mine\ntags = [ \"a\" ]\n[images.b]\n",
                "# mine\ntags = [ \"a\" ]\ntemplate = \"docker/x.j2\"\n[images.b]\n",
            ),
            (
                ConfigTable::Workspace,
                "[workspace]\n",
                "[workspace]\n\n[workspace.metadata.multiarch]\ntemplate = \"docker/x.j2\"\n",
            ),
            (
                ConfigTable::Package,
                "[package.metadata]\nmultiarch = {tags = []}\r\n",
                "[package.metadata]\r\nmultiarch = {tags = [], template = \"docker/x.j2\" }\r\n",
            ),
            (ConfigTable::Root, "template = \"docker/x.j2\" # so\n", "template = \"docker/x.j2\" # so\n"),
        ] {
            assert_eq!(set_keys(before, table, &keys, false).unwrap(), after);
        }
        let other = "template = \"debian\" # why\n";
        let error = set_keys(other, ConfigTable::Root, &keys, false).unwrap_err();
        assert_eq!(error.to_string(), "cannot set template to 'docker/x.j2': it is already set to 'debian'");
        assert_eq!(set_keys(other, ConfigTable::Root, &keys, true).unwrap(), "template = \"docker/x.j2\" # why\n");
    }

    #[test]
    fn rejects_inline_parent_tables() {
        let error = replace_table("[package]\nmetadata = { a = 1 }\n", ConfigTable::Package, OURS).unwrap_err();
        assert!(error.to_string().starts_with("'package.metadata' is an inline table"), "{error}");
    }
}
