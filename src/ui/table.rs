//! Renders tables and lists for the terminal. Tables that are too wide are rendered as one block per row.

use super::text::{display_width, pad};
use super::wrap;

/// Maximum width of the name column. Wider names push their description to the right.
const MAX_NAME_WIDTH: usize = 40;

/// One or more names that share a description.
pub(crate) struct ListItem {
    pub names: String,
    pub description: String,
}

/// Renders a table as indented lines. The first row contains the titles. `width` is the terminal's width, if it is
/// known.
pub(crate) fn render_rows<const N: usize>(rows: &[[String; N]], width: Option<usize>) -> Vec<String> {
    let lines = aligned_columns(rows);
    match width {
        Some(width) if lines.iter().any(|line| display_width(line) > width) => row_blocks(rows, width),
        _ => lines,
    }
}

/// Renders a list with each description next to its names, or below them if the terminal is too narrow.
pub(crate) fn render_list(items: &[ListItem], width: Option<usize>) -> Vec<String> {
    let name_widths = items.iter().map(|item| display_width(&item.names));
    let column = name_widths.filter(|width| *width <= MAX_NAME_WIDTH).max().unwrap_or(0);
    let line = |ListItem { names, description }: &ListItem| {
        let start = display_width(names).max(column) + 4;
        match width {
            Some(width) if start + display_width(description).min(wrap::MIN_COLUMN_WIDTH) > width => {
                let width = Some(width);
                format!("{}\n{}", wrap::wrap_after("  ", names, width), wrap::wrap_after("    ", description, width))
            }
            _ => wrap::wrap_after(&format!("  {}  ", pad(names, column)), description, width),
        }
    };
    items.iter().map(line).collect()
}

/// Renders each row as one line, with columns as wide as their widest cell.
fn aligned_columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widest = |column: usize| rows.iter().map(|row| display_width(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(widest).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        format!("  {}", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Renders each row as a block: the first cell, then one indented line per remaining cell, labeled with its column's
/// title.
fn row_blocks<const N: usize>(rows: &[[String; N]], width: usize) -> Vec<String> {
    let Some((titles, rows)) = rows.split_first() else { return Vec::new() };
    let title_width = titles.iter().skip(1).map(|title| display_width(title)).max().unwrap_or(0);
    let mut lines = Vec::new();
    for row in rows {
        lines.extend(row.first().map(|cell| format!("  {cell}")));
        for (title, cell) in titles.iter().zip(row).skip(1) {
            lines.push(wrap::wrap_after(&format!("    {}  ", pad(title, title_width)), cell, Some(width)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_tables_become_blocks() {
        let cells =
            [["PLATFORM", "LIBC", "BASE"], ["linux/amd64", "static", "-"], ["linux/386", "glibc 2.31", "Debian"]];
        let cells = cells.map(|row| row.map(str::to_owned));
        let wide =
            ["  PLATFORM     LIBC        BASE", "  linux/amd64  static      -", "  linux/386    glibc 2.31  Debian"];
        assert_eq!(render_rows(&cells, None), wide);
        assert_eq!(render_rows(&cells, Some(33)), wide);
        let narrow = [
            "  linux/amd64",
            "    LIBC  static",
            "    BASE  -",
            "  linux/386",
            "    LIBC  glibc 2.31",
            "    BASE  Debian",
        ];
        assert_eq!(render_rows(&cells, Some(32)), narrow);
        let long = [["A", "B"], ["a", "some words, and more"]].map(|row| row.map(str::to_owned));
        assert_eq!(render_rows(&long, Some(15)), ["  a", "    B  some\n    words, and\n    more"]);
        assert!(render_rows::<2>(&[], Some(1)).is_empty());
    }

    #[test]
    fn descriptions_move_below_names_in_narrow_terminals() {
        let items = [("linux/amd64", "host: it is the host's own target"), ("linux/386, linux/arm64", "zig: it links")];
        let items = items.map(|(names, text)| ListItem { names: names.to_owned(), description: text.to_owned() });
        let beside =
            ["  linux/amd64             host: it is the host's own target", "  linux/386, linux/arm64  zig: it links"];
        assert_eq!(render_list(&items, None), beside);
        assert_eq!(render_list(&items, Some(59)), beside);
        let hanging = [
            "  linux/amd64             host: it is the host's own\n                          target",
            "  linux/386, linux/arm64  zig: it links",
        ];
        assert_eq!(render_list(&items, Some(58)), hanging);
        let below = [
            "  linux/amd64\n    host: it is the host's own\n    target",
            "  linux/386, linux/arm64\n    zig: it links",
        ];
        assert_eq!(render_list(&items, Some(32)), below);
    }
}
