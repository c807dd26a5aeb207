//! Chance that can be repeated: one seed, one stream of numbers.
//!
//! Every source of traffic draws from a stream of its own, named after it. So one that is added or left out changes
//! nothing for the others: an attack lies over the very same ordinary traffic that there would be without it.

/// A count or a time of a number that is none: below 0 is 0.
#[expect(clippy::cast_sign_loss, reason = "below 0 is 0")]
pub(super) const fn whole(number: f64) -> u64 {
    number as u64
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a new stream costs nothing, and one is made for each person looked at.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of this name.
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a over the name: only different names matter here.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self::numbered(seed, hash)
    }

    /// The stream of this number.
    pub fn numbered(seed: u64, number: u64) -> Self {
        let mut random = Self(seed ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.0 = random.next();
        random
    }

    /// 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `count`; 0 where that is 0.
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(count)) >> 64) as u64
    }

    /// A place in a list of this length.
    pub fn place(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    /// A number from `from` up to, not including, `to`.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from))
    }

    /// From 0 up to, not including, 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in this share of all cases.
    pub fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// How long until the next of events that happen independently, in milliseconds, by their mean distance.
    pub fn wait(&mut self, mean_ms: f64) -> u64 {
        whole((-(1.0 - self.unit()).ln() * mean_ms).min(1e12))
    }

    /// A length of time around `median_ms`, long ones far longer: two of three lie within a factor of e^`spread`.
    pub fn around(&mut self, median_ms: f64, spread: f64) -> u64 {
        let (radius, angle) = ((-2.0 * (1.0 - self.unit()).ln()).sqrt(), self.unit() * std::f64::consts::TAU);
        whole((median_ms * (radius * angle.cos() * spread).exp()).min(1e12))
    }

    /// A place, by the weights of the places.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let mut left = self.unit() * weights.clone().sum::<f64>();
        let mut last = 0;
        for (place, weight) in weights.enumerate() {
            if weight > 0.0 {
                last = place;
                if left < weight {
                    return place;
                }
            }
            left -= weight;
        }
        last
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.place(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_and_name_is_one_stream() {
        let first = |seed, name| Random::named(seed, name).next();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_ne!(first(1, "a"), first(2, "a"));
    }

    #[test]
    fn shapes_are_what_they_are_called() {
        let mut random = Random::named(7, "shapes");
        let mean = |values: Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        let waits = mean((0..20_000).map(|_| random.wait(1000.0) as f64).collect());
        assert!((960.0..1040.0).contains(&waits), "{waits}");
        let mut around: Vec<u64> = (0..20_001).map(|_| random.around(1000.0, 0.5)).collect();
        around.sort_unstable();
        assert!((960..1040).contains(&around[10_000]), "{}", around[10_000]);
        let thirds = (0..30_000).filter(|_| random.weighted([1.0, 0.0, 2.0].into_iter()) == 2).count();
        assert!((19_500..20_500).contains(&thirds), "{thirds}");
        assert!((0..1000).all(|_| random.below(3) < 3 && random.unit() < 1.0));
    }
}
