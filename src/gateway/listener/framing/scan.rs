//! The byte classes of a head, and a search that looks at many bytes at a time.
//!
//! This runs over every head, so it is written for speed, in safe code, and allocates nothing: with the lines' own checks, 2.7k
//! instructions for a head of 528 bytes. httparse takes 2.3k for the parse alone, to which the checks that it does not make (bare
//! LF, names, targets, framing headers) would come; and starts over on each piece.

use crate::base::lanes::Lanes;

/// Index of the first byte at or after `from` that ends a line or may not stand in one: below 0x20 except HTAB, or DEL.
#[inline]
pub(super) fn find_control(bytes: &[u8], from: usize) -> Option<usize> {
    let mut rest = bytes.get(from..)?;
    while let Some((block, after)) = rest.split_first_chunk() {
        let lanes = Lanes::of(block);
        let controls = lanes.are_within(0, 0x1f).and_not(lanes.are(b'\t')).or(lanes.are(0x7f)).bits();
        if controls != 0 {
            return Some(bytes.len() - rest.len() + controls.trailing_zeros() as usize);
        }
        rest = after;
    }
    let place = rest.iter().position(|&byte| (byte < 0x20 && byte != b'\t') || byte == 0x7f)?;
    Some(bytes.len() - rest.len() + place)
}

/// Whether every byte may stand unencoded in a path and query here.
///
/// RFC 3986 and the few more that careless clients send raw and http's `Uri` takes (`{`, `}`, `|`, `^`); never
/// `#`, `"`, `<`, `>`, backtick or backslash, nor anything beyond ASCII. No early exit, so that it vectorises.
#[inline]
pub(super) fn is_plain_target(target: &[u8]) -> bool {
    let (blocks, rest) = target.as_chunks::<16>();
    let odd = blocks.iter().fold(0, |odd, block| odd | odd_in(block));
    // The last block again rather than its last bytes one by one.
    let odd_at_end = if rest.is_empty() {
        0
    } else {
        target.last_chunk::<16>().map_or_else(|| odd_in(rest), |last| odd_in(last))
    };
    odd | odd_at_end == 0
}

/// Not 0 if any of the bytes must be encoded.
#[inline]
fn odd_in(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |odd, &byte| {
        // Controls, space, DEL and beyond; `"` and `#`; `<` and `>`; backtick; backslash.
        odd | u8::from(byte.wrapping_sub(0x21) > 0x5d)
            | u8::from(byte & !1 == b'"')
            | u8::from(byte & !2 == b'<')
            | u8::from(byte == b'`')
            | u8::from(byte == b'\\')
    })
}

/// What a byte may be part of.
static CLASSES: [u8; 256] = classes();
const NAME: u8 = 1;
const TOKEN: u8 = 2;
const HOST: u8 = 4;

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'0'..=b'9'
            | b'a'..=b'z'
            | b'A'..=b'Z'
            | b'-'
            | b'.'
            | b'~'
            | b'!'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+' => NAME | TOKEN | HOST,
            b'_' => TOKEN | HOST,
            b'#' | b'^' | b'`' | b'|' => NAME | TOKEN,
            b':' | b'[' | b']' | b'(' | b')' | b';' | b'=' => HOST,
            _ => 0,
        };
        byte += 1;
    }
    table
}

/// Length of the header name at the start of `line`: token bytes (RFC 9110 section 5.6.2) without the underscore.
#[inline]
pub(super) fn name_length(line: &[u8]) -> usize {
    let is_name = |byte: u8| CLASSES[byte as usize] & NAME != 0;
    let mut at = 0;
    // Nearly every name is made of these alone.
    while let Some(block) = line.get(at..).and_then(<[u8]>::first_chunk) {
        let lanes = Lanes::of(block);
        let usual = lanes.are_letters().or(lanes.are(b'-')).or(lanes.are_within(b'0', b'9')).bits();
        at += usual.trailing_ones() as usize;
        if usual != u16::MAX {
            break;
        }
    }
    while line.get(at).is_some_and(|&byte| is_name(byte)) {
        at += 1;
    }
    at
}

/// Whether `text` is a token of at least one byte.
#[inline]
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| CLASSES[byte as usize] & TOKEN != 0)
}

/// Whether `text` consists of bytes that a `uri-host [":" port]` can have, the comma excepted; at least one.
#[inline]
pub(super) fn is_host(text: &[u8]) -> bool {
    // Without an early exit.
    !text.is_empty() && text.iter().fold(HOST, |all, &byte| all & CLASSES[byte as usize]) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_control_agrees_with_the_plain_definition() {
        for length in 0..40 {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut bytes = vec![b'a'; length];
                    bytes[place] = byte;
                    let plain = (byte < 0x20 && byte != b'\t') || byte == 0x7f;
                    assert_eq!(
                        find_control(&bytes, 0),
                        plain.then_some(place),
                        "{byte:#x} at {place} of {length}"
                    );
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn find_control_finds_the_first_in_any_mixture(bytes: Vec<u8>, from in 0..64usize) {
            let plain = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
            let expected = (from..bytes.len()).find(|&index| plain(bytes[index]));
            proptest::prop_assert_eq!(find_control(&bytes, from), expected);
        }
    }

    #[test]
    fn plain_targets_are_of_printable_ascii_without_six() {
        for byte in 0..=255u8 {
            let plain = byte.is_ascii_graphic() && !b"\"#<>`\\".contains(&byte);
            for (length, place) in [(1, 0), (15, 14), (16, 3), (17, 16), (40, 0), (40, 39), (48, 47)] {
                let mut target = vec![b'/'; length];
                target[place] = byte;
                assert_eq!(is_plain_target(&target), plain, "{byte:#x} at {place} of {length}");
            }
        }
    }

    #[test]
    fn every_plain_target_is_one_for_http() {
        for byte in 0..=255u8 {
            for target in [vec![b'/', byte], vec![b'/', b'?', byte]] {
                if is_plain_target(&target) {
                    assert!(http::Uri::try_from(&target[..]).is_ok(), "{byte:#x}");
                }
            }
        }
    }

    #[test]
    fn every_header_name_is_one_for_http() {
        for byte in 0..=255u8 {
            if name_length(&[byte]) == 1 {
                assert!(http::HeaderName::from_bytes(&[byte]).is_ok(), "{byte:#x}");
            }
        }
        assert_eq!(name_length(b"x_forwarded"), 1);
    }
}
