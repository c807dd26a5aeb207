//! Asking a generator that works on what it was asked to the end, whether or not somebody waits for it.
//!
//! Whoever hangs up, is answered by another, or has no more time, leaves: the work stays, and with it the room that it takes. So a task
//! has the permit, and gives it back when the answer is there, the connection has ended, or the generator must have given
//! up by itself. Nothing becomes of an answer for which nobody waits.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::spawn_local;
use tokio::time::{Instant, timeout_at};

use super::Question;
use super::reply::Reply;
use super::roster::Lent;
use super::wire::{Method, Phase, Pool, WireError};

/// Asks once, and waits until `until`; the generator has `works_for` to do it. To be run on a `LocalSet`.
pub(super) async fn ask(
    permit: Lent,
    pool: Option<Rc<Pool>>,
    question: &Question<'_>,
    works_for: Duration,
    until: Instant,
) -> Result<Reply, WireError> {
    let (operation, room, url) = (question.operation, question.room, question.url.map(str::to_owned));
    let user_agent = (question.browser_user_agent)().map(Cow::into_owned);
    let end = Instant::now() + works_for;
    let work = spawn_local(async move {
        let question = Question {
            operation,
            room,
            url: url.as_deref(),
            browser_user_agent: &|| user_agent.as_deref().map(Cow::Borrowed),
            method: Method::Get,
            target: "",
            headers: &[],
            body: None,
        };
        permit.generator().kind.ask(pool.as_deref(), &question, end).await
    });
    match timeout_at(until, work).await {
        Ok(Ok(answered)) => answered,
        // It panicked, and has said so, or this thread ends.
        Ok(Err(_)) => Err(WireError::ClosedEarly),
        Err(_) => Err(WireError::TimedOut(Phase::Head)),
    }
}
