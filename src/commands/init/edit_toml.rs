//! A table in the text of a TOML file: written, replaced, or given keys, with every other byte as it was. Pure.

use std::ops::Range;

use anyhow::Result;
use toml_edit::{DocumentMut, Item, TableLike, value};

use crate::config::ConfigTable;
use crate::error::{Class, Failure};

const NAME: &str = "multiarch";

/// The tables that lead to ours.
fn parents(table: ConfigTable) -> &'static [&'static str] {
    match table {
        ConfigTable::Root => &[],
        ConfigTable::Workspace => &["workspace", "metadata"],
        ConfigTable::Package => &["package", "metadata"],
    }
}

/// The text with a table at its end, instead of one that was there; a file of our own is the table alone.
pub fn with_table(text: &str, table: ConfigTable, new: &str) -> Result<String> {
    if table == ConfigTable::Root {
        return Ok(new.to_owned());
    }
    let mut text = without_table(text, table)?;
    let newline = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(newline);
    }
    text.push_str(newline);
    text.push_str(&new.replace('\n', newline));
    Ok(text)
}

/// The text without a table, those below it, and the empty line before it.
fn without_table(text: &str, table: ConfigTable) -> Result<String> {
    let document = toml_edit::Document::parse(text)?;
    let mut at: &dyn TableLike = document.as_table();
    for (depth, name) in parents(table).iter().enumerate() {
        let Some(item) = at.get(name) else { return Ok(text.to_owned()) };
        if item.is_inline_table() {
            return Err(inline(&parents(table)[..=depth].join(".")).into());
        }
        let Some(next) = item.as_table_like() else { return Ok(text.to_owned()) };
        at = next;
    }
    let mut spans = Vec::new();
    if let Some(item) = at.get(NAME) {
        collect_spans(item, &mut spans);
    }
    if spans.is_empty() {
        // It is no section, but a key of one.
        return edit(text, |document| {
            let mut at: &mut dyn TableLike = document.as_table_mut();
            for name in parents(table) {
                let Some(next) = at.get_mut(name).and_then(Item::as_table_like_mut) else { return Ok(()) };
                at = next;
            }
            at.remove(NAME);
            Ok(())
        });
    }
    spans.sort_by_key(|span| span.start);
    let mut kept = String::new();
    let mut from = 0;
    for span in spans {
        let before = &text[from..span.start];
        // Comments between two of the tables are theirs.
        let is_ours = from > 0 && before.lines().all(|line| line.trim().is_empty() || line.trim().starts_with('#'));
        if !is_ours {
            let without_line = before.strip_suffix("\r\n").or_else(|| before.strip_suffix('\n'));
            kept.push_str(without_line.filter(|rest| rest.is_empty() || rest.ends_with('\n')).unwrap_or(before));
        }
        // To the end of the line, with a comment that stands there.
        from = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at + 1);
    }
    kept.push_str(&text[from..]);
    Ok(kept)
}

/// Where the sections of a table stand, from each header to the last value.
fn collect_spans(item: &Item, spans: &mut Vec<Range<usize>>) {
    let mut of_table = |table: &toml_edit::Table| {
        if !table.is_implicit() && !table.is_dotted() {
            let mut span = table.span().unwrap_or_default();
            let values = table.iter().filter_map(|(_, item)| item.as_value()?.span());
            span.end = values.map(|value| value.end).fold(span.end, usize::max);
            spans.push(span);
        }
        table.iter().for_each(|(_, item)| collect_spans(item, spans));
    };
    match item {
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => tables.iter().for_each(of_table),
        Item::Value(_) | Item::None => {}
    }
}

/// The text with keys in a table, which is made where there is none. A key with another value is replaced by `force`
/// alone.
pub fn with_keys(text: &str, table: ConfigTable, keys: &[(&str, String)], force: bool) -> Result<String> {
    edit(text, |document| {
        let path: Vec<&str> =
            parents(table).iter().copied().chain((table != ConfigTable::Root).then_some(NAME)).collect();
        let mut at: &mut dyn TableLike = document.as_table_mut();
        for name in &path {
            let item = at.entry(name).or_insert_with(|| {
                let mut table = toml_edit::Table::new();
                table.set_implicit(*name != NAME);
                Item::Table(table)
            });
            at = item.as_table_like_mut().ok_or_else(|| inline(&path.join(".")))?;
        }
        for (key, new) in keys {
            match at.get(key).map(|old| old.as_str().unwrap_or_default().to_owned()) {
                Some(old) if old == *new => {}
                Some(old) if !force => {
                    return Err(Failure::new(Class::Config, format!("{key} is '{old}', and not '{new}'"))
                        .hint(format!("take {key} out, or have it replaced: `--force`")));
                }
                Some(_) => {
                    if let Some(old) = at.get_mut(key).and_then(Item::as_value_mut) {
                        let decor = old.decor().clone();
                        *old = new.as_str().into();
                        *old.decor_mut() = decor;
                    }
                }
                None => drop(at.insert(key, value(new.as_str()))),
            }
        }
        Ok(())
    })
}

