//! A generator that speaks the sign API: asked in the client's own words, with the generator's own key.

use tokio::time::Instant;

use super::Adapter;
use crate::base::operation::Operation;
use crate::base::secret::Secret;
use crate::generator::Question;
use crate::generator::reply::Reply;
use crate::generator::wire::{Origin, Pool, Repeat, Request, WireError};

/// So many headers go on at most: the dialect's allow-list is shorter.
const HEADERS_MAX: usize = 16;

/// A generator that speaks the sign API.
#[derive(Debug)]
pub struct Euler {
    /// Where it is.
    pub origin: Origin,
    /// Its own key: the client's is never forwarded.
    pub key: Option<Secret>,
}

impl Adapter for Euler {
    const OPERATIONS: &'static [Operation] = &Operation::ALL;

    fn origin(&self) -> &Origin {
        &self.origin
    }

    async fn ask(&self, pool: &Pool, question: &Question<'_>, deadline: Instant) -> Result<Reply, WireError> {
        // In a scope of their own: the future would hold the headers until the answer is there.
        let sent = {
            let mut headers = [("", ""); HEADERS_MAX];
            let mut count = question.headers.len().min(HEADERS_MAX - 1);
            headers[..count].copy_from_slice(&question.headers[..count]);
            if let Some(key) = &self.key {
                headers[count] = ("x-api-key", key.reveal());
                count += 1;
            }
            let request = Request {
                method: question.method,
                target: question.target,
                headers: &headers[..count],
                body: question.body,
                repeat: if question.operation.may_be_repeated() { Repeat::Allowed } else { Repeat::Never },
            };
            pool.send(&request, deadline)
        };
        sent.await.map(Reply::Wire)
    }
}
