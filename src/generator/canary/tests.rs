use super::*;

/// xorshift64* (Vigna, 2014).
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// How many of `n` happen that each happen with probability `p`: by the gaps between them.
    fn of(&mut self, n: u32, p: f64) -> u32 {
        if p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        let (mut place, mut count) = (0.0, 0);
        loop {
            place += 1.0 + (self.unit().max(1e-300).ln() / (1.0 - p).ln()).floor();
            if place > f64::from(n) {
                return count;
            }
            count += 1;
        }
    }
}

/// A version: how often it fails and how often a good answer of it is slow.
#[derive(Clone, Copy)]
struct Version {
    fails: f64,
    slow: f64,
}

const BASELINE: Version = Version { fails: 0.005, slow: 0.25 };

/// Plays a canary with 5 % of a hundred answers a second for at most so many seconds: after how many of its answers it was
/// rolled back, and for what.
fn play(baseline: Version, canary: Version, seconds: u32, random: &mut Random) -> Option<(u32, Behind)> {
    let mut comparison = Comparison::default();
    let mut answers = 0;
    for _ in 0..seconds {
        let batch = [(95, baseline), (5, canary)].map(|(answers, version)| {
            let failures = random.of(answers, version.fails);
            Seen { answers, failures, slow: random.of(answers - failures, version.slow) }
        });
        answers += 5;
        if let Some(behind) = comparison.take(batch, Duration::from_secs(1)) {
            return Some((answers, behind));
        }
    }
    None
}

/// Of so many canaries, those that were rolled back, and the median of the answers that it took, all of them for `why`.
fn rolled_back(canary: Version, why: Behind, runs: u32, seconds: u32) -> (u32, u32) {
    let mut random = Random(0x5eed);
    let mut found: Vec<u32> = (0..runs)
        .filter_map(|_| play(BASELINE, canary, seconds, &mut random))
        .map(|(answers, behind)| {
            assert_eq!(behind, why);
            answers
        })
        .collect();
    found.sort_unstable();
    (found.len() as u32, found.get(found.len() / 2).copied().unwrap_or(0))
}

#[test]
fn one_that_is_no_worse_is_not_rolled_back() {
    let mut random = Random(7);
    // Each for forty minutes: a look every second. The bound says one in a thousand at most on average.
    for (what, canary) in [
        ("equal", BASELINE),
        ("better", Version { fails: 0.0, slow: 0.05 }),
        ("within what is tolerated", Version { fails: 0.007, slow: 0.25 }),
    ] {
        let found = (0..80).filter(|_| play(BASELINE, canary, 2_400, &mut random).is_some()).count();
        assert!(found <= 1, "{what}: {found} of 80");
    }
}

#[test]
fn an_outage_that_hits_both_is_nobodys_fault() {
    let mut random = Random(11);
    for _ in 0..50 {
        let mut comparison = Comparison::default();
        for second in 0..1_200 {
            let fails = if second % 300 < 60 { 0.9 } else { 0.002 };
            let batch = [95, 5].map(|answers| Seen { answers, failures: random.of(answers, fails), slow: 0 });
            assert_eq!(comparison.take(batch, Duration::from_secs(1)), None);
        }
    }
}

#[test]
fn one_that_is_worse_is_found_and_how_soon_is_stated() {
    for (fails, most) in [(1.0, 10), (0.5, 20), (0.1, 90), (0.03, 800)] {
        let canary = Version { fails, ..BASELINE };
        let (found, median) = rolled_back(canary, Behind::Success, 60, 3_600);
        println!("fails {fails}: {found} of 60, half within {median} answers");
        assert!(found == 60 && median <= most, "fails {fails}: {found} of 60, half within {median}");
    }
    // One in fifty: within hours of this traffic.
    let (found, median) = rolled_back(Version { fails: 0.02, ..BASELINE }, Behind::Success, 20, 3 * 3_600);
    println!("fails 0.02: {found} of 20, half within {median} answers");
    assert!(found >= 19, "{found} of 20");
}

#[test]
fn one_that_is_slower_is_found_and_one_that_is_faster_is_not() {
    // Of one that takes twice as long about three in four answers are slow.
    let (found, median) = rolled_back(Version { slow: 0.75, ..BASELINE }, Behind::Latency, 60, 3_600);
    println!("slow 0.75: {found} of 60, half within {median} answers");
    assert!(found == 60 && median <= 90, "{found}, {median}");
    let (found, _) = rolled_back(Version { slow: 0.01, ..BASELINE }, Behind::Latency, 30, 3_600);
    assert_eq!(found, 0);
}

#[test]
fn one_that_was_good_for_a_day_is_found_within_minutes() {
    let mut random = Random(3);
    let mut comparison = Comparison::default();
    let mut second = |comparison: &mut Comparison, fails: f64| {
        let batch = [(95, 0.005), (5, fails)].map(|(answers, fails)| Seen {
            answers,
            failures: random.of(answers, fails),
            slow: 0,
        });
        comparison.take(batch, Duration::from_secs(1))
    };
    for _ in 0..86_400 {
        assert_eq!(second(&mut comparison, 0.004), None);
    }
    let found = (0..3_600).position(|_| second(&mut comparison, 0.2).is_some());
    assert!(found.is_some_and(|seconds| seconds < 600), "{found:?}");
}

#[test]
fn slow_is_what_is_slow_for_the_baseline() {
    let slower_by = |factor: f64| {
        let (tallies, mut comparison) = (Tallies::default(), Comparison::default());
        let mut random = Random(5);
        (0..1_200).find_map(|_| {
            for place in 0..100 {
                let took = Duration::from_secs_f64(0.02 * (1.0 + random.unit()));
                if place < 5 {
                    tallies.note(Side::Canary, Some(took.mul_f64(factor)));
                } else {
                    tallies.note(Side::Baseline, Some(took));
                }
            }
            comparison.conclude(&tallies, Duration::from_secs(1))
        })
    };
    assert_eq!(slower_by(2.0), Some(Behind::Latency));
    for factor in [1.0, 1.05, 0.5] {
        assert_eq!(slower_by(factor), None, "{factor}");
    }
}

#[test]
fn one_side_alone_tells_nothing() {
    let mut comparison = Comparison::default();
    for _ in 0..1_000 {
        let failing = Seen { answers: 5, failures: 5, slow: 0 };
        assert_eq!(comparison.take([Seen::default(), failing], Duration::from_secs(1)), None);
    }
}

#[test]
fn a_payer_stays_on_its_side_and_more_share_keeps_those_that_were_in() {
    let mut random = Random(9);
    let mut hash = || {
        random.unit();
        random.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let hashes: Vec<u64> = (0..100_000).map(|_| hash()).collect();
    let chosen = |share| hashes.iter().filter(|hash| is_chosen(**hash, share)).count();
    assert!(chosen(0.05).abs_diff(5_000) < 300, "{}", chosen(0.05));
    assert_eq!((chosen(0.0), chosen(1.0)), (0, hashes.len()));
    assert!(hashes.iter().all(|hash| !is_chosen(*hash, 0.05) || is_chosen(*hash, 0.1)));
}
