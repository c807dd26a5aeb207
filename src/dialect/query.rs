//! A query read as it stands: pairs borrowed from it, decoded only where somebody looks.
//!
//! The form is `application/x-www-form-urlencoded` (URL Standard section 5.1) without its leniency: a bad escape, a
//! control character or text that is not UTF-8 is a fault, because two readers would read it in two ways.

use std::borrow::Cow;

use super::fault::Fault;
use crate::base::lanes::{Lanes, bits_of_64};

/// One pair, as it stands in the query.
#[derive(Clone, Copy)]
pub(super) struct Pair<'r> {
    /// Before the first `=`.
    pub name: Coded<'r>,
    /// After it; empty where there is none.
    pub value: Coded<'r>,
    /// Where it begins in the query.
    pub start: usize,
    /// Whether it may be sent on as it stands: it holds nothing that two readers might take for different things.
    pub canonical: bool,
    has_equals: bool,
}

impl Pair<'_> {
    /// Whether it has a `=`.
    pub const fn has_equals(&self) -> bool {
        self.has_equals
    }
}

/// A text that may hold escapes. Never malformed: the iterator has looked.
#[derive(Clone, Copy)]
pub(super) struct Coded<'r> {
    raw: &'r str,
    coded: bool,
}

impl<'r> Coded<'r> {
    /// Of a part of a query whose pairs were well-formed.
    pub const fn of(raw: &'r str) -> Self {
        Self { raw, coded: true }
    }

    /// The text as it stands.
    pub const fn raw(self) -> &'r str {
        self.raw
    }

    /// The text that is meant; borrowed where nothing was escaped.
    pub fn decoded(self) -> Cow<'r, str> {
        if self.coded && self.raw.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
            // Never the fallback: the iterator let only UTF-8 through.
            Cow::Owned(String::from_utf8(decode(self.raw)).unwrap_or_default())
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Writes the text so that it reads one way only: what may stand in a query for itself (see [`CLASS`]) does, all
    /// else is escaped in upper case, a space as `%20`.
    pub fn write_to(self, out: &mut String) {
        write_escaped(&self.decoded(), out);
    }

    /// Whether nothing stands there.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }
}

/// Writes a text that holds no escapes as [`Coded::write_to`] does.
pub(super) fn write_escaped(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let bytes = text.as_bytes();
    let mut from = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if CLASS[usize::from(*byte)] != PLAIN {
            // Up to here all was ASCII or has been written: no character is cut.
            out.push_str(text.get(from..at).unwrap_or_default());
            from = at + 1;
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out.push_str(text.get(from..).unwrap_or_default());
}

fn decode(raw: &str) -> Vec<u8> {
    let bytes = raw.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], escaped(bytes, at)) {
            (b'%', Some(byte)) => {
                plain.push(byte);
                at += 3;
            }
            (b'+', _) => {
                plain.push(b' ');
                at += 1;
            }
            (other, _) => {
                plain.push(other);
                at += 1;
            }
        }
    }
    plain
}

/// The byte that the escape at `at` stands for, its first byte unseen.
pub(super) fn escaped(bytes: &[u8], at: usize) -> Option<u8> {
    let digits = bytes.get(at + 1..at + 3)?;
    let (high, low) = (DIGIT[usize::from(digits[0])], DIGIT[usize::from(digits[1])]);
    (high | low < 16).then_some(high << 4 | low)
}

/// The pairs of a query, in order; empty ones (`&&`) are skipped.
#[derive(Clone)]
pub(super) struct Pairs<'r> {
    query: &'r str,
    at: usize,
    left: u32,
    others: Others,
}

/// Where the next bytes stand that are not of the most usual ones: 64 bytes are looked at together.
#[derive(Clone, Copy)]
struct Others {
    from: usize,
    bits: u64,
}

impl Others {
    /// Before any were looked at: every place is beyond this.
    const NONE: Self = Self { from: usize::MAX - 63, bits: 0 };

    /// The place of the first one from `at` on; the end, where there is none. `at` never goes back.
    #[inline]
    fn next(&mut self, bytes: &[u8], mut at: usize) -> usize {
        loop {
            let offset = at.wrapping_sub(self.from);
            if offset < 64 {
                let left = self.bits >> offset;
                if left != 0 {
                    return at + left.trailing_zeros() as usize;
                }
                at = self.from + 64;
            }
            if at >= bytes.len() {
                return bytes.len();
            }
            self.from = at;
            // All of them are plain: letters, `_`, and from `-` to `:` the full stop, the slash and digits.
            let usual =
                |lanes: Lanes| lanes.are_letters().or(lanes.are(b'_')).or(lanes.are_within(b'-', b':'));
            let window = &bytes[at..];
            self.bits = !bits_of_64(window, usual);
            if window.len() < 64 {
                self.bits &= (1 << window.len()) - 1;
            }
        }
    }
}

