//! JSON written straight into a byte buffer (RFC 8259): no tree, no allocation beyond the buffer's own.

use std::fmt;
use std::io::Write;

use crate::base::text::cut;

/// A field's name as it is written, comma, quotes and colon included: one copy instead of four. The name must need no
/// escaping.
macro_rules! key {
    ($name:literal) => {
        $crate::telemetry::access_log::json::Key(concat!(",\"", $name, "\":"))
    };
}

pub(super) use key;

/// What [`key`] makes.
#[derive(Clone, Copy)]
pub(super) struct Key(pub(super) &'static str);

/// One object that is being written. [`end`](Self::end) closes it.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    first: bool,
}

impl<'o> Object<'o> {
    /// Opens it.
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    /// Closes it.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// Writes a field's name, and hands out the buffer for its value.
    pub(super) fn field(&mut self, Key(name): Key) -> &mut Vec<u8> {
        let from = usize::from(std::mem::take(&mut self.first));
        self.out.extend_from_slice(&name.as_bytes()[from..]);
        self.out
    }

    /// A text.
    pub(super) fn text(&mut self, name: Key, text: &str) {
        string(self.field(name), text);
    }

    /// A text that needs no escaping: a word of our own, or a name (`base::id`).
    pub(super) fn word(&mut self, name: Key, word: &str) {
        debug_assert!(word.bytes().all(is_plain), "`{word}` needs escaping");
        let out = self.field(name);
        out.push(b'"');
        out.extend_from_slice(word.as_bytes());
        out.push(b'"');
    }

    /// A number.
    pub(super) fn number(&mut self, name: Key, number: u64) {
        integer(self.field(name), number);
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: Key, truth: bool) {
        let word: &[u8] = if truth { b"true" } else { b"false" };
        self.field(name).extend_from_slice(word);
    }

    /// Something whose display needs no escaping: an address, a room, a hash.
    pub(super) fn plain(&mut self, name: Key, value: impl fmt::Display) {
        let out = self.field(name);
        out.push(b'"');
        // Writing into a vector does not fail.
        let _ = write!(out, "{value}");
        out.push(b'"');
    }
}

/// A number in decimal.
pub(super) fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// A text in quotes. Beyond what RFC 8259 section 7 asks for, the separators U+0085, U+2028 and U+2029 and the other C1
/// controls are escaped: some readers of lines break lines at them, and some terminals obey them.
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// As [`string`], of at most so many bytes of the text, cut between characters.
pub(super) fn string_bounded(out: &mut Vec<u8>, text: &str, bytes_max: usize) {
    string(out, cut(text, bytes_max));
}

/// Whether a byte stands as it is wherever it stands: printable ASCII but quotes and backslash.
const fn is_plain(byte: u8) -> bool {
    byte.wrapping_sub(0x20) < 0x5f && byte != b'"' && byte != b'\\'
}

fn escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    // Nearly every text is plain, and this runs many times for every request: without an early exit the compiler makes it
    // wide.
    let odd = bytes.iter().fold(0, |odd, byte| odd | u8::from(!is_plain(*byte))) != 0;
    let mut at =
        if odd { bytes.iter().position(|byte| !is_plain(*byte)) } else { None }.unwrap_or(bytes.len());
    let mut plain_from = 0;
    while at < bytes.len() {
        // Bytes of a character each: 1 for what is escaped in ASCII, 2 for C1, 3 for the separators.
        let length = match bytes[at] {
            b'"' | b'\\' | 0..=0x1f | 0x7f => 1,
            0xc2 if bytes[at + 1] < 0xa0 => 2,
            0xe2 if bytes[at + 1] == 0x80 && matches!(bytes[at + 2], 0xa8 | 0xa9) => 3,
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[plain_from..at]);
        match (bytes[at], length) {
            (b'"', _) => out.extend_from_slice(b"\\\""),
            (b'\\', _) => out.extend_from_slice(b"\\\\"),
            (b'\n', _) => out.extend_from_slice(b"\\n"),
            (b'\r', _) => out.extend_from_slice(b"\\r"),
            (b'\t', _) => out.extend_from_slice(b"\\t"),
            (byte, 1) => unicode(out, u16::from(byte)),
            (_, 2) => unicode(out, u16::from(bytes[at + 1])),
            _ => unicode(out, 0x2000 | u16::from(bytes[at + 2] & 0x3f)),
        }
        at += length;
        plain_from = at;
    }
    out.extend_from_slice(&bytes[plain_from..]);
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn unicode(out: &mut Vec<u8>, code: u16) {
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| HEX[usize::from(code >> shift & 15)]));
}

/// Bytes in lower-case hexadecimal, in quotes.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for byte in bytes {
        out.extend([byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]));
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_breaks_lines_and_terminals_is_escaped() {
        assert_eq!(
            written("a\"\\\n\u{1b}[2J\u{7f}\u{85}\u{9b}\u{2028}\u{2029}é\u{a0}\u{2030}𝄞"),
            r#""a\"\\\n\u001b[2J\u007f\u0085\u009b\u2028\u2029é"#.to_owned() + "\u{a0}\u{2030}𝄞\""
        );
    }

    #[test]
    fn a_bound_cuts_between_characters() {
        let mut out = Vec::new();
        string_bounded(&mut out, "ab€", 4);
        assert_eq!(out, b"\"ab\"");
    }

    proptest! {
        #[test]
        fn every_text_reads_back_from_one_line(text in proptest::collection::vec(any::<char>(), 0..40)) {
            let text: String = text.into_iter().collect();
            let json = written(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
            let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
            prop_assert!(!json.contains(breaks));
        }

        #[test]
        fn controls_and_separators_read_back(text in "[\\x00-\\x20\"\\\\\\x7f-\\u{a1}\\u{2027}-\\u{202a}]{0,30}") {
            prop_assert_eq!(serde_json::from_str::<String>(&written(&text)).unwrap(), text);
        }
    }
}
