//! What the log says of generators: once for each change, with what led there and what to do, and not more often than a person
//! reads.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Timestamp;
use crate::generator::attempt::Mark;
use crate::generator::health::{Change, Why};
use crate::generator::member::Generator;

/// Of one generator at most one line in this time; what was left out is counted in the next.
const QUIET: Duration = Duration::from_secs(5);

/// Failures that are named are those of the last one to two spans of this length.
const SPAN: Duration = Duration::from_secs(10);

/// So many reasons are named, the most frequent first.
const REASONS_MAX: usize = 4;

/// How one generator failed of late.
#[derive(Debug)]
pub(super) struct Failures {
    since: Timestamp,
    bases: [Box<[u32]>; 2],
}

impl Failures {
    pub(super) fn new(now: Timestamp) -> Self {
        let none = || Mark::words().iter().map(|_| 0).collect();
        Self { since: now, bases: [none(), none()] }
    }

    pub(super) fn look(&mut self, generator: &Generator, now: Timestamp) {
        if now.since(self.since) >= SPAN {
            self.bases.swap(0, 1);
            self.bases[1] = generator.failures().collect();
            self.since = now;
        }
    }

    /// `empty body 12, no cookie 3`; empty where there was none.
    pub(super) fn text(&self, generator: &Generator) -> String {
        let counts = generator.failures().zip(&self.bases[0]).map(|(now, base)| now.wrapping_sub(*base));
        let mut counts: Vec<_> = Mark::words().iter().zip(counts).filter(|(_, count)| *count > 0).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let mut text = String::new();
        for (place, (word, count)) in counts.iter().take(REASONS_MAX).enumerate() {
            let _ = write!(text, "{}{word} {count}", if place == 0 { "" } else { ", " });
        }
        text
    }
}

/// Says changes in the log.
#[derive(Debug)]
pub(super) struct Teller {
    /// Of each generator, and of all together: when something was said last, and how much was not since then.
    said: Vec<(Option<Timestamp>, u32)>,
}

impl Teller {
    pub(super) fn new(generators: usize) -> Self {
        Self { said: vec![(None, 0); generators + 1] }
    }

    pub(super) fn tell(
        &mut self,
        change: &Change,
        generators: &[Arc<Generator>],
        failures: Option<&str>,
        now: Timestamp,
    ) {
        let about = match change {
            Change::Ejected { place, .. } | Change::Recovered { place, .. } => *place,
            Change::AllOut | Change::NoLongerAllOut(_) => generators.len(),
        };
        let (said, unsaid) = &mut self.said[about];
        if said.is_some_and(|said| now.since(said) < QUIET) {
            *unsaid += 1;
            return;
        }
        *said = Some(now);
        let unsaid = std::mem::take(unsaid);
        match change {
            Change::Ejected { place, why, counts, probed_in } => {
                let name = &*generators[*place].name;
                let why = match why {
                    Why::Dead => "it gives no good answers",
                    Why::Worse => "it fails or lags far more than the others",
                };
                let reasons = failures.filter(|text| !text.is_empty()).unwrap_or("slow answers only");
                tracing::warn!(
                    generator.name = name,
                    good = counts.good,
                    failed = counts.bad,
                    slow = counts.slow,
                    reasons,
                    unsaid,
                    "generator `{name}` is ejected: {why} ({reasons}); it is probed in {probed_in:?}, and comes back by itself \
                     when it works. Look at its own log; `empty body`, `no cookie` and `fallback host` mean that its session or \
                     address is burnt"
                );
            }
            Change::Recovered { place, after } => {
                let name = &*generators[*place].name;
                tracing::info!(
                    generator.name = name,
                    unsaid,
                    "generator `{name}` works again after {:.1} s, and gets its share back by and by",
                    after.as_secs_f64()
                );
            }
            Change::AllOut => tracing::error!(
                unsaid,
                "no generator works: callers get 503, but for a trickle that tries the least bad; each generator is probed every \
                 second, and the first that works is used at once. See the lines above for why each was ejected"
            ),
            Change::NoLongerAllOut(after) => {
                tracing::info!(
                    unsaid,
                    "a generator works again, after {:.1} s with none",
                    after.as_secs_f64()
                );
            }
        }
    }
}