impl<'r> Pairs<'r> {
    /// Of a query without its `?`: at most `pairs_max`, then [`Fault::TooManyParameters`].
    pub const fn of(query: &'r str, pairs_max: u32) -> Self {
        Self { query, at: 0, left: pairs_max, others: Others::NONE }
    }

    /// Reads up to the next `&` or the end: one look at each byte.
    fn read(&mut self) -> Result<Pair<'r>, Fault> {
        let (query, bytes, start) = (self.query, self.query.as_bytes(), self.at);
        let mut at = start;
        let mut equals = None;
        let mut coded = false;
        let mut canonical = true;
        let mut beyond_ascii = false;
        loop {
            at = self.others.next(bytes, at);
            let Some(byte) = bytes.get(at) else { break };
            match class(*byte) {
                PLAIN => {}
                AND => break,
                EQUALS if equals.is_none() => equals = Some(at),
                EQUALS | ODD => canonical = false,
                PERCENT => {
                    let byte = escaped(bytes, at).ok_or(Fault::BadEscape)?;
                    if byte.is_ascii_control() {
                        return Err(Fault::BadText);
                    }
                    beyond_ascii |= !byte.is_ascii();
                    coded = true;
                    at += 2;
                }
                PLUS => {
                    coded = true;
                    canonical = false;
                }
                _ => return Err(Fault::BadText),
            }
            at += 1;
        }
        self.at = at;
        let name_end = equals.unwrap_or(at);
        let name = Coded { raw: &query[start..name_end], coded };
        let value = Coded { raw: &query[at.min(name_end + 1)..at], coded };
        if beyond_ascii {
            for part in [name, value] {
                std::str::from_utf8(&decode(part.raw)).map_err(|_| Fault::BadText)?;
            }
        }
        Ok(Pair {
            name,
            value,
            start,
            canonical: canonical && equals.is_some(),
            has_equals: equals.is_some(),
        })
    }
}

impl<'r> Iterator for Pairs<'r> {
    type Item = Result<Pair<'r>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.query.as_bytes().get(self.at) == Some(&b'&') {
            self.at += 1;
        }
        if self.at >= self.query.len() {
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
            self.at = self.query.len();
        }
        Some(read)
    }
}

/// Stands for itself, and is sent on as it is: unreserved characters (RFC 3986 section 2.3) and those of `/:,@!$'()*`,
/// which no reader of a query takes for anything else.
const PLAIN: u8 = 0;
/// Stands for itself, but some readers separate at it, or it does not belong there: escaped when it is sent on.
const ODD: u8 = 1;
const AND: u8 = 2;
const EQUALS: u8 = 3;
const PLUS: u8 = 4;
const PERCENT: u8 = 5;
/// Controls, the space and `#`: never in a query.
const BAD: u8 = 6;

/// What each byte is in a query. Bytes beyond ASCII are odd, not bad: the query is a `str`, so they are UTF-8.
const CLASS: [u8; 256] = {
    let mut table = [ODD; 256];
    let mut byte = 0;
    while byte < 128 {
        let this = byte as u8;
        if this <= b' ' || this == 0x7f || this == b'#' {
            table[byte] = BAD;
        } else if this.is_ascii_alphanumeric() {
            table[byte] = PLAIN;
        }
        byte += 1;
    }
    let plain = b"-._~/:,@!$'()*";
    let mut at = 0;
    while at < plain.len() {
        table[plain[at] as usize] = PLAIN;
        at += 1;
    }
    table[b'&' as usize] = AND;
    table[b'=' as usize] = EQUALS;
    table[b'+' as usize] = PLUS;
    table[b'%' as usize] = PERCENT;
    table
};

const fn class(byte: u8) -> u8 {
    CLASS[byte as usize]
}

/// The values of hexadecimal digits; 16 and more for all other bytes.
const DIGIT: [u8; 256] = {
    let mut table = [0x80; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit] as usize] = digit as u8;
        table[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
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
