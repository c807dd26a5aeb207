//! A generator that a test plays: how long it takes and what comes of it, in virtual time.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Question;
use super::adapters::stand_in;
use super::reply::Reply;
use super::wire::{Phase, WireError};
use crate::base::operation::Operation;
use crate::base::room::Room;

/// The status that it answers with: well where that is 200.
type Played = Pin<Box<dyn Future<Output = u16>>>;

/// What it does with each request.
pub struct Play {
    answer: Box<dyn Fn(Option<Room>) -> Played + Send + Sync>,
    only: Option<Operation>,
    pub(super) works_to_the_end_for: Option<Duration>,
}

impl fmt::Debug for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Play")
    }
}

impl Play {
    fn of(play: impl Fn(Option<Room>) -> Played + Send + Sync + 'static) -> Self {
        Self { answer: Box::new(play), only: None, works_to_the_end_for: None }
    }

    /// Each request is played by one call: whether it answers well, else with status 500.
    pub fn new<F: Future<Output = bool> + 'static>(play: impl Fn() -> F + Send + Sync + 'static) -> Self {
        let status = |is_good| if is_good { 200 } else { 500 };
        Self::of(move |_| {
            let played = play();
            Box::pin(async move { status(played.await) })
        })
    }

    /// After so long, with the status that it has for the room that is asked for, if any.
    pub fn by_status(
        took: Duration,
        status: impl Fn(Option<Room>) -> u16 + Copy + Send + Sync + 'static,
    ) -> Self {
        Self::of(move |room| {
            Box::pin(async move {
                tokio::time::sleep(took).await;
                status(room)
            })
        })
    }

    /// The same, and it can do nothing else.
    pub fn only(self, operation: Operation) -> Self {
        Self { only: Some(operation), ..self }
    }

    /// Whether it can be asked for that.
    pub fn can(&self, operation: Operation) -> bool {
        self.only.is_none_or(|only| only == operation)
    }

    /// At once, and well or not by what room is asked for, if any.
    pub fn by_room(is_good: impl Fn(Option<Room>) -> bool + Send + Sync + 'static) -> Self {
        Self::of(move |room| Box::pin(std::future::ready(if is_good(room) { 200 } else { 500 })))
    }

    /// The same, and goes on with it for so long when nobody waits any more.
    pub fn working_on_for(self, works_for: Duration) -> Self {
        Self { works_to_the_end_for: Some(works_for), ..self }
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
        match timeout_at(until, (self.answer)(question.room)).await {
            Ok(200) => Ok(stand_in::answer(question)),
            Ok(status) => Ok(Reply::Mapped { status, headers: Vec::new(), body: bytes::Bytes::new() }),
            Err(_) => Err(WireError::TimedOut(Phase::Head)),
        }
    }
}
