//! Columns for a reader.

/// Prints rows under their titles. What would command a terminal is escaped.
pub(super) fn print<const N: usize>(
    titles: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) {
    let lines: Vec<_> =
        [titles.map(str::to_owned)].into_iter().chain(rows).map(|line| line.map(plain)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..N).map(|column| width(column).unwrap_or(0)).collect();
    for line in &lines {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn plain(cell: String) -> String {
    if !cell.contains(char::is_control) {
        return cell;
    }
    let escaped = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.into() };
    cell.chars().map(escaped).collect()
}
