//! Logarithms and decay that give the same bits on every machine.
//!
//! The system's `ln` and `exp` may differ in the last bit from one C library to the next, and a decision must not. These
//! use additions, multiplications and divisions alone, which IEEE 754 fixes, to about twelve digits.

/// The logarithm to base 2; 0 for what has none.
pub(super) fn log2(x: f64) -> f64 {
    if x.is_nan() || x < f64::MIN_POSITIVE {
        return 0.0;
    }
    let bits = x.to_bits();
    let mut exponent = f64::from((bits >> 52 & 0x7ff) as u32) - 1023.0;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1.0;
    }
    // ln m = 2 artanh((m - 1) / (m + 1)); the argument is at most 0.1716, so that eight terms are enough.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let square = s * s;
    let series = (0..8).rev().fold(0.0, |sum, term| sum * square + 1.0 / f64::from(2 * term + 1));
    exponent + 2.0 * s * series * std::f64::consts::LOG2_E
}

/// What is left of 1 after `elapsed`, when half is left after `half_life`; both in the same unit.
pub(super) fn halved(elapsed: f64, half_life: f64) -> f64 {
    if elapsed <= 0.0 {
        return 1.0;
    }
    let lives = elapsed / half_life;
    if lives.is_nan() || lives >= 1_000.0 {
        return 0.0;
    }
    #[expect(clippy::cast_sign_loss, reason = "it is not below 0, and below 1,000")]
    let whole = lives as u16;
    let x = -(lives - f64::from(whole)) * std::f64::consts::LN_2;
    let series = EXPONENTIAL.iter().rev().fold(0.0, |sum, term| sum * x + term);
    // A power of two by its exponent alone: exact.
    series * f64::from_bits((1023 - u64::from(whole)) << 52)
}

/// What the terms of the exponential function's series are multiplied by: 1 / n!.
const EXPONENTIAL: [f64; 13] = {
    let (mut terms, mut n) = ([1.0; 13], 1);
    while n < 13 {
        terms[n] = terms[n - 1] / n as f64;
        n += 1;
    }
    terms
};

/// The nearest whole number, at least 0.
#[expect(clippy::cast_sign_loss, reason = "what is below 0 becomes 0, which is what is wanted")]
pub(super) fn whole_of(x: f64) -> u32 {
    x.round() as u32
}

/// What is left of 1 after `elapsed`, when 1/e is left after `tau`.
pub(super) fn faded(elapsed: f64, tau: f64) -> f64 {
    halved(elapsed, tau * std::f64::consts::LN_2)
}

/// The `share` quantile of values with weights, which must be sorted by value; 0 of none.
pub(super) fn weighted_quantile(sorted: &[(f64, f64)], share: f64) -> f64 {
    let goal = share * sorted.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut sum = 0.0;
    for (value, weight) in sorted {
        sum += weight;
        if sum >= goal {
            return *value;
        }
    }
    0.0
}

/// One 64-bit number from two: the finisher of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014) over each in turn. The same on
/// every machine, for what is exported and for what chooses a shard.
pub(super) fn mix(one: u64, other: u64) -> u64 {
    [one, other].into_iter().fold(0, |hash: u64, word| {
        let mut x = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    })
}

/// A number for a text: eight bytes at a time through a folded multiplication. Nobody gains by making two texts collide:
/// what they name is the caller's own word for itself.
pub(super) fn number_of(kind: u8, text: &[u8]) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let folded = |one: u64, other: u64| {
        let product = u128::from(one) * u128::from(other);
        (product as u64) ^ (product >> 64) as u64
    };
    let mut hash = folded(u64::from(kind) ^ ODD, text.len() as u64 ^ 0x2545_f491_4f6c_dd1d);
    let mut fold = |word: [u8; 8]| {
        hash = folded(hash ^ u64::from_le_bytes(word) ^ ODD, 0xbf58_476d_1ce4_e5b9).wrapping_add(ODD);
    };
    let (words, rest) = text.as_chunks::<8>();
    for word in words {
        fold(*word);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        fold(word);
    }
    mix(hash, u64::from(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_and_decay_are_what_the_library_says() {
        for x in [1e-9, 0.3, 0.999, 1.0, 1.5, 2.0, 3.3, 1e6, 7.7e12] {
            assert!((log2(x) - x.log2()).abs() < 1e-11, "{x}");
        }
        assert!(log2(0.0).abs() < 1e-300 && log2(-1.0).abs() < 1e-300 && log2(f64::NAN).abs() < 1e-300);
        for elapsed in [0.0, 0.1, 1.0, 59.9, 600.0, 12_345.6] {
            assert!((halved(elapsed, 600.0) - (-elapsed / 600.0).exp2()).abs() < 1e-11, "{elapsed}");
            assert!((faded(elapsed, 1_800.0) - (-elapsed / 1_800.0).exp()).abs() < 1e-11, "{elapsed}");
        }
        assert!(halved(1e9, 1.0) < 1e-300);
    }

    #[test]
    fn a_quantile_goes_by_weight() {
        let values = [(1.0, 1.0), (2.0, 1.0), (9.0, 3.0)];
        assert!((weighted_quantile(&values, 0.5) - 9.0).abs() < 1e-9);
        assert!((weighted_quantile(&values, 0.3) - 2.0).abs() < 1e-9);
        assert!(weighted_quantile(&[], 0.5).abs() < 1e-9);
    }

    #[test]
    fn texts_have_numbers_of_their_own() {
        let mut seen = std::collections::HashSet::new();
        for n in 0..20_000 {
            assert!(seen.insert(number_of(1, format!("agent/{n}").as_bytes())));
        }
        assert_ne!(number_of(1, b"a"), number_of(2, b"a"));
        assert_ne!(number_of(1, b"a\0"), number_of(1, b"a"));
    }
}
