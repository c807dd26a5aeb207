//! Texts that strangers wrote: how much of one is kept, and which may be.

use percent_encoding::percent_decode;

use super::secret::KEY_PREFIX;

/// The text's first so many bytes, or a few less: cut between characters.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Whether a text, percent-decoded, is made of what words, numbers and handles are made of, holds at most so many bytes and
/// is no key of ours: then it may stand in a record.
pub fn may_be_kept(text: &[u8], bytes_max: usize) -> bool {
    text.len() <= bytes_max && is_plain(text) && !starts_like_a_key(text)
}

fn is_plain(text: &[u8]) -> bool {
    let well_formed = |at: usize| {
        text[at] != b'%' || text.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    // Nearly every text has no percent sign, and this runs for every request.
    text.iter().all(|byte| is_plain_byte(*byte))
        || (0..text.len()).all(well_formed) && percent_decode(text).all(is_plain_byte)
}

/// A key may stand where a room should: somebody mixed up two fields of a form.
fn starts_like_a_key(text: &[u8]) -> bool {
    let mut decoded = percent_decode(text);
    text.len() > 16 && KEY_PREFIX.bytes().all(|byte| decoded.next() == Some(byte))
}

/// What words, numbers and handles are made of.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        plain[byte] = character.is_ascii_alphanumeric()
            || matches!(character, b'-' | b'.' | b'_' | b'~' | b'@' | b':' | b',');
        byte += 1;
    }
    plain
};

const fn is_plain_byte(byte: u8) -> bool {
    PLAIN[byte as usize]
}
