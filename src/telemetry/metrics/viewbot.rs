//! What view-bot detection counts, turned into families when the page is asked for: it counts in words of its own, and in
//! cells that the data path adds to anyway.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

use super::series::{self, Kind, Series};
use crate::base::time::Timestamp;
use crate::engine::Engine;
use crate::engine::viewbot::{Rung, Shelf, bans::RUNGS, evidence};
use crate::policy::viewbot::{ViewbotMode, ViewbotSettings};

/// The modes in which something is counted.
pub(super) const MODES: [ViewbotMode; 3] = [ViewbotMode::Shadow, ViewbotMode::Throttle, ViewbotMode::Enforce];

pub(super) const MODE_WORDS: [&str; MODES.len()] =
    [ViewbotMode::Shadow.word(), ViewbotMode::Throttle.word(), ViewbotMode::Enforce.word()];

pub(super) const RUNG_WORDS: [&str; Rung::ALL.len()] = {
    let mut words = [""; Rung::ALL.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = Rung::ALL[place].word();
        place += 1;
    }
    words
};

pub(super) const HEURISTIC_WORDS: [&str; evidence::Kind::ALL.len()] = {
    let mut words = [""; evidence::Kind::ALL.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = evidence::Kind::ALL[place].word();
        place += 1;
    }
    words
};

/// Whose bans stand.
pub(super) const BAN_WORDS: [&str; 4] = ["enforced", "shadow", "promoted", "operator"];

/// Reads the numbers of an engine under the settings in force.
pub(super) struct Source(pub(super) Box<dyn Fn() -> Option<ViewbotNumbers> + Send>);

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Source")
    }
}

/// The numbers of view-bot detection at one moment.
#[derive(Debug, Clone, Default)]
pub struct ViewbotNumbers {
    rungs: Vec<[u64; RUNG_WORDS.len()]>,
    heuristics: Vec<[u64; HEURISTIC_WORDS.len()]>,
    bans_made: Vec<[u64; RUNGS.len()]>,
    bans: [usize; BAN_WORDS.len()],
    alarmed: usize,
    excess: f64,
    excess_most: f64,
    learned: f64,
    is_cold: bool,
    mode: ViewbotMode,
}

impl ViewbotNumbers {
    /// Of an engine. Takes the locks of the rooms one after the other, for as long as adding up the alarmed ones takes.
    pub fn read(engine: &Engine, settings: &ViewbotSettings, now: Timestamp) -> Self {
        let viewbot = engine.viewbot();
        let counts = viewbot.counts();
        let alarms = viewbot.alarm_totals(settings, now);
        let warmth = viewbot.warmth(now);
        let [enforced, shadow, promoted] = Shelf::ALL.map(|shelf| viewbot.shelf(shelf).standing_count(now));
        Self {
            rungs: MODES.map(|mode| Rung::ALL.map(|rung| counts.of_rung(mode, rung))).to_vec(),
            heuristics: MODES
                .map(|mode| evidence::Kind::ALL.map(|kind| counts.of_evidence(mode, kind)))
                .to_vec(),
            bans_made: MODES.map(|mode| std::array::from_fn(|rung| counts.of_bans(mode, rung))).to_vec(),
            bans: [enforced, shadow, promoted, engine.operator_bans().list(now).len()],
            alarmed: alarms.rooms,
            excess: alarms.excess,
            excess_most: alarms.excess_most,
            learned: warmth.strangers,
            is_cold: warmth.is_cold,
            mode: settings.mode,
        }
    }

    /// The families of the table that these numbers fill.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        vec![
            by_mode(series::VIEWBOT_REQUESTS, &self.rungs, &RUNG_WORDS),
            by_mode(series::VIEWBOT_EVIDENCE, &self.heuristics, &HEURISTIC_WORDS),
            by_mode(series::VIEWBOT_BANS_MADE, &self.bans_made, &RUNGS),
            family(
                series::BANS,
                BAN_WORDS.iter().zip(self.bans).map(|(word, count)| (vec![*word], count as f64)),
            ),
            family(
                series::VIEWBOT_MODE,
                ViewbotMode::WORDS.iter().map(|(word, mode)| (vec![*word], f64::from(*mode == self.mode))),
            ),
            plain(series::VIEWBOT_ROOMS_ALARMED, self.alarmed as f64),
            plain(series::VIEWBOT_EXCESS, self.excess.round()),
            plain(series::VIEWBOT_EXCESS_MOST, self.excess_most.round()),
            plain(series::VIEWBOT_LEARNED, self.learned.round()),
            plain(series::VIEWBOT_COLD, f64::from(self.is_cold)),
        ]
    }
}

fn by_mode<const N: usize>(series: Series, counts: &[[u64; N]], words: &[&'static str; N]) -> MetricFamily {
    let values = MODE_WORDS.iter().zip(counts).flat_map(|(mode, counts)| {
        words.iter().zip(counts).map(|(word, count)| (vec![*mode, *word], *count as f64))
    });
    family(series, values)
}

fn plain(series: Series, value: f64) -> MetricFamily {
    family(series, std::iter::once((Vec::new(), value)))
}

/// One metric for each list of values, in the order of the family's labels.
fn family(series: Series, values: impl Iterator<Item = (Vec<&'static str>, f64)>) -> MetricFamily {
    let metrics = values.map(|(words, value)| {
        let mut metric = Metric::default();
        let pairs = series.labels.iter().zip(words).map(|(label, word)| {
            let mut pair = LabelPair::default();
            pair.set_name(label.name.to_owned());
            pair.set_value(word.to_owned());
            pair
        });
        // By name, as the library sorts those of its own.
        let mut pairs: Vec<LabelPair> = pairs.collect();
        pairs.sort_by(|one, other| one.name().cmp(other.name()));
        metric.set_label(pairs);
        if series.kind == Kind::Gauge {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        } else {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        }
        metric
    });
    let mut family = MetricFamily::default();
    family.set_name(series.name.to_owned());
    family.set_help(series.help.to_owned());
    family.set_field_type(if series.kind == Kind::Gauge { MetricType::GAUGE } else { MetricType::COUNTER });
    family.set_metric(metrics.collect());
    family
}
