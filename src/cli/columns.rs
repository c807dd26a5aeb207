//! A table for a person: columns as wide as what is widest in them.

/// Lines, the titles first; nothing stands behind the last column.
pub(super) fn columns<const N: usize>(titles: [String; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(titles).chain(rows).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    });
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_begins_at_one_place() {
        let row = |texts: [&str; 3]| texts.map(str::to_owned);
        let rows =
            vec![row(["k_1", "a-very-long-account-of-thirty-letters", "here"]), row(["k_22", "b", "there"])];
        let text = columns(row(["KEY", "ACCOUNT", "WHERE"]), rows);
        let begins: Vec<usize> = text
            .lines()
            .zip(["WHERE", "here", "there"])
            .map(|(line, word)| line.find(word).unwrap())
            .collect();
        assert_eq!(begins, [begins[0]; 3], "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }
}
