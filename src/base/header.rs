//! Names of headers, compared in either case, and what their values may hold.

/// Whether `name` is `lower`, in whatever case; `lower` is in lower case. For names of heads that were looked at, which hold
/// token characters alone (RFC 9110 section 5.6.2): a control character could pass for a `-`.
///
/// Some thirty names are compared for every request: by whole words, of which the last overlaps the one before.
#[inline]
pub fn is_name(name: &[u8], lower: &str) -> bool {
    const LOWER: u64 = u64::from_ne_bytes([b' '; 8]);
    let lower = lower.as_bytes();
    if name.len() != lower.len() {
        return false;
    }
    let eight =
        |one: &[u8; 8], other: &[u8; 8]| u64::from_le_bytes(*one) | LOWER == u64::from_le_bytes(*other);
    let four = |one: &[u8; 4], other: &[u8; 4]| {
        u32::from_le_bytes(*one) | LOWER as u32 == u32::from_le_bytes(*other)
    };
    match name.len() {
        8..=16 => {
            let starts = name.first_chunk().zip(lower.first_chunk());
            let ends = name.last_chunk().zip(lower.last_chunk());
            starts.is_some_and(|(one, other)| eight(one, other))
                && ends.is_some_and(|(one, other)| eight(one, other))
        }
        4..8 => {
            let starts = name.first_chunk().zip(lower.first_chunk());
            let ends = name.last_chunk().zip(lower.last_chunk());
            starts.is_some_and(|(one, other)| four(one, other))
                && ends.is_some_and(|(one, other)| four(one, other))
        }
        _ => name.eq_ignore_ascii_case(lower),
    }
}

/// Whether a value may stand in a header: it has no control characters but tabs, so that nothing in it ends a line (RFC 9110
/// section 5.5).
#[inline]
pub fn is_value(value: &[u8]) -> bool {
    // Without an early exit, so that the compiler looks at many bytes at a time.
    fn odd_in(bytes: &[u8]) -> u8 {
        bytes
            .iter()
            .fold(0, |odd, &byte| odd | u8::from(byte < b' ' && byte != b'\t') | u8::from(byte == 0x7f))
    }
    let (blocks, rest) = value.as_chunks::<16>();
    let odd = blocks.iter().fold(0, |odd, block| odd | odd_in(block));
    // The last block again rather than its last bytes one by one.
    let at_end = if rest.is_empty() {
        0
    } else {
        value.last_chunk::<16>().map_or_else(|| odd_in(rest), |last| odd_in(last))
    };
    odd | at_end == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_holds_no_control_characters_but_tabs() {
        for length in [1, 5, 15, 16, 17, 31, 32, 40] {
            for place in 0..length {
                for byte in 0..=255u8 {
                    let mut value = vec![b'a'; length];
                    value[place] = byte;
                    let good = byte == b'\t' || !byte.is_ascii_control();
                    assert_eq!(is_value(&value), good, "{byte:#x} at {place} of {length}");
                }
            }
        }
        assert!(is_value(b""));
    }

    #[test]
    fn every_length_agrees_with_the_plain_definition() {
        let long = "x-abcdefgh-ijklmnopqrst-uvwxyz0123456789";
        for length in 0..long.len() {
            let lower = &long[..length];
            assert!(is_name(lower.to_ascii_uppercase().as_bytes(), lower));
            assert!(!is_name(&long.as_bytes()[..=length], lower));
            for place in 0..length {
                for byte in (b'!'..=b'~').filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
                    let mut name = lower.as_bytes().to_vec();
                    name[place] = byte;
                    assert_eq!(
                        is_name(&name, lower),
                        name.eq_ignore_ascii_case(lower.as_bytes()),
                        "{name:?}"
                    );
                }
            }
        }
    }
}
