//! Which records were blurred: folded into one that only says how much they had spent at most.
//!
//! A room has no neighbourhood that it could be folded into, and neither has a network that sent one request. At the cap
//! such records go into a bucket that keeps, for each window, the **most** that any of them had spent, and this filter
//! remembers whose they were, and about how much each had spent. Whoever it remembers goes on from that, which is never
//! less than their own: nothing spent is refilled. Whoever it does not remember starts from nothing, so that a bystander is
//! not refused for a sum of strangers' counts.
//!
//! A Bloom filter (Bloom, CACM 1970) rather than a list, as a list would be as long as the spray; rather than a count-min
//! sketch, as windows end at times of their own, which a sketch of a size that we can afford has no room for. **Who has
//! spent more sets more bits**: after a spray of ten million, a few in a hundred newcomers are taken for somebody who has
//! spent one, and go on from that one; when they are blurred in turn, only those few stand at two, for which twice as many
//! bits have to be set. So mistakes die out. With one count for all that are remembered each mistake raised what the next
//! one started from, until bystanders were refused. Nothing can be taken out of the filter, so there are two: one takes
//! new records in while the other's come to their end.

/// 64 KiB for a generation of a shard, twice 16 MiB for the whole book: some 23 million records in each until it is half
/// full. Nothing is allocated before the first record is blurred.
const BITS: usize = 1 << 19;

/// Each record sets so many bits for a level: at half full one stranger in sixteen is taken for somebody on the first, one
/// in 256 for somebody on the second.
const HASHES: usize = 4;

/// On level `n` are those who had spent at most 2^(n-1), on the last one all others.
const LEVELS: usize = 8;

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

    /// How much that record had spent at most when it was blurred; `None` where it was not. Never too little.
    pub(super) fn spent_at_most(&self, hash: u64) -> Option<u64> {
        let level = self.generations.iter().map(|generation| generation.level(hash)).max().unwrap_or(0);
        match level {
            0 => None,
            LEVELS.. => Some(u64::MAX),
            level => Some(1 << (level - 1)),
        }
    }

    /// Remembers a record that has spent so much and ends at `ends`.
    pub(super) fn add(&mut self, hash: u64, spent: u64, ends: u64, now: u64) {
        self.free_ended(now);
        let other = 1 - self.current;
        // Where the other one's records still run, this one has to take more than is good for it.
        if self.generations[self.current].set > BITS / 2 && self.generations[other].set <= BITS / 2 {
            self.current = other;
        }
        self.generations[self.current].add(hash, level(spent), ends);
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
    /// The highest level of which all bits are set, and of those below; 0 for nobody.
    fn level(&self, hash: u64) -> usize {
        if self.set == 0 {
            return 0;
        }
        let is_set = |place: &usize| self.bits[place / 64] >> (place % 64) & 1 == 1;
        places(hash, LEVELS).take_while(is_set).count() / HASHES
    }

    fn add(&mut self, hash: u64, level: usize, ends: u64) {
        if self.bits.is_empty() {
            self.bits = vec![0; BITS / 64];
        }
        for place in places(hash, level) {
            let word = &mut self.bits[place / 64];
            self.set += usize::from(*word >> (place % 64) & 1 == 0);
            *word |= 1 << (place % 64);
        }
        self.ends = self.ends.max(ends);
    }
}

/// The lowest level that holds those who have spent so much.
fn level(spent: u64) -> usize {
    let doublings = u64::BITS - spent.saturating_sub(1).leading_zeros();
    (doublings as usize + 1).min(LEVELS)
}

/// The bits of the levels up to that one, by double hashing (Kirsch, Mitzenmacher, ESA 2006).
fn places(hash: u64, level: usize) -> impl Iterator<Item = usize> {
    let (first, step) = (hash, hash >> 32 | 1);
    (0..(level * HASHES) as u64).map(move |n| first.wrapping_add(n.wrapping_mul(step)) as usize % BITS)
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
            blur.add(hash(n + 1), 1, 100, 0);
        }
        assert!((0..78_000).all(|n| blur.spent_at_most(hash(n + 1)) >= Some(1)));
        let mistaken = (0..10_000).filter(|n| blur.spent_at_most(hash(n + 1_000_000)).is_some()).count();
        assert!(mistaken < 600, "{mistaken} of 10,000");
    }

    #[test]
    fn nobody_is_taken_to_have_spent_less_and_few_to_have_spent_more() {
        let mut blur = Blur::default();
        for n in 0..90_000 {
            blur.add(hash(n + 1), 1, 100, 0);
        }
        for spent in [0, 1, 2, 3, 4, 5, 64, 65, 1_000, u64::MAX] {
            blur.add(hash(500_000 + (spent & 0xffff)), spent, 100, 0);
            assert!(blur.spent_at_most(hash(500_000 + (spent & 0xffff))) >= Some(spent), "{spent}");
        }
        let more = (0..90_000).filter(|n| blur.spent_at_most(hash(n + 1)) > Some(1)).count();
        assert!(more < 90_000 / 10, "{more}");
        let newcomers = || (0..100_000).filter_map(|n| blur.spent_at_most(hash(n + 1_000_000)));
        let (once, twice) = (newcomers().count(), newcomers().filter(|spent| *spent > 1).count());
        assert!(once < 10_000 && twice < 1_000, "{once} and {twice} of 100,000");
    }

    #[test]
    fn a_full_generation_hands_over_and_goes_when_its_records_have_ended() {
        let mut blur = Blur::default();
        for n in 0..100_000 {
            blur.add(hash(n + 1), 1, 100, 0);
        }
        blur.add(hash(5_000_000), 1, 200, 50);
        assert!(blur.spent_at_most(hash(1)).is_some() && blur.spent_at_most(hash(5_000_000)).is_some());
        blur.free_ended(100);
        assert_eq!(blur.spent_at_most(hash(1)), None, "the older ones have ended");
        assert!(blur.spent_at_most(hash(5_000_000)).is_some());
        blur.free_ended(200);
        assert!(blur.is_empty() && blur.spent_at_most(hash(5_000_000)).is_none());
    }
}
