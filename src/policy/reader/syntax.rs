//! Mistakes of syntax whose cause stands elsewhere than where a parser stumbles.

use std::ops::Range;

use crate::policy::diagnostic::boundary;

/// The bracket of the array that the text before `at` leaves open, where `at` is the end of the text or stands in a later
/// line that begins a field or a table: then the bracket is what is wrong, and not the line.
pub(super) fn unclosed(text: &str, at: usize) -> Option<usize> {
    // A parser's place may lie amid a character.
    let at = boundary(text, at);
    let bracket = open_bracket(text, at)?;
    // One that begins a line is a header's, and told as such.
    let before = text[..bracket].rfind('\n').map_or(0, |newline| newline + 1);
    if text[before..bracket].trim_matches(['[', ' ', '\t']).is_empty() {
        return None;
    }
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[line_start..].lines().next().unwrap_or_default().trim_start();
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let begins_field = line.split_once('=').is_some_and(|(name, _)| is_name(name.trim_end()));
    let header = line.trim_start_matches('[').split(']').next().unwrap_or_default();
    let begins_table = line.starts_with('[')
        && header.starts_with(|first: char| first.is_ascii_lowercase())
        && is_name(header);
    let at_end = text[at..].trim().is_empty();
    (at_end || bracket < line_start && (begins_field || begins_table)).then_some(bracket)
}

/// The innermost `[` that is open at a byte; what stands in texts and comments is none.
fn open_bracket(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut open: Vec<usize> = Vec::new();
    let mut place = 0;
    while place < at.min(bytes.len()) {
        match bytes[place] {
            b'#' => {
                place = bytes[place..]
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .map_or(bytes.len(), |end| place + end);
            }
            quote @ (b'"' | b'\'') => place = end_of_text(bytes, place, quote),
            b'[' => {
                open.push(place);
                place += 1;
            }
            b']' => {
                open.pop();
                place += 1;
            }
            _ => place += 1,
        }
    }
    open.last().copied()
}

/// The byte behind a text that begins at `start`; one in single quotes ends with its line at the latest.
fn end_of_text(bytes: &[u8], start: usize, quote: u8) -> usize {
    let long = bytes[start..].starts_with(&[quote; 3]);
    let mut place = start + if long { 3 } else { 1 };
    while place < bytes.len() {
        match bytes[place] {
            b'\\' if quote == b'"' => place += 1,
            b'\n' if !long => return place,
            byte if byte == quote && !long => return place + 1,
            byte if byte == quote && bytes[place..].starts_with(&[quote; 3]) => return place + 3,
            _ => {}
        }
        place += 1;
    }
    bytes.len()
}

/// Where a header in single brackets has a name that stands in double brackets too, one of both being at a byte: its place,
/// and the name.
pub(super) fn single_of_many(text: &str, at: usize) -> Option<(Range<usize>, &str)> {
    let at = boundary(text, at);
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let (name, _) = header(text[line_start..].lines().next()?)?;
    let mut start = 0;
    let (mut single, mut many) = (None, false);
    for line in text.split_inclusive('\n') {
        match header(line) {
            Some((other, true)) if other == name => many = true,
            Some((other, false)) if other == name && single.is_none() => {
                let begins = start + line.len() - line.trim_start().len();
                single = Some(begins..begins + name.len() + 2);
            }
            _ => {}
        }
        start += line.len();
    }
    single.filter(|_| many).map(|place| (place, name))
}

/// The name in a header, and whether it stands in double brackets.
fn header(line: &str) -> Option<(&str, bool)> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let inner = line.strip_prefix('[')?.strip_suffix(']')?;
    match inner.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(name) => Some((name, true)),
        None => Some((inner, false)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_is_not_closed_is_found_by_its_bracket() {
        let text = "a = [\"x]\", 'y[']\n# [\nb = [\"z\"\nc = 1\n[[quota]]\n";
        assert_eq!(unclosed(text, text.find("c = 1").unwrap()), text.find("[\"z\""));
        assert_eq!(unclosed(text, text.find("[[quota").unwrap()), text.find("[\"z\""));
        assert_eq!(unclosed(text, text.find("b = ").unwrap()), None, "closed before");
        assert_eq!(unclosed(text, text.find("\"z\"").unwrap()), None, "in its own line");
        let items = "a = [\n  \"x\"\n  \"y\"\n]\n";
        assert_eq!(unclosed(items, items.find("\"y\"").unwrap()), None, "a comma is what is missing");
        let end = "a = [\n  \"x\",\n";
        assert_eq!(unclosed(end, end.len()), end.find('['));
        assert_eq!(unclosed("[[quota\n", 8), None, "a header");
        let umlauts = "a = [\n  \"ü\n";
        for at in 0..=umlauts.len() + 1 {
            let _ = (unclosed(umlauts, at), single_of_many(umlauts, at));
        }
        let long = "a = \"\"\"\n[ \\\"\"\" [\n\"\"\"\nb = 1\n";
        assert_eq!(unclosed(long, long.find("b =").unwrap()), None);
    }

    #[test]
    fn one_table_among_many_is_found_on_either_side() {
        for text in ["[quota]\nx = 1\n[[quota]]\n", "[[quota]]\nx = 1\n[quota] # one\n"] {
            for (at, _) in text.match_indices("quota") {
                let (place, name) = single_of_many(text, at).unwrap();
                assert_eq!((&text[place], name), ("[quota]", "quota"));
            }
        }
        assert_eq!(single_of_many("[a]\n[a]\n", 5), None);
        assert_eq!(single_of_many("a = 1\na = 2\n", 7), None);
    }
}
