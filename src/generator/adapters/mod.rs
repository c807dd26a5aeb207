//! How each kind of generator is asked.
//!
//! | kind | file | what it does | how it is asked |
//! |---|---|---|---|
//! | `euler` | [`euler`] | everything | the sign API itself: the request goes on as the dialect wrote it, with the generator's own key |
//! | `carcabot` | [`carcabot`] | signs URLs | `POST /signature`; looked after by its `GET /health`; one at a time |
//! | `stand-in` | [`stand_in`] | everything, and opens nothing | not at all: built in |
//!
//! # How to write another
//!
//! An adapter puts a [`Question`] into its generator's words and the answer back into those of the sign API
//! (`contract.md` section 3). It does not judge: whatever came back goes on as it is, [`judge`](super::judge) says what is
//! wrong with it, in the same words for every kind. It does not choose, wait or try again either: that is the fleet's.
//!
//! 1. **A file here**, with a type that holds the [`Origin`], the key as [`Secret`](crate::base::secret::Secret) where there
//!    is one, and nothing per request: one value serves all threads. Implement [`Adapter`] for it:
//!    - [`OPERATIONS`](Adapter::OPERATIONS): only what it really does. Requests for anything else never get to it.
//!    - [`ask`](Adapter::ask): one [`Request`](super::wire::Request) through the [`Pool`] it is handed, until the deadline. The
//!      target is a constant of the file or comes from the question, **never** out of what a client wrote beside it: a
//!      generator's control paths must stay out of reach. Take [`Question::target`] and [`Question::headers`] only where the
//!      generator speaks the sign API; they hold sessions and go nowhere else.
//!    - An answer in other words becomes a [`Reply::Mapped`] with a body in those of the sign API and the generator's own
//!      status; what cannot be put into them goes on unread as a [`Reply::Wire`], so that the judge can name it. A status
//!      that means "not now" with this generator and "your fault" in HTTP is to be changed to 503.
//!    - [`look`](Adapter::look), where the generator tells how it fares without being asked for a signature. It is called
//!      about once a second by one of the threads; keep what it says in a [`Standing`], which the choice reads.
//!    - [`WORKS_TO_THE_END_FOR`](Adapter::WORKS_TO_THE_END_FOR), where it goes on with what it was asked when the connection is gone: its
//!      permit stays with the work then, not with who asked.
//! 2. **A variant of [`Kind`]**: the compiler then names each `match` that needs a line.
//! 3. **The words of the deployment file**: `KindWord` in `config/file.rs`, `GeneratorKind` in `config/settings.rs` with its
//!    default of `in-flight-max`, the checks in `config/settle.rs`, `--generator` in `config/flags.rs`; one line in
//!    `cli/serve.rs` makes one out of the other.
//! 4. **Tests**: a server that follows the generator's own description to the letter, errors and stalls included
//!    (`tests/it/carcabot.rs` is one), a good answer through the whole gateway in every dialect, each way in which it fails, and
//!    clients that try to get at what is not theirs. In the file itself: that what the mapping makes is taken by the judge.

pub mod carcabot;
pub mod euler;
pub mod stand_in;
mod standing;

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use super::Question;
use super::reply::Reply;
use super::wire::{NotConnected, Origin, Pool, WireError};
use crate::base::operation::Operation;

pub use carcabot::Carcabot;
pub use euler::Euler;
pub use standing::Standing;

/// A kind of generator that is reached over the wire.
pub trait Adapter {
    /// What it can be asked for.
    const OPERATIONS: &'static [Operation];

    /// For how long it works on what it was asked, where it does so to the end though nobody waits for it any more: more is
    /// asked of it only when it has done with that, or the time is over. Such a kind is asked by URL and user agent alone.
    const WORKS_TO_THE_END_FOR: Option<Duration> = None;

    /// Where it is.
    fn origin(&self) -> &Origin;

    /// Asks once, over `pool`, until `deadline`. Its future is not `Send`.
    fn ask(
        &self,
        pool: &Pool,
        question: &Question<'_>,
        deadline: Instant,
    ) -> impl Future<Output = Result<Reply, WireError>>;

