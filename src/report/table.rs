//! Rows of cells as lines: under each other where the terminal has room, else each as a block. Pure.

/// Lines, indented; `rows` begins with the titles, and `width` is the terminal's, if it is one.
pub fn rows<const N: usize>(rows: &[[String; N]], width: Option<usize>) -> Vec<String> {
    let lines = columns(rows);
    match width {
        Some(width) if lines.iter().any(|line| line.chars().count() > width) => blocks(rows),
        _ => lines,
    }
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
fn blocks<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let Some((titles, rows)) = rows.split_first() else { return Vec::new() };
    let widest = titles.iter().skip(1).map(|title| title.chars().count()).max().unwrap_or(0);
    let block = |row: &[String; N]| {
        let first = row.first().map(|cell| format!("  {cell}"));
        let others = titles.iter().zip(row).skip(1).map(|(title, cell)| format!("    {title:widest$}  {cell}"));
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
        assert!(rows::<2>(&[], Some(1)).is_empty());
    }
}
