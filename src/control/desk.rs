//! What the thread that looks after the policies is asked for, and what it answers.
//!
//! Whoever asks holds a [`Desk`]: the operator's listener for people, the signals for scripts, the file system's events.

use std::sync::mpsc::Sender;

use tokio::sync::oneshot;

use crate::base::time::Timestamp;
use crate::policy::set::Digest;
use crate::telemetry::readiness::InForce;

/// A question to the policies thread.
#[derive(Debug)]
pub enum Asked {
    /// Something changed in a watched directory: look.
    Changed,
    /// Read the files again now, by SIGHUP. Does not end a rollback: the same signal reopens the access record, and a
    /// log that is rotated at night must not bring a policy back.
    Again,
    /// Read the files again now.
    Reload {
        /// Take feeds however much they shrank.
        confirm_shrink: bool,
        /// Who asks, as the record says it.
        by: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// Bring an earlier set back.
    Rollback {
        /// Which; the one before without it.
        to: Option<Digest>,
        /// Who asks, as the record says it.
        by: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// What is in force, and what is kept.
    Overview(oneshot::Sender<Overview>),
    /// Nothing any more.
    Stop,
}

/// What came of a reload or a rollback.
pub type Answer = Result<Done, Refused>;

/// A set is in force as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The set now.
    pub policy: InForce,
    /// The set before; the same where nothing changed.
    pub before: Digest,
    /// What the new one does differently, a line each, bounded.
    pub changes: Vec<String>,
    /// Which counters start anew, a line each.
    pub start_anew: Vec<String>,
    /// What is probably not meant, as diagnostics; empty where there is nothing.
    pub warnings: String,
}

/// Nothing changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Why,
    /// What a person reads: diagnostics, or a sentence with what to do.
    pub message: String,
}

/// Why a set was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its files could not be read.
    Unreadable,
    /// They say what cannot be.
    Wrong,
    /// A feed shrank by so much that somebody has to confirm it.
    Shrunk,
    /// There is no such earlier set.
    NotKept,
    /// The policies are compiled in: there is nothing to read.
    Shipped,
    /// The thread has ended: the gateway is stopping.
    Stopping,
}

/// What is in force, and what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The set in force.
    pub policy: InForce,
    /// Whether it was brought back, and the files on disk are passed over until they change.
    pub rolled_back: bool,
    /// The sets that are kept, the latest first, the one in force among them.
    pub kept: Vec<KeptSet>,
    /// The last failure, where nothing was taken since.
    pub error: Option<String>,
}

/// One set that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptSet {
    /// Which.
    pub digest: Digest,
    /// When it came into force last.
    pub since: Timestamp,
    /// Whether it is in force.
    pub in_force: bool,
}

/// A way to ask. Clones ask the same thread.
#[derive(Debug, Clone)]
pub struct Desk(Sender<Asked>);

impl Desk {
    /// Asks whoever holds the other end.
    pub fn new(asked: Sender<Asked>) -> Self {
        Self(asked)
    }

    /// Asks for a look, without waiting for it.
    pub fn again(&self) {
        let _ = self.0.send(Asked::Again);
    }

    /// Has the files read again.
    pub async fn reload(&self, confirm_shrink: bool, by: String) -> Answer {
        self.answer(|reply| Asked::Reload { confirm_shrink, by, reply }).await
    }

    /// Has an earlier set brought back.
    pub async fn rollback(&self, to: Option<Digest>, by: String) -> Answer {
        self.answer(|reply| Asked::Rollback { to, by, reply }).await
    }

    /// What is in force, and what is kept; `None` where the gateway is stopping.
    pub async fn overview(&self) -> Option<Overview> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Asked::Overview(reply)).ok()?;
        answer.await.ok()
    }

    async fn answer(&self, asked: impl FnOnce(oneshot::Sender<Answer>) -> Asked) -> Answer {
        let stopping = || Refused { why: Why::Stopping, message: "the gateway is stopping".into() };
        let (reply, answer) = oneshot::channel();
        self.0.send(asked(reply)).map_err(|_| stopping())?;
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }
}
