//! A query read as it stands: pairs borrowed from it, decoded only where somebody looks.
//!
//! The form is `application/x-www-form-urlencoded` (URL Standard section 5.1) without its leniency: a bad escape, a control
//! character or text that is not UTF-8 is a fault, because two readers would read it in two ways.

use std::borrow::Cow;

use super::fault::Fault;

/// One pair, as it stands in the query.
#[derive(Clone, Copy)]
pub(super) struct Pair<'r> {
    /// Before the first `=`.
    pub name: Coded<'r>,
    /// After it; empty where there is none.
    pub value: Coded<'r>,
}

/// A text that may hold escapes. Never malformed: the iterator has looked.
#[derive(Clone, Copy)]
pub(super) struct Coded<'r> {
    raw: &'r str,
    coded: bool,
}

impl<'r> Coded<'r> {
    /// The text that is meant; borrowed where nothing was escaped.
    pub fn decoded(self) -> Cow<'r, str> {
        if !self.coded {
            return Cow::Borrowed(self.raw);
        }
        // Never lossy: the iterator let only UTF-8 through.
        Cow::Owned(String::from_utf8_lossy(&decode(self.raw)).into_owned())
    }

    /// Writes the text in the one canonical form: unreserved characters (RFC 3986 section 2.3) and `/:,@` as they are, all
    /// others escaped in upper case, a space as `%20`. What two readers might take for a separator goes out escaped.
    pub fn write_to(self, out: &mut String) {
        let mut bytes = self.raw.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let high = bytes.next().and_then(hex).unwrap_or(0);
                    push(out, high << 4 | bytes.next().and_then(hex).unwrap_or(0));
                }
                b'+' => push(out, b' '),
                other => push(out, other),
            }
        }
    }

    /// Whether nothing stands there.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }
}

/// Writes a text that holds no escapes as [`Coded::write_to`] does.
pub(super) fn write_escaped(text: &str, out: &mut String) {
    text.bytes().for_each(|byte| push(out, byte));
}

fn push(out: &mut String, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b',' | b'@') {
        out.push(char::from(byte));
    } else {
        out.push('%');
        out.push(char::from(HEX[usize::from(byte >> 4)]));
        out.push(char::from(HEX[usize::from(byte & 15)]));
    }
}

fn decode(raw: &str) -> Vec<u8> {
    let mut plain = Vec::with_capacity(raw.len());
    let mut bytes = raw.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => bytes.next().and_then(hex).unwrap_or(0) << 4 | bytes.next().and_then(hex).unwrap_or(0),
            b'+' => b' ',
            other => other,
        });
    }
    plain
}

/// The value of a hexadecimal digit.
pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The pairs of a query, in order; empty ones (`&&`) are skipped.
#[derive(Clone)]
pub(super) struct Pairs<'r> {
    rest: &'r str,
    left: u32,
}

impl<'r> Pairs<'r> {
    /// Of a query without its `?`: at most `pairs_max`, then [`Fault::TooManyParameters`].
    pub const fn of(query: &'r str, pairs_max: u32) -> Self {
        Self { rest: query, left: pairs_max }
    }

    /// Reads up to the next `&` or the end: one look at each byte.
    fn read(&mut self) -> Result<Pair<'r>, Fault> {
        let (text, bytes) = (self.rest, self.rest.as_bytes());
        let mut at = 0;
        let mut equals = None;
        let mut coded = [false; 2];
        let mut beyond_ascii = false;
        while at < bytes.len() {
            match CLASS[usize::from(bytes[at])] {
                Class::Plain => at += 1,
                Class::And => break,
                Class::Equals => {
                    equals = equals.or(Some(at));
                    at += 1;
                }
                Class::Plus => {
                    coded[usize::from(equals.is_some())] = true;
                    at += 1;
                }
                Class::Percent => {
                    let byte = escaped(bytes, at).ok_or(Fault::BadEscape)?;
                    if byte.is_ascii_control() {
                        return Err(Fault::BadText);
                    }
                    beyond_ascii |= !byte.is_ascii();
                    coded[usize::from(equals.is_some())] = true;
                    at += 3;
                }
                Class::Bad => return Err(Fault::BadText),
            }
        }
        let name_end = equals.unwrap_or(at);
        let name = Coded { raw: &text[..name_end], coded: coded[0] };
        let value = Coded { raw: &text[at.min(name_end + 1)..at], coded: coded[1] };
        if beyond_ascii {
            for part in [name, value] {
                std::str::from_utf8(&decode(part.raw)).map_err(|_| Fault::BadText)?;
            }
        }
        self.rest = &text[bytes.len().min(at + 1)..];
        Ok(Pair { name, value })
    }
}

