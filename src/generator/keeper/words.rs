//! What the log says of generators: once for each change, with what led there and what to do, and not more often than a person
//! reads.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use crate::base::time::Timestamp;
use crate::generator::attempt::Mark;
use crate::generator::health::Change;
use crate::generator::member::Generator;

/// Of one generator, trouble is said at most once in this time; that it works again is said at once.
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
    /// From now on: what failed before is another's to tell.
    pub(super) fn new(generator: &Generator, now: Timestamp) -> Self {
        let held = || generator.failures().collect();
        Self { since: now, bases: [held(), held()] }
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

/// How one failed whose answers were good, and late.
pub(super) const SLOW_ONLY: &str = "slow answers only";

/// Says changes in the log. Bad news of the same subject come at most once in a while; that it is over is said whenever the
/// trouble was. So what the log says last of a subject is how it is, or was a few seconds ago.
#[derive(Debug)]
pub(super) struct Teller {
    /// Of each generator, and of all together.
    subjects: Vec<Subject>,
}

#[derive(Debug, Default, Clone)]
struct Subject {
    /// When trouble was said last.
    said: Option<Timestamp>,
    /// Trouble that is not said yet, as some was said just now; with how requests failed, and since when.
    held: Option<(Change, String, Timestamp)>,
    /// Troubles that were over before they were said.
    passed_unsaid: u32,
}

impl Teller {
    pub(super) fn new(generators: usize) -> Self {
        Self { subjects: vec![Subject::default(); generators + 1] }
    }

    /// Says a change, or holds it for a moment. `failures`: how requests failed, of one that is ejected.
    pub(super) fn tell(
        &mut self,
        change: Change,
        generators: &[Arc<Generator>],
        failures: String,
        now: Timestamp,
    ) {
        let (place, is_trouble) = match change {
            Change::Ejected { place, .. } => (place, true),
            Change::Recovered { place, .. } => (place, false),
            Change::AllOut => (generators.len(), true),
            Change::NoLongerAllOut(_) => (generators.len(), false),
        };
        let subject = &mut self.subjects[place];
        if is_trouble {
            subject.held = Some((change, failures, now));
            self.say_due(place, generators, now);
        } else if subject.held.take().is_some() {
            subject.passed_unsaid += 1;
        } else {
            say(&change, generators, "", 0, false);
        }
    }

    /// Says what was held long enough and goes on. To be called a few times a second.
    pub(super) fn tell_held(&mut self, generators: &[Arc<Generator>], now: Timestamp) {
        (0..self.subjects.len()).for_each(|place| self.say_due(place, generators, now));
    }

    fn say_due(&mut self, place: usize, generators: &[Arc<Generator>], now: Timestamp) {
        let subject = &self.subjects[place];
        if subject.held.is_none() || subject.said.is_some_and(|said| now.since(said) < QUIET) {
            return;
        }
        // That none works refers to why each was ejected: whatever is held of that comes first.
        let first = if place == generators.len() { 0 } else { place };
        self.subjects[first..=place].iter_mut().for_each(|subject| subject.say_held(generators, now));
    }
}

impl Subject {
    fn say_held(&mut self, generators: &[Arc<Generator>], now: Timestamp) {
        if let Some((change, failures, at)) = self.held.take() {
            self.said = Some(now);
            say(&change, generators, &failures, std::mem::take(&mut self.passed_unsaid), at != now);
        }
    }
}

/// `passed`: how many troubles of the same subject before this were too short to be said one by one. `is_late`: it was held, and
/// what was to come next may have been.
fn say(change: &Change, generators: &[Arc<Generator>], reasons: &str, passed: u32, is_late: bool) {
    let before = match passed {
        0 => String::new(),
        1 => " (once more before, too briefly for a line of its own)".to_owned(),
        _ => format!(" ({passed} times more before, too briefly for lines of their own)"),
    };
    match change {
        Change::Ejected { place, why, counts, probed_in } => {
            let name = &*generators[*place].name;
            let next = if is_late {
                "it comes back by itself when a probe succeeds".to_owned()
            } else {
                format!(
                    "its first probe comes {probed_in:?} after that, and it comes back by itself when one succeeds"
                )
            };
            tracing::warn!(
                generator.name = name,
                good = counts.good,
                failed = counts.bad,
                slow = counts.slow,
                reasons,
                "generator `{name}` is ejected{before}: {} ({reasons}); {next}. Look at its own log; `empty body`, \
                 `no cookie` and `fallback host` mean that its session or address is burnt",
                why.text()
            );
        }
        Change::Recovered { place, after } => {
            let name = &*generators[*place].name;
            tracing::info!(
                generator.name = name,
                "generator `{name}` works again after {:.1} s, and gets its share back by and by",
                after.as_secs_f64()
            );
        }
        Change::AllOut => tracing::error!(
            "no generator works{before}: callers get 503, but for a trickle that tries the least bad; each generator is probed \
             every second while that lasts, and the first that works is used at once. See the lines above for why each was \
             ejected"
        ),
        Change::NoLongerAllOut(after) => {
            tracing::info!("a generator works again, after {:.1} s with none", after.as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use super::*;
    use crate::generator::adapters::Kind;
    use crate::generator::health::{Counts, Why};
    use crate::generator::judge::Judge;

    /// What is logged while `work` runs.
    fn logged(work: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<Vec<u8>>>);
        impl Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .without_time()
            .with_target(false)
            .with_ansi(false)
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }

    fn mine() -> [Arc<Generator>; 1] {
        [Arc::new(Generator::new("mine", "sig", Kind::StandIn, Judge::of_stand_in(), 1, 1))]
    }

    fn ejected() -> Change {
        ejected_at(0)
    }

    fn ejected_at(place: usize) -> Change {
        let counts = Counts { bad: 5, ..Counts::default() };
        Change::Ejected { place, why: Why::Dead, counts, probed_in: Duration::from_secs(1) }
    }

    fn recovered() -> Change {
        Change::Recovered { place: 0, after: Duration::from_secs(1) }
    }

    /// Ejected and well, again and again, `until` so many milliseconds: what is said last is how it is.
    #[test]
    fn what_is_said_last_is_how_it_is() {
        for flaps in 1..=12 {
            for ends_well in [true, false] {
                let lines = logged(|| {
                    let (mut teller, generators) = (Teller::new(1), mine());
                    let at = |flap: u64, then: u64| Timestamp::from_millis(1_000_000 + flap * 900 + then);
                    for flap in 0..flaps {
                        teller.tell(ejected(), &generators, "no cookie 5".into(), at(flap, 0));
                        if flap + 1 < flaps || ends_well {
                            teller.tell(recovered(), &generators, String::new(), at(flap, 400));
                        }
                        teller.tell_held(&generators, at(flap, 500));
                    }
                    (0..200).for_each(|tick| teller.tell_held(&generators, at(flaps, tick * 50)));
                });
                let last = lines.last().unwrap();
                assert_eq!(last.contains("works again"), ends_well, "{flaps} flaps: {lines:#?}");
                let troubles = lines.iter().filter(|line| line.contains("is ejected")).count() as u64;
                assert!(troubles <= 2 + flaps * 900 / 5_000, "{flaps} flaps: {lines:#?}");
                assert!(lines.len() as u64 <= 2 * troubles, "{lines:#?}");
            }
        }
    }

    /// Of two, one is ejected again within the quiet time, and then none works: why stands above that, whether that none works is
    /// said at once or later.
    #[test]
    fn why_each_was_ejected_stands_above_that_none_works() {
        let both = ["one", "other"]
            .map(|name| Arc::new(Generator::new(name, "sig", Kind::StandIn, Judge::of_stand_in(), 1, 1)));
        for all_out_before in [false, true] {
            let lines = logged(|| {
                let mut teller = Teller::new(2);
                let at = |millis: u64| Timestamp::from_millis(1_000_000 + millis);
                let mut tell = |change, millis| teller.tell(change, &both, "no cookie 5".into(), at(millis));
                if all_out_before {
                    tell(Change::AllOut, 0);
                    tell(Change::NoLongerAllOut(Duration::from_secs(1)), 100);
                }
                tell(ejected(), 200);
                tell(recovered(), 300);
                tell(ejected(), 400);
                tell(ejected_at(1), 500);
                tell(Change::AllOut, 500);
                (0..200).for_each(|tick| teller.tell_held(&both, at(600 + tick * 50)));
            });
            let place = |start: &str| lines.iter().rposition(|line| line.contains(start)).unwrap();
            let none_works = place("no generator works");
            assert!(
                place("`one` is ejected") < none_works && place("`other` is ejected") < none_works,
                "{lines:#?}"
            );
            let ejections = lines.iter().filter(|line| line.contains("`one` is ejected"));
            let probes: Vec<bool> = ejections.map(|line| line.contains("its first probe comes")).collect();
            assert_eq!(probes, [true, false], "when a probe comes is not said late: {lines:#?}");
        }
    }

    #[test]
    fn lines_explain_themselves() {
        let lines = logged(|| {
            let (mut teller, generators) = (Teller::new(1), mine());
            let at = |secs: u64| Timestamp::from_secs(1_000 + secs);
            for secs in [0, 1, 2, 6] {
                teller.tell(ejected(), &generators, "no cookie 5".into(), at(secs));
                teller.tell(recovered(), &generators, String::new(), at(secs));
            }
            teller.tell(Change::AllOut, &generators, String::new(), at(7));
            teller.tell(Change::NoLongerAllOut(Duration::from_secs(5)), &generators, String::new(), at(12));
        });
        insta::assert_snapshot!(lines.join("\n"));
    }
}
