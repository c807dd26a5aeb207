//! Sixteen bytes looked at together.
//!
//! Every request's bytes are gone through for what ends a line, a name or a pair, and most bytes are none of that. The vector
//! instructions that every processor has say of sixteen at once which are.

use wide::i8x16;

/// Sixteen bytes, or an answer for each of them: all ones for yes, 0 for no.
#[derive(Clone, Copy)]
pub struct Lanes(i8x16);

fn all(byte: u8) -> i8x16 {
    i8x16::splat(byte.cast_signed())
}

impl Lanes {
    /// How many bytes there are.
    pub const COUNT: usize = 16;

    /// Yes for each.
    pub const YES: Self = Self(i8x16::splat(-1));

    /// These bytes.
    #[inline]
    pub fn of(bytes: &[u8; Self::COUNT]) -> Self {
        Self(i8x16::new(bytes.map(u8::cast_signed)))
    }

    /// Whether each is this byte.
    #[inline]
    #[must_use]
    pub fn are(self, byte: u8) -> Self {
        Self(self.0.simd_eq(all(byte)))
    }

    /// Whether each is one of these, both included; `first` is not above `last`, and they are not all bytes there are.
    #[inline]
    #[must_use]
    pub fn are_within(self, first: u8, last: u8) -> Self {
        debug_assert!(first <= last && last - first < 0xff);
        // Moved so that `first` is the least of signed bytes: the others come after it in their order.
        let moved = self.0 + all(0x80u8.wrapping_sub(first));
        Self(moved.simd_lt(all(0x80u8.wrapping_add(last - first + 1))))
    }

    /// Whether each is a letter of ASCII.
    #[inline]
    #[must_use]
    pub fn are_letters(self) -> Self {
        Self(self.0 | all(0x20)).are_within(b'a', b'z')
    }

    /// Either answer.
    #[inline]
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Yes where both answers are.
    #[inline]
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// This answer, where the other is no.
    #[inline]
    #[must_use]
    pub fn and_not(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// A bit for each answer, the lowest for the first.
    #[inline]
    pub fn bits(self) -> u16 {
        self.0.to_bitmask() as u16
    }
}

/// The answers of up to 64 bytes at the front of `bytes`, as [`Lanes::bits`]; 0 for what is not there.
#[inline]
pub fn bits_of_64(bytes: &[u8], answer: impl Fn(Lanes) -> Lanes) -> u64 {
    let mut bits = 0;
    let (blocks, rest) = bytes[..bytes.len().min(64)].as_chunks::<{ Lanes::COUNT }>();
    let mut shift = 0;
    for block in blocks {
        bits |= u64::from(answer(Lanes::of(block)).bits()) << shift;
        shift += Lanes::COUNT;
    }
    if !rest.is_empty() {
        let mut block = [0; Lanes::COUNT];
        block[..rest.len()].copy_from_slice(rest);
        let there = (1u64 << rest.len()) - 1;
        bits |= (u64::from(answer(Lanes::of(&block)).bits()) & there) << shift;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bits(is: impl Fn(usize) -> bool) -> u16 {
        (0..16).filter(|at| is(*at)).fold(0, |bits, at| bits | 1 << at)
    }

    #[test]
    fn every_byte_is_where_it_belongs() {
        for byte in 0..=255u8 {
            let (lanes, held) = (Lanes::of(&[byte; 16]), |is: bool| if is { u16::MAX } else { 0 });
            assert_eq!(lanes.are_letters().bits(), held(byte.is_ascii_alphabetic()), "{byte:#x}");
            for (first, last) in
                [(0, 0x1f), (b'0', b'9'), (0x7f, 0x80), (0x80, 0xff), (0xf0, 0xff), (0, 0xfe), (7, 7)]
            {
                let within = (first..=last).contains(&byte);
                assert_eq!(
                    lanes.are_within(first, last).bits(),
                    held(within),
                    "{byte:#x} in {first:#x} to {last:#x}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn answers_are_those_of_each_byte(bytes: [u8; 16], one: u8, other in 0u8..=0xfe, more: u8) {
            let (first, last) = (other.min(more), other.max(more).min(0xfe));
            let lanes = Lanes::of(&bytes);
            prop_assert_eq!(lanes.are(one).bits(), bits(|at| bytes[at] == one));
            let within = |at: usize| (first..=last).contains(&bytes[at]);
            prop_assert_eq!(lanes.are_within(first, last).bits(), bits(within));
            prop_assert_eq!(lanes.are(one).or(lanes.are(more)).bits(), bits(|at| bytes[at] == one || bytes[at] == more));
            prop_assert_eq!(lanes.are_within(first, last).and_not(lanes.are(one)).bits(), bits(|at| within(at) && bytes[at] != one));
        }

        #[test]
        fn of_64_are_those_that_are_there(bytes in prop::collection::vec(0u8..4, 0..80)) {
            let expected = bytes.iter().take(64).enumerate().fold(0u64, |bits, (at, byte)| bits | u64::from(*byte == 0) << at);
            prop_assert_eq!(bits_of_64(&bytes, |lanes| lanes.are(0)), expected);
        }
    }
}
