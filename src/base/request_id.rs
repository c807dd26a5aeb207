//! The id of one request: what a refused client shows to the operator, and what the operator searches the record for.
//!
//! Always ours. An `X-Request-ID` that a client sends is neither used nor repeated: it could be made to collide with
//! another's, or to carry whatever a log viewer chokes on.

use std::fmt;

use super::time::Timestamp;

/// How long the text of an id is, in bytes.
pub const REQUEST_ID_BYTES: usize = 26;

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`, so that an id survives being read aloud. The characters are in
/// ASCII order, so that texts sort as the ids do.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 128 bits: the time in milliseconds in the upper 48, 80 that look random below.
///
/// The shape of a ULID, so that ids sort by time and a database index over them stays dense. The lower bits say nothing
/// about how many requests there were: two ids of one caller must not tell it our traffic. They are no secret either, and
/// nothing may be authorised by knowing one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// Makes the id of the request number `sequence` of its worker.
    ///
    /// `seed` is drawn once for each worker, from the system's randomness. With one seed, different sequences always give
    /// different ids; with two seeds, ids meet by chance only (64 bits, within one millisecond).
    pub const fn new(now: Timestamp, sequence: u64, seed: [u64; 2]) -> Self {
        let time = (now.as_millis() & 0xffff_ffff_ffff) as u128;
        let own = scramble(sequence.wrapping_add(seed[0])) ^ seed[1];
        let worker = (scramble(seed[0] ^ seed[1]) & 0xffff) as u128;
        Self(time << 80 | worker << 64 | own as u128)
    }

    /// When the request came, to the millisecond.
    pub const fn time(self) -> Timestamp {
        Timestamp::from_millis((self.0 >> 80) as u64)
    }

    /// The text, without allocating.
    pub fn text(self) -> RequestIdText {
        let mut bytes = [0; REQUEST_ID_BYTES];
        // 26 characters hold 130 bits: the first holds only 3.
        for (place, byte) in bytes.iter_mut().rev().enumerate() {
            *byte = ALPHABET[(self.0 >> (place * 5) & 31) as usize];
        }
        RequestIdText(bytes)
    }

    /// Reads the text of an id, as a person may have copied it: in upper or lower case, `i` and `l` for `1`, `o` for `0`.
    /// `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != REQUEST_ID_BYTES {
            return None;
        }
        let mut bits: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let plain = match byte.to_ascii_lowercase() {
                b'i' | b'l' => b'1',
                b'o' => b'0',
                other => other,
            };
            let digit = ALPHABET.iter().position(|letter| *letter == plain)? as u128;
            if place == 0 && digit > 7 {
                return None;
            }
            bits = bits << 5 | digit;
        }
        Some(Self(bits))
    }
}

/// A bijection of 64 bits: the finisher of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
const fn scramble(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text of an id: 26 letters and digits, safe in a header, a URL, JSON and a shell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestIdText([u8; REQUEST_ID_BYTES]);

impl RequestIdText {
    /// The text, in ASCII.
    pub const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only characters of the alphabet are in it, so this is never the fallback.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for RequestIdText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn ids_of_one_worker_never_meet() {
        let now = Timestamp::from_millis(1_798_761_600_123);
        let ids: HashSet<_> = (0..10_000).map(|sequence| RequestId::new(now, sequence, [1, 2])).collect();
        assert_eq!(ids.len(), 10_000);
        assert_ne!(RequestId::new(now, 0, [1, 2]), RequestId::new(now, 0, [2, 1]));
    }

    #[test]
    fn the_text_is_short_plain_and_sorts_by_time() {
        let id = RequestId::new(Timestamp::from_millis(1_798_761_600_123), 7, [1, 2]);
        let text = id.to_string();
        assert_eq!(text.len(), REQUEST_ID_BYTES);
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{text}");
        let later = RequestId::new(Timestamp::from_millis(1_798_761_600_124), 3, [9, 9]).to_string();
        assert!(text < later, "{text} {later}");
    }

    #[test]
    fn an_id_copied_by_hand_is_read() {
        let id = RequestId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(
            RequestId::parse(&id.to_string().to_uppercase().replace('0', "O").replace('1', "l")),
            Some(id)
        );
        for bad in ["", "0", &"u".repeat(26), &"z".repeat(26), &"0".repeat(27), &"ä".repeat(13)] {
            assert_eq!(RequestId::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_are_inverse(millis in 0u64..18_446_744_073_709, sequence: u64, seed: [u64; 2]) {
            let now = Timestamp::from_millis(millis);
            let id = RequestId::new(now, sequence, seed);
            prop_assert_eq!(RequestId::parse(&id.to_string()), Some(id));
            prop_assert_eq!(id.time(), now);
        }
    }
}
