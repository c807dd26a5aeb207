//! The wire to one generator: a small, strict HTTP/1.1 client.
//!
//! Answers are read whole and judged anyway, so that streaming, trailers, upgrades and pipelining are deliberately
//! absent, and with them most of what a general client costs. What is left: one request written in one call, one
//! answer read into a reused buffer, every part of it bounded in bytes, count and time.
//!
//! ```text
//! Pool::send -> Connection (idle or dialled) -> request out -> AnswerParser (no I/O) -> Answer
//! ```
//!
//! A [`Pool`] belongs to one thread and one [`Origin`]; its futures are not `Send`. [`AnswerParser`] does no I/O and
//! is what the fuzz target `answer` and the oracle test (hyper's client) look at. It is stricter than hyper: whatever
//! it accepts, hyper accepts with the same status and body; the reasons that only it has are listed at [`Malformed`].
//!
//! Neither the text nor the `Debug` form of anything here names an address, a target's query or a header's value:
//! they may end in an answer to a client or in a log.
//!
//! What one keep-alive exchange costs over plain TCP, counted: one `send`, one `recv` where the answer fits the 8 KiB
//! buffer and comes in one piece (43 KB: one more, and one that finds nothing before the next request), two reads of
//! the clock, no timer entry (see `alarm.rs`), and one allocation, which is the [`Answer`]'s own: wanted header values
//! and body lie in it side by side (two for a chunked body, more for many chunks).
//!
//! Read [`Pool::send`] first, then [`AnswerParser::feed`].

mod alarm;
mod answer;
mod chunk;
mod connection;
mod error;
mod head;
mod origin;
mod parse;
mod pool;
mod request;
mod resolve;
mod stream;

pub use answer::{Answer, WANTED_MAX, Wanted};
pub use error::{Malformed, NotConnected, Phase, TooLarge, Unsendable, WireError};
pub use head::HEADERS_MAX;
pub use origin::{Identity, Origin, OriginError, Roots};
pub use parse::{AnswerParser, Limits};
pub use pool::{Counts, Pool, Settings};
pub use request::{Method, Repeat, Request};