fn inline(name: &str) -> Failure {
    Failure::new(Class::Config, format!("'{name}' is a table on one line, to which no other can be added"))
        .hint(format!("write it as [{name}], or have a file of its own: `cargo multiarch init --file`"))
}

/// The text as `change` leaves it. toml_edit knows no line ends but its own.
fn edit(text: &str, change: impl FnOnce(&mut DocumentMut) -> Result<(), Failure>) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    let before = document.to_string();
    change(&mut document)?;
    let after = document.to_string();
    Ok(match before == after {
        true => text.to_owned(),
        false if text.contains("\r\n") => after.replace("\r\n", "\n").replace('\n', "\r\n"),
        false => after,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "[package.metadata.multiarch]\ntags = [\"a\"]\n";

    #[test]
    fn every_other_byte_stays() {
        for manifest in [
            "[package]\nname = \"a\"  # why\n\n[dependencies]\n",
            "# head\n[package]\nname='a'\n[package.metadata.deb]\nx   = 1\n\n# tail\n",
            "[package]\nname = \"a\"\nmetadata.deb = { x = 1 }\n",
            "[package]\nname = \"a\"",
            "[package]\r\nname = \"a\"\r\n",
        ] {
            let written = with_table(manifest, ConfigTable::Package, OURS).unwrap();
            assert!(written.starts_with(manifest), "{written}");
            let table =
                |text: &str| crate::config::read::parse(text, "Cargo.toml".into(), ConfigTable::Package).unwrap();
            assert_eq!(table(&written).unwrap().tags, Some(vec!["a".to_owned()]), "{written}");
            assert_eq!(with_table(&written, ConfigTable::Package, OURS).unwrap(), written, "again");
        }
    }

    #[test]
    fn a_table_is_replaced_wherever_it_was() {
        let head = "[package]\nname = \"a\"\n";
        let tail = "\n# theirs\n[dependencies]\nb   = \"1\" # one\n";
        for old in [
            "\n[package.metadata.multiarch] # old\nbase = \"x\" # y\n\n# of it\n[package.metadata.multiarch.images.a]\n",
            "\n[package.metadata.multiarch.images.a]\nenv.A = \"1\"\nfiles = [\n  { from = \"a\", to = \"/b\" },\n]\n",
            "metadata.multiarch = { base = \"x\" }\n",
            "metadata.multiarch.base = \"x\"\n",
            "",
        ] {
            for newline in ["\n", "\r\n"] {
                let lines = |text: &str| text.replace('\n', newline);
                let after = with_table(&lines(&format!("{head}{old}{tail}")), ConfigTable::Package, OURS).unwrap();
                assert_eq!(after, lines(&format!("{head}{tail}\n{OURS}")), "{old}");
            }
        }
        let apart = "[package.metadata.multiarch]\nbase = 'x'\n[a]\nb = 1\n[package.metadata.multiarch.env]\nA = 'x'\n# c\n[d]\n";
        assert_eq!(with_table(apart, ConfigTable::Package, OURS).unwrap(), format!("[a]\nb = 1\n# c\n[d]\n\n{OURS}"));
    }

    #[test]
    fn keys_are_added_and_nothing_else_is_touched() {
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
            assert_eq!(with_keys(before, table, &keys, false).unwrap(), after);
        }
        let other = "template = \"debian\" # why\n";
        let error = with_keys(other, ConfigTable::Root, &keys, false).unwrap_err();
        assert_eq!(error.to_string(), "template is 'debian', and not 'docker/x.j2'");
        assert_eq!(with_keys(other, ConfigTable::Root, &keys, true).unwrap(), "template = \"docker/x.j2\" # why\n");
    }

    #[test]
    fn a_table_on_one_line_is_named() {
        let error = with_table("[package]\nmetadata = { a = 1 }\n", ConfigTable::Package, OURS).unwrap_err();
        assert!(error.to_string().starts_with("'package.metadata' is a table on one line"), "{error}");
    }
}
