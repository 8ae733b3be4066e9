//! Rows of cells as lines: under each other where the terminal has room, else each as a block. Pure.

use crate::ui::wrap;

/// Names that take no more than this have what is said of them in one column.
const WIDEST: usize = 40;

/// Lines, indented; `rows` begins with the titles, and `width` is the terminal's, if it is one.
pub fn rows<const N: usize>(rows: &[[String; N]], width: Option<usize>) -> Vec<String> {
    let lines = columns(rows);
    match width {
        Some(width) if lines.iter().any(|line| line.chars().count() > width) => blocks(rows, width),
        _ => lines,
    }
}

/// Names and what is said of them: beside them where there is room for it, else below.
pub fn listed(items: &[(String, String)], width: Option<usize>) -> Vec<String> {
    let widest = items.iter().map(|(names, _)| names.chars().count()).filter(|count| *count <= WIDEST).max();
    let widest = widest.unwrap_or(0);
    let line = |(names, said): &(String, String)| {
        let start = names.chars().count().max(widest) + 4;
        match width {
            Some(columns) if start + said.chars().count().min(wrap::LEAST) > columns => {
                format!("{}\n{}", wrap::beside("  ", names, width), wrap::beside("    ", said, width))
            }
            _ => wrap::beside(&format!("  {names:widest$}  "), said, width),
        }
    };
    items.iter().map(line).collect()
}

/// Each column as wide as its widest cell.
fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(widest).collect();
    let line = |row: &[String; N]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        format!("  {}", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// The first cell of each row, and below it the others with their titles.
fn blocks<const N: usize>(rows: &[[String; N]], width: usize) -> Vec<String> {
    let Some((titles, rows)) = rows.split_first() else { return Vec::new() };
    let widest = titles.iter().skip(1).map(|title| title.chars().count()).max().unwrap_or(0);
    let block = |row: &[String; N]| {
        let first = row.first().map(|cell| format!("  {cell}"));
        let cell = |title, cell| wrap::beside(&format!("    {title:widest$}  "), cell, Some(width));
        let others = titles.iter().zip(row).skip(1).map(|(title, of)| cell(title, of));
        first.into_iter().chain(others).collect::<Vec<_>>()
    };
    rows.iter().flat_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_where_they_can() {
        let cells =
            [["PLATFORM", "LIBC", "BASE"], ["linux/amd64", "static", "-"], ["linux/386", "glibc 2.31", "Debian"]];
        let cells = cells.map(|row| row.map(str::to_owned));
        let wide =
            ["  PLATFORM     LIBC        BASE", "  linux/amd64  static      -", "  linux/386    glibc 2.31  Debian"];
        assert_eq!(rows(&cells, None), wide);
        assert_eq!(rows(&cells, Some(33)), wide);
        let narrow = [
            "  linux/amd64",
            "    LIBC  static",
            "    BASE  -",
            "  linux/386",
            "    LIBC  glibc 2.31",
            "    BASE  Debian",
        ];
        assert_eq!(rows(&cells, Some(32)), narrow);
        let long = [["A", "B"], ["a", "some words, and more"]].map(|row| row.map(str::to_owned));
        assert_eq!(rows(&long, Some(15)), ["  a", "    B  some\n    words, and\n    more"]);
        assert!(rows::<2>(&[], Some(1)).is_empty());
    }

    #[test]
    fn what_is_said_of_names_is_beside_or_below_them() {
        let items = [("linux/amd64", "host: it is the host's own target"), ("linux/386, linux/arm64", "zig: it links")];
        let items = items.map(|(names, said)| (names.to_owned(), said.to_owned()));
        let beside =
            ["  linux/amd64             host: it is the host's own target", "  linux/386, linux/arm64  zig: it links"];
        assert_eq!(listed(&items, None), beside);
        assert_eq!(listed(&items, Some(59)), beside);
        let hanging = [
            "  linux/amd64             host: it is the host's own\n                          target",
            "  linux/386, linux/arm64  zig: it links",
        ];
        assert_eq!(listed(&items, Some(58)), hanging);
        let below = [
            "  linux/amd64\n    host: it is the host's own\n    target",
            "  linux/386, linux/arm64\n    zig: it links",
        ];
        assert_eq!(listed(&items, Some(32)), below);
    }
}
