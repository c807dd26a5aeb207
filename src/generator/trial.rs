//! What a generator is for at present: all of the traffic, a canary's share of it, or none.
//!
//! Beside its health, which decides whether it can be asked: this is whether it should. A comparison rolls a canary back by
//! itself; everything else is the operator's word. It stands until the operator says something else, also across a reload that
//! leaves the generator as it is, and is forgotten when the gateway stops.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::canary::{Behind, Comparison, Tallies};

/// What a generator is for at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Its part of all traffic that is no canary's.
    Full,
    /// A canary's share.
    Canary,
    /// Nothing: it was a canary and fell behind, or the operator took it back.
    RolledBack,
    /// Nothing new: what it works on is finished.
    Drained,
}

impl Duty {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Full, Self::Canary, Self::RolledBack, Self::Drained];

    /// The word in lists.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Canary => "canary",
            Self::RolledBack => "rolled-back",
            Self::Drained => "drained",
        }
    }
}

/// The duty of one generator, as all threads share it.
#[derive(Debug)]
pub struct Post {
    duty: AtomicU8,
    trial: Option<Trial>,
}

/// A new version of a generator, on trial.
#[derive(Debug)]
pub struct Trial {
    /// The version that it is compared with.
    pub of: Arc<str>,
    /// The share of accounts that it gets, from 0 to 1.
    pub share: f64,
    /// What is counted of both. The baseline's are counted here, too.
    pub tallies: Tallies,
    comparison: Mutex<Comparison>,
}

impl Trial {
    /// One that begins.
    pub fn new(of: &str, share: f64) -> Self {
        Self { of: of.into(), share, tallies: Tallies::default(), comparison: Mutex::default() }
    }

    /// Takes in what was counted since the last time, which is `passed` ago: in what it fell behind.
    pub fn conclude(&self, passed: Duration) -> Option<Behind> {
        self.comparison.lock().unwrap_or_else(PoisonError::into_inner).conclude(&self.tallies, passed)
    }

    /// Begins anew.
    fn restart(&self) {
        *self.comparison.lock().unwrap_or_else(PoisonError::into_inner) = Comparison::default();
    }
}

impl Default for Post {
    fn default() -> Self {
        Self { duty: AtomicU8::new(Duty::Full as u8), trial: None }
    }
}

/// Why a generator's duty was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    /// It is none.
    #[error("it is no canary: `canary-of` in its `[[generator]]` would make it one")]
    NoCanary,
    /// It has that duty.
    #[error("it is that already")]
    Already,
    /// Nobody would be left.
    #[error("no other generator would be left that can do its work: add one first")]
    LastOne,
}

impl Post {
    /// A canary's, from the start.
    pub fn of_canary(trial: Trial) -> Self {
        Self { duty: AtomicU8::new(Duty::Canary as u8), trial: Some(trial) }
    }

    /// What it is for at present.
    pub fn duty(&self) -> Duty {
        Duty::ALL[usize::from(self.duty.load(Ordering::Relaxed)).min(Duty::ALL.len() - 1)]
    }

    /// Its trial, where it was made as a canary.
    pub const fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    /// Gives it another duty. A canary that is one again is compared anew; only what was made as a canary can be one.
    pub fn assign(&self, duty: Duty) -> Result<Duty, Unchanged> {
        let before = self.duty();
        if before == duty {
            return Err(Unchanged::Already);
        }
        match (duty, &self.trial) {
            (Duty::Canary | Duty::RolledBack, None) => return Err(Unchanged::NoCanary),
            (Duty::Canary, Some(trial)) => trial.restart(),
            _ => {}
        }
        self.duty.store(duty as u8, Ordering::Relaxed);
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_canary_is_promoted_and_rolled_back_and_everybody_is_drained() {
        let plain = Post::default();
        assert_eq!(plain.assign(Duty::RolledBack), Err(Unchanged::NoCanary));
        assert_eq!(plain.assign(Duty::Canary), Err(Unchanged::NoCanary));
        assert_eq!((plain.assign(Duty::Drained), plain.duty()), (Ok(Duty::Full), Duty::Drained));
        assert_eq!(plain.assign(Duty::Full), Ok(Duty::Drained));
        let canary = Post::of_canary(Trial::new("paris", 0.05));
        assert_eq!(canary.duty(), Duty::Canary);
        assert_eq!(canary.assign(Duty::RolledBack), Ok(Duty::Canary));
        assert_eq!(canary.assign(Duty::RolledBack), Err(Unchanged::Already));
        assert_eq!(canary.assign(Duty::Canary), Ok(Duty::RolledBack));
        assert_eq!((canary.assign(Duty::Full), canary.duty()), (Ok(Duty::Canary), Duty::Full));
    }
}