    /// How it says that it fares; `None` of a kind that does not tell.
    fn standing(&self) -> Option<&Standing> {
        None
    }

    /// Asks it how it fares, without a signature, and notes that in its [`Standing`].
    fn look(&self, _pool: &Pool, _deadline: Instant) -> impl Future<Output = ()> {
        async {}
    }
}

/// How a generator is spoken to.
#[derive(Debug)]
pub enum Kind {
    /// The sign API, over HTTP.
    Euler(Euler),
    /// carcabot's `tiktok-signature`, over HTTP.
    Carcabot(Carcabot),
    /// Built in.
    StandIn,
    /// A test's own.
    #[cfg(test)]
    Played(super::played::Play),
}

impl Kind {
    /// The word of the deployment file.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Euler(_) => "euler",
            Self::Carcabot(_) => "carcabot",
            Self::StandIn => "stand-in",
            #[cfg(test)]
            Self::Played(_) => "played",
        }
    }

    /// Whether it can be asked for that.
    pub fn can(&self, operation: Operation) -> bool {
        match self {
            Self::Euler(_) => Euler::OPERATIONS.contains(&operation),
            Self::Carcabot(_) => Carcabot::OPERATIONS.contains(&operation),
            Self::StandIn => true,
            #[cfg(test)]
            Self::Played(play) => play.can(operation),
        }
    }

    /// For how long it works on what it was asked, though nobody waits for it any more; `None` of a kind that can be left.
    pub const fn works_to_the_end_for(&self) -> Option<Duration> {
        match self {
            Self::Euler(_) => Euler::WORKS_TO_THE_END_FOR,
            Self::Carcabot(_) => Carcabot::WORKS_TO_THE_END_FOR,
            Self::StandIn => None,
            #[cfg(test)]
            Self::Played(play) => play.works_to_the_end_for,
        }
    }

    /// Whether it can fail at all: what cannot is not probed.
    pub const fn can_fail(&self) -> bool {
        !matches!(self, Self::StandIn)
    }

    /// Where it is, if it is anywhere.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Euler(euler) => Some(euler.origin()),
            Self::Carcabot(carcabot) => Some(carcabot.origin()),
            Self::StandIn => None,
            #[cfg(test)]
            Self::Played(_) => None,
        }
    }

    /// Asks once. `pool` leads to its [`origin`](Self::origin).
    pub async fn ask(
        &self,
        pool: Option<&Pool>,
        question: &Question<'_>,
        deadline: Instant,
    ) -> Result<Reply, WireError> {
        match (self, pool) {
            (Self::Euler(euler), Some(pool)) => euler.ask(pool, question, deadline).await,
            // In a box: the futures of all other requests would have room for it.
            (Self::Carcabot(carcabot), Some(pool)) => Box::pin(carcabot.ask(pool, question, deadline)).await,
            (Self::StandIn, _) => Ok(stand_in::answer(question)),
            #[cfg(test)]
            (Self::Played(play), _) => play.ask(question, deadline).await,
            // Whoever has an origin was given a pool.
            (Self::Euler(_) | Self::Carcabot(_), None) => Err(WireError::NotConnected(NotConnected::Failed)),
        }
    }

    /// How it says that it fares; `None` of a kind that does not tell.
    pub fn standing(&self) -> Option<&Standing> {
        match self {
            Self::Euler(euler) => euler.standing(),
            Self::Carcabot(carcabot) => carcabot.standing(),
            Self::StandIn => None,
            #[cfg(test)]
            Self::Played(_) => None,
        }
    }

    /// Asks it how it fares, where it tells.
    pub async fn look(&self, pool: Option<&Pool>, deadline: Instant) {
        match (self, pool) {
            (Self::Euler(euler), Some(pool)) => euler.look(pool, deadline).await,
            (Self::Carcabot(carcabot), Some(pool)) => carcabot.look(pool, deadline).await,
            (Self::Euler(_) | Self::Carcabot(_), None) | (Self::StandIn, _) => {}
            #[cfg(test)]
            (Self::Played(_), _) => {}
        }
    }
}
