//! Reads labelled traffic and decisions, each line bounded.

use std::io::{self, BufRead, Read};
use std::net::IpAddr;

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::tally::{Score, Tally};
use super::verdicts::{Times, Verdicts, Which};
use crate::base::time::Timestamp;

/// The longest line, in bytes.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// The most lines that a trace may have: a quarter of this in bytes is held of its decisions.
pub(super) const LINES_MAX: u64 = 1 << 30;

/// How much earlier than the latest before it a line may be, in milliseconds: records are in the order in which requests
/// ended, and a replay sorts within as much. Simulated traffic never goes back.
const BACK_MS_MAX: u64 = 120_000;

/// Why nothing can be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// It cannot be read.
    #[error("the {0} cannot be read")]
    Read(&'static str, #[source] io::Error),
    /// A line is not what it should be. The number is from 1, as editors count.
    #[error("line {1} of the {0}: {2}")]
    Broken(&'static str, u64, String),
    /// A line is too long to be one.
    #[error("line {1} of the {0} is longer than {LINE_BYTES_MAX} bytes")]
    TooLong(&'static str, u64),
    /// There is too much of it.
    #[error("there are more than {LINES_MAX} lines")]
    TooMany,
    /// The decisions are not about this traffic: a labelled line of it has none.
    #[error("nothing was decided of line {0} of the traffic: were these decisions made of it?")]
    Undecided(u64),
    /// The decisions are about more than this traffic.
    #[error(
        "the decisions tell of lines that the traffic does not have: {decided}, and it has {lines}; were they made of it?"
    )]
    Surplus {
        /// So many.
        decided: u64,
        /// The lines of the traffic.
        lines: u64,
    },
    /// The decisions are about records of other times.
    #[error("the decisions are about records of other times than the traffic's: were they made of it?")]
    OtherTimes,
    /// The decisions are about several files, and lines are counted in each.
    #[error(
        "line {line} of the decisions is about another file than the first (`{file}`): replay each file by itself, and score it with \
         its own decisions"
    )]
    SeveralFiles {
        /// The first line that is, from 1.
        line: u64,
        /// What it is about.
        file: String,
    },
    /// The traffic is several traces in one file.
    #[error(
        "line {line} of the traffic is of another scenario (`{found}` in population {population}) than the first line \
         (`{first}` in population {first_population}): score each trace by itself, with its own decisions"
    )]
    OtherScenario {
        /// The first line that is, from 1.
        line: u64,
        /// What it is of.
        found: String,
        /// In which population.
        population: u8,
        /// What the trace began as.
        first: String,
        /// In which population.
        first_population: u8,
    },
    /// The traffic goes back in time: it is several traces, or not sorted.
    #[error(
        "line {line} of the traffic is {seconds} s earlier than a line before it: score each trace by itself, and sort what is \
         not in order of time before it is replayed and scored"
    )]
    GoesBack {
        /// The first line that does, from 1.
        line: u64,
        /// How far.
        seconds: u64,
    },
    /// The traffic says nothing of who is who.
    #[error("no line of the traffic has a `label`: `signgate simulate` writes such traffic")]
    Unlabelled,
}

/// One line after the other, in one buffer.
pub(super) struct Lines<R> {
    from: R,
    what: &'static str,
    buffer: Vec<u8>,
    number: u64,
    cuts: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(from: R, what: &'static str) -> Self {
        Self { from, what, buffer: Vec::new(), number: 0, cuts: false }
    }

    /// The same, of which lines that are too long are read up to there.
    fn cutting(from: R, what: &'static str) -> Self {
        Self { cuts: true, ..Self::new(from, what) }
    }

    /// The next line that is not empty, with its number from 0.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &[u8])>, ScoreError> {
        loop {
            self.buffer.clear();
            let mut bounded = (&mut self.from).take(LINE_BYTES_MAX);
            let read = bounded.read_until(b'\n', &mut self.buffer);
            let number = self.number;
            match read.map_err(|error| ScoreError::Read(self.what, error))? {
                0 => return Ok(None),
                length if length as u64 == LINE_BYTES_MAX && !self.buffer.ends_with(b"\n") => {
                    if !self.cuts {
                        return Err(ScoreError::TooLong(self.what, number + 1));
                    }
                    let rest = self.from.skip_until(b'\n');
                    rest.map_err(|error| ScoreError::Read(self.what, error))?;
                }
                _ => {}
            }
            self.number += 1;
            if self.number > LINES_MAX {
                return Err(ScoreError::TooMany);
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some((number, &self.buffer)));
            }
        }
    }

    pub(super) fn broken(&self, number: u64, error: &impl std::fmt::Display) -> ScoreError {
        ScoreError::Broken(self.what, number + 1, error.to_string())
    }
}

