//! A generator that a test plays: how long it takes and what comes of it, in virtual time.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Question;
use super::adapters::stand_in;
use super::reply::Reply;
use super::wire::{Phase, WireError};
use crate::base::room::Room;

/// Whether it answers well; else with status 500.
type Played = Pin<Box<dyn Future<Output = bool>>>;

/// What it does with each request.
pub struct Play(Box<dyn Fn(Option<Room>) -> Played + Send + Sync>);

impl fmt::Debug for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Play")
    }
}

impl Play {
    /// Each request is played by one call.
    pub fn new<F: Future<Output = bool> + 'static>(play: impl Fn() -> F + Send + Sync + 'static) -> Self {
        Self(Box::new(move |_| Box::pin(play())))
    }

    /// At once, and well or not by what room is asked for, if any.
    pub fn by_room(is_good: impl Fn(Option<Room>) -> bool + Send + Sync + 'static) -> Self {
        Self(Box::new(move |room| Box::pin(std::future::ready(is_good(room)))))
    }

    /// Works, and takes so long.
    pub fn good(took: Duration) -> Self {
        Self::new(move || async move {
            tokio::time::sleep(took).await;
            true
        })
    }

    /// Answers at once, and never well.
    pub fn bad() -> Self {
        Self::new(|| async { false })
    }

    /// Never answers.
    pub fn hangs() -> Self {
        Self::new(std::future::pending)
    }

    pub(super) async fn ask(&self, question: &Question<'_>, until: Instant) -> Result<Reply, WireError> {
        match timeout_at(until, (self.0)(question.room)).await {
            Ok(true) => Ok(stand_in::answer(question)),
            Ok(false) => Ok(Reply::Mapped { status: 500, headers: Vec::new(), body: bytes::Bytes::new() }),
            Err(_) => Err(WireError::TimedOut(Phase::Head)),
        }
    }
}