impl<'r> Iterator for Pairs<'r> {
    type Item = Result<Pair<'r>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_start_matches('&');
        if self.rest.is_empty() {
            return None;
        }
        let read = match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                self.read()
            }
            None => Err(Fault::TooManyParameters),
        };
        if read.is_err() {
            self.rest = "";
        }
        Some(read)
    }
}

/// The byte that the escape at `at` stands for.
pub(super) fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    Some(hex(*bytes.get(at + 1)?)? << 4 | hex(*bytes.get(at + 2)?)?)
}

#[derive(Clone, Copy)]
enum Class {
    Plain,
    And,
    Equals,
    Plus,
    Percent,
    Bad,
}

/// What each byte is in a query. Bytes beyond ASCII are plain: the query is a `str`, so they are UTF-8.
const CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    while byte <= 0x20 {
        table[byte] = Class::Bad;
        byte += 1;
    }
    table[0x7f] = Class::Bad;
    table[b'#' as usize] = Class::Bad;
    table[b'&' as usize] = Class::And;
    table[b'=' as usize] = Class::Equals;
    table[b'+' as usize] = Class::Plus;
    table[b'%' as usize] = Class::Percent;
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Vec<(String, String)>, Fault> {
        Pairs::of(query, 4)
            .map(|pair| {
                pair.map(|pair| (pair.name.decoded().into_owned(), pair.value.decoded().into_owned()))
            })
            .collect()
    }

    #[test]
    fn pairs_as_a_form_means_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a=1&&%61piKey=x+y%20z&b"),
            Ok(vec![pair("a", "1"), pair("apiKey", "x y z"), pair("b", "")])
        );
        assert_eq!(read("a=b=c&=d&%3D=%26"), Ok(vec![pair("a", "b=c"), pair("", "d"), pair("=", "&")]));
        assert_eq!(read("ä=%C3%A4"), Ok(vec![pair("ä", "ä")]));
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(read("&&&"), Ok(vec![]));
    }

    #[test]
    fn what_two_readers_would_read_in_two_ways_is_a_fault() {
        for bad in ["a=%", "a=%1", "a=%g0", "%zz=1", "a=%%20"] {
            assert_eq!(read(bad), Err(Fault::BadEscape), "{bad}");
        }
        for bad in ["a=%00", "a=%0d%0a", "a=%7F", "a= ", "a=#", "a=%FF", "a=%C3&%A4=1", "%E4=1", "a=\u{1}"] {
            assert_eq!(read(bad), Err(Fault::BadText), "{bad}");
        }
        assert_eq!(read("a&b&c&d&e"), Err(Fault::TooManyParameters));
        assert!(read("a&b&&&c&d&").is_ok(), "empty pairs do not count");
    }

    #[test]
    fn the_canonical_form_means_the_same_and_is_its_own_canonical_form() {
        for raw in ["x+y%20z", "%61%2f/;b", "a=b", "ä\"<>", "%e4%b8%ad", "~-._,:@"] {
            let coded = Coded { raw, coded: true };
            let mut once = String::new();
            coded.write_to(&mut once);
            let again = Coded { raw: &once, coded: true };
            assert_eq!(again.decoded(), coded.decoded(), "{raw}");
            let mut twice = String::new();
            again.write_to(&mut twice);
            assert_eq!(once, twice);
            assert!(!once.contains([';', '&', '=', '+', ' ', '"']), "{once}");
        }
    }
}