/// What is looked at of a line of labelled traffic.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a record: one JSON object")]
pub struct Labelled<'a> {
    /// In milliseconds since 1970.
    #[serde(deserialize_with = "millis")]
    pub time: u64,
    /// The client's address.
    pub client: IpAddr,
    /// Who it was; `None` for lines that are not labelled, such as events.
    #[serde(borrow)]
    pub label: Option<Label<'a>>,
}

/// Who somebody was in truth.
#[derive(Debug, Deserialize)]
#[serde(expecting = "a label: one JSON object")]
pub struct Label<'a> {
    /// 1 or 2.
    pub population: u8,
    /// What happened.
    pub scenario: &'a str,
    /// What kind of person or program it was.
    pub persona: &'a str,
    /// Whether the request was one too many.
    pub attack: bool,
    /// The room that it was about.
    pub room: &'a str,
}

/// One trace has one scenario, in one population, and time goes on in it. The figures mean nothing for several at once.
#[derive(Debug, Default)]
struct Trace {
    /// What its first labelled line says.
    of: Option<(String, u8)>,
    latest: u64,
}

impl Trace {
    /// Looks at the labelled line of this number, from 1.
    fn go_on(&mut self, number: u64, time: u64, label: &Label<'_>) -> Result<(), ScoreError> {
        let (scenario, population) =
            self.of.get_or_insert_with(|| (label.scenario.to_owned(), label.population));
        if (scenario.as_str(), *population) != (label.scenario, label.population) {
            return Err(ScoreError::OtherScenario {
                line: number,
                found: label.scenario.to_owned(),
                population: label.population,
                first: scenario.clone(),
                first_population: *population,
            });
        }
        if time.saturating_add(BACK_MS_MAX) < self.latest {
            return Err(ScoreError::GoesBack { line: number, seconds: (self.latest - time) / 1_000 });
        }
        self.latest = self.latest.max(time);
        Ok(())
    }
}

/// Milliseconds since 1970 or RFC 3339, as records may have either.
fn millis<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "`time` is neither milliseconds nor RFC 3339")]
    enum Moment<'a> {
        Millis(u64),
        Text(&'a str),
    }
    match Moment::deserialize(from)? {
        Moment::Millis(millis) => Ok(millis),
        Moment::Text(text) => Timestamp::parse_rfc3339(text)
            .map(Timestamp::as_millis)
            .ok_or_else(|| D::Error::custom("`time` is neither milliseconds nor RFC 3339")),
    }
}

/// A score, and what of the traffic is not in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Of what is labelled.
    pub score: Score,
    /// Requests that were decided and say not who asked.
    pub unlabelled: u64,
    /// Lines that are no records, as which a replay passes them over.
    pub passed_over: u64,
}

/// Scores the decisions about a trace. `passes_over` tells of a line of which nothing was decided whether that is because it is
/// no record.
pub fn score(
    traffic: impl BufRead,
    decisions: impl BufRead,
    which: Which,
    mut passes_over: impl FnMut(&[u8]) -> bool,
) -> Result<Scored, ScoreError> {
    let verdicts = Verdicts::read(decisions, which)?;
    let mut lines = Lines::cutting(traffic, "traffic");
    let (mut unlabelled, mut passed_over) = (0, 0);
    let mut tally = Tally::default();
    // Each decision belongs to a line, and each labelled line has one: that tells traces of different lengths. Those of one
    // length are told by their times, where the decisions hold them.
    let (mut met, mut times) = (0, Times::default());
    let mut trace = Trace::default();
    while let Some((number, text)) = lines.next()? {
        let said = verdicts.get(number as usize);
        let decided = u64::from(said.is_some());
        met += decided;
        if said.is_none() && passes_over(text) {
            passed_over += 1;
            continue;
        }
        // A line without a client, such as an event, has no label either.
        let line: Labelled<'_> = match serde_json::from_slice(text) {
            Ok(line) => line,
            Err(_) if is_unlabelled(text) => {
                unlabelled += decided;
                continue;
            }
            Err(error) => return Err(lines.broken(number, &error)),
        };
        if said.is_some() {
            times.add(number, line.time);
        }
        let Some(label) = &line.label else {
            unlabelled += decided;
            continue;
        };
        trace.go_on(number + 1, line.time, label)?;
        tally.add(&line, label, said.ok_or(ScoreError::Undecided(number + 1))?);
    }
    if met < verdicts.known() {
        return Err(ScoreError::Surplus { decided: verdicts.known() - met, lines: lines.number });
    }
    // All of them, or nothing can be said.
    if verdicts.times().count == verdicts.known() && times.count == met && times != *verdicts.times() {
        return Err(ScoreError::OtherTimes);
    }
    let score = tally.finish().ok_or(ScoreError::Unlabelled)?;
    Ok(Scored { score, unlabelled, passed_over })
}

fn is_unlabelled(text: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Any {
        label: Option<serde::de::IgnoredAny>,
    }
    serde_json::from_slice::<Any>(text).is_ok_and(|any| any.label.is_none())
}
