//! The reference of the policy language, printed from the tables that its reader goes by.

use std::fmt::Write as _;

use super::file::TABLES;
use super::reader::{LeftOut, TableDoc};

const INTRODUCTION: &str = "\
# The policy language, format 1

Every table and every field. Printed from what the reader itself goes by: what is not here is refused. The files beside this
one are a policy to start from, with the reasons; `signgate check` says what is wrong with yours.

A *name* is 1 to 64 letters, digits, `-`, `_`, `.`, `@`. A *length of time* is a number with `s`, `m`, `h` or `d`, such as `\"30m\"` or
`\"1h30m\"`, or a word such as `\"minute\"`, at most 366 days. A *rate* is a count, a slash and a length: `\"2/s\"`, `\"20/5m\"`.
";

/// All of it, as Markdown.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for table in TABLES {
        section(&mut text, table);
    }
    text
}

fn section(text: &mut String, table: &TableDoc) {
    let header =
        if table.header.starts_with('[') { format!("`{}`", table.header) } else { table.header.to_owned() };
    let _ = writeln!(text, "\n## {header}\n\n{}\n", table.meaning);
    text.push_str("| field | value | left out | meaning | since |\n|---|---|---|---|---|\n");
    for field in table.fields {
        let left_out = match field.left_out {
            LeftOut::Refused => "must be there",
            LeftOut::Nothing => "",
            LeftOut::Is(value) => value,
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {left_out} | {} | {} |",
            field.name, field.kind, field.meaning, field.since
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// `SIGNGATE_WRITE_REFERENCE=1 cargo test reference` writes it.
    #[test]
    fn the_committed_reference_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/REFERENCE.md");
        if std::env::var_os("SIGNGATE_WRITE_REFERENCE").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == reference(),
            "policies/REFERENCE.md is not what the code says: run `SIGNGATE_WRITE_REFERENCE=1 cargo test reference`"
        );
    }

    /// The reader refuses what is not in a table's fields; that every table is printed is left to say.
    #[test]
    fn every_table_and_field_is_there_once() {
        let text = reference();
        let mut headers = BTreeSet::new();
        for table in TABLES {
            assert!(headers.insert(table.header), "{}", table.header);
            assert!(text.contains(table.header), "{}", table.header);
            let mut names = BTreeSet::new();
            for field in table.fields {
                assert!(names.insert(field.name), "{} of {}", field.name, table.header);
                assert!(!field.meaning.is_empty() && field.meaning.ends_with('.'), "{}", field.meaning);
                assert!(!field.kind.contains('|') && !field.meaning.contains('|'), "breaks the table");
            }
        }
        // Each field of the file itself is a table of its own, but for one.
        let top = TABLES[0].fields.iter().map(|field| field.name).filter(|name| *name != "format");
        for name in top {
            assert!(
                headers.iter().any(|header| header.trim_matches(['[', ']']).split('.').next() == Some(name)),
                "{name}"
            );
        }
    }
}
