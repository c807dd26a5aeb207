//! Which records were blurred: folded into one that only says how much they had spent at most.
//!
//! A room has no neighbourhood that it could be folded into, and neither has a network that sent one request. At the cap
//! such records go into a bucket that keeps, for each window, the **most** that any of them had spent, and this filter
//! remembers whose they were. Whoever it remembers goes on from the bucket's count, which is never less than their own:
//! nothing spent is refilled. Whoever it does not remember starts from nothing, so that a bystander is not refused for a
//! sum of strangers' counts. And the least spent are blurred first, so that even those whom the filter takes for
//! somebody else (a few in a hundred after a spray of ten million) go on from one or two requests, and are refused
//! nothing.
//!
//! A Bloom filter (Bloom, CACM 1970) rather than a list, as a list would be as long as the spray; rather than a count-min
//! sketch, as windows end at times of their own, which a sketch of a size that we can afford has no room for. Nothing can
//! be taken out of it, so there are two: one takes new records in while the other's come to their end.

/// 64 KiB for a generation of a shard, twice 16 MiB for the whole book: some 23 million records in each until it is half
/// full. Nothing is allocated before the first record is blurred.
const BITS: usize = 1 << 19;

/// Each record sets so many bits: at half full one stranger in sixteen is taken for somebody known.
const HASHES: u64 = 4;

/// Membership of all records of one shard that were blurred and have not ended.
#[derive(Default)]
pub(super) struct Blur {
    generations: [Generation; 2],
    current: usize,
}

#[derive(Default)]
struct Generation {
    bits: Vec<u64>,
    set: usize,
    /// When the last of its records ends, in milliseconds since 1970.
    ends: u64,
}

impl Blur {
    /// Whether nobody is remembered.
    pub(super) fn is_empty(&self) -> bool {
        self.generations.iter().all(|generation| generation.set == 0)
    }

    /// Whether that record was blurred. Never a false no.
    pub(super) fn contains(&self, hash: u64) -> bool {
        self.generations.iter().any(|generation| generation.contains(hash))
    }

    /// Remembers a record that ends at `ends`.
    pub(super) fn add(&mut self, hash: u64, ends: u64, now: u64) {
        self.free_ended(now);
        let other = 1 - self.current;
        // Where the other one's records still run, this one has to take more than is good for it.
        if self.generations[self.current].set > BITS / 2 && self.generations[other].set <= BITS / 2 {
            self.current = other;
        }
        self.generations[self.current].add(hash, ends);
    }

    /// Forgets a generation whose records have all ended.
    pub(super) fn free_ended(&mut self, now: u64) {
        for generation in &mut self.generations {
            if generation.set > 0 && generation.ends <= now {
                *generation = Generation::default();
            }
        }
    }
}

impl Generation {
    fn contains(&self, hash: u64) -> bool {
        self.set > 0 && places(hash).all(|place| self.bits[place / 64] >> (place % 64) & 1 == 1)
    }

    fn add(&mut self, hash: u64, ends: u64) {
        if self.bits.is_empty() {
            self.bits = vec![0; BITS / 64];
        }
        for place in places(hash) {
            let word = &mut self.bits[place / 64];
            self.set += usize::from(*word >> (place % 64) & 1 == 0);
            *word |= 1 << (place % 64);
        }
        self.ends = self.ends.max(ends);
    }
}

/// By double hashing (Kirsch, Mitzenmacher, ESA 2006).
fn places(hash: u64) -> impl Iterator<Item = usize> {
    let (first, step) = (hash, hash >> 32 | 1);
    (0..HASHES).map(move |n| first.wrapping_add(n.wrapping_mul(step)) as usize % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        let n = (n ^ n >> 31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (n ^ n >> 27).wrapping_mul(0x94d0_49bb_1331_11eb)
    }

    #[test]
    fn it_forgets_nobody_and_mistakes_few() {
        let mut blur = Blur::default();
        // What a shard sees of a spray of ten million that leaves two records each.
        for n in 0..78_000 {
            blur.add(hash(n + 1), 100, 0);
        }
        assert!((0..78_000).all(|n| blur.contains(hash(n + 1))));
        let mistaken = (0..10_000).filter(|n| blur.contains(hash(n + 1_000_000))).count();
        assert!(mistaken < 600, "{mistaken} of 10,000");
    }

    #[test]
    fn a_full_generation_hands_over_and_goes_when_its_records_have_ended() {
        let mut blur = Blur::default();
        for n in 0..100_000 {
            blur.add(hash(n + 1), 100, 0);
        }
        blur.add(hash(5_000_000), 200, 50);
        assert!(blur.contains(hash(1)) && blur.contains(hash(5_000_000)));
        blur.free_ended(100);
        assert!(!blur.contains(hash(1)) && blur.contains(hash(5_000_000)), "the older ones have ended");
        blur.free_ended(200);
        assert!(blur.is_empty() && !blur.contains(hash(5_000_000)));
    }
}
