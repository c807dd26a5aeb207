//! Decisions by the line that they are about, two bits each.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::BufRead;

use serde::Deserialize;

use super::read::{LINES_MAX, Lines, ScoreError};

/// What was decided of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// Let through.
    Allow,
    /// Told to wait.
    Throttle,
    /// Refused.
    Deny,
}

/// Which of the two verdicts of a decision is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What the enforced rules say.
    Enforced,
    /// What they would say with every shadow rule enforced.
    Shadow,
}

/// A line of `signgate replay --decisions`.
#[derive(Deserialize)]
#[serde(expecting = "a decision: one JSON object")]
struct Decision {
    line: u64,
    /// Of the record, in milliseconds since 1970; other makers of decisions may leave it out.
    time: Option<u64>,
    verdict: Said,
    shadow: Option<Said>,
    /// Of several the one in which the line is counted.
    file: Option<String>,
}

/// All decisions of a trace.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// Two bits a line.
    said: Vec<u8>,
    /// Of so many lines something is known.
    known: u64,
    /// The times of the records, as far as they are known.
    times: Times,
}

/// Which lines have which times, in any order: two traces that differ in one have other sums, as good as surely.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// Of so many lines the time is known.
    pub count: u64,
    sum: u64,
}

impl Times {
    /// Puts down one, in milliseconds since 1970.
    pub fn add(&mut self, line: u64, time: u64) {
        let mut hasher = DefaultHasher::new();
        (line, time).hash(&mut hasher);
        self.sum = self.sum.wrapping_add(hasher.finish());
        self.count += 1;
    }
}

const UNKNOWN: u8 = 3;

impl Verdicts {
    /// Reads decisions about one file in any order; of two about one line the later holds.
    pub fn read(decisions: impl BufRead, which: Which) -> Result<Self, ScoreError> {
        let mut verdicts = Self::default();
        let mut lines = Lines::new(decisions, "decisions");
        let mut first_file = None;
        while let Some((number, text)) = lines.next()? {
            let decision: Decision =
                serde_json::from_slice(text).map_err(|error| lines.broken(number, &error))?;
            if *first_file.get_or_insert_with(|| decision.file.clone()) != decision.file {
                let file = decision.file.unwrap_or_default();
                return Err(ScoreError::SeveralFiles { line: number + 1, file });
            }
            let said = match which {
                Which::Enforced => decision.verdict,
                Which::Shadow => decision.shadow.unwrap_or(decision.verdict),
            };
            if decision.line >= LINES_MAX {
                return Err(ScoreError::TooMany);
            }
            if let (Some(time), None) = (decision.time, verdicts.get(decision.line as usize)) {
                verdicts.times.add(decision.line, time);
            }
            verdicts.set(decision.line as usize, said);
        }
        Ok(verdicts)
    }

    /// Puts down one.
    pub fn set(&mut self, line: usize, said: Said) {
        let byte = line / 4;
        if byte >= self.said.len() {
            // All ones: nothing is known of the lines between.
            self.said.resize(byte + 1, u8::MAX);
        }
        self.known += u64::from(self.get(line).is_none());
        let shift = line % 4 * 2;
        self.said[byte] = self.said[byte] & !(UNKNOWN << shift) | (said as u8) << shift;
    }

    /// Of how many lines something is known.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// The times of the records that were decided, of each line as it was told first.
    pub fn times(&self) -> &Times {
        &self.times
    }

    /// What was decided of a line, where it is known.
    pub fn get(&self, line: usize) -> Option<Said> {
        match self.said.get(line / 4)? >> (line % 4 * 2) & UNKNOWN {
            0 => Some(Said::Allow),
            1 => Some(Said::Throttle),
            2 => Some(Said::Deny),
            _ => None,
        }
    }
}
