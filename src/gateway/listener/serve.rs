//! One connection from its first byte to its last: requests are heard, answered and written one after the other.

use std::{future::poll_fn, net::SocketAddr, pin::pin, rc::Rc, task::Poll};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    body::RequestBody,
    connection::{ConnectionState, Origin},
    conversation::{Conversation, Heard, Parting},
    framing::RequestHead,
    inbound::Inbound,
    thread::ListenerThread,
    violation::Rejection,
};
use crate::dialect::head::Answer;

/// A request, or the place in a connection where one should have been.
#[derive(Debug)]
pub struct Arrival<'c> {
    /// Where it came from.
    pub origin: Origin<'c>,
    /// The request's head; or why there is none, to be answered and recorded like any other refusal.
    pub request: Result<RequestHead<'c>, Rejection>,
    /// Its body; nothing where there is none.
    pub body: RequestBody<'c>,
}

/// Serves `stream` until either side ends it.
///
/// `handler` is called for each request in turn, and its answer is written before the next is looked at. Its future is
/// dropped where it stands when the client resets the connection, when the client has finished sending and
/// [`half_closed`](super::Deadlines::half_closed) has passed, and when the connection is cut.
///
/// Deadlines take effect only while [`ListenerThread::keep_time`] runs on the same thread.
pub async fn serve_connection<S, H>(stream: S, peer: SocketAddr, thread: &Rc<ListenerThread>, handler: &H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: AsyncFn(Arrival<'_>) -> Answer,
{
    let state = Rc::new(ConnectionState::new(Rc::clone(thread), peer));
    let _registered = thread.register(Rc::clone(&state));
    let mut talk = pin!(talk(Conversation::new(stream, &state), &state, handler));
    poll_fn(|cx| {
        state.attend(cx.waker());
        if state.is_cut() { Poll::Ready(()) } else { talk.as_mut().poll(cx) }
    })
    .await;
}

async fn talk<S, H>(mut conversation: Conversation<'_, S>, state: &ConnectionState, handler: &H)
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: AsyncFn(Arrival<'_>) -> Answer,
{
    let parting = loop {
        let (heard, head) = match conversation.hear().await {
            Heard::Head(bytes) => (Ok(()), conversation.take_head(bytes)),
            Heard::Refused(violation) => (Err(violation.rejection()), Inbound::default()),
            Heard::Over(parting) => break parting,
        };
        let origin = Origin { connection: state, number: state.begin() };
        let request = heard.map(|()| head.head());
        // Not in a box: it has 6 KiB, for which an allocator takes its long way, with every request.
        let answer = {
            let answering = pin!(handler(Arrival { origin, request, body: RequestBody(state) }));
            conversation.wait_for(answering).await
        };
        let Some(answer) = answer else { break Parting::Lost };
        let closes = conversation.closes_after(request.ok());
        let written = conversation.say(answer, request.ok(), closes).await;
        state.thread.keep_inbound(head);
        match written {
            Ok(()) if closes => break Parting::Answered,
            Ok(()) => {}
            Err(_) => break Parting::Lost,
        }
    };
    conversation.part(parting).await;
}
